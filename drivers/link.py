# ruff: noqa: N818 - the names say what happened; "Error" would add nothing
"""The one interface between a Line and the medium below it: bytes out, bytes in, and what can go wrong with them."""

from abc import ABC, abstractmethod


class LinkFault(Exception):
    """Root of what a link raises; a Line turns it into an error that names address and command."""


class LinkSilent(LinkFault):
    """Nothing came, or nothing more could be sent, within the time given."""


class LinkEnded(LinkFault):
    """The other side has closed, or the medium is gone."""


class LinkNotOpened(LinkFault):
    """The medium could not be opened."""


class Link(ABC):
    """An open medium that carries bytes. Used by one thread at a time, except for interrupt()."""

    message_based = False
    """True when the medium marks the end of a message itself (VXI-11, HiSLIP, USB, GPIB): receive() then returns
    whole messages and no terminator is needed."""

    can_reopen_cheaply = False
    """True when a new connection is the surest way to be rid of a late reply (TCP)."""

    @abstractmethod
    def send(self, data: bytes, timeout_s: float) -> None:
        """Send all bytes; raise LinkSilent if nothing could be sent for timeout_s, LinkEnded if the peer is gone."""

    @abstractmethod
    def receive(self, most: int, timeout_s: float) -> bytes:
        """At least one byte and at most `most` (a whole message if message_based); LinkSilent or LinkEnded."""

    def receive_into(self, view: memoryview, timeout_s: float) -> int:
        """Like receive(), into a buffer; returns the number of bytes."""
        data = self.receive(len(view), timeout_s)
        view[: len(data)] = data
        return len(data)

    @abstractmethod
    def unexpected(self) -> bool:
        """Whether something waits to be read although nothing was asked; raises LinkEnded at the end of file."""

    def clear(self) -> bool:
        """Empty the instrument's input and output buffers (device clear). False where the medium has no way to."""
        return False

    @abstractmethod
    def interrupt(self) -> None:
        """Called from another thread: make a receive() that is under way return soon, with LinkEnded."""

    @abstractmethod
    def close(self) -> None:
        """Close the medium. May be called twice; never raises."""
