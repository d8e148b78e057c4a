"""Ctrl-C and signals in the middle of an exchange: the answer on its way must not go to the next question."""

import os
import signal
import threading

import pytest
from fake_instruments import Held

from drivers.errors import LineTimeout
from drivers.transport import open_line


def echo(command):
    return command if command.endswith("?") and command != "*IDN?" else None


@pytest.fixture(params=["tcp", "pty"])
def make(request, tcp_instrument, pty_instrument):
    return tcp_instrument if request.param == "tcp" else pty_instrument


@pytest.fixture
def on_signal():
    """Install a handler of SIGUSR1 for the test."""
    before = signal.getsignal(signal.SIGUSR1)

    def install(handler):
        signal.signal(signal.SIGUSR1, handler)

    yield install
    signal.signal(signal.SIGUSR1, before)


def send_signal_when_asked(late):
    """A respond() that sends the signal as soon as "SLOW?" has arrived, and holds its answer back."""
    waiting = [late]

    def respond(command):
        if command == "SLOW?" and waiting:
            waiting.pop()
            threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGUSR1)).start()
            return late
        return echo(command)

    return respond


def test_an_interrupted_question_does_not_shift_the_answers(make, on_signal):
    late = Held("LATE")
    line = open_line(make(send_signal_when_asked(late)).address, timeout_s=1.0)

    def interrupt(*_):
        raise KeyboardInterrupt

    on_signal(interrupt)
    with pytest.raises(KeyboardInterrupt):
        line.query("SLOW?")
    threading.Timer(0.02, late.release.set).start()
    assert [line.query(f"Q{n}?") for n in range(5)] == [f"Q{n}?" for n in range(5)]


def test_a_signal_handler_may_use_the_line_in_the_middle_of_a_question(make, on_signal):
    late = Held("LATE")
    line = open_line(make(send_signal_when_asked(late)).address, timeout_s=1.0)
    answers = []

    def make_safe(*_):
        late.release.set()
        line.write("VOLT 0")
        answers.append(line.query("VOLT?"))

    on_signal(make_safe)
    try:
        outer = line.query("SLOW?")
    except LineTimeout:
        outer = "SLOW?"  # its answer was thrown away by the repair, which is as good
    assert answers == ["VOLT?"]
    assert outer == "SLOW?"
    assert line.query("NEXT?") == "NEXT?"
