"""The source-measure unit: exact bytes, and on the simulated one over a pty, by our driver and by PyMeasure's."""

import threading

import pytest

from drivers.errors import (
    BadAnswer,
    BadOptions,
    DriverError,
    InstrumentReported,
    OutOfRange,
    UnknownDriver,
    UnknownTerminal,
)
from drivers.keithley_2400 import Keithley2400
from drivers.registry import open_driver
from drivers.roles import Driver, Meter, SetPoint
from drivers.transport import open_line

OPENING = [
    (":SOUR:FUNC?", "VOLT"),
    (":SENS:CURR:PROT 0.001", None),
    (":SENS:FUNC:CONC 1", None),
    (':SENS:FUNC "VOLT","CURR"', None),
    (":FORM:ELEM VOLT,CURR", None),
    (":SYST:ERR?", '0,"No error"'),
]


def test_opening_setting_and_measuring_send_exactly_this(script):
    instrument = script(
        *OPENING,
        (":SOUR:VOLT 0.1", None),
        (":OUTP 1", None),
        (":SOUR:VOLT?", "+1.000000E-01"),
        (":READ?", "+1.000000E-01,+1.000000E-05"),
        (":READ?", "+1.000000E-01,+1.000000E-05"),
    )
    line = open_line(instrument.address)
    driver = Keithley2400(line, {"compliance": 1e-3})
    output = driver.set_point("output")
    output.set_value(0.1)
    output.enable(True)
    assert output.read_back() == 0.1
    assert driver.meter("voltage").read_value() == 0.1
    assert driver.meter("current").read_value() == 1e-5
    instrument.finish(line)


def test_nothing_out_of_range_reaches_the_line(script):
    instrument = script(*OPENING)
    line = open_line(instrument.address)
    output = Keithley2400(line, {"compliance": 1e-3}).set_point("output")
    for value in (211.0, -1e9, float("nan")):
        with pytest.raises(OutOfRange):
            output.set_value(value)
    instrument.finish(line)


def test_an_overflow_is_not_a_measurement(script):
    instrument = script(*OPENING, (":READ?", "+1.000000E-01,+9.900000E+37"))
    driver = Keithley2400(open_line(instrument.address), {"compliance": 1e-3})
    with pytest.raises(BadAnswer, match="overflow"):
        driver.meter("current").read_value()


def test_another_source_with_the_output_on_is_refused_not_switched(script):
    instrument = script((":SOUR:FUNC?", "CURR"), (":OUTP?", "1"))
    with pytest.raises(OutOfRange, match="switch it off first"):
        Keithley2400(open_line(instrument.address), {})


def test_settings_come_back_after_a_reconnection(script):
    instrument = script(*OPENING, *OPENING, (":SOUR:VOLT?", "0"))
    line = open_line(instrument.address)
    output = Keithley2400(line, {"compliance": 1e-3}).set_point("output")
    instrument.kill_connections()
    assert output.read_back() == 0.0
    assert line.generation == 1
    instrument.finish(line)


@pytest.fixture
def simulated(demo_bench):
    line = open_line(demo_bench["smu"], baud_rate=57600)
    yield line
    line.write(":OUTP 0")
    line.close()


def test_the_simulated_unit_sources_and_measures(simulated):
    driver = Keithley2400(simulated, {"compliance": 1e-3})
    assert isinstance(driver, Driver)
    output, meter = driver.set_point("output"), driver.meter("current")
    assert isinstance(output, SetPoint)
    assert isinstance(meter, Meter)
    output.set_value(0.1)
    output.enable(True)
    assert output.read_back() == pytest.approx(0.1)
    assert meter.read_value() == pytest.approx(1e-5, rel=0.01)  # 10 kOhm
    assert driver.describe_settings()["current_compliance_A"] == "0.001 A"


def test_measuring_with_the_output_off_gives_the_reason_from_the_error_queue(demo_bench):
    driver = Keithley2400(open_line(demo_bench["smu"], baud_rate=57600, timeout_s=1.0), {})
    driver.set_point("output").enable(False)
    with pytest.raises(InstrumentReported, match="OUTPUT off"):
        driver.meter("current").read_value()
    driver.close()


PYMEASURE_OPTIONS = {
    "settings": {"source_mode": "voltage", "compliance_current": 1e-3},
    "enable": "source_enabled",
    "limits": {"source_voltage": [-20.0, 20.0]},
}


def test_pymeasures_driver_runs_over_our_line(simulated):
    driver = open_driver("pymeasure:keithley.Keithley2400", simulated, PYMEASURE_OPTIONS)
    assert isinstance(driver, Driver)
    output = driver.set_point("source_voltage")
    assert isinstance(output, SetPoint)
    assert output.limits == (-20.0, 20.0)
    assert driver.set_point("compliance_current").limits == (-1.05, 1.05)
    output.set_value(0.1)
    output.enable(True)
    assert output.enabled()
    assert output.read_back() == pytest.approx(0.1)
    assert driver.meter("current").read_value() == pytest.approx(1e-5, rel=0.01)
    assert driver.describe_settings() == {"source_mode": "voltage", "compliance_current": "0.001"}
    driver.check_errors()
    output.enable(False)
    assert not output.enabled()


def test_a_pymeasure_property_without_setter_is_no_set_point(simulated):
    driver = open_driver("pymeasure:keithley.Keithley2400", simulated, {})
    with pytest.raises(UnknownTerminal, match="no setter"):
        driver.set_point("current")
    with pytest.raises(UnknownTerminal, match="source_voltage"):
        driver.set_point("no_such_property")
    with pytest.raises(UnknownTerminal):
        driver.player()


def test_pymeasure_limits_are_kept_before_a_byte_leaves(simulated):
    driver = open_driver("pymeasure:keithley.Keithley2400", simulated, PYMEASURE_OPTIONS)
    with pytest.raises(OutOfRange, match="source_voltage"):
        driver.set_point("source_voltage").set_value(20.5)
    with pytest.raises(OutOfRange):
        driver.set_point("source_voltage").set_value(float("nan"))


def test_without_an_enable_option_switching_off_is_an_error_not_a_pretence(simulated):
    driver = open_driver("pymeasure:keithley.Keithley2400", simulated, {})
    with pytest.raises(BadOptions, match="enable"):
        driver.set_point("source_voltage").enable(False)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("Keithley2400", "write pymeasure:"),
        ("nomaker.Keithley2400", "nomaker"),
        ("keithley.Keithley9999", "there are .*Keithley2400"),
    ],
)
def test_an_unknown_pymeasure_driver_says_what_there_is(script, name, says):
    with pytest.raises(UnknownDriver, match=says):
        open_driver(f"pymeasure:{name}", open_line(script().address), {})


def test_two_threads_on_a_pymeasure_driver_get_no_crossed_answers(tcp_instrument):
    instrument = tcp_instrument(lambda command: command.strip(":?") if command.startswith("Q") else None)
    driver = open_driver("pymeasure:keithley.Keithley2400", open_line(instrument.address), {})
    wrong = []

    def ask(offset):
        for number in range(offset, offset + 500):
            if driver.instrument.ask(f"Q{number}?") != f"Q{number}":
                wrong.append(number)

    threads = [threading.Thread(target=ask, args=(offset,)) for offset in (0, 1000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_pymeasure_driver_survives_a_killed_connection(tcp_instrument):
    instrument = tcp_instrument(lambda command: "+5.000000E-01" if command == ":SOUR:VOLT:LEV?" else None)
    driver = open_driver("pymeasure:keithley.Keithley2400", open_line(instrument.address), {})
    output = driver.set_point("source_voltage")
    instrument.respond = lambda command: "+5.000000E-01" if command.endswith("?") and command != "*IDN?" else None
    driver.line.query("*IDN?")  # by then the instrument has taken what the constructor sent
    instrument.kill_connections()
    assert output.read_back() == 0.5
    assert driver.line.generation == 1
    assert instrument.received.count(":FORMAT:ELEMENTS VOLTAGE, CURRENT, RESISTANCE, TIME, STATUS") == 2


def test_a_silent_instrument_is_one_of_our_errors_through_pymeasure(tcp_instrument):
    line = open_line(tcp_instrument(lambda command: None).address, timeout_s=0.2)
    driver = open_driver("pymeasure:keithley.Keithley2400", line, {})
    with pytest.raises(DriverError, match="no answer"):
        driver.set_point("source_voltage").read_back()
