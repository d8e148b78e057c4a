"""The campaign's events on a terminal: one line a step, a bar while it runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

from labctl.events import Event, Paused, Progress, Resumed, StepFinished, StepStarted, Warned

BAR_WIDTH = 28
REFRESH_S = 0.1
LINE_S = 10.0
"""Where no bar can move, a line at least so often, with what is left of the time."""


class Console:
    """Shows events on `stream` (standard error by default): a moving bar on a terminal, plain lines elsewhere."""

    def __init__(self, stream: TextIO | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream or sys.stderr
        self._clock = clock
        self._moving = self._stream.isatty()
        self._titles: dict[str, str] = {}  # of the steps under way: some run side by side
        self._quarters: dict[str, int] = {}
        self._shown_at = 0.0
        self._begun_at: dict[str, float] = {}
        self._told_at: dict[str, float] = {}

    def __call__(self, event: Event) -> None:
        """Show one event."""
        match event:
            case StepStarted(key=key, title=title):
                self._titles[key], self._quarters[key] = title, 0
                self._begun_at[key] = self._told_at[key] = self._clock()
                if self._moving:
                    self._draw(title, 0.0, "")
            case Progress(key=key, done=done, total=total, note=note):
                self._progress(key, done / total if total else 1.0, note)
            case StepFinished(key=key, title=title, seconds=seconds, note=note):
                self._titles.pop(key, None)
                self._line(f"{title}: {note + ', ' if note else ''}{seconds:.1f} s")
            case Paused(how=how):
                self._line(f"PAUSED {how}")
            case Resumed(seconds=seconds):
                self._line(f"goes on after {seconds:.1f} s")
            case Warned(message=message):
                self._line(f"WARNING {message}")
            case _:
                pass

    def _progress(self, key: str, fraction: float, note: str) -> None:
        title = self._titles.get(key, key)
        now = self._clock()
        if self._moving:
            if now - self._shown_at >= REFRESH_S:
                self._draw(title, fraction, note)
                self._shown_at = now
            return
        quarter = int(4 * fraction)  # a log file wants a few lines, not a bar
        late = now - self._told_at.get(key, now) >= LINE_S
        if quarter < 4 and (late or self._quarters.get(key, 0) < quarter):
            self._quarters[key], self._told_at[key] = max(quarter, self._quarters.get(key, 0)), now
            left = self._left(key, fraction, now) if late else ""
            self._line(f"{title}: {100 * fraction:.0f} % {note}".rstrip() + left)

    def _left(self, key: str, fraction: float, now: float) -> str:
        """How long the step has run, and how long it will at this rate."""
        run_s = now - self._begun_at.get(key, now)
        if not 0.0 < fraction < 1.0:
            return f" ({run_s:.0f} s)"
        return f" ({run_s:.0f} s, about {run_s * (1.0 - fraction) / fraction:.0f} s left)"

    def _draw(self, title: str, fraction: float, note: str) -> None:
        full = int(BAR_WIDTH * min(max(fraction, 0.0), 1.0))
        bar = "█" * full + "░" * (BAR_WIDTH - full)
        self._stream.write(f"\r\x1b[K{title} {bar} {100 * fraction:3.0f} % {note}")
        self._stream.flush()

    def _line(self, text: str) -> None:
        self._stream.write(("\r\x1b[K" if self._moving else "") + text + "\n")
        self._stream.flush()
