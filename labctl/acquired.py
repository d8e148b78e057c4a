"""Turns what is counted of a recording into events: at most some a second, with an estimate of the time that is left."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from labctl.acquisition import Acquisition
from labctl.events import Acquired, Event
from labctl.pausing import PauseTeller, current_pause

INTERVAL_S = 0.2


class AcquisitionTeller:
    """Ask it at every block: it yields Paused, Resumed and Acquired of the step `key` when they are due.

    counts: gives what is counted, None before the recording has begun.
    """

    def __init__(self, key: str, counts: Callable[[], Acquisition | None]) -> None:
        self._key = key
        self._counts = counts
        self._pause = PauseTeller(key, current_pause())
        self._began_s = time.monotonic()
        self._told_s = self._began_s - INTERVAL_S

    def events(self, *, last: bool = False) -> Iterator[Event]:
        """What there is to tell now; `last`: also if it was told just before."""
        yield from self._pause.events()
        now = time.monotonic()
        counts = self._counts()
        if counts is None or (now - self._told_s < INTERVAL_S and not last):
            return
        self._told_s = now
        size = 0
        with contextlib.suppress(OSError):
            size = Path(counts.file).stat().st_size if counts.file else 0
        yield Acquired(self._key, left_s=self._left_s(counts, now), file_bytes=size, **counts.in_words())

    def _left_s(self, counts: Acquisition, now: float) -> float | None:
        """At the pace until now, pauses not counted."""
        if not counts.samples:
            return None
        spent_s = now - self._began_s - self._pause.rested_s
        return spent_s * (counts.wanted - counts.samples) / counts.samples
