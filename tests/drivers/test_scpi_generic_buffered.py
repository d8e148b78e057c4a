"""The generic driver playing and recording: exact bytes, and instead of our own drivers on the simulated instruments."""

import time
import tomllib

import numpy as np
import pytest
from fake_instruments import block

from drivers.errors import BadAnswer, DriverError, InstrumentReported, LineTimeout, OutOfRange, UnknownTerminal
from drivers.registry import open_driver
from drivers.roles import Digitiser, Player
from drivers.transport import open_line


def opened(instrument, table, **line_options):
    return open_driver("scpi", open_line(instrument.address, **line_options), tomllib.loads(table))


NO_ERRORS = 'error_query = ""\n'
TEXT_PLAYER = (
    NO_ERRORS
    + """
[player]
terminals = ["A", "B"]
max_samples = 100
limits = [-5.0, 5.0]
sample_rates_Hz = [1e3, 5e3]
sample_rate = "CLOCK {rate_Hz:.0f}"
sample_rate_query = "CLOCK?"
sample_count = "WAVE:LEN {count}"
clear = "WAVE:{terminal}:DEL"
load = "WAVE:{terminal}:DATA {start},{data}"
chunk_samples = 2
data = { format = "ascii", dtype = "int16" }
scale = 409.5
code_offset = 2048
after_load = "WAVE:{terminal}:MODE SINGLE"
arm = "WAVE:ARM"
armed = { query = "STATE?", expect = "armed", poll_s = 0.0 }
trigger = "WAVE:START"
stop = "WAVE:STOP"
"""
)


def test_dac_codes_in_text_and_in_pieces(script):
    instrument = script(
        ("WAVE:B:DEL", None),
        ("CLOCK 5000", None),
        ("WAVE:LEN 3", None),
        ("CLOCK?", "5.0E3"),
        ("WAVE:B:DATA 0,2048,2458", None),
        ("WAVE:B:DATA 2,0", None),
        ("WAVE:B:MODE SINGLE", None),
        ("WAVE:ARM", None),
        ("STATE?", "IDLE"),
        ("STATE?", '"ARMED"'),
        ("WAVE:START", None),
        ("WAVE:STOP", None),
    )
    player = opened(instrument, TEXT_PLAYER).player()
    assert isinstance(player, Player)
    assert player.max_samples == 100
    player.load({"B": np.array([0.0, 1.0, -5.0])}, sample_rate_Hz=5e3)
    player.arm()
    player.trigger()
    player.stop()
    instrument.finish(player._sender.line)


@pytest.mark.parametrize(
    ("waveforms", "rate_Hz", "says"),
    [
        ({"A": np.array([0.0, np.nan])}, 1e3, "sample 1"),
        ({"A": np.array([0.0, 5.5])}, 1e3, "outside"),
        ({"A": np.zeros(101)}, 1e3, "101 samples"),
        ({"A": np.zeros(5)}, 2e3, "there are 1000, 5000"),
        ({"A": np.zeros(5)}, -1.0, "sample rate"),
        ({"A": np.zeros(5), "B": np.zeros(6)}, 1e3, "equal length"),
    ],
)
def test_nothing_of_a_bad_waveform_reaches_the_line(script, waveforms, rate_Hz, says):
    instrument = script()
    driver = opened(instrument, TEXT_PLAYER)
    with pytest.raises(OutOfRange, match=says):
        driver.player().load(waveforms, sample_rate_Hz=rate_Hz)
    instrument.finish(driver.line)


def test_an_unknown_terminal_does_not_play(script):
    with pytest.raises(UnknownTerminal, match="'C'"):
        opened(script(), TEXT_PLAYER).player().load({"C": np.zeros(5)}, sample_rate_Hz=1e3)


def test_a_rate_that_the_instrument_changes_is_refused(script):
    instrument = script(("WAVE:A:DEL", None), ("CLOCK 5000", None), ("WAVE:LEN 3", None), ("CLOCK?", "4999"))
    player = opened(instrument, TEXT_PLAYER).player()
    with pytest.raises(OutOfRange, match="took 4999"):
        player.load({"A": np.zeros(3)}, sample_rate_Hz=5e3)
    with pytest.raises(DriverError, match="load"):
        player.arm()


BLOCK_PLAYER = """
[terminals.1]
set = ["F1 DC", "O1 {value:g}"]
get = "O1?"
enable = "ON1"
enabled = "ON1?"
[player]
terminals = ["1"]
max_samples = 100
samples_multiple = 4
limits = [-5.0, 5.0]
values = "unit"
prepare = "STOP{terminal}"
load = "DATA{terminal} {data},END"
data = { dtype = "float32", byte_order = "big" }
amplitude = "A{terminal} {amplitude_Vpp:.6g}"
offset = "O{terminal} {offset_V:.6g}"
trigger = []
stop = "ABORT"
"""


def test_a_unit_waveform_with_fitted_amplitude_returns_to_its_level_afterwards(script):
    sent = np.array([-1.0, 1.0, 0.0, -1.0, -1.0, -1.0, -1.0, -1.0], dtype=">f4").tobytes()
    instrument = script(
        ("O1?", "0.5"),
        ("STOP1", None),
        (b"DATA1 #232" + sent + b",END", None),
        ("A1 2", None),
        ("O1 1.5", None),
        ("SYST:ERR?", "0,OK"),
        ("ON1?", "0"),
        ("ON1", None),
        ("ABORT", None),
        ("F1 DC", None),
        ("O1 0.5", None),
    )
    player = opened(instrument, BLOCK_PLAYER).player()
    player.load({"1": np.array([0.5, 2.5, 1.5, 0.5, 0.5])}, sample_rate_Hz=1e3)
    player.arm()
    player.trigger()
    player.stop()
    instrument.finish(player._sender.line)


def test_full_scale_integers_about_a_fixed_range(script):
    table = BLOCK_PLAYER.replace('values = "unit"', 'values = "full_scale"\nfull_scale = 8191\npeak_V = 5.0')
    table = table.replace('dtype = "float32"', 'dtype = "int16"').replace("samples_multiple = 4\n", "")
    sent = np.array([0, 8191, -8191, 4096], dtype=">i2").tobytes()
    instrument = script(
        ("O1?", "0"),
        ("STOP1", None),
        (b"DATA1 #18" + sent + b",END", None),
        ("A1 10", None),
        ("O1 0", None),
        ("SYST:ERR?", "0,OK"),
    )
    player = opened(instrument, table).player()
    player.load({"1": np.array([0.0, 5.0, -5.0, 2.5])}, sample_rate_Hz=1e3)
    instrument.finish(player._sender.line)


def test_a_waveform_beyond_a_fixed_range_is_refused(script):
    table = BLOCK_PLAYER.replace('values = "unit"', 'values = "unit"\npeak_V = 1.0\noffset_V = 0.5')
    with pytest.raises(OutOfRange, match=r"0.5 ± 1 V"):
        opened(script(), table).player().load({"1": np.array([0.0, 2.0])}, sample_rate_Hz=1e3)


def test_codes_that_the_type_cannot_hold_are_refused(script):
    table = TEXT_PLAYER.replace("scale = 409.5", "scale = 40950")
    with pytest.raises(OutOfRange, match="int16 cannot hold"):
        opened(
            script(("WAVE:A:DEL", None), ("CLOCK 1000", None), ("WAVE:LEN 2", None), ("CLOCK?", "1000")), table
        ).player().load({"A": np.array([0.0, 5.0])}, sample_rate_Hz=1e3)


def test_all_terminals_in_one_interleaved_load(script):
    table = NO_ERRORS + (
        '[player]\nterminals = ["1", "2"]\nmax_samples = 9\nlimits = [-9, 9]\nload = "DATA {data}"\n'
        'data = { format = "ascii", number = "{:.1f}", separator = " " }'
    )
    instrument = script(("DATA 1.0 3.0 2.0 4.0", None))
    player = opened(instrument, table).player()
    with pytest.raises(OutOfRange, match="no waveform for 2"):
        player.load({"1": np.zeros(2)}, sample_rate_Hz=1.0)
    player.load({"2": np.array([3.0, 4.0]), "1": np.array([1.0, 2.0])}, sample_rate_Hz=1.0)
    instrument.finish(player._sender.line)


@pytest.mark.parametrize(("byte_order", "sent"), [("big", b"\x00\x01\x00\x03"), ("little", b"\x01\x00\x03\x00")])
def test_an_interleaved_load_keeps_the_byte_order(script, byte_order, sent):
    table = NO_ERRORS + (
        '[player]\nterminals = ["1", "2"]\nmax_samples = 9\nlimits = [-9, 9]\nload = "DATA {data}"\n'
        f'data = {{ dtype = "int16", byte_order = "{byte_order}" }}'
    )
    instrument = script((b"DATA #14" + sent, None))
    player = opened(instrument, table).player()
    player.load({"2": np.array([3.0]), "1": np.array([1.0])}, sample_rate_Hz=1.0)
    instrument.finish(player._sender.line)


def test_an_instrument_that_complains_about_a_load_is_not_armed(script):
    instrument = script(
        ("O1?", "0"),
        ("STOP1", None),
        (b"DATA1 #216" + bytes(16) + b",END", None),
        ("A1 0.002", None),
        ("O1 0", None),
        ("SYST:ERR?", "-222,Too much"),
        ("SYST:ERR?", "0,OK"),
    )
    player = opened(instrument, BLOCK_PLAYER).player()
    with pytest.raises(InstrumentReported, match="loading waveforms: -222, Too much"):
        player.load({"1": np.zeros(4)}, sample_rate_Hz=1.0)
    with pytest.raises(DriverError, match="load"):
        player.trigger()


RECORDER = (
    NO_ERRORS
    + """
[digitiser]
terminals = ["1", "2"]
max_samples = 1000
samples_multiple = 8
ranges_V = [0.1, 1.0, 10.0]
range = "CHAN{terminal}:RANG {range_V:g}"
sample_rate = "ACQ:RATE {rate_Hz:.9g}"
sample_count = "ACQ:POIN {count}"
configure = ["ACQ:TRIG EXT", "CHAN{terminal}:COUP DC"]
arm = "INIT"
armed = { query = "COND?", mask = 32, poll_s = 0.0 }
ready = { query = "COND?", mask = 16, expect = 0 }
progress = "ACQ:READY?"
fetch = "TRAC? (@{terminal}),{start},{count}"
data = { dtype = "int16", byte_order = "little" }
scale = 3.0517578125e-05
scale_of_range = true
overload = 0.9999
"""
)
CONFIGURING = [
    ("ACQ:TRIG EXT", None),
    ("CHAN2:COUP DC", None),
    ("CHAN2:RANG 10", None),
    ("ACQ:RATE 5000", None),
    ("ACQ:POIN 8", None),
]


def counts(*numbers, dtype="<i2"):
    return block(np.array(numbers, dtype=dtype).tobytes())


def test_sixteen_bit_counts_fetched_while_it_records(script):
    instrument = script(
        *CONFIGURING,
        ("INIT", None),
        ("COND?", "16"),
        ("COND?", "48"),
        ("COND?", "16"),
        ("ACQ:READY?", "+3"),
        ("TRAC? (@2),0,3", counts(0, 16384, -16384)),
        ("COND?", "0"),
        ("TRAC? (@2),3,2", counts(1, 2)),
        ("ABOR", None),
    )
    recorder = opened(instrument, RECORDER).digitiser()
    assert isinstance(recorder, Digitiser)
    recorder.configure({"2": 10.0}, sample_rate_Hz=5e3, n_samples=5)
    recorder.arm()
    assert recorder.samples_ready() == 3
    np.testing.assert_allclose(recorder.fetch("2", 0, 3), [0.0, 5.0, -5.0])
    assert recorder.samples_ready() == 5
    np.testing.assert_allclose(recorder.fetch("2", 3, 2), np.array([1, 2]) * 10 / 32768)
    assert recorder.samples_ready() == 5  # known by now: nothing is asked
    recorder.abort()
    instrument.finish(recorder._line)


@pytest.mark.parametrize(
    ("inputs", "n_samples", "error", "says"),
    [
        ({"3": 1.0}, 5, UnknownTerminal, "1, 2 do"),
        ({"1": 3.0}, 5, OutOfRange, r"there are 0\.1, 1, 10"),
        ({"1": 1.0}, 0, OutOfRange, "0 samples"),
        ({"1": 1.0}, 1001, OutOfRange, "1001 samples"),
    ],
)
def test_what_cannot_be_recorded_is_refused_before_a_byte_leaves(script, inputs, n_samples, error, says):
    instrument = script()
    driver = opened(instrument, RECORDER)
    with pytest.raises(error, match=says):
        driver.digitiser().configure(inputs, sample_rate_Hz=5e3, n_samples=n_samples)
    instrument.finish(driver.line)


def test_an_overload_is_an_error_where_the_station_wants_it(script):
    recorder = opened(script(*CONFIGURING, ("TRAC? (@2),0,2", counts(0, 32767))), RECORDER).digitiser()
    recorder.configure({"2": 10.0}, sample_rate_Hz=5e3, n_samples=5)
    with pytest.raises(BadAnswer, match="overload"):
        recorder.fetch("2", 0, 2)


@pytest.mark.parametrize("answer", [counts(1), counts(1, 2, 3), block(b"abc")])
def test_a_block_of_another_length_is_a_bad_answer(script, answer):
    recorder = opened(script(*CONFIGURING, ("TRAC? (@2),0,2", answer)), RECORDER).digitiser()
    recorder.configure({"2": 10.0}, sample_rate_Hz=5e3, n_samples=5)
    with pytest.raises(BadAnswer, match=r"TRAC|dtype"):
        recorder.fetch("2", 0, 2)


def test_an_instrument_that_never_arms_is_a_timeout_that_says_so(tcp_instrument):
    table = RECORDER.replace("poll_s = 0.0", "poll_s = 0.0, timeout_s = 0.1")
    instrument = tcp_instrument(lambda command: "0" if command == "COND?" else None)
    recorder = opened(instrument, table).digitiser()
    recorder.configure({"2": 10.0}, sample_rate_Hz=5e3, n_samples=5)
    with pytest.raises(LineTimeout, match="does not wait for its trigger"):
        recorder.arm()


def test_a_whole_record_in_text_is_fetched_once_for_each_input(script):
    table = NO_ERRORS + (
        '[digitiser]\nterminals = ["1", "2"]\nmax_samples = 9\nready = { query = "*OPC?" }\n'
        'fetch = "READ{terminal}?"\ndata = { format = "ascii", skip = 1 }\nscale = 0.001'
    )
    instrument = script(("INIT", None), ("*OPC?", "1"), ("READ1?", "99, 1000,-500 ,250,"), ("READ2?", "99,1,2,3,4"))
    recorder = opened(instrument, table).digitiser()
    recorder.configure({"1": 1.0, "2": 1.0}, sample_rate_Hz=1.0, n_samples=3)
    recorder.arm()
    assert recorder.samples_ready() == 3
    np.testing.assert_allclose(recorder.fetch("1", 0, 2), [1.0, -0.5])
    np.testing.assert_allclose(recorder.fetch("2", 0, 2), [0.001, 0.002])
    np.testing.assert_allclose(recorder.fetch("1", 2, 1), [0.25])
    instrument.finish(recorder._line)


def test_all_inputs_in_one_answer_sample_by_sample(script):
    table = NO_ERRORS + (
        '[digitiser]\nterminals = ["1", "2"]\nmax_samples = 9\narm = "GO"\nfetch = "DATA? {start},{end}"\n'
        'first_index = 1\ndata = { dtype = "float64", byte_order = "little" }'
    )
    instrument = script(("GO", None), ("DATA? 1,2", counts(1.0, 10.0, 2.0, 20.0, dtype="<f8")))
    recorder = opened(instrument, table).digitiser()
    recorder.configure({"1": 1.0, "2": 1.0}, sample_rate_Hz=1e3, n_samples=2)
    recorder.arm()
    assert recorder.samples_ready() == 2
    np.testing.assert_array_equal(recorder.fetch("1", 0, 2), [1.0, 2.0])
    np.testing.assert_array_equal(recorder.fetch("2", 0, 2), [10.0, 20.0])
    instrument.finish(recorder._line)


def test_an_oscilloscope_that_says_how_to_scale(script):
    table = NO_ERRORS + (
        '[digitiser]\nterminals = ["1"]\nmax_samples = 9\nselect = "SOUR CHAN{terminal}"\nfetch = "CURV?"\n'
        'data = { dtype = "uint8" }\nscale_query = "YMU?"\nzero_query = "YOF?"\noffset_query = "YZE?"'
    )
    instrument = script(
        ("SOUR CHAN1", None), ("CURV?", counts(128, 178, dtype="u1")), ("YMU?", "0.02"), ("YOF?", "128"), ("YZE?", "1")
    )
    recorder = opened(instrument, table).digitiser()
    recorder.configure({"1": 1.0}, sample_rate_Hz=1e3, n_samples=2)
    np.testing.assert_allclose(recorder.fetch("1", 0, 2), [1.0, 2.0])


def test_a_reconnection_in_between_applies_the_settings_again_before_arming(script):
    instrument = script(*CONFIGURING, *CONFIGURING, ("INIT", None), ("COND?", "32"))
    recorder = opened(instrument, RECORDER).digitiser()
    recorder.configure({"2": 10.0}, sample_rate_Hz=5e3, n_samples=5)
    recorder._line.query("*IDN?")  # everything has arrived
    instrument.kill_connections()
    recorder._line.clear()
    recorder.arm()
    instrument.finish(recorder._line)


GENERATOR_TABLE = """
init = ["OUTP1:LOAD INF", "FORM:BORD SWAP"]
[terminals.1]
set = ["SOUR1:FUNC DC", "SOUR1:VOLT:OFFS {value:.9g}"]
get = "SOUR1:VOLT:OFFS?"
enable = "OUTP1 ON"
disable = "OUTP1 OFF"
enabled = "OUTP1?"
limits = [-10.0, 10.0]
[player]
terminals = ["1"]
max_samples = 1000000
min_samples = 8
limits = [-10.0, 10.0]
sample_rate_range_Hz = [1e-6, 62.5e6]
sample_rate = "SOUR{terminal}:FUNC:ARB:SRAT {rate_Hz:.12g}"
sample_rate_query = "SOUR{terminal}:FUNC:ARB:SRAT?"
prepare = "SOUR{terminal}:FUNC DC"
clear = "SOUR{terminal}:DATA:VOL:CLE"
load = "SOUR{terminal}:DATA:ARB play,{data}"
values = "unit"
data = { dtype = "float32", byte_order = "little" }
amplitude = "SOUR{terminal}:VOLT {amplitude_Vpp:.9g}"
offset = "SOUR{terminal}:VOLT:OFFS {offset_V:.9g}"
after_load = ["SOUR{terminal}:FUNC:ARB play", "SOUR{terminal}:FUNC:ARB:FILT OFF", "SOUR{terminal}:FUNC ARB",
  "SOUR{terminal}:BURS:MODE TRIG", "SOUR{terminal}:BURS:NCYC 1", "TRIG{terminal}:SOUR BUS",
  "SOUR{terminal}:BURS:STAT ON", "OUTP:SYNC:SOUR CH{terminal}", "OUTP:SYNC ON"]
stop = ["ABOR", "SOUR{terminal}:BURS:STAT OFF"]
"""
DIGITISER_TABLE = """
[digitiser]
terminals = ["1", "2"]
max_samples = 32000000
samples_multiple = 4
min_samples = 8
sample_rates_Hz = [1e3, 2e3, 5e3, 1e4]
ranges_V = [1, 2, 4]
configure = ["ABOR", "CONF:TRIG:SOUR EXT", "CONF:ARM:SOUR IMM", "FORM:INT INT", "FORM:BORD NORM"]
range = "CONF:CHAN:RANG (@{terminal}),{range_V:g}"
sample_rate = "CONF:ACQ:SRAT {rate_Hz:.0f}"
sample_count = "CONF:ACQ:SCO {count}"
armed = { query = "STAT:OPER:COND?", mask = 32 }
ready = { query = "*OPC?" }
fetch = "FETC:WAV:ADC? (@{terminal}),{start},{count}"
data = { dtype = "int16", byte_order = "big" }
scale = 3.0518509475997192e-05
scale_of_range = true
"""


def test_the_simulated_bench_is_driven_by_tables_alone(demo_bench):
    generator = open_driver("scpi", open_line(demo_bench["awg"]), tomllib.loads(GENERATOR_TABLE))
    recording = open_driver("scpi", open_line(demo_bench["digitiser"]), tomllib.loads(DIGITISER_TABLE))
    output, player, recorder = generator.set_point("1"), generator.player(), recording.digitiser()
    output.set_value(0.0)
    output.enable(True)
    drive = np.repeat([0.0, 1.0, -1.0, 0.5, 0.0], 100)
    for _ in range(2):
        recorder.configure({"1": 4.0}, sample_rate_Hz=5e3, n_samples=500)
        player.load({"1": drive}, sample_rate_Hz=5e3)
        recorder.arm()
        player.arm()
        player.trigger()
        while recorder.samples_ready() < 500:
            time.sleep(0.001)
        response = recorder.fetch("1", 0, 500)
        player.stop()
    settled = [response[k * 100 + 60 : (k + 1) * 100].mean() for k in range(5)]
    np.testing.assert_allclose(settled, np.tanh([0.0, 1.0, -1.0, 0.5, 0.0]), atol=0.15)
    assert output.read_back() == 0.0
    generator.check_errors()
    recording.check_errors()
    output.enable(False)
    generator.close()
    recording.close()
