"""VXI-11, HiSLIP and GPIB through pyvisa-py: the same line, the same promises."""

import threading

import pytest
import pyvisa
from fake_instruments import IDENTITY, Hang, Held, block
from fake_visa_instruments import HislipInstrument, PrologixInstrument, Vxi11Instrument

from drivers.errors import LineClosed, LineLost, LineRefused, LineTimeout
from drivers.transport import open_line

QUICK = {"timeout_s": 0.5, "reconnect_s": 0.3}


@pytest.fixture
def open_here():
    """open_line() whose lines are closed with the test."""
    lines = []

    def build(address, **options):
        lines.append(open_line(address, **options))
        return lines[-1]

    yield build
    for line in lines:
        line.close()


def echo(command):
    return command if command.endswith("?") and command != "*IDN?" else None


@pytest.fixture(params=[Vxi11Instrument, HislipInstrument])
def make(request):
    made = []

    def build(respond=echo):
        made.append(request.param(respond))
        return made[-1]

    yield build
    for instrument in made:
        instrument.stop()


def test_questions_and_answers(make, open_here):
    line = open_here(make().address)
    assert str(line.identity) == IDENTITY
    assert [line.query(f"Q{n}?") for n in range(20)] == [f"Q{n}?" for n in range(20)]
    line.close()


def test_commands_and_blocks(make, open_here):
    payload = bytes(range(256)) * 2000
    instrument = make(lambda command: block(payload) if command == "DATA?" else echo(command))
    line = open_here(instrument.address)
    assert line.query_block("DATA?") == payload
    line.write_block("DATA ", b"\n\x00\n")
    assert line.query("NEXT?") == "NEXT?"
    assert instrument.commands()[1] == "DATA #13\n\x00"  # the fake strips line ends, the payload's own among them


def test_a_long_answer_in_text(make, open_here):
    text = ",".join(str(number) for number in range(20_000))
    line = open_here(make(lambda command: text if command == "DATA?" else echo(command)).address)
    assert line.query("DATA?") == text


def test_a_late_reply_is_never_taken_for_the_next_one(make, open_here):
    late = Held("LATE")
    waiting = [late]
    instrument = make(lambda command: waiting.pop() if command == "SLOW?" and waiting else echo(command))
    line = open_here(instrument.address, **QUICK)
    with pytest.raises(LineTimeout):
        line.query("SLOW?", idempotent=False)
    late.release.set()
    assert [line.query(f"Q{n}?") for n in range(5)] == [f"Q{n}?" for n in range(5)]


def test_after_a_timeout_the_device_is_cleared(make, open_here):
    instrument = make(lambda command: None)
    line = open_here(instrument.address, **QUICK)
    with pytest.raises(LineTimeout):
        line.query("SLOW?", idempotent=False)
    line.write("VOLT 1")
    assert instrument.clears >= 1


def test_a_killed_connection_heals(make, open_here):
    instrument = make()
    line = open_here(instrument.address, **QUICK)
    instrument.kill_connections()
    assert line.query("A?") == "A?"
    assert line.generation == 1


def test_an_instrument_that_is_gone_is_lost(make, open_here):
    instrument = make()
    line = open_here(instrument.address, **QUICK)
    instrument.refuse()
    instrument.kill_connections()
    with pytest.raises(LineLost):
        line.query("A?")


def test_a_refused_port_is_refused(make):
    instrument = make()
    instrument.refuse()
    with pytest.raises(LineRefused):
        open_line(instrument.address, **QUICK)


def test_close_from_another_thread_ends_a_waiting_read(make, open_here):
    line = open_here(make(lambda command: Hang() if command == "SLOW?" else None).address, timeout_s=2.0)
    failures = []

    def ask():
        try:
            line.query("SLOW?")
        except LineClosed as error:
            failures.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    while line.lock.acquire(blocking=False):
        line.lock.release()
    line.close()
    asking.join(timeout=10)
    assert len(failures) == 1


def test_two_threads_get_no_crossed_answers(make, open_here):
    line = open_here(make().address)
    wrong = []

    def ask(name):
        for number in range(200):
            if line.query(f"{name}{number}?") != f"{name}{number}?":
                wrong.append(number)

    threads = [threading.Thread(target=ask, args=(name,)) for name in "AB"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_gpib_name_behind_a_gateway(open_here):
    instrument = PrologixInstrument(echo)
    line = open_here(instrument.address, gateway=instrument.gateway)
    assert line.query("A?") == "A?"
    line.close()
    instrument.stop()


def test_lines_open_again_after_other_code_of_the_process_closed_its_manager(open_here):
    instrument = Vxi11Instrument(echo)
    before = open_here(instrument.address, **QUICK)
    assert before.query("*IDN?") == IDENTITY
    before.close()
    pyvisa.ResourceManager("@py").close()  # the same one: pyvisa keeps one a library
    assert open_here(instrument.address, **QUICK).query("*IDN?") == IDENTITY
