"""Until when work may go on."""

from __future__ import annotations

import time


class Deadline:
    """Called: whether `seconds` of wall time have passed since it was made; None: never."""

    def __init__(self, seconds: float | None) -> None:
        self._end_s = None if seconds is None else time.monotonic() + seconds

    def __call__(self) -> bool:
        return self._end_s is not None and time.monotonic() >= self._end_s


NEVER = Deadline(None)
