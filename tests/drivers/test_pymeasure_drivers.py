"""Drivers of PyMeasure that were written for other transports, byte by byte over our line."""

import pytest

from drivers.errors import OutOfRange, UnknownTerminal
from drivers.registry import open_driver
from drivers.transport import open_line

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # of PyMeasure about its own classes


def test_a_lock_in_amplifier(script):
    instrument = script(("SLVL0.500", None), ("SLVL?", "0.500"), ("OUTP?1", "1.25E-3"))
    driver = open_driver("pymeasure:srs.SR830", open_line(instrument.address))
    output = driver.set_point("sine_voltage")
    assert output.limits == (0.004, 5.0)
    output.set_value(0.5)
    assert output.read_back() == 0.5
    assert driver.meter("x").read_value() == 1.25e-3
    instrument.finish(driver.line)


def test_what_pymeasure_would_clip_in_silence_is_refused(script):
    instrument = script()
    driver = open_driver("pymeasure:srs.SR830", open_line(instrument.address))
    with pytest.raises(OutOfRange, match="sine_voltage"):
        driver.set_point("sine_voltage").set_value(5.5)
    instrument.finish(driver.line)


def test_a_waveform_generator(script):
    instrument = script(("VOLT:OFFS 0.250000", None), ("VOLT:OFFS?", "+2.5E-1"), ("OUTP 1", None), ("OUTP?", "1"))
    driver = open_driver("pymeasure:agilent.Agilent33220A", open_line(instrument.address), {"enable": "output"})
    offset = driver.set_point("offset")
    offset.set_value(0.25)
    assert offset.read_back() == 0.25
    offset.enable(True)
    assert offset.enabled()
    instrument.finish(driver.line)


def test_a_channel_of_a_supply_with_its_own_switch(script):
    instrument = script(
        ("INST:SEL CH2;VOLT 1.5", None),
        ("INST:SEL CH2;VOLT?", "1.5"),
        ("INST:SEL CH2;SOURCE:OUTP:ENAB 1", None),
        ("INST:SEL CH2;MEAS:CURR?", "0.01"),
    )
    line = open_line(instrument.address)
    driver = open_driver("pymeasure:keithley.Keithley2200", line, {"enable": ".output_enabled"})
    output = driver.set_point("ch_2.voltage_setpoint")
    output.set_value(1.5)
    assert output.read_back() == 1.5
    output.enable(True)
    assert driver.meter("ch_2.current").read_value() == 0.01
    with pytest.raises(UnknownTerminal):
        driver.set_point("ch_9.voltage_setpoint")
    instrument.finish(line)


def test_blocks_and_bytes_through_the_adapter(tcp_instrument):
    instrument = tcp_instrument(lambda command: b"abcdef\n" if command == "RAW?" else None)
    driver = open_driver("pymeasure:srs.SR830", open_line(instrument.address))
    adapter = driver.instrument.adapter
    with driver.line.locked():
        adapter.write("RAW?")
        assert adapter.read_bytes(3) == b"abc"
        assert adapter.read_bytes(-1) == b"def\n"
        adapter.write("RAW?")
        assert adapter.read_bytes(-1, break_on_termchar=True) == b"abcdef\n"
        adapter.write("RAW?")
        adapter.write("RAW?")  # two questions before the first answer is read
        assert adapter.read() == "abcdef"
        assert adapter.read() == "abcdef"
        adapter.write_binary_values("DATA ", [1, 2], termination="\n", datatype="h")
        adapter.flush_read_buffer()
    driver.line.query("*IDN?")
    assert instrument.commands()[-1] == b"DATA #14\x01\x00\x02\x00"
