"""The digitiser: exact bytes, and the whole way on a simulated one, triggered by the simulated generator."""

import time

import numpy as np
import pytest
from fake_instruments import block

from drivers.errors import (
    BadAnswer,
    DriverError,
    InstrumentReported,
    LineLost,
    LineTimeout,
    OutOfRange,
    UnknownTerminal,
)
from drivers.keysight_33500b import Keysight33500B
from drivers.keysight_l4532a import KeysightL4532A
from drivers.roles import Digitiser, Driver, Meter
from drivers.transport import open_line

CONFIGURING = [
    ("ABOR", None),
    ("CONF:ACQ:SRAT 5000", None),
    ("CONF:ACQ:SPR 0", None),
    ("CONF:ACQ:REC 1", None),
    ("CONF:ACQ:SCO 12", None),
    ("CONF:ACQ:TDEL 0", None),
    ("CONF:CHAN:RANG (@2),4", None),
    ("CONF:CHAN:COUP (@2),DC", None),
    ("CONF:ARM:SOUR IMM", None),
    ("CONF:TRIG:SOUR EXT", None),
    ("FORM:REAL REAL,32", None),
    ("FORM:BORD SWAP", None),
    ("SYST:ERR?", '+0,"No error"'),
]


def floats(*volts):
    return block(np.array(volts, dtype="<f4").tobytes())


def test_a_record_is_configured_armed_and_fetched_in_parts(script):
    instrument = script(
        *CONFIGURING,
        ("INIT", None),
        ("STAT:OPER:COND?", "+0"),
        ("STAT:OPER:COND?", "+32"),
        ("FETC:WAV:ACQ:PRE?", "+1,+4,+0,RUN"),
        ("FETC:WAV:VOLT? (@2),0,4", floats(0.5, -0.5, 1.0, 2.0)),
        ("FETC:WAV:ACQ:PRE?", "+1,+12,+0,NORM"),
        ("FETC:WAV:VOLT? (@2),4,6", floats(1, 2, 3, 4, -4, 0)),
        ("ABOR", None),
    )
    line = open_line(instrument.address)
    recorder = KeysightL4532A(line, {}).digitiser()
    recorder.configure({"2": 4.0}, sample_rate_Hz=5000.0, n_samples=10)  # 10 is rounded up to a multiple of 4
    recorder.arm()
    assert recorder.samples_ready() == 4
    np.testing.assert_array_equal(recorder.fetch("2", 0, 4), [0.5, -0.5, 1.0, 2.0])
    assert recorder.samples_ready() == 10
    assert recorder.fetch("2", 4, 6).dtype == np.float64
    recorder.abort()
    instrument.finish(line)


@pytest.mark.parametrize(
    ("inputs", "rate_Hz", "n_samples", "says"),
    [
        ({"1": 3.0}, 5e3, 10, "range"),
        ({"1": 4.0}, 3e3, 10, "not one of 1000, 2000, 5000"),
        ({"1": 4.0}, 5e3, 0, "0 samples"),
        ({"1": 4.0}, 5e3, 10**9, "samples"),
    ],
)
def test_what_cannot_be_set_exactly_is_refused_before_a_byte_leaves(script, inputs, rate_Hz, n_samples, says):
    instrument = script()
    line = open_line(instrument.address)
    with pytest.raises(OutOfRange, match=says):
        KeysightL4532A(line, {}).digitiser().configure(inputs, sample_rate_Hz=rate_Hz, n_samples=n_samples)
    instrument.finish(line)


def test_an_unknown_input_names_what_there_is(script):
    driver = KeysightL4532A(open_line(script().address), {})
    with pytest.raises(UnknownTerminal, match="meter"):
        driver.digitiser().configure({"3": 4.0}, sample_rate_Hz=5e3, n_samples=10)
    with pytest.raises(UnknownTerminal):
        driver.set_point("1")


def test_arming_without_configuring_says_so(script):
    with pytest.raises(DriverError, match="configure"):
        KeysightL4532A(open_line(script().address), {}).digitiser().arm()


def test_samples_at_full_scale_are_an_error_where_the_station_wants_it(script):
    instrument = script(*CONFIGURING, ("FETC:WAV:VOLT? (@2),0,3", floats(0.0, 4.0, -4.0)))
    recorder = KeysightL4532A(open_line(instrument.address), {"overload": "error"}).digitiser()
    recorder.configure({"2": 4.0}, sample_rate_Hz=5000.0, n_samples=10)
    with pytest.raises(BadAnswer, match=r"2 of 3 samples.*larger range"):
        recorder.fetch("2", 0, 3)


def test_a_block_of_another_length_is_a_bad_answer(script):
    instrument = script(*CONFIGURING, ("FETC:WAV:VOLT? (@2),0,3", floats(0.0, 1.0)))
    recorder = KeysightL4532A(open_line(instrument.address), {}).digitiser()
    recorder.configure({"2": 4.0}, sample_rate_Hz=5000.0, n_samples=10)
    with pytest.raises(BadAnswer, match="8 bytes instead of 12"):
        recorder.fetch("2", 0, 3)


def test_what_the_simulated_generator_plays_is_what_the_simulated_digitiser_records(demo_bench):
    generator = Keysight33500B(open_line(demo_bench["awg"]), {})
    driver = KeysightL4532A(open_line(demo_bench["digitiser"]), {})
    recorder = driver.digitiser()
    assert isinstance(driver, Driver)
    assert isinstance(recorder, Digitiser)
    assert isinstance(driver.meter("1"), Meter)
    for terminal in ("1", "2"):
        generator.set_point(terminal).set_value(0.0)
        generator.set_point(terminal).enable(True)
    drive = np.repeat([0.0, 1.0, -1.0, 0.5, 0.0], 100)
    generator.player().load({"1": drive, "2": np.zeros(500)}, sample_rate_Hz=5000.0)
    recorder.configure({"1": 4.0, "2": 4.0}, sample_rate_Hz=5000.0, n_samples=500)
    generator.player().arm()
    recorder.arm()
    assert recorder.samples_ready() == 0
    generator.player().trigger()
    while recorder.samples_ready() < 500:
        time.sleep(0.01)
    response = np.concatenate([recorder.fetch("1", 0, 300), recorder.fetch("1", 300, 200)])
    generator.player().stop()
    # the leaky integrator settles at tanh(drive) within a few of its time constants of 5 samples
    settled = [response[k * 100 + 60 : (k + 1) * 100].mean() for k in range(5)]
    np.testing.assert_allclose(settled, np.tanh([0.0, 1.0, -1.0, 0.5, 0.0]), atol=0.15)
    assert abs(response[0]) < 0.3
    assert abs(driver.meter("1").read_value()) < 0.5
    with pytest.raises(InstrumentReported):
        driver.line.write("CONF:ACQ:SRAT 3000")
        driver.check_errors()
    driver.close()
    generator.close()


def test_a_voltage_can_be_read_while_nothing_is_recorded_only(demo_bench):
    driver = KeysightL4532A(open_line(demo_bench["digitiser"]), {})
    recorder = driver.digitiser()
    recorder.configure({"1": 4.0}, sample_rate_Hz=5000.0, n_samples=100)
    recorder.arm()
    with pytest.raises(DriverError, match="under way"):
        driver.meter("1").read_value()
    recorder.abort()
    driver.meter("1").read_value()
    recorder.arm()  # the set-up of the record comes back
    recorder.abort()
    assert driver.describe_settings()["sample_rate_Hz"] == "5000 Sa/s"
    driver.close()


def test_readings_one_after_another_send_the_set_up_once_and_a_record_in_between_sends_it_again(demo_bench):
    driver = KeysightL4532A(open_line(demo_bench["digitiser"]), {})
    sent = []
    write, query = driver.line.write, driver.line.query
    driver.line.write = lambda command: (sent.append(command), write(command))[1]
    driver.line.query = lambda command, **how: (sent.append(command), query(command, **how))[1]
    driver.meter("1").read_value()
    first = len(sent)
    for terminal in ("1", "2"):
        sent.clear()
        driver.meter(terminal).read_value()
        assert sent == ["INIT", "*OPC?"]
    driver.recorder.configure({"1": 4.0}, sample_rate_Hz=5000.0, n_samples=100)
    sent.clear()
    driver.meter("2").read_value()
    assert len(sent) == first
    driver.line.reconnect()
    sent.clear()
    driver.meter("2").read_value()
    assert len(sent) == first
    driver.close()


def test_unplugged_and_plugged_in_again_it_is_set_up_again_before_it_is_armed(tcp_instrument):
    told = {"*IDN?": "Agilent,L4532A,1,1", "STAT:OPER:COND?": "+32", "SYST:ERR?": '+0,"No error"'}
    instrument = tcp_instrument(told.get)
    recorder = KeysightL4532A(open_line(instrument.address, timeout_s=0.5, reconnect_s=0.3), {}).digitiser()
    recorder.configure({"2": 4.0}, sample_rate_Hz=5000.0, n_samples=10)
    port = instrument.port
    instrument.refuse()
    instrument.kill_connections()
    with pytest.raises((LineLost, LineTimeout)):
        recorder.samples_ready()
    instrument.listen(port)
    instrument.received.clear()
    recorder.arm()
    sent = [command for command in instrument.commands() if "?" not in command]
    settings = [command for command, _ in CONFIGURING if "?" not in command]
    assert sent[-len(settings) - 1 :] == [*settings, "INIT"]
