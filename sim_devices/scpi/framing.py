"""From a stream of bytes to program messages: terminators do not end a message inside strings and binary blocks."""

import re

_SPECIAL = re.compile(rb"[\n\r#\"']")
_SPECIAL_IN_STRING = {ord('"'): re.compile(rb'["\n\r]'), ord("'"): re.compile(rb"['\n\r]")}
_LF, _CR, _HASH = 10, 13, 35


class MessageTooLongError(Exception):
    """A message outgrew the input buffer; it was dropped (-363)."""


class MessageSplitter:
    """Collects bytes and hands out whole messages (without terminator).

    LF ends a message; so does CR where `carriage_return_ends` (serial instruments). `#` and a digit 1..9 open a definite
    block, whose bytes are skipped by its length; `#0` opens an indefinite block, which LF ends (a stream has no END line).

    Args:
        carriage_return_ends: take CR as a terminator as well.
        capacity_bytes: size of the input buffer.
    """

    def __init__(self, *, carriage_return_ends: bool = False, capacity_bytes: int = 64 * 1024 * 1024) -> None:
        self._carriage_return_ends = carriage_return_ends
        self._capacity = capacity_bytes
        self._buffer = bytearray()
        self._position = 0  # everything before it has been looked at
        self._quote = 0

    def feed(self, data: bytes) -> None:
        """Append received bytes."""
        self._buffer += data

    def clear(self) -> None:
        """Drop everything, half a message included (device clear)."""
        self._buffer.clear()
        self._position, self._quote = 0, 0

    def next_message(self) -> bytes | None:
        """The next whole message, or None while it is incomplete.

        Raises:
            MessageTooLongError: the message has grown beyond the buffer; what was received of it is gone.
        """
        while True:
            end = self._find_end()
            if end is None:
                if len(self._buffer) > self._capacity:
                    self.clear()
                    raise MessageTooLongError
                return None
            message = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            self._position, self._quote = 0, 0
            if message.strip():
                return message

    def _find_end(self) -> int | None:
        buffer = self._buffer
        while True:
            pattern = _SPECIAL_IN_STRING[self._quote] if self._quote else _SPECIAL
            match = pattern.search(buffer, self._position)
            if match is None:
                self._position = len(buffer)
                return None
            at = match.start()
            byte = buffer[at]
            if byte == _LF or (byte == _CR and self._carriage_return_ends):
                return at
            if byte == _HASH:
                after = self._after_block(at)
                if after is None:
                    self._position = at
                    return None
                self._position = after
                continue
            if byte != _CR:
                self._quote = 0 if self._quote else byte
            self._position = at + 1

    def _after_block(self, at: int) -> int | None:
        """Index behind the block that opens at `at`; None while its bytes are not all there."""
        buffer = self._buffer
        if len(buffer) < at + 2:
            return None
        digits = buffer[at + 1] - 48
        if not 1 <= digits <= 9:  # a number like #H1F, or an indefinite block
            return at + 2 if digits != 0 else self._after_indefinite(at)
        if len(buffer) < at + 2 + digits:
            return None
        length = bytes(buffer[at + 2 : at + 2 + digits])
        if not length.isdigit():
            return at + 2
        end = at + 2 + digits + int(length)
        return end if len(buffer) >= end else None

    def _after_indefinite(self, at: int) -> int | None:
        end = self._buffer.find(b"\n", at)
        return None if end < 0 else end
