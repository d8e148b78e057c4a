"""The same instruments through pyvisa with pyvisa-py, as a user's script would."""

import numpy as np
import pytest
import pyvisa


@pytest.fixture
def visa():
    manager = pyvisa.ResourceManager("@py")
    yield manager
    manager.close()


def open_visa(visa, address):
    return visa.open_resource(address, read_termination="\n", write_termination="\n", timeout=10_000)


def test_a_waveform_is_loaded_played_recorded_and_fetched(start, visa):
    rig = start(devices__leaky__noise_scale=0.0)
    awg, digitiser = open_visa(visa, rig.addresses["awg"]), open_visa(visa, rig.addresses["digitiser"])
    drive = np.zeros(200)
    drive[50:100] = 0.8
    awg.write("*RST;*CLS;:FORM:BORD SWAP;:OUTP1:LOAD INF")
    awg.write_binary_values("SOUR1:DATA:ARB step,", drive, datatype="f", is_big_endian=False)
    awg.write("SOUR1:FUNC:ARB step;:SOUR1:FUNC:ARB:SRAT 5000;FILT OFF;:SOUR1:VOLT 2;VOLT:OFFS 0")
    awg.write("SOUR1:FUNC ARB;BURS:MODE TRIG;NCYC 1;STAT ON;:TRIG1:SOUR BUS;:OUTP1 ON")
    assert awg.query("SYST:ERR?") == '+0,"No error"'
    digitiser.write("*RST;:CONF:ACQ:SRAT 5000;SCO 200;:CONF:CHAN:RANG (@1),2;:CONF:TRIG:SOUR EXT;:FORM:BORD SWAP;:INIT")
    assert digitiser.query("SYST:ERR?") == '+0,"No error"'
    awg.write("*TRG")
    assert digitiser.query("*OPC?") == "1"
    counts = digitiser.query_binary_values("FETC:WAV:ADC? (@1)", datatype="h", container=np.array)
    response = counts / 32767 * 2.0
    assert response.size == 200
    assert np.all(response[:51] == 0)
    assert response[100] == pytest.approx(np.tanh(0.8), abs=1e-3)


def test_the_source_measure_unit_answers_on_its_serial_resource(start, visa):
    rig = start()
    smu = open_visa(visa, rig.addresses["smu"])
    smu.baud_rate = 57600
    assert smu.query("*IDN?").split(",")[2] == "SIM-2400-001"
    smu.write(":SOUR:VOLT 0.1;:OUTP ON")
    assert float(smu.query(":READ?").split(",")[1]) == pytest.approx(1e-5)


def test_any_instrument_can_stand_on_either_line(start, visa):
    rig = start(instruments__smu__transport="tcp", instruments__digitiser__transport="pty")
    assert rig.addresses["smu"].startswith("TCPIP")
    assert open_visa(visa, rig.addresses["smu"]).query("*IDN?").startswith("KEITHLEY")
    assert open_visa(visa, rig.addresses["digitiser"]).query("CONF:ACQ:SCO?") == "+1024"
