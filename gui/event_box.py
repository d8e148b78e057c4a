"""Where the campaign's thread leaves events for the window: bounded, and merged before anyone looks.

No Qt here. A campaign may yield a million times a second; the window looks thirty times a second and finds the newest
progress of each step, the other events in order, and the samples in a ring buffer. The campaign never waits for it.
"""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from collections.abc import Hashable

from gui.plots.trace_buffer import TraceBuffer
from labctl.events import Event, FrameTaken, Progress, Sampled

CAPACITY = 2000
"""Events kept between two looks; more than that in a thirtieth of a second nobody could read."""


class EventBox:
    """Takes events from any thread; `take` gives what came since the last look."""

    def __init__(self, *, capacity: int = CAPACITY) -> None:
        self.samples = TraceBuffer()
        self._capacity = capacity
        self._lock = threading.Lock()
        self._waiting: OrderedDict[Hashable, Event] = OrderedDict()
        self._numbers = itertools.count()
        self._left_out = 0

    def put(self, event: Event) -> None:
        """Keep an event: samples in the ring buffer, progress and frames in place of the step's earlier one, the rest in order."""
        if isinstance(event, Sampled):
            self.samples.append(event)
            return
        with self._lock:
            newest_only = isinstance(event, Progress | FrameTaken)
            slot: Hashable = (type(event).__name__, event.key) if newest_only else next(self._numbers)
            self._waiting.pop(slot, None)
            self._waiting[slot] = event
            if len(self._waiting) > self._capacity:
                self._waiting.popitem(last=False)
                self._left_out += 1

    def take(self) -> tuple[tuple[Event, ...], int]:
        """The events that came since the last call, and how many of the oldest had to be left out."""
        with self._lock:
            events, left_out = tuple(self._waiting.values()), self._left_out
            self._waiting.clear()
            self._left_out = 0
        return events, left_out
