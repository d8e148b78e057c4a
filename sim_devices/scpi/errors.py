"""SCPI error codes, the exception that carries one, and the error queue."""

from collections import deque

STANDARD_ERRORS = {
    -101: "Invalid character",
    -102: "Syntax error",
    -103: "Invalid separator",
    -104: "Data type error",
    -108: "Parameter not allowed",
    -109: "Missing parameter",
    -113: "Undefined header",
    -114: "Header suffix out of range",
    -121: "Invalid character in number",
    -131: "Invalid suffix",
    -141: "Invalid character data",
    -151: "Invalid string data",
    -161: "Invalid block data",
    -168: "Block data not allowed",
    -200: "Execution error",
    -211: "Trigger ignored",
    -213: "Init ignored",
    -214: "Trigger deadlock",
    -221: "Settings conflict",
    -222: "Data out of range",
    -223: "Too much data",
    -224: "Illegal parameter value",
    -230: "Data corrupt or stale",
    -350: "Queue overflow",
    -363: "Input buffer overrun",
    -410: "Query INTERRUPTED",
    -420: "Query UNTERMINATED",
    -440: "Query UNTERMINATED after indefinite response",
}


class ScpiError(Exception):
    """A command that cannot be obeyed; `code` goes to the error queue and sets a bit of the event status register."""

    def __init__(self, code: int, text: str | None = None, *, detail: str = "") -> None:
        self.code = code
        message = text if text is not None else STANDARD_ERRORS[code]
        self.text = f"{message}; {detail}" if detail else message
        super().__init__(f'{code},"{self.text}"')


class ErrorQueue:
    """First in, first out; when full, the newest entry becomes -350 and later ones are lost, as SCPI says."""

    def __init__(self, *, capacity: int) -> None:
        self._capacity = capacity
        self._entries: deque[tuple[int, str]] = deque()

    def __len__(self) -> int:
        return len(self._entries)

    def push(self, error: ScpiError) -> None:
        """Append an error, or mark the overflow."""
        if len(self._entries) < self._capacity:
            self._entries.append((error.code, error.text))
        else:
            self._entries[-1] = (-350, STANDARD_ERRORS[-350])

    def pop(self) -> tuple[int, str]:
        """Take the oldest error; (0, "No error") when there is none."""
        return self._entries.popleft() if self._entries else (0, "No error")

    def clear(self) -> None:
        """Forget all of them."""
        self._entries.clear()
