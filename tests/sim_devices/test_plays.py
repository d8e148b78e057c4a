"""Buffered plays: which drive sample acts when, when samples are taken, and that commands and seed alone decide the answer."""

from fractions import Fraction

import numpy as np
import pytest

from sim_devices.plays import Record, step_rate
from sim_devices.signals import Burst, sample_indices

QUIET = {"devices__leaky__noise_scale": 0.0, "devices__duffing__noise_scale": 0.0}


def leaky_reference(drive_V, x0=0.0, dt_over_tau=0.2):
    """response[k] is the state at k dt; drive[k] acts in [k dt, (k + 1) dt)."""
    x, out = x0, []
    for u in drive_V:
        out.append(x)
        x = np.tanh(u) + (x - np.tanh(u)) * np.exp(-dt_over_tau)
    return np.array(out)


def quantised(volts, step):
    return np.rint(np.asarray(volts) / step) * step


def test_a_pulse_in_the_drive_arrives_at_the_next_response_sample(start):
    rig = start(**QUIET)
    drive = np.zeros(64)
    drive[20] = 1.0
    response = rig.play(drive)
    assert np.all(np.abs(response[:21]) < 1e-9)
    assert response[21] == pytest.approx(np.tanh(1.0) * (1 - np.exp(-0.2)), abs=1e-4)
    assert np.argmax(response) == 21


def test_the_whole_response_is_that_of_the_equation_within_one_count(start):
    rig = start(**QUIET)
    drive = np.random.default_rng(0).uniform(-2, 2, 400)
    drive[[0, -1]] = 0.0
    response = rig.play(drive)
    expected = leaky_reference(quantised(drive, 2.0 / 32767))
    assert np.max(np.abs(response - expected)) <= 0.51 * 2.0 / 32767


def test_digitiser_and_generator_may_run_at_different_rates(start):
    rig = start(**QUIET)
    drive = np.repeat([0.0, 1.5, -0.5, 0.0], 14)  # 2 ms each at 7 kSa/s
    rig.prepare_play(drive, rate_Hz=7000)
    rig.prepare_record(80, rate_Hz=10_000)
    rig.awg.write("*TRG")
    response = rig.fetch(1)
    expected = leaky_reference(quantised(np.repeat([0.0, 1.5, -0.5, 0.0], 20), 2.0 / 32767), dt_over_tau=0.1)
    assert np.max(np.abs(response - expected)) <= 2.0 / 32767


def test_pre_trigger_samples_show_the_rest_and_the_trigger_sample_keeps_its_place(start):
    rig = start(**QUIET)
    drive = np.zeros(40)
    drive[0:10] = 0.0
    drive[10] = 1.0
    rig.prepare_play(drive)
    rig.digitiser.write("CONF:ACQ:SCO 40", "CONF:ACQ:SPR 8")
    rig.prepare_record(40)
    rig.awg.write("*TRG")
    response = rig.fetch(1)
    assert np.argmax(response) == 8 + 11
    from_trigger = np.frombuffer(rig.digitiser.query_block("FETC:WAV:VOLT? (@1),0,32"), "<f4")
    before = np.frombuffer(rig.digitiser.query_block("FETC:WAV:VOLT? (@1),-8,8"), "<f4")
    assert np.array_equal(np.concatenate((before, from_trigger)), response.astype("<f4"))


def test_a_trigger_delay_moves_the_record(start):
    rig = start(**QUIET)
    drive = np.zeros(40)
    drive[10] = 1.0
    rig.prepare_play(drive)
    rig.digitiser.write("CONF:ACQ:TDEL 1e-3")
    rig.prepare_record(32)
    rig.awg.write("*TRG")
    assert np.argmax(rig.fetch(1)) == 11 - 5


def test_both_channels_start_at_one_bus_trigger(start):
    rig = start(**QUIET)
    drive = np.zeros(100)
    drive[10:12] = 0.5
    rig.prepare_play(drive, channel=1)
    rig.prepare_play(drive, channel=2, amplitude_Vpp=2.0)
    rig.prepare_record(100)
    rig.awg.write("*TRG")
    leaky, duffing = rig.fetch(1), rig.fetch(2)
    assert np.flatnonzero(np.abs(leaky) > 1e-3)[0] == 11
    assert np.flatnonzero(np.abs(duffing - duffing[0]) > 1e-3)[0] == 11


def test_several_channels_come_interleaved(start):
    rig = start()
    rig.play(np.zeros(64))
    both = np.frombuffer(rig.digitiser.query_block("FETC:WAV:ADC? (@1,2)"), "<i2").reshape(-1, 2)
    for channel in (1, 2):
        alone = np.frombuffer(rig.digitiser.query_block(f"FETC:WAV:ADC? (@{channel})"), "<i2")
        assert np.array_equal(both[:, channel - 1], alone)


def responses(start, *, seed=3, plays=3, disturb=False):
    rig = start(seed=seed)
    drive = np.zeros(60)
    drive[5:20] = 0.4
    found = []
    for number in range(plays):
        rig.smu.write(f":SOUR:VOLT {0.05 * number}", ":OUTP ON")
        rig.smu.query("*OPC?")
        if disturb:  # look about, take time
            rig.smu.query(":READ?")
            for _ in range(50):
                rig.awg.query("*IDN?")
                rig.digitiser.query("FETC:WAV:ACQ:PRE?")
        found.append(rig.play(drive, channel=2, amplitude_Vpp=2.0))
        if disturb:
            rig.digitiser.query_block("FETC:WAV:VOLT? (@1)")
    return np.array(found)


def test_a_play_depends_on_commands_and_seed_alone(start):
    first = responses(start)
    assert np.array_equal(first, responses(start))
    assert np.array_equal(first, responses(start, disturb=True))
    assert not np.array_equal(first, responses(start, seed=4))
    assert not np.array_equal(first[0], first[1])


def test_the_channel_nobody_drove_can_be_fetched_later_and_goes_on_from_there(start):
    rig = start(devices__leaky__noise_scale=0.2)
    rig.play(np.zeros(400), channel=2)
    first = np.frombuffer(rig.digitiser.query_block("FETC:WAV:VOLT? (@1)"), "<f4")
    assert first.std() > 0
    again = np.frombuffer(rig.digitiser.query_block("FETC:WAV:VOLT? (@1)"), "<f4")
    assert np.array_equal(first, again)


def test_a_long_play_lets_others_speak_and_can_be_aborted(start):
    rig = start()
    rig.prepare_play(np.zeros(1_000_000), channel=2)
    rig.prepare_record(1_000_000)
    rig.awg.write("*TRG")
    assert rig.smu.query("*IDN?").startswith("KEITHLEY")
    assert rig.digitiser.query("FETC:WAV:ACQ:PRE?").endswith("RUN")
    second = rig.connect("digitiser")
    rig.digitiser.write("*OPC?")
    second.write("ABOR")
    rig.awg.write("ABOR")
    assert rig.digitiser.read() == "1"
    assert rig.awg.query("*OPC?") == "1"
    record, ready, _, state = rig.digitiser.query("FETC:WAV:ACQ:PRE?").split(",")
    assert (record, state) == ("+1", "ABOR")
    assert int(ready) < 1_000_000
    if int(ready):  # what was measured stays
        assert len(rig.digitiser.query_block(f"FETC:WAV:ADC? (@2),0,{int(ready)}")) == 2 * int(ready)


def test_samples_may_be_fetched_while_the_play_goes_on(start):
    rig = start()
    rig.prepare_play(np.zeros(200_000), channel=2)
    rig.prepare_record(200_000)
    rig.awg.write("*TRG")
    seen, got = [], np.empty(0, "<i2")
    while got.size < 200_000:
        ready = int(rig.digitiser.query("FETC:WAV:ACQ:PRE?").split(",")[1])
        if ready > got.size:
            seen.append(ready)
            more = rig.digitiser.query_block(f"FETC:WAV:ADC? (@2),{got.size},{ready - got.size}")
            got = np.concatenate((got, np.frombuffer(more, "<i2")))
    assert seen == sorted(seen)
    assert np.array_equal(got, np.frombuffer(rig.digitiser.query_block("FETC:WAV:ADC? (@2)"), "<i2"))


@pytest.mark.parametrize("sample_rate", [Fraction(5000), Fraction(7000), Fraction(1234567, 1000)])
def test_sample_indices_are_exact_far_into_a_play(sample_rate):
    first = 10**12 + 7
    indices = sample_indices(first, 500, 40_000, sample_rate)
    assert [int(i) for i in indices] == [int(Fraction(first + j, 40_000) * sample_rate // 1) for j in range(500)]


def test_record_boundaries_are_the_first_steps_that_are_not_too_early():
    record = Record(Fraction(3000), 100, 8, Fraction(1, 7000), {})
    many = record.boundaries(0, 100, 40_000)
    assert [int(b) for b in many] == [record.boundary(k, 40_000) for k in range(100)]
    assert many[8] == 6  # 40000 / 7000 = 5.7


def test_internal_steps_are_a_common_multiple_of_the_rates_where_affordable():
    assert step_rate([Fraction(5000), Fraction(5000)], 40_000) == 40_000
    assert step_rate([Fraction(7000), Fraction(10_000)], 10_000) == 70_000
    assert step_rate([Fraction(250_000_000), Fraction(5000)], 10_000) == 10_000
    assert step_rate([Fraction(5000)], 12_345.6) == 15_000


def test_after_a_burst_the_level_is_that_of_its_first_point():
    burst = Burst(np.array([0.5, 1.0, 2.0, 0.0]), Fraction(1000), 2, 0.5)
    assert burst.steps(4000) == 32
    volts = burst.voltages(-4, 44, 4000)
    assert np.array_equal(volts, np.concatenate(([0.5] * 4, np.tile(np.repeat([0.5, 1.0, 2.0, 0.0], 4), 2), [0.5] * 8)))


def test_a_set_point_sent_after_the_trigger_does_not_reach_into_the_play(start):
    answers = []
    for disturb in (False, True):
        rig = start()
        rig.smu.write(":SENS:CURR:PROT 1e-3", ":OUTP ON")
        assert rig.smu.query("*OPC?") == "1"
        rig.prepare_play(np.zeros(20_000), channel=2)
        rig.prepare_record(20_000)
        rig.awg.write("*TRG")
        assert rig.awg.query("*ESR?")  # the trigger has been obeyed
        if disturb:
            rig.smu.write(":SOUR:VOLT 0.2")
            rig.smu.query("*OPC?")
        answers.append(rig.fetch(2))
    assert np.array_equal(answers[0], answers[1])
