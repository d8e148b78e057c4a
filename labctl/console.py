"""The campaign's events on a terminal: one line a step, a bar while it runs."""

from __future__ import annotations

import sys
import time
from typing import TextIO

from labctl.events import Event, Progress, StepFinished, StepStarted, Warned

BAR_WIDTH = 28
REFRESH_S = 0.1


class Console:
    """Shows events on `stream` (standard error by default): a moving bar on a terminal, plain lines elsewhere."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._moving = self._stream.isatty()
        self._title = ""
        self._shown_at = 0.0
        self._quarter = -1

    def __call__(self, event: Event) -> None:
        """Show one event."""
        match event:
            case StepStarted(title=title):
                self._title, self._quarter = title, -1
                if self._moving:
                    self._draw(0.0, "")
            case Progress(done=done, total=total, note=note):
                self._progress(done / total if total else 1.0, note)
            case StepFinished(title=title, seconds=seconds, note=note):
                self._line(f"{title}: {note + ', ' if note else ''}{seconds:.1f} s")
            case Warned(message=message):
                self._line(f"WARNING {message}")
            case _:
                pass

    def _progress(self, fraction: float, note: str) -> None:
        now = time.monotonic()
        if self._moving:
            if now - self._shown_at >= REFRESH_S:
                self._draw(fraction, note)
                self._shown_at = now
            return
        quarter = int(4 * fraction)  # a log file wants a few lines, not a bar
        if quarter > self._quarter and 0 < quarter < 4:
            self._quarter = quarter
            self._line(f"{self._title}: {100 * fraction:.0f} % {note}".rstrip())

    def _draw(self, fraction: float, note: str) -> None:
        full = int(BAR_WIDTH * min(max(fraction, 0.0), 1.0))
        bar = "█" * full + "░" * (BAR_WIDTH - full)
        self._stream.write(f"\r\x1b[K{self._title} {bar} {100 * fraction:3.0f} % {note}")
        self._stream.flush()

    def _line(self, text: str) -> None:
        self._stream.write(("\r\x1b[K" if self._moving else "") + text + "\n")
        self._stream.flush()
