"""Answers and blocks out of a stream of bytes: where one ends, how long to wait, what is left over."""

import time

from drivers.blocks import MAX_BLOCK_BYTES, parse_header
from drivers.errors import BadAnswer
from drivers.link import Link, LinkEnded, LinkSilent

SHORT_BYTES = 4096
"""Enough for most answers; asking the system for more costs a large allocation each time (10 µs for 1 MiB)."""
CHUNK_BYTES = 1 << 16
MESSAGE_BYTES = 1 << 20
MAX_LINE_BYTES = 1 << 28
BLOCK_END_QUIET_S = 0.05
MAX_DRAIN_S = 5.0


class Framing:
    """One open link with the bytes that were read ahead. Raises LinkSilent and LinkEnded like the link itself."""

    __slots__ = ("_ahead", "_terminator", "link")

    def __init__(self, link: Link, read_termination: str) -> None:
        """read_termination ends every answer on a link that does not mark the end itself."""
        self.link = link
        self._terminator = read_termination.encode("ascii")
        self._ahead = bytearray()

    def unexpected(self) -> bool:
        """Whether bytes wait that nobody asked for: the late reply of an earlier question, say.

        Line ends alone are none: some instruments send two after a block, or CR LF where CR was agreed.
        """
        if not self._ahead and not self.link.unexpected():
            return False
        if self.link.message_based:
            return True
        while self.link.unexpected():
            self._ahead += self.link.receive(CHUNK_BYTES, 0.0)
            if self._ahead.strip(b"\r\n"):
                return True
        if self._ahead.strip(b"\r\n"):
            return True
        self._ahead.clear()
        return False

    def receive_line(self, timeout_s: float) -> str:
        """One answer without its terminator."""
        if not self._ahead:
            data = self.link.receive(SHORT_BYTES, timeout_s)
            if self.link.message_based or data.find(self._terminator) == len(data) - len(self._terminator):
                return data.decode("latin-1").rstrip("\r\n")
            self._ahead += data
        return self._next_line(timeout_s).decode("latin-1").rstrip("\r\n")

    def _next_line(self, timeout_s: float) -> bytes:
        """The slow path: an answer that came in pieces, or several at once."""
        deadline = time.monotonic() + timeout_s
        searched = 0
        while (end := self._ahead.find(self._terminator, searched)) < 0:
            if len(self._ahead) > MAX_LINE_BYTES:
                raise LinkEnded(f"an answer of more than {MAX_LINE_BYTES} bytes without a terminator")
            searched = max(0, len(self._ahead) - len(self._terminator) + 1)
            self._more(deadline - time.monotonic())
        return bytes(self._take(end + len(self._terminator))[: -len(self._terminator)])

    def receive_bytes(self, count: int, timeout_s: float) -> bytes:
        """Exactly `count` bytes; the time limit is for each piece, so a long block may take as long as it moves."""
        if count <= len(self._ahead):
            return bytes(self._take(count))
        block = bytearray(count)
        view = memoryview(block)
        filled = len(self._ahead)
        view[:filled] = self._take(filled)
        while filled < count:
            try:
                filled += self.link.receive_into(view[filled:], timeout_s)
            except LinkSilent:
                raise LinkSilent(f"only {filled} of {count} bytes of a binary block") from None
        return bytes(block)

    def receive_block(self, timeout_s: float) -> bytes:
        """The payload of one binary block, header first; the terminator after it is taken off the line too."""
        if self.link.message_based:
            return self._block_in_message(timeout_s)
        while (header := parse_header(self._ahead)) is None:
            self._more(timeout_s)
        header_length, length = header
        self._take(header_length)
        if length < 0:
            return self._indefinite_block(timeout_s)
        payload = self.receive_bytes(length, timeout_s)
        rest = self._next_line(timeout_s)
        if rest.strip(b"\r\n"):
            raise BadAnswer(f"{len(rest)} bytes follow a block of {length}: {rest[:40]!r}")
        return payload

    def _block_in_message(self, timeout_s: float) -> bytes:
        """The link has delivered header, payload and terminator as one message."""
        message = bytearray(self.link.receive(MESSAGE_BYTES, timeout_s))
        while (header := parse_header(message)) is None:
            message += self.link.receive(MESSAGE_BYTES, timeout_s)
        header_length, length = header
        if length < 0:
            return bytes(message[header_length:]).removesuffix(self._terminator)
        while len(message) < header_length + length:
            message += self.link.receive(MESSAGE_BYTES, timeout_s)
        return bytes(message[header_length : header_length + length])

    def _indefinite_block(self, timeout_s: float) -> bytes:
        """#0: without END on the medium, its end is a terminator after which nothing more comes."""
        while len(self._ahead) < MAX_BLOCK_BYTES:
            may_be_complete = self._ahead.endswith(self._terminator)
            try:
                self._more(BLOCK_END_QUIET_S if may_be_complete else timeout_s)
            except LinkSilent:
                if may_be_complete:
                    return bytes(self._take(len(self._ahead))).removesuffix(self._terminator)
                raise
        raise BadAnswer(f"an indefinite block of more than {MAX_BLOCK_BYTES} bytes")

    def receive_all(self, timeout_s: float, quiet_s: float) -> bytes:
        """Everything that comes until nothing has come for quiet_s; at least one byte within timeout_s."""
        if not self._ahead:
            self._more(timeout_s)
        while not self.link.message_based:
            try:
                self._more(quiet_s)
            except LinkSilent:
                break
        return bytes(self._take(len(self._ahead)))

    def drain(self, quiet_s: float) -> None:
        """Throw away what has come, and what comes until nothing has come for quiet_s."""
        self._ahead.clear()
        if self.link.clear():
            return
        deadline = time.monotonic() + MAX_DRAIN_S
        while time.monotonic() < deadline:
            try:
                self.link.receive(CHUNK_BYTES, quiet_s)
            except LinkSilent:
                return
        raise LinkEnded("it keeps sending without being asked")

    def _more(self, wait_s: float) -> None:
        try:
            if wait_s <= 0:
                raise LinkSilent("no answer")
            self._ahead += self.link.receive(CHUNK_BYTES, wait_s)
        except LinkSilent as error:
            if self._ahead:
                raise LinkSilent(f"only part of an answer: {bytes(self._ahead[:40])!r}") from None
            raise error

    def _take(self, count: int) -> bytearray:
        taken = self._ahead[:count]
        del self._ahead[:count]
        return taken
