"""The simulated oscilloscope: settings, states, what its screen cuts off, and how a record is handed over."""

import math

import numpy as np
import pytest

RATE_HZ = 50_000.0


def tables():
    """A bench of an oscillator on channel 1 and a noiseless leaky integrator on channel 3."""
    return {
        "devices": {"oscillator": {"kind": "stuart_landau"}, "leaky": {"kind": "leaky_integrator", "noise_scale": 0.0}},
        "instruments": {
            "awg": {"model": "keysight_33522b", "outputs": {"1": "oscillator.drive", "2": "leaky.drive"}},
            "digitiser": {
                "model": "keysight_dsox1204g",
                "inputs": {"1": "oscillator.voltage", "3": "leaky.response"},
                "trigger": "awg",
            },
        },
    }


@pytest.fixture
def rig(start):
    return start(**tables())


@pytest.fixture
def scope(rig):
    return rig.digitiser


def codes(client):
    return [int(error.split(",")[0]) for error in client.errors()]


def prepare(scope, n_points=500, *, rate_Hz=RATE_HZ, scale_V=0.2, channels=(1,)):
    """A record of n_points that begins at the trigger."""
    scope.write("STOP", f"TIM:RANG {n_points / rate_Hz:.9g}", f"TIM:POS {n_points / rate_Hz / 2:.9g}")
    scope.write("TRIG:SOUR EXT", "TRIG:SWE NORM", "WAV:POIN:MODE RAW", f"WAV:POIN {n_points}")
    for channel in range(1, 5):
        scope.write(f"CHAN{channel}:SCAL {scale_V}", f"CHAN{channel}:DISP {int(channel in channels)}")
    assert codes(scope) == []


def preamble(scope):
    return [float(field) for field in scope.query("WAV:PRE?").split(",")]


def volts(scope, channel=1):
    """One channel's record as its preamble says."""
    scope.write(f"WAV:SOUR CHAN{channel}", "WAV:FORM BYTE", "WAV:UNS 1")
    fields = preamble(scope)
    data = np.frombuffer(scope.query_block("WAV:DATA?"), np.uint8).astype(float)
    assert data.size == fields[2]
    return (data - fields[9]) * fields[7] + fields[8]


@pytest.mark.parametrize(
    ("command", "code"),
    [("CHAN1:SCAL 20", -222), ("CHAN1:SCAL 0.1e-3", -222), ("CHAN5:SCAL 1", -114), ("CHAN1:COUP AC", -221),
     ("CHAN1:OFFS 101", -222), ("CHAN1:PROB 0", -222), ("TIM:SCAL 100", -222), ("TIM:RANG 1e-9", -222),
     ("TIM:MODE ROLL", -221), ("TRIG:SOUR LINE", -221), ("TRIG:SOUR SMU", -224), ("ACQ:TYPE AVER", -221),
     ("WAV:POIN 300", -224), ("WAV:SOUR CHAN7", -224), ("RUN", -221), ("TRIG:FORC", -211), ("WAV:DATA?", -230),
     ("WAV:PRE?", -230), ("CONF:ACQ 1", -113)],
)  # fmt: skip
def test_a_setting_that_cannot_be_is_refused_and_nothing_changes(scope, command, code):
    asked = "CHAN1:SCAL?;OFFS?;PROB?;COUP?;:TIM:RANG?;:TRIG:SOUR?;:ACQ:TYPE?;:WAV:POIN?;SOUR?"
    before = scope.query(asked)
    scope.write(command)
    assert codes(scope) == [code]
    assert scope.query(asked) == before


def test_settings_read_back(scope):
    scope.write("CHAN2:RANG 1.6", "CHAN2:OFFS 0.1", "CHAN2:DISP ON", "TIM:SCAL 2e-3", "TIM:REF LEFT", "TIM:POS 1e-3")
    assert [float(scope.query(f"{header}?")) for header in ("CHAN2:SCAL", "CHAN2:OFFS", "CHAN2:DISP", "TIM:RANG")] == [
        pytest.approx(value) for value in (0.2, 0.1, 1, 0.02)
    ]
    scope.write("CHAN2:PROB 10")
    assert float(scope.query("CHAN2:SCAL?")) == pytest.approx(2.0)
    scope.write("*RST")
    assert float(scope.query("CHAN2:SCAL?")) == 5.0
    assert scope.query("TIM:REF?") == "CENT"
    assert codes(scope) == []


@pytest.mark.parametrize(
    ("width_s", "rate_Hz", "points"),
    [(10e-3, 10e6, 100_000), (4e-3, 20e6, 80_000), (1.0, 1e5, 100_000), (500.0, 200, 100_000), (100e-9, 1e9, 100)],
)
def test_the_time_base_decides_on_the_sample_rate_and_the_memory_limits_it(scope, width_s, rate_Hz, points):
    scope.write(f"TIM:RANG {width_s}")
    assert float(scope.query("ACQ:SRAT?")) == rate_Hz
    assert int(scope.query("ACQ:POIN?")) == points


def test_states_from_stopped_over_armed_to_done(rig, scope):
    prepare(scope)
    assert scope.query("OPER:COND?") == "+0"
    scope.write("SING")
    assert scope.query("OPER:COND?") == "+40"
    assert [scope.query("AER?"), scope.query("AER?"), scope.query("TER?")] == ["+1", "+0", "+0"]
    scope.write("WAV:DATA?")
    assert codes(scope) == [-230]
    rig.prepare_play(np.zeros(50), amplitude_Vpp=2.0, rate_Hz=RATE_HZ)
    rig.awg.write("*TRG")
    assert scope.query("*OPC?") == "1"
    assert scope.query("OPER:COND?") == "+0"
    assert scope.query("OPER?") == "+40"
    assert scope.query("TER?") == "+1"
    assert len(scope.query_block("WAV:DATA?")) == 500


def test_an_edge_at_the_external_input_starts_a_record_only_where_it_is_waited_for(rig, scope):
    prepare(scope)
    scope.write("TRIG:SOUR CHAN1", "SING")
    rig.prepare_play(np.zeros(50), amplitude_Vpp=2.0, rate_Hz=RATE_HZ)
    rig.awg.write("*TRG")
    rig.awg.query("*OPC?")
    assert scope.query("OPER:COND?") == "+40"
    scope.write("TRIG:FORC")
    assert scope.query("*OPC?") == "1"
    assert len(scope.query_block("WAV:DATA?")) == 500


def test_with_the_sweep_on_auto_and_with_digitize_nothing_is_waited_for(scope):
    prepare(scope, channels=(2, 4))
    scope.write("TRIG:SWE AUTO", "DIG CHAN1,CHAN3", "WAV:SOUR CHAN3")  # the next question waits for the end
    assert len(scope.query_block("WAV:DATA?")) == 500
    assert [scope.query(f"CHAN{channel}:DISP?") for channel in range(1, 5)] == ["1", "0", "1", "0"]


def test_the_samples_are_the_states_at_the_times_that_the_preamble_tells(rig, scope):
    """A leaky integrator of 1 ms, driven from 1 ms to 11 ms after the trigger, is known at every time."""
    drive = np.repeat([0.0, 1.0, 0.0], [10, 100, 200])
    rig.prepare_play(drive, channel=2, amplitude_Vpp=2.0, rate_Hz=10e3)
    for reference, position_s, start_s in (("CENT", 0.01, 0.0), ("LEFT", 0.0, -2e-3), ("RIGH", 0.02, 2e-3)):
        prepare(scope, 1000, channels=(3,))
        scope.write(f"TIM:REF {reference}", f"TIM:POS {position_s}", "SING")
        rig.awg.write("*TRG")
        assert scope.query("*OPC?") == "1"
        seen = volts(scope, 3)
        assert preamble(scope)[:7] == [0, 0, 1000, 1, pytest.approx(2e-5), pytest.approx(start_s), 0]
        time_s = start_s + np.arange(1000) / RATE_HZ
        rising = math.tanh(1.0) * -np.expm1(-np.clip(time_s - 1e-3, 0.0, 1e-2) / 1e-3)
        expected = rising * np.exp(-np.clip(time_s - 11e-3, 0.0, None) / 1e-3)
        np.testing.assert_allclose(seen, expected, atol=1.6 / 256 / 2 + 2e-4)


def test_the_screen_is_eight_bits_high_and_what_leaves_it_is_told_by_the_first_and_the_last_code(rig, scope):
    prepare(scope, 1000)
    drive = np.full(1000, 1.0)
    drive[-1] = 0.0
    rig.prepare_play(drive, amplitude_Vpp=2.0, rate_Hz=RATE_HZ)
    scope.write("SING")
    rig.awg.write("*TRG", "*WAI")
    rig.awg.query("*OPC?")
    whole = volts(scope)
    assert preamble(scope)[7] == pytest.approx(1.6 / 256)
    assert np.allclose(whole / (1.6 / 256), np.rint(whole / (1.6 / 256)), atol=1e-6)
    assert 0.4 < whole.max() < 0.7
    scope.write("CHAN1:SCAL 0.05", "CHAN1:OFFS 0.1", "SING")
    rig.awg.write("*TRG", "*WAI")
    rig.awg.query("*OPC?")
    data = np.frombuffer(scope.query_block("WAV:DATA?"), np.uint8)
    assert (data.min(), data.max()) == (1, 255)
    cut = volts(scope)
    assert cut.max() == pytest.approx(0.1 + 127 * 0.4 / 256)
    assert cut.min() == pytest.approx(0.1 - 127 * 0.4 / 256)


def test_every_format_says_the_same(rig, scope):
    prepare(scope, 250)
    scope.write("SING", "TRIG:FORC")
    assert scope.query("*OPC?") == "1"
    expected = volts(scope)
    for form, unsigned, order, kind in (
        ("WORD", 1, "MSBF", ">u2"), ("WORD", 0, "LSBF", "<i2"), ("WORD", 1, "LSBF", "<u2"), ("BYTE", 0, "MSBF", "i1"),
    ):  # fmt: skip
        scope.write(f"WAV:FORM {form}", f"WAV:UNS {unsigned}", f"WAV:BYT {order}")
        fields = preamble(scope)
        assert fields[0] == (form == "WORD")
        data = np.frombuffer(scope.query_block("WAV:DATA?"), kind).astype(float)
        assert np.allclose((data - fields[9]) * fields[7] + fields[8], expected, rtol=1e-6)
    scope.write("WAV:FORM ASC")
    assert np.allclose([float(value) for value in scope.query_block("WAV:DATA?").split(b",")], expected, atol=1e-6)


def test_fewer_points_are_every_kth_sample(scope):
    prepare(scope, 1000)
    scope.write("SING", "TRIG:FORC")
    assert scope.query("*OPC?") == "1"
    fine = volts(scope)
    scope.write("WAV:POIN 250")
    assert np.array_equal(volts(scope), fine[::4])
    assert preamble(scope)[4] == pytest.approx(4 / RATE_HZ)
    scope.write("WAV:POIN MAX")
    assert int(scope.query("WAV:POIN?")) == int(scope.query("ACQ:POIN?")) == 100_000
    scope.write("WAV:POIN:MODE NORM")
    assert int(scope.query("WAV:POIN?")) == 62_500


def test_a_stopped_record_has_holes_and_a_channel_that_was_not_shown_has_no_record(rig, scope):
    prepare(scope, 100, rate_Hz=10.0)
    rig.prepare_play(np.zeros(50), amplitude_Vpp=2.0, rate_Hz=10.0)
    scope.write("SING")
    rig.awg.write("*TRG")
    while scope.query("TER?") == "+0":
        pass
    scope.write("STOP", "WAV:SOUR CHAN1")
    assert 0 in scope.query_block("WAV:DATA?")
    scope.write("WAV:SOUR CHAN2", "WAV:DATA?")
    assert codes(scope) == [-230]


def test_the_noise_of_the_input_and_an_open_input(start):
    rig = start(**tables(), instruments__digitiser__noise_V=2e-3)
    scope = rig.digitiser
    prepare(scope, 5000, scale_V=5e-3, channels=(2, 3))
    scope.write("SING", "TRIG:FORC")
    assert scope.query("*OPC?") == "1"
    level_V = 0.04 / 256
    seen = volts(scope, 3)
    assert math.sqrt(seen.var() - level_V**2 / 12) == pytest.approx(2e-3, rel=0.05)
    open_input = volts(scope, 2)
    assert open_input.std() == pytest.approx(seen.std(), rel=0.1)
    assert abs(np.corrcoef(seen, open_input)[0, 1]) < 0.1


def test_a_probe_setting_multiplies_what_is_read(rig, scope):
    prepare(scope, 100, channels=(3,))
    rig.prepare_play(np.full(100, 0.5), channel=2, amplitude_Vpp=2.0, rate_Hz=10e3)
    for probe in (1, 10):
        scope.write(f"CHAN3:PROB {probe}", "SING")
        rig.awg.write("*TRG")
        assert scope.query("*OPC?") == "1"
        assert volts(scope, 3) == pytest.approx(probe * math.tanh(0.5), abs=probe * 1.6 / 256)
