"""The simulated generator: memory, amplitude and offset, limits, triggers, and what the terminal really carries."""

import numpy as np
import pytest

from sim_devices.instruments.awg_channel import AwgChannel


@pytest.fixture
def rig(start):
    return start(devices__leaky__noise_scale=0.0)


@pytest.fixture
def awg(rig):
    return rig.awg


def terminal_V(rig, volts_of_drive=None):
    """What the leaky integrator settles at, turned back into the voltage at its port."""
    rig.awg.query("*OPC?")
    rig.prepare_record(8, source="IMM")
    return np.arctanh(rig.fetch(1)[-1])


def test_identity_and_reset_state(awg):
    assert awg.query("*IDN?") == "Keysight Technologies,33522B,SIM-33522B-001,5.03-3.15-2.00-58-00"
    awg.write("SOUR1:FUNC DC", "SOUR2:VOLT 3", "OUTP1 ON", "*RST")
    assert (
        awg.query("SOUR1:FUNC?;:SOUR2:VOLT?;:OUTP1?;:OUTP1:LOAD?")
        == "SIN;+1.000000000000000E-01;0;+5.000000000000000E+01"
    )
    assert awg.query("TRIG1:SOUR?;:SOUR1:BURS:STAT?;NCYC?;:OUTP:SYNC:SOUR?") == "IMM;0;+1;CH1"


def test_waveforms_are_kept_by_name_for_each_channel(awg):
    block = np.linspace(-1, 1, 100, dtype=">f4").tobytes()
    awg.write_block("SOUR1:DATA:ARB ramp,", block)
    awg.write("DATA:ARB:DAC steps,-32767,0,32767,0,1,2,3,4")
    assert awg.query("SOUR1:DATA:VOL:CAT?") == '"EXP_RISE","ramp","steps"'
    assert awg.query("SOUR2:DATA:VOL:CAT?") == '"EXP_RISE"'
    assert awg.query("SOUR1:DATA:VOL:FREE?") == f"{1_000_000 - 108:+d}"
    assert awg.query("DATA:ATTR:POIN? RAMP") == "+100"
    awg.write("FUNC:ARB Ramp")
    assert awg.query("FUNC:ARB?") == '"ramp"'
    awg.write("SOUR1:DATA:VOL:CLE")
    assert awg.query("FUNC:ARB?") == '"EXP_RISE"'
    assert awg.errors() == []


@pytest.mark.parametrize(
    ("commands", "code"),
    [
        (["DATA:ARB a,0,0,0,0,0,0,0,0", "DATA:ARB A,0,0,0,0,0,0,0,0"], 786), (["FUNC:ARB nothing"], 785),
        (["DATA:ARB a,1,2,3,4,5,6,7,8"], -222), (["DATA:ARB a,0,0"], -222), (["DATA:ARB 1a,0,0,0,0,0,0,0,0"], -224),
        (["DATA:ARB:DAC a,#13abc"], -161), (["DATA:ARB a"], -109), (["DATA:ARB a,#0"], -222), (["FUNC ROUND"], -224),
        (["SOUR3:FUNC DC"], -114), (["*TRG"], -211), (["TRIG2"], -211), (["FUNC DC", "BURS:STAT ON"], -221),
        (["BURS:STAT ON", "FUNC DC"], -221), (["BURS:NCYC 0"], -222), (["FUNC:ARB:SRAT 1e9"], -222),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_reported_with_its_code(awg, commands, code):
    awg.write(*commands)
    assert [int(error.split(",")[0]) for error in awg.errors()] == [code]


def test_too_many_points_for_the_memory_are_refused(awg):
    awg.write_block("DATA:ARB:DAC big,", bytes(2 * 600_000))
    awg.write_block("DATA:ARB:DAC bigger,", bytes(2 * 600_000))
    assert [int(error.split(",")[0]) for error in awg.errors()] == [781]
    assert awg.query("DATA:VOL:FREE?") == "+400000"


def test_amplitude_and_offset_out_of_range_are_clipped_and_reported(awg):
    awg.write("OUTP1:LOAD INF", "VOLT 50")
    assert awg.errors() == ['-222,"Data out of range; value clipped to upper limit"']
    assert float(awg.query("VOLT?")) == 20.0
    awg.write("VOLT:OFFS 3")
    assert awg.errors() == ['-221,"Settings conflict; amplitude changed due to offset"']
    assert float(awg.query("VOLT?")) == pytest.approx(14.0)
    awg.write("VOLT 18")
    assert awg.errors() == ['-221,"Settings conflict; offset changed due to amplitude"']
    assert float(awg.query("VOLT:OFFS?")) == pytest.approx(1.0)
    awg.write("FUNC DC", "VOLT:OFFS -11")
    assert awg.errors() == ['-222,"Data out of range; value clipped to lower limit"']
    assert float(awg.query("VOLT:OFFS?")) == -10.0


def test_voltage_limits_refuse_what_would_break_them(awg):
    awg.write("OUTP1:LOAD INF", "FUNC DC", "VOLT:OFFS 0", "VOLT:LIM:HIGH 1", "VOLT:LIM:LOW -0.5", "VOLT:LIM:STAT ON")
    assert awg.errors() == []
    assert awg.query("VOLT:LIM:STAT?;HIGH?;LOW?") == "1;+1.000000000000000E+00;-5.000000000000000E-01"
    awg.write("VOLT:OFFS 0.9")
    assert awg.errors() == []
    awg.write("VOLT:OFFS 1.1")
    assert [int(error.split(",")[0]) for error in awg.errors()] == [-222]
    assert float(awg.query("VOLT:OFFS?")) == 0.9
    awg.write("VOLT:LIM:HIGH 0.5")
    assert [int(error.split(",")[0]) for error in awg.errors()] == [-221]


def test_a_dc_level_reaches_the_terminal_only_while_the_output_is_on(rig, awg):
    awg.write("OUTP1:LOAD INF", "FUNC DC", "VOLT:OFFS 0.5")
    assert terminal_V(rig) == pytest.approx(0.0, abs=1e-3)
    awg.write("OUTP1 ON")
    rig.play(np.zeros(100), channel=2)  # lets time pass for the device
    assert terminal_V(rig) == pytest.approx(0.5, abs=0.1)


def test_with_a_50_ohm_load_setting_an_open_terminal_carries_twice_the_displayed_voltage(rig, awg):
    drive = np.full(40, 0.0)
    drive[1:-1] = 0.25
    rig.prepare_play(drive, amplitude_Vpp=2.0)
    awg.write("OUTP1:LOAD 50")
    assert float(awg.query("VOLT?")) == pytest.approx(1.0)  # the same voltage, displayed differently
    rig.prepare_record(40)
    awg.write("*TRG")
    assert np.arctanh(rig.fetch(1)[-1]) == pytest.approx(0.25, abs=2e-3)
    awg.write("VOLT 2")
    rig.prepare_record(40)
    awg.write("*TRG")
    assert np.arctanh(rig.fetch(1)[-1]) == pytest.approx(0.5, abs=2e-3)


def test_samples_are_rounded_to_the_dac(rig, awg):
    channel = AwgChannel(function="ARB", amplitude_Vpp=4.0, load_ohm=9.9e37)
    channel.store("w", np.linspace(-1, 1, 1001))
    channel.select("w")
    volts = channel.burst(sample_rate_Hz=5000, cycles=1).samples
    assert np.allclose(volts / (2.0 / 32767), np.rint(volts / (2.0 / 32767)), atol=1e-9)
    assert np.max(np.abs(volts - 2.0 * np.linspace(-1, 1, 1001))) <= 1.0 / 32767 + 1e-12


def test_a_trigger_without_the_sync_output_does_not_start_the_digitiser(rig, awg):
    rig.prepare_play(np.zeros(16), channel=2)
    awg.write("OUTP:SYNC:SOUR CH1")  # channel 1 does not play
    rig.prepare_record(16)
    awg.write("*TRG")
    assert awg.query("*OPC?") == "1"
    assert rig.digitiser.query("STAT:OPER:COND?") == "+32"
    awg.write("OUTP:TRIG:SOUR CH2", "OUTP:TRIG ON", "*TRG")
    rig.fetch(2)


def test_a_channel_without_bus_source_ignores_the_bus_trigger_but_can_be_started_alone(rig, awg):
    rig.prepare_play(np.zeros(16))
    awg.write("TRIG1:SOUR EXT", "*TRG")
    assert [int(error.split(",")[0]) for error in awg.errors()] == [-211]
    assert awg.query("STAT:OPER:COND?") == "+32"
    rig.prepare_record(16)
    awg.write("TRIG1")
    assert len(rig.fetch(1)) == 16


def test_a_burst_repeats_its_waveform(rig, awg):
    drive = np.zeros(10)
    drive[2] = 1.0
    rig.prepare_play(drive)
    awg.write("BURS:NCYC 3")
    rig.prepare_record(40)
    awg.write("*TRG")
    response = rig.fetch(1)
    peaks = np.flatnonzero((response[1:-1] > response[:-2]) & (response[1:-1] > response[2:])) + 1
    assert list(peaks) == [3, 13, 23]
