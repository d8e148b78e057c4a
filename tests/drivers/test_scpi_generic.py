"""The generic driver, stepped use and option table: exact bytes from tables like those of a station file."""

import tomllib

import pytest

import drivers.generic.options
import drivers.generic.parts
import drivers.scpi_generic
from drivers.errors import (
    BadAnswer,
    BadOptions,
    InstrumentReported,
    LineTimeout,
    NoReadBack,
    OutOfRange,
    UnknownTerminal,
)
from drivers.registry import open_driver
from drivers.roles import Driver, Meter, SetPoint
from drivers.transport import open_line

SOURCE = """
init = ["*CLS", "SYST:REM"]
[terminals.1]
set = "SOUR{terminal}:VOLT {value:.6g}"
get = "SOUR{terminal}:VOLT?"
enable = ["OUTP{terminal} ON"]
disable = "OUTP{terminal} OFF"
enabled = "OUTP{terminal}?"
limits = [-5.0, 5.0]
[terminals.in]
measure = "MEAS:VOLT? (@101)"
measure_scale = 1e-3
"""
OPENING = [("*CLS", None), ("SYST:REM", None), ("SYST:ERR?", '+0,"No error"')]


def opened(instrument, table, **line_options):
    return open_driver("scpi", open_line(instrument.address, **line_options), tomllib.loads(table))


def test_a_source_is_set_read_back_and_switched(script):
    instrument = script(
        *OPENING,
        ("SOUR1:VOLT 1.25", None),
        ("SOUR1:VOLT?", "1.2500E+00"),
        ("OUTP1 ON", None),
        ("OUTP1?", "ON"),
        ("OUTP1 OFF", None),
        ("OUTP1?", "0"),
        ("MEAS:VOLT? (@101)", "250.0"),
    )
    driver = opened(instrument, SOURCE)
    assert isinstance(driver, Driver)
    output = driver.set_point("1")
    assert isinstance(output, SetPoint)
    assert output.limits == (-5.0, 5.0)
    output.set_value(1.25)
    assert output.read_back() == 1.25
    output.enable(True)
    assert output.enabled()
    output.enable(False)
    assert not output.enabled()
    meter = driver.meter("in")
    assert isinstance(meter, Meter)
    assert meter.read_value() == 0.25
    instrument.finish(driver.line)


@pytest.mark.parametrize("value", [5.001, -6.0, float("nan"), float("inf")])
def test_nothing_out_of_range_reaches_the_line(script, value):
    instrument = script(*OPENING)
    driver = opened(instrument, SOURCE)
    with pytest.raises(OutOfRange, match="terminal 1"):
        driver.set_point("1").set_value(value)
    instrument.finish(driver.line)


def test_init_is_sent_again_after_a_reconnection(script):
    instrument = script(*OPENING, *OPENING, ("SOUR1:VOLT?", "0"))
    driver = opened(instrument, SOURCE)
    instrument.kill_connections()
    assert driver.set_point("1").read_back() == 0.0
    instrument.finish(driver.line)


def test_one_table_may_stand_for_every_terminal(script):
    table = 'error_query = ""\n[terminals."*"]\nset = "V{terminal} {value:g}"\nget = "V{terminal}?"'
    instrument = script(("V7 1", None), ("V8?", "2"))
    driver = opened(instrument, table)
    driver.set_point("7").set_value(1.0)
    assert driver.set_point("8").read_back() == 2.0
    instrument.finish(driver.line)


def test_a_set_point_may_need_several_commands_in_another_unit(script):
    table = 'error_query = ""\n[terminals.1]\nset = ["FUNC DC", "LEV {value:.3f}MV"]\nget = "LEV?"\nset_scale = 1000'
    instrument = script(("FUNC DC", None), ("LEV 1500.000MV", None), ("LEV?", "1500"))
    driver = opened(instrument, table)
    driver.set_point("1").set_value(1.5)
    assert driver.set_point("1").read_back() == 1.5
    instrument.finish(driver.line)


@pytest.mark.parametrize(
    ("key", "answer", "value"),
    [
        ("answer_field = 1", "7.5,1.25,99", 1.25),
        ("answer_pattern = 'VOLT ([-+.0-9]+)V'", "CH1 VOLT -1.25V OK", -1.25),
        ("", "  +1.25E0 ", 1.25),
    ],
)
def test_a_number_is_found_in_many_kinds_of_answer(script, key, answer, value):
    instrument = script(("M?", answer))
    driver = opened(instrument, f'error_query = ""\n[terminals.1]\nmeasure = "M?"\n{key}')
    assert driver.meter("1").read_value() == value


@pytest.mark.parametrize(
    ("key", "answer", "says"),
    [
        ("", "1.0,2.0", "answer_field"),
        ("answer_field = 3", "1.0,2.0", "no field 3"),
        ("answer_pattern = '([0-9]+)V'", "OVLD", "finds nothing"),
        ("", "hello", "not a number"),
        ("", "9.9E37", "overflow"),
    ],
)
def test_an_answer_that_is_no_number_says_which_command_gave_it(script, key, answer, says):
    driver = opened(script(("M?", answer)), f'error_query = ""\n[terminals.1]\nmeasure = "M?"\n{key}')
    with pytest.raises(BadAnswer, match=says) as caught:
        driver.meter("1").read_value()
    assert "M?" in str(caught.value)


def test_without_get_only_what_was_sent_is_repeated_and_nothing_is_pretended(script):
    table = 'error_query = ""\n[terminals.1]\nset = "V {value:g}"'
    instrument = script(("V 1.5", None))
    driver = opened(instrument, table)
    output = driver.set_point("1")
    assert not output.reads_back
    with pytest.raises(NoReadBack, match="initial"):
        output.read_back()
    output.set_value(1.5)
    assert output.read_back() == 1.5
    assert driver.describe_settings() == {"terminal 1": "cannot be read back"}
    instrument.kill_connections()
    driver.line.clear()
    with pytest.raises(NoReadBack):
        output.read_back()


def test_an_initial_value_stands_for_what_init_has_set(script):
    table = 'error_query = ""\ninit = "V 0"\n[terminals.1]\nset = "V {value:g}"\ninitial = 0.0'
    driver = opened(script(("V 0", None)), table)
    assert driver.set_point("1").read_back() == 0.0


def test_an_output_without_a_switch_is_always_on(script):
    output = opened(script(), 'error_query = ""\n[terminals.1]\nset = "V {value:g}"').set_point("1")
    output.enable(True)
    assert output.enabled()
    with pytest.raises(BadOptions, match="disable"):
        output.enable(False)


def test_errors_after_a_set_are_raised_where_the_station_wants_it(script):
    table = 'check_after_set = true\n[terminals.1]\nset = "V {value:g}"'
    instrument = script(
        ("V 3", None), ("SYST:ERR?", '-222,"Data out of range"'), ("SYST:ERR?", "-113,Oh"), ("SYST:ERR?", "0,OK")
    )
    with pytest.raises(InstrumentReported, match="setting terminal 1 to 3: -222, Data out of range; -113, Oh"):
        opened(instrument, table).set_point("1").set_value(3.0)


def test_an_error_queue_of_another_kind_can_be_described(script):
    table = 'error_query = "ERR?"\nerror_ok = "^OK$"\ninit = "HELLO"'
    with pytest.raises(InstrumentReported, match="E42 bad thing"):
        opened(script(("HELLO", None), ("ERR?", "E42 bad thing"), ("ERR?", "OK")), table)


def test_an_instrument_without_an_error_queue_gets_the_remedy_in_the_message(tcp_instrument):
    instrument = tcp_instrument(lambda command: None)
    with pytest.raises(LineTimeout, match='write error_query = ""'):
        opened(instrument, 'init = "HELLO"', timeout_s=0.2)


def test_roles_that_the_table_lacks_name_those_that_it_has(script):
    driver = opened(script(*OPENING), SOURCE)
    for ask in (lambda: driver.set_point("in"), lambda: driver.meter("1"), driver.player, driver.digitiser):
        with pytest.raises(UnknownTerminal, match=r"set_point\('1'\), meter\('in'\)"):
            ask()


PLAYER = '[player]\nterminals = ["1"]\nmax_samples = 10\nlimits = [-1, 1]\n'
DIGITISER = '[digitiser]\nterminals = ["1"]\nmax_samples = 10\n'


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ('eror_query = "X?"', r"unknown key 'eror_query', did you mean 'error_query'\? \(allowed here: .*terminals"),
        ('[terminals.1]\nst = "V {value}"', r"terminals\.1\.st.*allowed here: .*measure"),
        ('[terminals.1]\nset = "V {volts}"', r"terminals\.1\.set.*\{volts\}.*\{terminal\}, \{value\}"),
        ('[terminals.1]\nset = "V 1"', r"\{value\} is missing"),
        ('[terminals.1]\nset = "V {value:q}"', r"cannot be filled in"),
        ('[terminals.1]\nrest_level = 0.0\nset = "V {value}"', "neither `set` nor `get`"),
        ('[terminals.1]\nset = "V {value}"\nset_scale = 0', "must not be 0"),
        ("acknowledge_questions = true", "needs acknowledge"),
        ('number_pattern = "[0-9]+"', "parentheses"),
        ('[terminals.1]\nset = "V {value"', r"terminals\.1\.set"),
        ('[terminals.1]\nmeasure = "M?"\nanswer_pattern = "(["', "regular expression"),
        ('[terminals.1]\nmeasure = "M?"\nanswer_pattern = "abc"', "parentheses"),
        ('[terminals.1]\nmeasure = "A?\\nB?"', "line ends"),
        ("[terminals.1]\nlimits = [1]", r"terminals\.1\.limits"),
        (PLAYER, r"player\.load.*[Ff]ield required"),
        (PLAYER + 'load = "D"', r"\{data\} is missing"),
        (PLAYER + 'load = "D {data}{data}"', "once"),
        (PLAYER + 'load = "D {data}"\nvalues = "unit"', "peak_V or an amplitude"),
        (PLAYER + 'load = "D {data}"\nvalues = "full_scale"\npeak_V = 1.0', "integer"),
        (PLAYER + 'load = "D {data}"\ndata = { dtype = "int24" }', r"player\.data\.dtype"),
        (PLAYER + 'load = "D {data}"\ndata = { byteorder = "big" }', r"player\.data\.byteorder.*'byte_order'"),
        (DIGITISER + 'fetch = "F?"\nready = { query = "R?", mast = 1 }', r"digitiser\.ready\.mast.*'mask'"),
        (DIGITISER + 'fetch = "F? {channel}"', r"\{channel\}"),
        (DIGITISER + 'fetch = "F?"\nterminal = "1"', r"digitiser\.terminal.*'terminals'"),
    ],
)
def test_a_table_that_makes_no_sense_says_where_and_what_is_allowed(script, table, says):
    instrument = script()
    with pytest.raises(BadOptions, match=says):
        opened(instrument, table)
    assert instrument.commands() == []


def test_all_problems_of_a_table_are_told_at_once(script):
    with pytest.raises(BadOptions, match=r"(?s)echo.*; .*error_ok.*; .*nonsense"):
        opened(script(), 'echo = 3\nerror_ok = "("\nnonsense = 1')


def test_the_examples_of_the_documentation_are_valid_tables(script):
    example = "\n".join(line for line in drivers.scpi_generic.__doc__.splitlines() if line.startswith("    "))
    instruments = tomllib.loads(example)["instruments"]
    assert list(instruments) == ["source", "generator", "arb", "recorder"]
    for instrument in instruments.values():
        table = {key: value for key, value in instrument["scpi"].items() if key != "init"}
        open_driver("scpi", open_line(script().address), table)


def test_every_key_of_every_table_is_described():
    tables = [found for found in vars(drivers.generic.options).values() if isinstance(found, type)]
    described = {
        f"{table.__name__}.{name}": field.description
        for table in tables
        if issubclass(table, drivers.generic.parts.Table)
        for name, field in table.model_fields.items()
    }
    assert len(described) > 70
    assert [key for key, text in described.items() if not text] == []


def test_settings_for_the_provenance_can_be_named(script):
    table = 'error_query = ""\n[describe]\nfilter = "FILT?"\n[terminals.1]\nset = "V {value:g}"\nget = "V?"'
    driver = opened(script(("FILT?", "LOW"), ("V?", "0.5")), table)
    assert driver.describe_settings() == {"filter": "LOW", "terminal 1": "0.5"}


def test_closing_sends_the_at_close_commands(script):
    instrument = script(("BYE", None))
    driver = opened(instrument, 'error_query = ""\nat_close = "BYE"')
    driver.close()
    instrument.finish(open_line(instrument.address))


def test_carriage_returns_as_terminators(tcp_instrument):
    instrument = tcp_instrument(lambda command: "1.5" if command == "V?" else None, terminator=b"\r")
    line = open_line(instrument.address, read_termination="\r", write_termination="\r")
    driver = open_driver("scpi", line, {"error_query": "", "terminals": {"1": {"measure": "V?"}}})
    assert driver.meter("1").read_value() == 1.5
