"""Pause: work rests where that harms nothing, and goes on as if nothing had been.

`labctl.campaign.run(campaign, pause=threading.Event())` makes a pause known to whatever the campaign does. A campaign that
only computes rests between two events. While a bench records, the recording itself decides where: between two plays
(buffered mode), two trials (stepped mode) or two filmed trials, never inside one.

While it lasts the drives stand at rest and set-points stay as they were set: outputs are ON. Rest is what a recording does
between two plays anyway, so what is measured afterwards is comparable; safe it is not called. Whoever wants to touch the bench
makes the outputs safe instead, which works during a pause and ends the recording. Stop works during a pause as well.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Protocol

from labctl.events import Event, Paused, Resumed

POLL_S = 0.05
PAUSE_NOTE = "paused for "
"""Notes of a recording that begin so are no warnings: whoever paused knows."""
AS_THEY_WERE = "between two steps; outputs stay as they were set"


class PauseSignal(Protocol):
    """What tells whether a pause is wanted: a threading.Event, a PauseFile."""

    def is_set(self) -> bool:
        """Whether work shall rest now."""
        ...


class PauseFile:
    """A pause is wanted as long as this file exists: `touch FILE` to pause, `rm FILE` to go on."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def is_set(self) -> bool:
        """Whether the file exists."""
        return self.path.exists()


class Pause:
    """A pause that may be wanted, and who rests because of it. Used from several threads."""

    def __init__(self, signal: PauseSignal) -> None:
        self._signal = signal
        self._lock = threading.Lock()
        self._deferring = 0
        self.resting = ""
        """How a recording rests, for people; "" while none does."""
        self.rested_s = 0.0
        """How long recordings have rested, all together."""

    def wanted(self) -> bool:
        """Whether somebody wants work to rest."""
        return self._signal.is_set()

    @property
    def deferred(self) -> bool:
        """Whether a recording is under way, which rests by itself where it can."""
        return self._deferring > 0

    @contextlib.contextmanager
    def deferring(self) -> Iterator[None]:
        """A section that rests by itself: whoever runs the campaign must not hold it between two events."""
        with self._lock:
            self._deferring += 1
        try:
            yield
        finally:
            with self._lock:
                self._deferring -= 1

    @contextlib.contextmanager
    def rest(self, how: str) -> Iterator[None]:
        """Says that a recording rests, and how, while the block runs."""
        began = time.monotonic()
        self.resting = how
        try:
            yield
        finally:
            self.resting = ""
            self.rested_s += time.monotonic() - began


class PauseTeller:
    """Turns what a recording's pause does into events of a step."""

    def __init__(self, key: str, pause: Pause | None) -> None:
        self._key = key
        self._pause = pause
        self._began_s: float | None = None
        self._rested_s = 0.0

    def events(self) -> Iterator[Event]:
        """Paused when the recording has begun to rest, Resumed when it has ended; call it at every block."""
        resting = "" if self._pause is None else self._pause.resting
        if resting and self._began_s is None:
            self._began_s = time.monotonic()
            yield Paused(self._key, resting)
        elif not resting and self._began_s is not None:
            seconds = time.monotonic() - self._began_s
            self._began_s = None
            self._rested_s += seconds
            yield Resumed(self._key, seconds)

    @property
    def rested_s(self) -> float:
        """How long this step has rested until now."""
        return self._rested_s + (0.0 if self._began_s is None else time.monotonic() - self._began_s)


_current: ContextVar[Pause | None] = ContextVar("labctl pause", default=None)


def current_pause() -> Pause | None:
    """The pause of the campaign that runs here; None outside of `run`, or where it has none."""
    return _current.get()


@contextlib.contextmanager
def known_here(pause: Pause | None) -> Iterator[None]:
    """Makes a pause known to what is called inside the block; None leaves what was known."""
    if pause is None:
        yield
        return
    token = _current.set(pause)
    try:
        yield
    finally:
        _current.reset(token)
