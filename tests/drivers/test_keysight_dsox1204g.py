"""The oscilloscope: exact bytes, every fault on the way, and the whole way on a simulated one that watches an oscillator."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fake_instruments import Close, Hang, block

from drivers.errors import (
    BadAnswer,
    BadOptions,
    DriverError,
    InstrumentReported,
    LineLost,
    LineTimeout,
    OutOfRange,
    UnknownTerminal,
)
from drivers.keysight_33500b import Keysight33500B
from drivers.keysight_dsox1204g import KeysightDSOX1204G
from drivers.roles import Digitiser, Driver
from drivers.transport import open_line

QUICK = {"timeout_s": 0.5, "reconnect_s": 0.3}
CONFIGURING = [
    ("STOP", None),
    ("ACQ:TYPE NORM", None),
    ("TIM:MODE MAIN", None),
    ("TIM:REF CENT", None),
    ("TIM:RANG 0.005", None),
    ("TIM:POS 0.0025", None),
    ("CHAN1:DISP 0", None),
    ("CHAN2:DISP 1", None),
    ("CHAN3:DISP 0", None),
    ("CHAN4:DISP 0", None),
    ("CHAN2:PROB 1", None),
    ("CHAN2:COUP DC", None),
    ("CHAN2:SCAL 0.2", None),
    ("CHAN2:OFFS 0", None),
    ("TRIG:MODE EDGE", None),
    ("TRIG:EDGE:SOUR EXT", None),
    ("TRIG:EDGE:SLOP POS", None),
    ("TRIG:EDGE:LEV 1", None),
    ("TRIG:SWE NORM", None),
    ("SYST:ERR?", '+0,"No error"'),
]
ARMING = [("AER?", "+1"), ("SING", None), ("AER?", "+0"), ("AER?", "+1")]
READING = [
    ("WAV:SOUR CHAN2", None),
    ("WAV:FORM BYTE", None),
    ("WAV:UNS 1", None),
    ("WAV:POIN:MODE RAW", None),
    ("WAV:POIN 250", None),
]
PREAMBLE = "+0,+0,+250,+1,+2.00000000E-05,+0.00000000E+00,+0,+6.25000000E-03,+0.00000000E+00,+128"
CODES = np.arange(3, 253, dtype=np.uint8)
OUT_OF_IT = np.array([0, 1, 2, 254, 255], dtype=np.uint8)


def recorder_of(instrument, **options):
    line = open_line(instrument.address, **QUICK)
    return KeysightDSOX1204G(line, options).digitiser()


def configured(recorder, *, n_samples=240):
    recorder.configure({"2": 0.8}, sample_rate_Hz=5e4, n_samples=n_samples)
    return recorder


def answering(**answers):
    """An instrument that has a record; `answers` replace what it says, by the header's letters."""

    def respond(command):
        found = {
            "AER": "+1",
            "OPERCOND": "+0",
            "SYSTERR": '+0,"No error"',
            "WAVPRE": PREAMBLE,
            "WAVDATA": block(CODES.tobytes()),
        }
        found.update(answers)
        answer = found.get("".join(letter for letter in command if letter.isalpha())) if "?" in command else None
        return answer() if callable(answer) else answer

    return respond


def test_a_record_is_configured_armed_and_fetched_in_parts(script):
    instrument = script(
        *CONFIGURING,
        *ARMING,
        ("OPER:COND?", "+40"),
        ("OPER:COND?", "+0"),
        *READING,
        ("WAV:PRE?", PREAMBLE),
        ("WAV:DATA?", block(CODES.tobytes())),
        ("STOP", None),
    )
    recorder = configured(recorder_of(instrument))
    assert recorder.samples_ready() == 0
    recorder.arm()
    assert recorder.samples_ready() == 0
    assert recorder.samples_ready() == 240
    first, second = recorder.fetch("2", 0, 200), recorder.fetch("2", 200, 40)  # transferred once
    np.testing.assert_allclose(np.concatenate([first, second]), (np.arange(3, 243) - 128) * 6.25e-3, atol=1e-12)
    assert first.dtype == np.float64
    recorder.abort()
    assert recorder.samples_ready() == 0
    instrument.finish(recorder.line)


@pytest.mark.parametrize(
    ("inputs", "rate_Hz", "n_samples", "says"),
    [
        ({"1": 1.0}, 5e4, 10, "range: 1 V is not one of 0.004, 0.008, 0.02"),
        ({"1": 0.8}, 3e4, 10, "sample rate: 30000 Sa/s is not one of 10, 20, 50, 100"),
        ({"1": 0.8}, 5e4, 0, "0 samples"),
        ({"1": 0.8}, 5e4, 100_001, "a record has 1 … 100000"),
        ({"1": 0.8}, 100.0, 100_000, "width_s: 1000 s is outside"),
    ],
)
def test_what_cannot_be_set_exactly_is_refused_before_a_byte_leaves(script, inputs, rate_Hz, n_samples, says):
    instrument = script()
    recorder = recorder_of(instrument)
    with pytest.raises(OutOfRange, match=says):
        recorder.configure(inputs, sample_rate_Hz=rate_Hz, n_samples=n_samples)
    instrument.finish(recorder.line)


def test_an_unknown_input_or_option_names_what_there_is(script):
    line = open_line(script().address)
    driver = KeysightDSOX1204G(line, {})
    with pytest.raises(UnknownTerminal, match="digitiser"):
        driver.digitiser().configure({"5": 0.8}, sample_rate_Hz=5e4, n_samples=10)
    with pytest.raises(UnknownTerminal):
        driver.meter("1")
    with pytest.raises(BadOptions, match="trigger_level_V"):
        KeysightDSOX1204G(line, {"trigger_level": 1.0})


def test_arming_without_configuring_says_so(script):
    with pytest.raises(DriverError, match="configure"):
        recorder_of(script()).arm()


def test_with_a_probe_ranges_and_samples_are_at_its_tip(tcp_instrument):
    instrument = tcp_instrument(answering(WAVPRE=PREAMBLE.replace("6.25000000E-03", "6.25000000E-02")))
    recorder = recorder_of(instrument, probe=10.0, slope="falling", trigger_level_V=-0.5)
    with pytest.raises(OutOfRange, match=r"0\.04, 0\.08, 0\.2"):
        recorder.configure({"2": 0.004}, sample_rate_Hz=5e4, n_samples=10)
    recorder.configure({"2": 8.0}, sample_rate_Hz=5e4, n_samples=240)
    recorder.arm()
    assert recorder.fetch("2", 0, 1) == pytest.approx((3 - 128) * 6.25e-2)
    sent = instrument.commands()
    for command in ("CHAN2:PROB 10", "CHAN2:SCAL 2", "TRIG:EDGE:SLOP NEG", "TRIG:EDGE:LEV -0.5"):
        assert command in sent


def test_samples_beyond_the_screen_are_at_the_range_or_an_error_where_the_station_wants_it(tcp_instrument):
    codes = np.concatenate([OUT_OF_IT, CODES[5:]])
    instrument = tcp_instrument(answering(WAVDATA=block(codes.tobytes())))
    recorder = configured(recorder_of(instrument))
    recorder.arm()
    np.testing.assert_allclose(recorder.fetch("2", 0, 5), [-0.8, -0.8, -126 * 6.25e-3, 126 * 6.25e-3, 0.8])
    strict = configured(recorder_of(instrument, overload="error"))
    strict.arm()
    with pytest.raises(
        BadAnswer, match=r"3 of 5 samples from 0 on are beyond the screen \(±0.8 V\).*larger range, of .*2, 4"
    ):
        strict.fetch("2", 0, 5)
    assert strict.fetch("2", 5, 10).max() < 0.8  # these are known


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("+2.00000000E-05", "+1.00000000E-05", "a sample every 1e-05 s instead of 2e-05 s"),
        ("+0.00000000E+00,+0", "-1.00000000E-04,+0", "sample 0 is -0.0001 s after the trigger"),
        ("6.25000000E-03", "3.12500000E-03", "a screen of ±0.4 V instead of ±0.8 V"),
        ("+250", "+500", "250 samples, 500 announced"),
        ("+0,+0,+250", "+4,+0,+250", "no preamble of bytes"),
        (",+128", "", "no preamble of bytes"),
        (",+128", ",none", "not a number"),
    ],
)
def test_a_record_that_is_not_the_one_asked_for_is_told(tcp_instrument, old, new, says):
    recorder = configured(recorder_of(tcp_instrument(answering(WAVPRE=PREAMBLE.replace(old, new, 1)))))
    recorder.arm()
    with pytest.raises(BadAnswer, match=says):
        recorder.fetch("2", 0, 10)


def test_reading_outside_the_record_or_of_another_input_is_refused(tcp_instrument):
    recorder = configured(recorder_of(tcp_instrument(answering())))
    recorder.arm()
    for start, count in ((0, 241), (-1, 2), (0, 0)):
        with pytest.raises(OutOfRange, match="of a record of 240"):
            recorder.fetch("2", start, count)
    with pytest.raises(UnknownTerminal, match="was not configured"):
        recorder.fetch("1", 0, 1)


def test_a_block_that_comes_in_pieces_is_put_together(tcp_instrument):
    instrument = tcp_instrument(answering(WAVDATA=None))
    recorder = configured(recorder_of(instrument))
    recorder.arm()
    whole = block(CODES.tobytes())

    def send_in_pieces():
        while "WAV:DATA?" not in instrument.commands():
            time.sleep(1e-3)
        for start in range(0, len(whole), 50):
            instrument.send_unasked(whole[start : start + 50])
            time.sleep(5e-3)

    instrument.start(send_in_pieces)
    np.testing.assert_allclose(recorder.fetch("2", 0, 240), (CODES[:240].astype(float) - 128) * 6.25e-3, atol=1e-12)


def test_a_block_that_is_cut_off_is_a_timeout_and_the_next_one_is_whole(tcp_instrument):
    whole = block(CODES.tobytes())
    answers = [whole[:100], whole[:100], whole]  # asked once more after the first: it is the same record
    recorder = configured(recorder_of(tcp_instrument(answering(WAVDATA=lambda: answers.pop(0)))))
    recorder.arm()
    with pytest.raises(LineTimeout, match=r"only \d+ of 250 bytes.*WAV:DATA"):
        recorder.fetch("2", 0, 10)
    assert recorder.fetch("2", 0, 10).shape == (10,)


def test_what_the_error_queue_holds_is_raised(tcp_instrument):
    errors = ['-221,"Settings conflict"', '+0,"No error"']
    recorder = recorder_of(tcp_instrument(answering(SYSTERR=lambda: errors.pop(0))))
    with pytest.raises(InstrumentReported, match="Settings conflict"):
        configured(recorder)


def test_an_instrument_without_a_record_says_why_it_does_not_answer(tcp_instrument):
    errors = []
    respond = answering(
        WAVPRE=lambda: errors.append('-230,"Data corrupt or stale"'), SYSTERR=lambda: (errors or ["+0"]).pop()
    )
    recorder = configured(recorder_of(tcp_instrument(respond)))
    recorder.arm()
    with pytest.raises(InstrumentReported, match="-230, Data corrupt or stale"):
        recorder.fetch("2", 0, 10)


def test_one_that_never_arms_is_a_timeout(tcp_instrument):
    recorder = configured(recorder_of(tcp_instrument(answering(AER="+0"))))
    with pytest.raises(LineTimeout, match="does not wait for its trigger"):
        recorder.arm()


def test_a_lost_answer_about_being_armed_is_not_asked_for_again(tcp_instrument):
    answers = ["+0", Hang()]
    recorder = configured(recorder_of(tcp_instrument(answering(AER=lambda: answers.pop(0) if answers else "+1"))))
    with pytest.raises(LineTimeout, match=r"AER\?"):
        recorder.arm()


def test_unplugged_and_plugged_in_again_it_is_set_up_again_before_the_next_record(tcp_instrument):
    instrument = tcp_instrument(answering())
    recorder = configured(recorder_of(instrument))
    recorder.arm()
    port = instrument.port
    instrument.refuse()
    instrument.kill_connections()
    with pytest.raises((LineLost, LineTimeout)):
        recorder.samples_ready()
    instrument.listen(port)
    instrument.received.clear()
    recorder.arm()
    sent = [command for command in instrument.commands() if "?" not in command]
    assert sent == [*(command for command, _ in CONFIGURING if "?" not in command), "SING"]


def test_a_connection_that_breaks_between_source_and_data_is_chosen_anew(tcp_instrument):
    answers = [Close(), block(CODES.tobytes()), block(CODES.tobytes())]
    instrument = tcp_instrument(answering(WAVDATA=lambda: answers.pop(0)))
    recorder = configured(recorder_of(instrument))
    recorder.arm()
    assert recorder.fetch("2", 0, 240).shape == (240,)
    assert instrument.commands().count("WAV:SOUR CHAN2") == 2  # another source may have been chosen meanwhile


@pytest.fixture(scope="module")
def oscillator() -> Iterator[dict[str, str]]:
    """Addresses of the simulated bench in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sim_devices", "sim_devices/benches/oscillator.toml", "--exit-with-parent"],
        cwd=Path(__file__).parents[2], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        announced = json.loads(process.stdout.readline())
        yield {name: instrument["address"] for name, instrument in announced["instruments"].items()}
    finally:
        process.stdin.close()
        process.wait(timeout=10)
        process.stdout.close()


def test_what_the_simulated_oscillator_does_is_what_the_simulated_oscilloscope_records(oscillator):
    generator = Keysight33500B(open_line(oscillator["awg"]), {})
    driver = KeysightDSOX1204G(open_line(oscillator["scope"]), {})
    recorder = driver.digitiser()
    assert isinstance(driver, Driver)
    assert isinstance(recorder, Digitiser)
    generator.set_point("1").set_value(0.0)
    generator.set_point("1").enable(True)
    drive = np.repeat([0.0, 0.9, 0.0], [500, 4000, 500])
    generator.player().load({"1": drive}, sample_rate_Hz=5e4)
    recorder.configure({"1": 0.8}, sample_rate_Hz=5e4, n_samples=drive.size)
    generator.player().arm()
    recorder.arm()
    assert recorder.samples_ready() == 0
    generator.player().trigger()
    while recorder.samples_ready() < drive.size:
        time.sleep(0.01)
    volts = recorder.fetch("1", 0, drive.size)
    generator.player().stop()
    # γ = 2000 (0.9 - 0.3) / s, saturation 1000 / s, 200 Hz of shear: power 1.2 and 2240 Hz after some milliseconds
    steady = volts[1500:4500] - 0.05
    assert np.sqrt(2 * np.mean(steady**2)) == pytest.approx(0.4 * np.sqrt(1.2), rel=0.03)
    turns = np.unwrap(np.angle(np.fft.ifft(np.fft.fft(steady) * (np.fft.fftfreq(3000) > 0))))
    assert (turns[-100] - turns[100]) / (2 * np.pi * 2800 * 2e-5) == pytest.approx(2240, abs=30)
    assert np.abs(volts[:500] - 0.05).max() < 0.25  # thermal noise: 35 mV
    assert driver.describe_settings()["scale_1_V"] == "0.2 V"
    driver.line.write("CHAN1:COUP AC")
    with pytest.raises(InstrumentReported, match="AC coupling"):
        driver.check_errors()
    driver.close()
    generator.close()
