"""The waveform generator: exact bytes, and the whole way on a simulated one."""

import numpy as np
import pytest

from drivers.errors import BadOptions, DriverError, InstrumentReported, OutOfRange, UnknownTerminal
from drivers.keysight_33500b import Keysight33500B
from drivers.roles import Driver, Player, SetPoint
from drivers.transport import open_line
from drivers.waveforms import scale_about

OPENING = [("OUTP1:LOAD INF", None), ("OUTP2:LOAD INF", None)]


def block(numbers):
    payload = np.asarray(numbers, dtype="<i2").tobytes()
    length = str(len(payload))
    return f"#{len(length)}{length}".encode() + payload


def test_a_set_point_goes_to_dc_once_and_then_costs_one_command(script):
    instrument = script(
        *OPENING,
        ("SOUR1:FUNC?", "SIN"),
        ("SOUR1:FUNC:ARB?", '"EXP_RISE"'),
        ("SOUR1:FUNC DC", None),
        ("SOUR1:VOLT:OFFS 0.25", None),
        ("SOUR1:VOLT:OFFS -0.125", None),
        ("SOUR1:VOLT:OFFS?", "-1.250000000000000E-01"),
        ("OUTP1 1", None),
        ("OUTP1?", "1"),
    )
    line = open_line(instrument.address)
    output = Keysight33500B(line, {}).set_point("1")
    output.set_value(0.25)
    output.set_value(-0.125)
    assert output.read_back() == -0.125
    output.enable(True)
    assert output.enabled()
    assert output.limits == (-10.0, 10.0)
    instrument.finish(line)


def test_a_load_sends_the_waveform_about_the_rest_level_and_leaves_dc_without_a_step(script):
    waveform = np.array([0.5, 1.0, 0.0, 0.5, 0.5, 0.5, 0.5, 0.5])
    counts = [0, 32767, -32767, 0, 0, 0, 0, 0]
    instrument = script(
        *OPENING,
        ("ABOR", None),
        ("SOUR2:FUNC?", "DC"),
        ("SOUR2:VOLT:OFFS?", "+5.000000000000000E-01"),
        ("FORM:BORD SWAP", None),
        ("SOUR2:DATA:VOL:CLE", None),
        (b"SOUR2:DATA:ARB:DAC LABCTL_FLAT," + block([0] * 32), None),
        (b"SOUR2:DATA:ARB:DAC LABCTL_PLAY," + block(counts), None),
        ("SOUR2:VOLT 1", None),
        ("SOUR2:FUNC:ARB LABCTL_FLAT", None),
        ("SOUR2:FUNC:ARB:SRAT 5000", None),
        ("SOUR2:FUNC:ARB:FILT OFF", None),
        ("SOUR2:FUNC ARB", None),
        ("SOUR2:BURS:MODE TRIG", None),
        ("SOUR2:BURS:NCYC 1", None),
        ("TRIG2:SOUR BUS", None),
        ("SOUR2:BURS:STAT 1", None),
        ("SOUR2:FUNC:ARB LABCTL_PLAY", None),
        ("OUTP:SYNC:SOUR CH2", None),
        ("OUTP:SYNC 1", None),
        ("SYST:ERR?", '+0,"No error"'),
        ("OUTP2?", "0"),
        ("OUTP2 1", None),
        ("*TRG", None),
        ("ABOR", None),
        ("SOUR2:FUNC:ARB LABCTL_FLAT", None),
        ("SOUR2:BURS:STAT 0", None),
        ("SOUR2:FUNC DC", None),
    )
    line = open_line(instrument.address)
    player = Keysight33500B(line, {}).player()
    player.load({"2": waveform}, sample_rate_Hz=5000.0)
    player.arm()
    player.trigger()
    player.stop()
    instrument.finish(line)


@pytest.mark.parametrize(
    ("waveforms", "rate_Hz", "says"),
    [
        ({"1": np.full(16, np.nan)}, 5e3, "sample 0"),
        ({"1": np.array([0.0] * 15 + [10.5])}, 5e3, "sample 15"),
        ({"1": np.zeros(16), "2": np.zeros(17)}, 5e3, "equal length"),
        ({"1": np.zeros((16, 1))}, 5e3, "equal length"),
        ({"1": np.zeros(7)}, 5e3, "7 samples"),
        ({}, 5e3, "no waveform"),
        ({"1": np.zeros(16)}, 1e9, "sample_rate_Hz"),
        ({"1": np.zeros(16)}, np.nan, "finite"),
    ],
)
def test_nothing_of_a_bad_waveform_reaches_the_line(script, waveforms, rate_Hz, says):
    instrument = script(*OPENING)
    line = open_line(instrument.address)
    with pytest.raises(OutOfRange, match=says):
        Keysight33500B(line, {}).player().load(waveforms, sample_rate_Hz=rate_Hz)
    instrument.finish(line)


@pytest.mark.parametrize("value", [10.001, -11.0, np.nan, np.inf])
def test_nothing_out_of_range_reaches_the_line(script, value):
    instrument = script(*OPENING)
    line = open_line(instrument.address)
    with pytest.raises(OutOfRange, match="output 1"):
        Keysight33500B(line, {}).set_point("1").set_value(value)
    instrument.finish(line)


def test_a_swing_that_needs_more_than_the_generator_has_is_refused():
    with pytest.raises(OutOfRange, match="rest level"):
        scale_about(-8.0, np.array([-8.0, 8.0]), limit_V=10.0, smallest_Vpp=2e-3)


def test_quantisation_is_finer_than_a_part_in_ten_thousand_of_the_swing():
    waveform = np.random.default_rng(3).uniform(-1.3, 1.7, 1000)
    scaled = scale_about(0.2, waveform, limit_V=10.0, smallest_Vpp=2e-3)
    played = 0.2 + scaled.points / 32767 * scaled.amplitude_Vpp / 2
    assert np.max(np.abs(played - waveform)) < 1.5 / 2**15


def test_an_unknown_terminal_and_a_role_that_is_not_there_name_what_there_is(script):
    driver = Keysight33500B(open_line(script(*OPENING).address), {})
    with pytest.raises(UnknownTerminal, match=r"set_point\('1'\)"):
        driver.set_point("3")
    with pytest.raises(UnknownTerminal):
        driver.digitiser()


def test_an_unknown_option_names_the_allowed_ones(script):
    with pytest.raises(BadOptions, match=r"load_ohms.*did you mean 'load_ohm'.*trigger"):
        Keysight33500B(open_line(script().address), {"load_ohms": 50})


def test_triggering_without_a_load_says_so(script):
    driver = Keysight33500B(open_line(script(*OPENING).address), {})
    with pytest.raises(DriverError, match="load"):
        driver.player().trigger()


def test_a_load_that_the_instrument_complains_about_is_not_armed(script):
    pairs = [(command, answer) for command, answer in LOADING if command != "SYST:ERR?"]
    instrument = script(*pairs, ("SYST:ERR?", '-222,"Data out of range"'), ("SYST:ERR?", '+0,"No error"'))
    player = Keysight33500B(open_line(instrument.address), {}).player()
    with pytest.raises(InstrumentReported, match="-222, Data out of range"):
        player.load({"1": np.zeros(8)}, sample_rate_Hz=1000.0)
    with pytest.raises(DriverError, match="load"):
        player.arm()


LOADING = [
    *OPENING,
    ("ABOR", None),
    ("SOUR1:FUNC?", "DC"),
    ("SOUR1:VOLT:OFFS?", "0"),
    ("FORM:BORD SWAP", None),
    ("SOUR1:DATA:VOL:CLE", None),
    (b"SOUR1:DATA:ARB:DAC LABCTL_FLAT," + block([0] * 32), None),
    (b"SOUR1:DATA:ARB:DAC LABCTL_PLAY," + block([0] * 8), None),
    ("SOUR1:VOLT 0.002", None),
    ("SOUR1:FUNC:ARB LABCTL_FLAT", None),
    ("SOUR1:FUNC:ARB:SRAT 1000", None),
    ("SOUR1:FUNC:ARB:FILT OFF", None),
    ("SOUR1:FUNC ARB", None),
    ("SOUR1:BURS:MODE TRIG", None),
    ("SOUR1:BURS:NCYC 1", None),
    ("TRIG1:SOUR BUS", None),
    ("SOUR1:BURS:STAT 1", None),
    ("SOUR1:FUNC:ARB LABCTL_PLAY", None),
    ("OUTP:SYNC:SOUR CH1", None),
    ("OUTP:SYNC 1", None),
    ("SYST:ERR?", '+0,"No error"'),
]


def test_the_simulated_generator_plays_and_returns_to_its_level(demo_bench):
    driver = Keysight33500B(open_line(demo_bench["awg"]), {})
    assert isinstance(driver, Driver)
    output, player = driver.set_point("1"), driver.player()
    assert isinstance(output, SetPoint)
    assert isinstance(player, Player)
    output.set_value(0.3)
    output.enable(True)
    waveform = np.full(2000, 0.3)
    waveform[100:1900] = np.random.default_rng(0).uniform(-1, 1, 1800)
    for _ in range(2):
        player.load({"1": waveform, "2": np.zeros(2000)}, sample_rate_Hz=5000.0)
        player.arm()
        player.trigger()
        assert driver.line.query("*OPC?", timeout_s=20.0) == "1"
        player.stop()
        driver.check_errors()
    assert output.read_back() == pytest.approx(0.3)
    assert driver.outputs["1"].function == "DC"
    assert driver.describe_settings()["output 1 offset_V"] == "0.3 V"
    output.set_value(0.0)
    output.enable(False)
    assert not output.enabled()
    driver.close()
