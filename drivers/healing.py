"""Showing that question and answer are in step on an open link, and who answers there."""

import time

from drivers.framing import Framing
from drivers.identity import Identity
from drivers.link import LinkFault

SHORTEST_QUIET_S = 0.05
MOST_PROBES = 6


class OutOfStep(LinkFault):
    """The instrument answers, but never twice the same to *IDN?."""


def identify(
    framing: Framing, probe: bytes, *, timeout_s: float, known: Identity | None, after_fault: bool
) -> Identity:
    """Ask who is there until two answers in a row agree, and with `known` if given; return that identity.

    A late reply that is still on its way would be read as the first answer and push every later one back by one. So
    each round first waits until nothing more comes, for at least twice the time that the last answer took (skipped on
    a fresh line, where two equal answers straight away are proof enough). Raises LinkSilent, LinkEnded or OutOfStep.
    """
    quiet_s = SHORTEST_QUIET_S
    careful = after_fault
    previous: str | None = None
    for attempt in range(MOST_PROBES):
        if careful:
            framing.drain(quiet_s)
        asked_s = time.monotonic()
        framing.link.send(probe, timeout_s)
        answer = framing.receive_line(timeout_s)
        quiet_s = min(timeout_s, max(SHORTEST_QUIET_S, 2 * (time.monotonic() - asked_s)))
        identity = Identity.parse(answer)
        expected = known is None or known.same_instrument(identity) or attempt == MOST_PROBES - 1
        if answer == previous and expected:
            return identity
        careful = careful or previous is not None
        previous = answer
    raise OutOfStep(f"{probe.decode('ascii').strip()} is answered differently each time, last {previous!r}")
