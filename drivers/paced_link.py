"""A link that keeps a pause between messages, for instruments that lose what comes too soon after the last exchange."""

import time

from drivers.link import Link


class PacedLink(Link):
    """Passes everything on to another link, but sends only when nothing has moved on it for pause_s."""

    def __init__(self, inner: Link, pause_s: float) -> None:
        """inner: open already; the pause counts from now on."""
        self._inner = inner
        self._pause_s = pause_s
        self._moved_s = time.monotonic()
        self.message_based = inner.message_based
        self.can_reopen_cheaply = inner.can_reopen_cheaply

    def send(self, data: bytes, timeout_s: float) -> None:
        """Wait for the end of the pause, then send."""
        wait_s = self._moved_s + self._pause_s - time.monotonic()
        if wait_s > 0:
            time.sleep(wait_s)
        self._inner.send(data, timeout_s)
        self._moved_s = time.monotonic()

    def receive(self, most: int, timeout_s: float) -> bytes:
        """Whatever has arrived."""
        data = self._inner.receive(most, timeout_s)
        self._moved_s = time.monotonic()
        return data

    def receive_into(self, view: memoryview, timeout_s: float) -> int:
        """Whatever has arrived, into the caller's memory."""
        count = self._inner.receive_into(view, timeout_s)
        self._moved_s = time.monotonic()
        return count

    def unexpected(self) -> bool:
        """As the inner link says."""
        return self._inner.unexpected()

    def clear(self) -> bool:
        """As the inner link does."""
        return self._inner.clear()

    def interrupt(self) -> None:
        """As the inner link does."""
        self._inner.interrupt()

    def close(self) -> None:
        """Close the inner link."""
        self._inner.close()
