"""Asking until the answer is the expected one."""

import time

from drivers.errors import BadAnswer, LineTimeout
from drivers.generic.options import Poll
from drivers.line import Line
from drivers.scpi import parse_number


def says_yes(line: Line, poll: Poll) -> bool:
    """Ask once. "*OPC?" is waited for, since its answer comes when all is done."""
    waits = poll.query.strip().upper().endswith("*OPC?")
    # a status register may be cleared by being read, so a lost answer must not be asked for again
    answer = line.query(poll.query, idempotent=False, timeout_s=poll.timeout_s if waits else None)
    text = field_of(answer, poll.field, line=line, command=poll.query)
    if poll.mask is not None:
        found = int(parse_number(text, line.address, poll.query)) & poll.mask
        return found == int(parse_number(str(poll.expect), line.address, poll.query))
    try:
        return float(text) == float(poll.expect)
    except ValueError:
        return text.strip().strip("\"'").casefold() == str(poll.expect).strip().casefold()


def wait_until(line: Line, poll: Poll, *, what: str) -> None:
    """Ask until yes; raises LineTimeout after poll.timeout_s."""
    give_up_s = time.monotonic() + poll.timeout_s
    while not says_yes(line, poll):
        if time.monotonic() > give_up_s:
            wanted = f"{poll.expect!r}" + ("" if poll.mask is None else f" under mask {poll.mask}")
            raise LineTimeout(
                line.address, poll.query, f"{what}: the answer was not {wanted} within {poll.timeout_s:g} s"
            )
        time.sleep(poll.poll_s)


def field_of(answer: str, field: int, *, line: Line, command: str) -> str:
    """One field of an answer with commas; raises BadAnswer where there are fewer."""
    fields = answer.split(",")
    if not -len(fields) <= field < len(fields):
        raise BadAnswer(f"{line.address}: {command!r} was answered {answer[:80]!r}, which has no field {field}")
    return fields[field]
