"""Every way in which a connection goes wrong, on real sockets and ptys."""

import threading

import pytest
from fake_instruments import IDENTITY, Close, Hang, Held

from drivers.errors import BadAnswer, LineClosed, LineLost, LineRefused, LineTimeout, WrongIdentity
from drivers.transport import open_line

QUICK = {"timeout_s": 0.5, "reconnect_s": 0.3}


def echo(command):
    """Answers a question with itself, so that a crossed answer shows."""
    return command if command.endswith("?") and command != "*IDN?" else None


def no_answer_once(reply_for_first):
    """The first "SLOW?" gets `reply_for_first`, everything else is answered at once."""
    first = [reply_for_first]

    def respond(command):
        return first.pop() if command == "SLOW?" and first else echo(command)

    return respond


@pytest.fixture(params=["tcp", "pty"])
def make(request, tcp_instrument, pty_instrument):
    """Each test runs over a socket and over a serial port."""
    return tcp_instrument if request.param == "tcp" else pty_instrument


def test_opening_asks_who_is_there(make):
    line = open_line(make(echo).address)
    assert str(line.identity) == IDENTITY
    assert line.query("A?") == "A?"
    assert line.generation == 0
    line.close()


def test_nodelay_is_on(tcp_instrument):
    import socket

    line = open_line(tcp_instrument(echo).address)
    assert line._connection.framing.link._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_refused_port_is_refused_on_opening_and_says_where(tcp_instrument):
    instrument = tcp_instrument(echo)
    instrument.refuse()
    with pytest.raises(LineRefused, match=f"{instrument.port}.*[Rr]efused"):
        open_line(instrument.address, **QUICK)


def test_an_unknown_host_is_refused():
    with pytest.raises(LineRefused, match="no-such-host"):
        open_line("TCPIP::no-such-host.invalid::5025::SOCKET", **QUICK)


def test_a_missing_tty_is_refused(tmp_path):
    with pytest.raises(LineRefused, match=r"tty-missing.*cable"):
        open_line(f"ASRL{tmp_path}/tty-missing::INSTR", **QUICK)


def test_an_address_of_no_kind_is_refused():
    with pytest.raises(LineRefused, match="nonsense"):
        open_line("nonsense", **QUICK)


def test_an_instrument_that_hangs_on_opening_is_a_timeout_that_names_the_probe(make):
    instrument = make(lambda command: Hang())
    with pytest.raises(LineTimeout, match=r"\*IDN\?"):
        open_line(instrument.address, **QUICK)


def test_another_serial_number_than_expected_is_an_error(make):
    with pytest.raises(WrongIdentity, match=r"SN-1.*SN-2"):
        open_line(make(echo).address, expected_serial="SN-2", **QUICK)


def test_no_reply_names_address_command_and_remedy(make):
    instrument = make(lambda command: None)
    line = open_line(instrument.address, **QUICK)
    with pytest.raises(LineTimeout, match="VOLT") as caught:
        line.query("VOLT?", idempotent=False)
    assert caught.value.address == instrument.address
    assert "timeout_s" in str(caught.value)


def test_a_late_reply_is_never_taken_for_the_next_one(make):
    late = Held("LATE")
    line = open_line(make(no_answer_once(late)).address, **QUICK)
    with pytest.raises(LineTimeout):
        line.query("SLOW?", idempotent=False)
    threading.Timer(0.05, late.release.set).start()
    assert line.query("NEXT?") == "NEXT?"
    assert line.query("AFTER?") == "AFTER?"


def test_a_late_identity_is_never_taken_for_the_next_one(make):
    late = Held(IDENTITY)
    line = open_line(make(no_answer_once(late)).address, **QUICK)
    with pytest.raises(LineTimeout):
        line.query("SLOW?", idempotent=False)
    late.release.set()
    assert [line.query(f"Q{n}?") for n in range(5)] == [f"Q{n}?" for n in range(5)]


def test_an_instrument_that_still_hangs_gives_a_timeout_and_comes_back_later(make):
    late = Held("LATE")
    line = open_line(make(no_answer_once(late)).address, **QUICK)
    serial = line.address.startswith("ASRL")
    with pytest.raises(LineTimeout):
        line.query("SLOW?", idempotent=False)
    if serial:  # a serial instrument that hangs hangs for everybody; a new TCP connection is served
        with pytest.raises(LineTimeout):
            line.query("NEXT?")
    late.release.set()
    assert line.query("NEXT?") == "NEXT?"


def test_half_a_reply_is_shown_and_never_glued_to_the_next(make):
    line = open_line(make(lambda command: b"1.23" if command == "SLOW?" else echo(command)).address, **QUICK)
    with pytest.raises(LineTimeout, match=r"only part of an answer: b'1\.23'"):
        line.query("SLOW?", idempotent=False)
    assert line.query("NEXT?") == "NEXT?"


def test_a_question_is_asked_once_more_after_a_repair(make):
    instrument = make(no_answer_once(b"half"))
    line = open_line(instrument.address, **QUICK)
    assert line.query("SLOW?") == "SLOW?"
    assert instrument.commands() == ["SLOW?", "SLOW?"]


def test_something_that_nobody_asked_for_is_not_an_answer(tcp_instrument):
    instrument = tcp_instrument(echo)
    line = open_line(instrument.address, **QUICK)
    instrument.send_unasked(b"unasked\n")
    while not line._connection.framing.unexpected():
        pass
    assert line.query("NEXT?") == "NEXT?"


def test_two_answers_to_one_question_do_not_shift_the_next(make):
    line = open_line(make(lambda command: b"one\ntwo\n" if command == "SLOW?" else echo(command)).address, **QUICK)
    assert line.query("SLOW?") == "one"
    assert line.query("NEXT?") == "NEXT?"


def test_a_peer_that_closed_is_noticed_before_the_write_and_nothing_is_lost(tcp_instrument):
    instrument = tcp_instrument(echo)
    line = open_line(instrument.address, **QUICK)
    instrument.kill_connections()
    line.write("VOLT 1")
    assert line.query("VOLT?") == "VOLT?"
    assert instrument.commands() == ["VOLT 1", "VOLT?"]
    assert line.generation == 1


def test_a_peer_that_closes_instead_of_answering_is_asked_again_on_a_new_connection(tcp_instrument):
    line = open_line(tcp_instrument(no_answer_once(Close())).address, **QUICK)
    assert line.query("SLOW?") == "SLOW?"
    assert line.generation == 1


def test_a_set_command_is_never_repeated(tcp_instrument):
    instrument = tcp_instrument(no_answer_once(Close()))
    line = open_line(instrument.address, **QUICK)
    with pytest.raises(LineLost, match="carried out or not"):
        line.query("SLOW?", idempotent=False)
    line.write("VOLT 1")
    assert line.query("VOLT?") == "VOLT?"
    assert instrument.commands() == ["SLOW?", "VOLT 1", "VOLT?"]


def test_an_instrument_that_is_gone_is_given_up_within_bounds_and_found_again_when_back(tcp_instrument):
    instrument = tcp_instrument(echo)
    line = open_line(instrument.address, **QUICK)
    instrument.refuse()
    instrument.kill_connections()
    with pytest.raises(LineLost, match=r"not reachable again within 0\.3 s.*refused"):
        line.query("A?")
    instrument.listen(instrument.port)
    assert line.query("A?") == "A?"


def test_a_pty_that_hung_up_is_lost_and_found_again_behind_the_same_link(pty_instrument):
    instrument = pty_instrument(echo)
    line = open_line(instrument.address, **QUICK)
    instrument.unplug()
    with pytest.raises(LineLost):
        line.query("A?")
    instrument.plug_in()
    assert line.query("A?") == "A?"
    assert line.generation == 1


def test_another_instrument_in_the_same_place_is_not_spoken_to(make):
    instrument = make(echo)
    line = open_line(instrument.address, **QUICK)
    instrument.identity = "Fake Instruments,F-100,SN-9,1.0"
    with pytest.raises(WrongIdentity, match=r"SN-1.*SN-9"):
        line.reconnect()
    with pytest.raises(WrongIdentity):
        line.write("VOLT 1")
    assert "VOLT 1" not in instrument.received


def test_settings_are_applied_again_before_the_next_command(tcp_instrument):
    instrument = tcp_instrument(echo)
    line = open_line(instrument.address, **QUICK)
    line.on_reconnect(lambda: line.write("FORM REAL"))
    instrument.kill_connections()
    line.write("VOLT 1")
    assert line.query("A?") == "A?"
    assert instrument.commands() == ["FORM REAL", "VOLT 1", "A?"]


def test_a_line_whose_settings_could_not_be_applied_stays_unusable(tcp_instrument):
    instrument = tcp_instrument(echo)
    line = open_line(instrument.address, **QUICK)

    def refuse():
        raise RuntimeError("no")

    line.on_reconnect(refuse)
    instrument.kill_connections()
    for _ in range(2):
        with pytest.raises(RuntimeError):
            line.write("VOLT 1")
    assert "VOLT 1" not in instrument.received


def test_close_from_another_thread_ends_a_waiting_read(make):
    line = open_line(make(no_answer_once(Hang())).address, timeout_s=30.0)
    failures = []

    def ask():
        try:
            line.query("SLOW?")
        except LineClosed as error:
            failures.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    while line.lock.acquire(blocking=False):  # wait until the other thread is inside
        line.lock.release()
    line.close()
    asking.join(timeout=10)
    assert len(failures) == 1
    with pytest.raises(LineClosed):
        line.query("A?")


def test_closing_twice_is_harmless(make):
    line = open_line(make(echo).address)
    line.close()
    line.close()
    with pytest.raises(LineClosed, match="closed"):
        line.write("A")


def test_without_a_probe_a_fault_costs_a_silence_but_no_late_reply(make):
    late = Held("LATE")
    instrument = make(no_answer_once(late))
    line = open_line(instrument.address, probe=None, **QUICK)
    assert instrument.received == []
    with pytest.raises(LineTimeout):
        line.query("SLOW?", idempotent=False)
    late.release.set()
    assert line.query("NEXT?") == "NEXT?"


def test_a_command_with_a_line_end_is_refused_before_it_is_sent(make):
    instrument = make(echo)
    line = open_line(instrument.address)
    with pytest.raises(ValueError, match="line ends"):
        line.write("VOLT 1\nOUTP ON")
    assert instrument.commands() == []


def test_an_answer_that_is_no_block_is_a_bad_answer_and_the_line_recovers(make):
    line = open_line(make(echo).address, **QUICK)
    with pytest.raises(BadAnswer, match="DATA"):
        line.query_block("DATA?")
    assert line.query("A?") == "A?"


def test_who_is_there_can_be_asked_again_without_a_repair(make):
    instrument = make(echo)
    line = open_line(instrument.address, **QUICK)
    assert str(line.identify()) == IDENTITY
    assert line.generation == 0
    instrument.identity = "Fake Instruments,F-100,SN-9,1.0"
    with pytest.raises(WrongIdentity, match=r"SN-1.*SN-9"):
        line.identify()
    with pytest.raises(WrongIdentity):
        line.write("VOLT 1")
    assert "VOLT 1" not in instrument.received


def test_a_serial_port_number_that_went_to_another_instrument_is_noticed(tmp_path, pty_instrument):
    first, other = pty_instrument(echo), pty_instrument(echo)
    other.identity = "Fake Instruments,F-100,SN-9,1.0"
    port = tmp_path / "ttyUSB0"
    port.symlink_to(first.address.removeprefix("ASRL").removesuffix("::INSTR"))
    line = open_line(f"ASRL{port}::INSTR", **QUICK)
    port.unlink()
    port.symlink_to(other.address.removeprefix("ASRL").removesuffix("::INSTR"))
    with pytest.raises(WrongIdentity, match=r"SN-1.*was here, now .*SN-9"):
        line.reconnect()
    for _ in range(2):
        with pytest.raises(WrongIdentity):
            line.write("VOLT 1")
    assert "VOLT 1" not in other.received
    port.unlink()
    port.symlink_to(first.address.removeprefix("ASRL").removesuffix("::INSTR"))
    assert line.query("A?") == "A?"
    assert line.generation == 1
