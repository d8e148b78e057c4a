"""Many threads, one line: no answer ever goes to the wrong one."""

import threading

import pytest

from drivers.errors import LineTimeout
from drivers.transport import open_line


def echo(command):
    return command if command.endswith("?") and command != "*IDN?" else None


def hammer(line, n_queries, n_threads=2):
    """Every thread asks n_queries questions of its own and compares the answers."""
    wrong = []

    def ask(name):
        for number in range(n_queries // n_threads):
            question = f"{name}{number}?"
            answer = line.query(question)
            if answer != question:
                wrong.append((question, answer))

    threads = [threading.Thread(target=ask, args=(f"T{index}Q",)) for index in range(n_threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return wrong


def test_two_threads_get_no_crossed_answers_in_10000_queries(tcp_instrument):
    instrument = tcp_instrument(echo)
    assert hammer(open_line(instrument.address), 10_000) == []
    assert len(instrument.commands()) == 10_000


def test_two_threads_get_no_crossed_answers_over_a_serial_port(pty_instrument):
    assert hammer(open_line(pty_instrument(echo).address), 2_000) == []


def test_four_threads_get_no_crossed_answers_while_connections_die(tcp_instrument):
    served = []

    def sometimes_dies(command):
        served.append(command)
        if len(served) % 97 == 0:
            instrument.kill_connections()
        return echo(command)

    instrument = tcp_instrument(sometimes_dies)
    line = open_line(instrument.address)
    assert hammer(line, 400, n_threads=4) == []
    assert line.generation >= 3


def test_locked_keeps_several_commands_together(tcp_instrument):
    state = {}

    def remembers(command):
        if command.startswith("SET "):
            state["value"] = command[4:]
            return None
        return state.get("value") if command == "GET?" else None

    line = open_line(tcp_instrument(remembers).address)
    wrong = []

    def set_and_get(name):
        for number in range(300):
            with line.locked():
                line.write(f"SET {name}{number}")
                if line.query("GET?") != f"{name}{number}":
                    wrong.append(number)

    threads = [threading.Thread(target=set_and_get, args=(name,)) for name in "AB"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_two_lines_to_two_instruments_do_not_wait_for_each_other(tcp_instrument):
    silent = open_line(tcp_instrument(lambda command: None).address, timeout_s=1.0)
    lively = open_line(tcp_instrument(echo).address)
    failures = []

    def ask_the_silent_one():
        try:
            silent.query("A?", idempotent=False)
        except LineTimeout as error:
            failures.append(error)

    waiting = threading.Thread(target=ask_the_silent_one)
    waiting.start()
    answers = [lively.query("B?") for _ in range(50)]
    still_waiting = waiting.is_alive()
    waiting.join()
    assert answers == ["B?"] * 50
    assert still_waiting
    assert len(failures) == 1


def test_closing_one_line_leaves_the_shared_resource_manager_open(tcp_instrument):
    first, second = (open_line(tcp_instrument(echo).address) for _ in range(2))
    first.close()
    assert second.query("A?") == "A?"


@pytest.mark.parametrize("n_lines", [8])
def test_lines_can_be_opened_at_the_same_time(tcp_instrument, n_lines):
    addresses = [tcp_instrument(echo).address for _ in range(n_lines)]
    lines = []
    threads = [threading.Thread(target=lambda a=address: lines.append(open_line(a))) for address in addresses]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(line.address for line in lines) == sorted(addresses)
