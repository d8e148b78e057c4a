"""The simulated source-measure unit on a pseudo-terminal, with PyMeasure's driver as it is and by hand."""

import numpy as np
import pytest
from pymeasure.adapters import SerialAdapter
from pymeasure.instruments.keithley import Keithley2400


@pytest.fixture
def rig(start):
    return start()


@pytest.fixture
def smu(rig):
    return rig.smu


@pytest.fixture
def driver(rig):
    port = rig.addresses["smu"].removeprefix("ASRL").removesuffix("::INSTR")
    adapter = SerialAdapter(port, baudrate=57600, timeout=5, read_termination="\n", write_termination="\r")
    instrument = Keithley2400(adapter)
    yield instrument
    adapter.connection.close()


def test_pymeasures_driver_sources_and_measures(driver):
    driver.reset()
    driver.source_mode = "voltage"
    driver.source_voltage_range = 2
    driver.compliance_current = 1e-3
    driver.source_voltage = 0.15
    driver.source_enabled = True
    assert driver.source_enabled
    assert driver.source_voltage == pytest.approx(0.15)
    assert driver.current == pytest.approx(1.5e-5, rel=1e-6)
    assert driver.voltage == pytest.approx(0.15)
    assert driver.resistance == pytest.approx(10e3)
    everything = driver.measure_all()
    assert everything["current"] == pytest.approx(1.5e-5)
    assert driver.check_errors() == []
    driver.shutdown()


def test_pymeasures_driver_ramps_and_uses_the_buffer(driver):
    driver.reset()
    driver.source_mode = "voltage"
    driver.source_enabled = True
    driver.ramp_to_voltage(0.1, steps=5, pause=0)
    assert driver.source_voltage == pytest.approx(0.1)
    driver.config_buffer(5)
    driver.trigger_count = 5
    driver.start_buffer()
    driver.wait_for_buffer(timeout=5, interval=0.01)
    data = driver.buffer_data
    assert len(data) == 25
    assert driver.mean_voltage == pytest.approx(0.1)
    assert driver.check_errors() == []


SETTINGS = {
    "source_delay": 0.5, "source_delay_auto_enabled": False, "auto_zero_enabled": True, "output_off_state": "zero",
    "auto_output_off_enabled": True, "filter_enabled": True, "repeat_filter_enabled": False, "filter_count": 7, "current_nplc": 0.1,
    "current_range_auto_enabled": False, "compliance_current": 0.01, "voltage_nplc": 2, "compliance_voltage": 3,
    "trigger_count": 4, "arm_count": 2, "trigger_delay": 0.1, "arm_timer": 0.5, "trigger_source": "trigger_link",
    "arm_source": "bus",
    "trigger_output_event": "sense", "arm_output_event": "trigger_exit", "trigger_input_line": 3, "arm_input_line": 4,
    "trigger_output_line": 1, "arm_output_line": 3, "display_enabled": False, "wires": 4, "line_frequency": 60,
    "line_frequency_auto_enabled": False, "front_terminals_enabled": False, "source_current_range_auto_enabled": False,
    "source_voltage_range_auto_enabled": False, "resistance_mode_auto_enabled": True, "resistance_nplc": 0.5,
}  # fmt: skip


def test_every_setting_of_pymeasures_driver_reads_back(driver):
    for name, value in SETTINGS.items():
        setattr(driver, name, value)
        assert (
            getattr(driver, name) == pytest.approx(value)
            if isinstance(value, float)
            else getattr(driver, name) == value
        ), name
    driver.beep(1000, 0.1)
    driver.clear_trigger()
    driver.reset_trigger()
    assert driver.check_errors() == []


@pytest.mark.parametrize("terminator", [b"\r", b"\n", b"\r\n"])
def test_every_terminator_is_understood(rig, terminator):
    client = rig.connect("smu", terminator=terminator)
    assert client.query("*IDN?").startswith("KEITHLEY INSTRUMENTS INC.,MODEL 2400,SIM-2400-001,")
    assert client.query(":SYST:ERR?") == '0,"No error"'


def test_levels_are_rounded_to_the_resolution_of_the_range(smu):
    smu.write(":SOUR:VOLT 0.1234567")
    assert float(smu.query(":SOUR:VOLT?")) == pytest.approx(0.123455)
    smu.write(":SOUR:VOLT:RANG 20", ":SOUR:VOLT 0.1234567")
    assert float(smu.query(":SOUR:VOLT?")) == pytest.approx(0.1235)
    assert smu.query(":SOUR:VOLT:RANG:AUTO?") == "0"


@pytest.mark.parametrize(
    "command",
    [":SOUR:VOLT 211", ":SOUR:VOLT:RANG 300", ":SENS:CURR:PROT 2", ":SENS:CURR:NPLC 11", ":SENS:AVER:COUN 101"],
)
def test_values_out_of_range_are_refused_and_nothing_changes(smu, command):
    header = command.split(" ")[0]
    before = smu.query(header + "?")
    smu.write(command)
    assert smu.query(":SYST:ERR?").startswith("-222,")
    assert smu.query(header + "?") == before


def test_a_level_beyond_a_fixed_range_is_refused(smu):
    smu.write(":SOUR:VOLT:RANG 0.2", ":SOUR:VOLT 1")
    assert smu.query(":SYST:ERR?") == '-222,"Parameter data out of range"'


def test_compliance_limits_the_current_and_says_so(smu):
    smu.write(":SENS:CURR:PROT 5e-6", ":SOUR:VOLT 0.1", ":OUTP ON")
    assert smu.query(":SENS:CURR:PROT:TRIP?") == "1"
    volts, current_A, *_ = (float(value) for value in smu.query(":READ?").split(","))
    assert (volts, current_A) == (pytest.approx(0.05), pytest.approx(5e-6))
    smu.write(":SENS:CURR:PROT 1e-3")
    assert smu.query(":SENS:CURR:PROT:TRIP?") == "0"


def test_nothing_is_measured_while_the_output_is_off(smu):
    smu.write(":READ?")
    assert smu.query(":SYST:ERR?") == '803,"Not permitted with OUTPUT off"'


def test_elements_choose_what_a_reading_says(smu):
    smu.write(":FORM:ELEM CURR,VOLT", ":OUTP ON")
    assert smu.query(":FORM:ELEM?") == "VOLT,CURR"
    assert len(smu.query(":READ?").split(",")) == 2
    assert smu.query(":MEAS:CURR?").split(",")[0] == "+9.910000E+37"


def test_a_bus_trigger_measures_and_a_read_that_waits_for_it_is_a_deadlock(smu):
    smu.write(":OUTP ON", ":ARM:SOUR BUS", ":READ?")
    assert smu.query(":SYST:ERR?").startswith("-214,")
    smu.write(":INIT", "*TRG")
    assert len(smu.query(":FETC?").split(",")) == 5


def test_device_clear_forgets_half_a_message(smu):
    smu.port.write(b":SOUR:VOLT 0.1;:DATA #9")
    smu.port.write(b"\x18")
    assert smu.query("*IDN?").startswith("KEITHLEY")
    assert float(smu.query(":SOUR:VOLT?")) == 0.0


def test_noise_shrinks_with_integration_and_averaging(start):
    smu = start(instruments__smu__noise_A=1e-7).smu
    smu.write(":OUTP ON", ":FORM:ELEM CURR", ":SENS:CURR:NPLC 1", ":TRIG:COUN 400")
    one = np.array([float(value) for value in smu.query(":READ?").split(",")])
    smu.write(":SENS:AVER:COUN 25", ":SENS:AVER ON")
    many = np.array([float(value) for value in smu.query(":READ?").split(",")])
    assert one.std() == pytest.approx(1e-7, rel=0.2)
    assert many.std() == pytest.approx(2e-8, rel=0.2)


def test_the_bias_moves_the_well_and_the_sense_terminals_see_it(start):
    smu = start(devices__duffing__noise_scale=0.0, settle_s=0.02).smu
    smu.write(":SYST:RSEN ON", ":FORM:ELEM VOLT", ":SENS:CURR:PROT 1e-3", ":OUTP ON")
    assert float(smu.query(":READ?")) == pytest.approx(-1.0, abs=1e-3)
    smu.write(":SOUR:VOLT 0.1")
    seen = float(smu.query(":READ?"))
    for _ in range(2000):  # real time passes between the queries
        seen = float(smu.query(":READ?"))
        if abs(seen**3 - seen - 0.1) < 1e-3:
            break
    assert seen**3 - seen == pytest.approx(0.1, abs=1e-3)
