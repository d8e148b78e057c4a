"""Binary blocks: header first, any bytes inside, nothing left on the line."""

import numpy as np
import pytest
from fake_instruments import Held, block

from drivers.blocks import definite_header, parse_header
from drivers.errors import BadAnswer, LineTimeout
from drivers.transport import open_line

QUICK = {"timeout_s": 0.5, "reconnect_s": 0.3}


def answers(**replies):
    """A fake that knows a few questions and echoes every other."""

    def respond(command):
        if command == "*IDN?":
            return None
        return replies.get(command.rstrip("?"), command if command.endswith("?") else None)

    return respond


@pytest.fixture(params=["tcp", "pty"])
def make(request, tcp_instrument, pty_instrument):
    return tcp_instrument if request.param == "tcp" else pty_instrument


@pytest.mark.parametrize("payload", [b"", b"\n", b"\n\n\n", b"#15\n", bytes(range(256)) * 9, b"x" * 1_000_000])
def test_any_bytes_come_through_a_definite_block(make, payload):
    line = open_line(make(answers(DATA=block(payload))).address)
    assert line.query_block("DATA?") == payload
    assert line.query("NEXT?") == "NEXT?"


def test_an_indefinite_block_ends_where_nothing_follows(make):
    payload = b"ab\ncd\n\nef"
    line = open_line(make(answers(DATA=b"#0" + payload + b"\n")).address)
    assert line.query_block("DATA?") == payload
    assert line.query("NEXT?") == "NEXT?"


def test_a_block_that_stops_half_way_says_how_much_came_and_the_line_recovers(make):
    line = open_line(make(answers(DATA=b"#3100" + b"x" * 60)).address, **QUICK)
    with pytest.raises(LineTimeout, match="only 60 of 100 bytes"):
        line.query_block("DATA?", idempotent=False)
    assert line.query("NEXT?") == "NEXT?"


def test_bytes_after_a_block_are_an_error_and_do_not_reach_the_next_answer(make):
    line = open_line(make(answers(DATA=b"#13abcEXTRA\n")).address, **QUICK)
    with pytest.raises(BadAnswer, match="5 bytes follow"):
        line.query_block("DATA?")
    assert line.query("NEXT?") == "NEXT?"


@pytest.mark.parametrize("answer", [b"1.5\n", b"#x12\n", b"#2ab\n", b"#9999999999\n"])
def test_what_is_no_block_is_a_bad_answer(make, answer):
    line = open_line(make(answers(DATA=answer)).address, **QUICK)
    with pytest.raises(BadAnswer, match=r"DATA\?"):
        line.query_block("DATA?")
    assert line.query("NEXT?") == "NEXT?"


def test_a_late_block_is_never_taken_for_the_next_answer(make):
    late = Held("#15LATE!")
    waiting = [late]
    line = open_line(make(lambda c: waiting.pop() if c == "DATA?" and waiting else answers()(c)).address, **QUICK)
    with pytest.raises(LineTimeout):
        line.query_block("DATA?", idempotent=False)
    late.release.set()
    assert line.query("NEXT?") == "NEXT?"


def test_a_block_is_written_with_prefix_header_and_suffix(make):
    instrument = make(answers())
    line = open_line(instrument.address)
    line.write_block("DATA:ARB wave,", b"\x00\n\xff", suffix=",END")
    assert line.query("NEXT?") == "NEXT?"
    assert instrument.commands() == [b"DATA:ARB wave,#13\x00\n\xff,END", "NEXT?"]


def test_a_large_block_is_written_whole(make):
    payload = np.random.default_rng(1).bytes(1_000_000)
    instrument = make(answers())
    line = open_line(instrument.address)
    line.write_block("DATA ", payload)
    assert line.query("NEXT?", timeout_s=10.0) == "NEXT?"
    assert instrument.commands()[0] == b"DATA #71000000" + payload


def test_headers_are_written_and_read_alike():
    for n_bytes in (0, 1, 9, 10, 999, 123456):
        header = definite_header(n_bytes)
        assert parse_header(header + b"more") == (len(header), n_bytes)
        assert all(parse_header(header[:short]) is None for short in range(len(header)))
