"""Opening a link and showing that question and answer are in step on it, and who answers there."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from drivers.errors import WrongIdentity
from drivers.framing import Framing
from drivers.identity import UNKNOWN, Identity
from drivers.link import Link, LinkEnded, LinkFault, LinkNotOpened

SHORTEST_QUIET_S = 0.05
MOST_PROBES = 6
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 1.0


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


@dataclass(slots=True)
class Doorkeeper:
    """Opens links to one address and lets nobody in but the instrument that belongs there.

    probe: the question that shows who answers, with its terminator; None if the instrument knows none.
    identity: who answered last, UNKNOWN before the first time.
    """

    address: str
    open_link: Callable[[], Link]
    read_termination: str
    timeout_s: float
    probe: bytes | None
    expected_serial: str | None
    identity: Identity = UNKNOWN

    def open(self, *, after_fault: bool) -> Framing:
        """A new connection, checked. Raises LinkFault or WrongIdentity, and then leaves nothing open."""
        framing = Framing(self.open_link(), self.read_termination)
        try:
            self.check(framing, after_fault=after_fault)
        except BaseException:
            framing.link.close()
            raise
        return framing

    def reopen(self, *, within_s: float, closing: threading.Event) -> Framing:
        """open() again and again, with a growing pause, until it succeeds; gives up after within_s with the last fault.

        An instrument that is there but silent is not waited for. closing: set by another thread to end this.
        """
        give_up_s = time.monotonic() + within_s
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                return self.open(after_fault=True)
            except (LinkNotOpened, LinkEnded, OutOfStep):
                if time.monotonic() + pause_s > give_up_s or closing.wait(pause_s):
                    raise
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def check(self, framing: Framing, *, after_fault: bool) -> None:
        """Probe an open connection and compare with who was here before, and with the serial number expected."""
        if self.probe is None:
            if after_fault:
                # nothing can show that we are in step, so a whole timeout of silence has to do
                framing.drain(self.timeout_s)
            return
        known = None if self.identity is UNKNOWN else self.identity
        found = identify(framing, self.probe, timeout_s=self.timeout_s, known=known, after_fault=after_fault)
        if known is not None and not known.same_instrument(found):
            raise WrongIdentity(f"{self.address}: {known} was here, now {found} answers: was the cable moved?")
        if self.expected_serial is not None and found.serial != self.expected_serial:
            raise WrongIdentity(
                f"{self.address}: {found} answers, but serial number {self.expected_serial!r} is expected here: "
                "is the address right, or the serial number in the station file?"
            )
        self.identity = found
