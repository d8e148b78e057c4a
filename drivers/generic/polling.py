"""Asking until the answer is the expected one."""

import time

from drivers.errors import BadAnswer, LineTimeout
from drivers.generic.parts import DEFAULT_POLL_S, Poll
from drivers.generic.talking import Sender


def says_yes(sender: Sender, poll: Poll, *, limit_s: float = DEFAULT_POLL_S) -> bool:
    """Ask once. "*OPC?" is waited for, at most limit_s or the poll's own limit, since its answer comes when all is done."""
    waits = poll.query.strip().upper().endswith("*OPC?")
    # a status register may be cleared by being read, so a lost answer must not be asked for again
    answer = sender.ask(poll.query, idempotent=False, timeout_s=(poll.timeout_s or limit_s) if waits else None)
    text = field_of(answer, poll.field, address=sender.line.address, command=poll.query)
    return any(_equal(sender, text, expected, poll) for expected in poll.expect)


def _equal(sender: Sender, text: str, expected: int | float | str, poll: Poll) -> bool:
    if poll.mask is not None:
        return int(sender.number(text, poll.query)) & poll.mask == int(float(expected))
    try:
        return float(text) == float(expected)
    except ValueError:
        return text.strip().strip("\"'").casefold() == str(expected).strip().casefold()


def wait_until(sender: Sender, poll: Poll, *, what: str) -> None:
    """Ask until yes; raises LineTimeout after the poll's time limit."""
    limit_s = poll.timeout_s or DEFAULT_POLL_S
    give_up_s = time.monotonic() + limit_s
    while not says_yes(sender, poll):
        if time.monotonic() > give_up_s:
            wanted = " or ".join(map(repr, poll.expect)) + ("" if poll.mask is None else f" under mask {poll.mask}")
            raise LineTimeout(
                sender.line.address, poll.query, f"{what}: the answer was not {wanted} within {limit_s:g} s"
            )
        time.sleep(poll.poll_s)


def field_of(answer: str, field: int, *, address: str, command: str) -> str:
    """One field of an answer with commas; raises BadAnswer where there are fewer."""
    fields = answer.split(",")
    if not -len(fields) <= field < len(fields):
        raise BadAnswer(f"{address}: {command!r} was answered {answer[:80]!r}, which has no field {field}")
    return fields[field]
