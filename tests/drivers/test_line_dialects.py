"""What instruments do that the standard does not foresee: stray line ends, pauses between messages, ports in use."""

import subprocess
import sys
import time

import pytest
from fake_instruments import block

from drivers.errors import LineRefused
from drivers.transport import open_line


def test_line_ends_alone_are_nobodys_answer(tcp_instrument):
    replies = {"CURVE?": block(b"abc") + b"\n", "VOLT?": b"1.5\n\r\n"}
    instrument = tcp_instrument(replies.get)
    line = open_line(instrument.address)
    for _ in range(3):
        assert line.query_block("CURVE?") == b"abc"
        assert line.query("VOLT?") == "1.5"
    assert line.generation == 0
    assert instrument.connections == 1
    line.close()


def test_a_line_feed_after_the_carriage_return_that_was_agreed(pty_instrument):
    instrument = pty_instrument(lambda command: b"+1.5\r\n" if command == "R1?" else None, terminator=b"\r")
    line = open_line(instrument.address, probe=None, read_termination="\r", write_termination="\r", timeout_s=0.5)
    assert [line.query("R1?") for _ in range(5)] == ["+1.5"] * 5
    assert instrument.received == ["R1?"] * 5
    line.close()


def test_a_serial_port_in_use_is_refused_in_another_process_too(pty_instrument):
    instrument = pty_instrument()
    line = open_line(instrument.address)
    with pytest.raises(LineRefused, match="in use, by another program"):
        open_line(instrument.address)
    told = subprocess.run(
        [sys.executable, "-c", f"from drivers.transport import open_line; open_line({instrument.address!r})"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "LineRefused" in told.stderr
    assert "is in use" in told.stderr
    line.close()
    open_line(instrument.address).close()


def test_a_pause_is_kept_after_commands_answers_and_the_identification(tcp_instrument):
    instrument = tcp_instrument(lambda command: "1" if command == "A?" else None)
    began_s = time.monotonic()
    line = open_line(instrument.address, pause_s=0.01)
    line.write("B 1")
    assert [line.query("A?") for _ in range(3)] == ["1"] * 3
    n_messages = len(instrument.received)
    assert n_messages == 6  # *IDN? twice, B 1, A? three times
    assert time.monotonic() - began_s >= 0.01 * n_messages
    line.close()
