"""The generic driver with dialects that differ from SCPI where real instruments do: exact bytes."""

import tomllib

import numpy as np
import pytest
from fake_instruments import block

from drivers.errors import BadAnswer, InstrumentReported, OutOfRange, UnknownTerminal
from drivers.registry import open_driver
from drivers.transport import open_line


def opened(instrument, table, **line_options):
    line = open_line(instrument.address, **line_options)
    return open_driver("scpi", line, tomllib.loads('error_query = ""\n' + table))


def test_dac_codes_about_a_middle_are_sent_as_integers_and_read_back(script):
    table = (
        '[terminals.1]\nset = "D1,{value:d}"\nget = "D1?"\nset_scale = 409.5\nset_offset = 2048\n'
        'measure = "A1?"\nmeasure_scale = 0.01\nmeasure_offset = 512'
    )
    instrument = script(("D1,2458", None), ("D1?", "2458"), ("A1?", "500"))
    driver = opened(instrument, table)
    output = driver.set_point("1")
    output.set_value(1.0)
    assert output.read_back() == pytest.approx(1.0, abs=2e-3)
    assert driver.meter("1").read_value() == pytest.approx(-0.12)
    instrument.finish(driver.line)


def test_headers_and_units_are_left_out_of_every_number(script):
    table = (
        r"number_pattern = '([-+0-9.Ee]+)[A-Za-z/]*$'"
        + '\n[terminals.1]\nset = "C1:OFST {value:g}"\nget = "C1:OFST?"\n'
        'enabled = "C1:OUTP?"\nenabled_pattern = "OUTP ON"'
    )
    instrument = script(("C1:OFST?", "C1:OFST 1.50E-01V"), ("C1:OUTP?", "C1:OUTP ON,LOAD,HZ"), ("C1:OUTP?", "OUTP OFF"))
    output = opened(instrument, table).set_point("1")
    assert output.read_back() == 0.15
    assert output.enabled()
    assert not output.enabled()


def test_every_command_may_be_acknowledged_and_a_refusal_is_an_error(script):
    table = (
        'acknowledge = "^OK$"\nacknowledge_questions = true\n'
        '[terminals.1]\nset = "VOLT{value:03.0f}"\nset_scale = 10\nget = "GETS"'
    )
    instrument = script(
        ("VOLT127", b"OK\r\n"), ("GETS", b"127\nOK\n"), ("VOLT999", b"ERR RANGE\n"), ("GETS", b"127\nOK\n")
    )
    driver = opened(instrument, table)
    output = driver.set_point("1")
    output.set_value(12.7)
    assert output.read_back() == 12.7
    with pytest.raises(InstrumentReported, match=r"VOLT999.*ERR RANGE"):
        output.set_value(99.9)
    assert output.read_back() == 12.7
    assert driver.line.generation == 0
    instrument.finish(driver.line)


def test_an_instrument_that_repeats_what_it_hears(script):
    table = (
        'echo = true\n[terminals.1]\nset = "V1={value:.2f}"\nmeasure = "R1?"\n[digitiser]\nterminals = ["1"]\nmax_samples = 4\n'
        'arm = "GO"\nfetch = "DATA?"\ndata = { dtype = "uint8" }'
    )
    instrument = script(
        ("V1=0.50", b"V1=0.50\n"), ("R1?", b"R1?\n0.25\n"), ("GO", b"GO\n"), ("DATA?", b"DATA?\n" + block(b"\x01\x02"))
    )
    driver = opened(instrument, table)
    driver.set_point("1").set_value(0.5)
    assert driver.meter("1").read_value() == 0.25
    recorder = driver.digitiser()
    recorder.configure({"1": 1.0}, sample_rate_Hz=1.0, n_samples=2)
    recorder.arm()
    np.testing.assert_array_equal(recorder.fetch("1", 0, 2), [1.0, 2.0])
    instrument.finish(driver.line)


def test_an_output_that_can_only_be_played_stands_at_its_rest_level(script):
    table = (
        '[terminals.1]\nrest_level = 0.0\nenable = "ON"\n[player]\nterminals = ["1", "2"]\nmax_samples = 9\n'
        'limits = [-1, 1]\nload = "DATA {data}"\ndata = { format = "ascii" }'
    )
    driver = opened(script(("ON", None)), table)
    output = driver.set_point("1")
    assert output.read_back() == 0.0
    output.set_value(0.0)
    output.enable(True)
    with pytest.raises(OutOfRange, match="can only be played"):
        output.set_value(0.5)
    with pytest.raises(UnknownTerminal, match=r"needs \[instruments.NAME.scpi.terminals.2\].*rest_level"):
        driver.set_point("2")


RAW_PLAYER = """
[terminals.1]
rest_level = 0.0
[player]
terminals = ["1"]
max_samples = 100
limits = [-2, 2]
sample_rate = "C{terminal}:SRATE MODE,TARB,VALUE,{rate_Hz:.0f}"
values = "full_scale"
peak_V = 2.0
data = { format = "raw", dtype = "int16", byte_order = "little" }
load = "C{terminal}:WVDT WVNM,play,LENGTH,{count},WAVEDATA,{data}"
after_load = "C{terminal}:ARWV NAME,play"
trigger = "C{terminal}:BTWV MTRIG"
stop = "C{terminal}:BTWV STATE,OFF"
"""


def test_samples_as_bare_bytes_without_a_header(tcp_instrument):
    instrument = tcp_instrument(terminator=b"\n")
    driver = opened(instrument, RAW_PLAYER)
    sent = []
    driver.line.write_bytes = sent.append
    driver.player().load({"1": np.array([0.0, 2.0, -2.0])}, sample_rate_Hz=5e3)
    driver.player().arm()
    driver.player().trigger()
    driver.line.query("*IDN?")
    assert sent == [b"C1:WVDT WVNM,play,LENGTH,3,WAVEDATA,\x00\x00\xff\x7f\x01\x80\n"]
    assert instrument.commands() == ["C1:SRATE MODE,TARB,VALUE,5000", "C1:ARWV NAME,play", "C1:BTWV MTRIG"]


def test_the_last_chunk_may_need_another_command(script):
    table = (
        '[player]\nterminals = ["1"]\nmax_samples = 9\nlimits = [-9, 9]\nchunk_samples = 2\n'
        'load = "DAC16 VOLATILE,CON,{data}"\nload_last = "DAC16 VOLATILE,END,{data}"\ndata = { dtype = "uint8" }'
    )
    instrument = script(
        (b"DAC16 VOLATILE,CON,#12\x01\x02", None),
        (b"DAC16 VOLATILE,CON,#12\x03\x04", None),
        (b"DAC16 VOLATILE,END,#11\x05", None),
    )
    driver = opened(instrument, table)
    driver.player().load({"1": np.arange(1.0, 6.0)}, sample_rate_Hz=1.0)
    instrument.finish(driver.line)


SCREEN = """
[digitiser]
terminals = ["1"]
max_samples = 10000
sample_counts = [1000, 10000]
range = "CH{terminal}:SCA {V_per_div:g}"
sample_rate = ["HOR:RECO {count}", "HOR:SCA {s_per_div:g}"]
sample_rate_query = "WFMO:XIN?"
sample_rate_answer = "period_s"
sample_count = ["DAT:STAR 1", "DAT:STOP {count}"]
arm = "ACQ:STATE RUN"
armed = { query = "TRIG:STATE?", expect = ["READY", "TRIGGER"], poll_s = 0.0 }
ready = { query = "ACQ:STATE?", expect = 0 }
fetch = "CURVE?"
data = { dtype = "int8", labelled = true }
scale_query = "WFMO:YMU?"
zero_query = ["WFMO:YOF?", "WFMO:YRE?"]
offset_query = "CH{terminal}:OFFS?"
offset_factor = -1.0
"""


def test_an_oscilloscope_that_is_set_by_its_screen(script):
    counts = np.zeros(1000, dtype="i1")
    counts[:2] = [20, -20]
    instrument = script(
        ("CH1:SCA 0.5", None),
        ("HOR:RECO 1000", None),
        ("HOR:SCA 0.02", None),
        ("DAT:STAR 1", None),
        ("DAT:STOP 1000", None),
        ("WFMO:XIN?", "2.0000E-4"),
        ("ACQ:STATE RUN", None),
        ("TRIG:STATE?", "ARMED"),
        ("TRIG:STATE?", "READY"),
        ("ACQ:STATE?", "1"),
        ("ACQ:STATE?", "0"),
        ("CURVE?", b":CURVE " + block(counts.tobytes())),
        ("WFMO:YMU?", "0.1"),
        ("WFMO:YOF?", "5"),
        ("WFMO:YRE?", "5"),
        ("CH1:OFFS?", "0.5"),
    )
    recorder = opened(instrument, SCREEN).digitiser()
    recorder.configure({"1": 2.0}, sample_rate_Hz=5e3, n_samples=700)
    recorder.arm()
    assert recorder.samples_ready() == 0
    assert recorder.samples_ready() == 700
    np.testing.assert_allclose(recorder.fetch("1", 0, 2), [0.5, -3.5])
    instrument.finish(recorder._line)


def test_a_rounded_rate_says_what_to_do(script):
    instrument = script(
        *[("CH1:SCA 0.5", None), ("HOR:RECO 1000", None), ("HOR:SCA 0.02", None)],
        *[("DAT:STAR 1", None), ("DAT:STOP 1000", None), ("WFMO:XIN?", "1.9E-4")],
    )
    recorder = opened(instrument, SCREEN).digitiser()
    with pytest.raises(OutOfRange, match=r"took 5263.*sample_rate_Hz that all its instruments have"):
        recorder.configure({"1": 2.0}, sample_rate_Hz=5e3, n_samples=700)
    with pytest.raises(OutOfRange, match="lengths of 1000, 10000"):
        recorder.configure({"1": 2.0}, sample_rate_Hz=5e3, n_samples=10001)


def test_a_block_with_a_label_that_nobody_announced_says_what_came(script):
    table = '[digitiser]\nterminals = ["1"]\nmax_samples = 4\nfetch = "CURVE?"'
    recorder = opened(script(("CURVE?", b":CURVE #14abcd\n")), table).digitiser()
    recorder.configure({"1": 1.0}, sample_rate_Hz=1.0, n_samples=1)
    with pytest.raises(BadAnswer, match=r"CURVE #14.*labelled = true"):
        recorder.fetch("1", 0, 1)


def test_bare_bytes_of_all_inputs_are_counted(script):
    table = (
        '[digitiser]\nterminals = ["1", "2"]\nmax_samples = 4\nfetch = "B {start},{count}"\n'
        'data = { format = "raw", dtype = "uint16", byte_order = "little" }\nscale = 0.001'
    )
    answer = np.array([1, 10, 2, 20], dtype="<u2").tobytes()
    instrument = script(("B 0,2", answer + b"\n"), ("B 2,1", answer[:4]))
    recorder = opened(instrument, table).digitiser()
    recorder.configure({"1": 1.0, "2": 1.0}, sample_rate_Hz=1.0, n_samples=3)
    np.testing.assert_allclose(recorder.fetch("1", 0, 2), [0.001, 0.002])
    np.testing.assert_allclose(recorder.fetch("2", 0, 2), [0.01, 0.02])
    np.testing.assert_allclose(recorder.fetch("1", 2, 1), [0.001])
    instrument.finish(recorder._line)


@pytest.mark.parametrize("answer", ["0.1,9.91E37", "0.1,NAN", "INF,0.1"])
def test_overflows_in_a_record_are_no_samples(script, answer):
    table = '[digitiser]\nterminals = ["1"]\nmax_samples = 4\nfetch = "DATA?"\ndata = { format = "ascii" }'
    recorder = opened(script(("DATA?", answer)), table).digitiser()
    recorder.configure({"1": 1.0}, sample_rate_Hz=1.0, n_samples=2)
    with pytest.raises(BadAnswer, match="overflows or not numbers"):
        recorder.fetch("1", 0, 2)
