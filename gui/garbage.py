"""Python's cyclic garbage collector, kept in Qt's thread.

Left alone it runs in whichever thread happens to allocate. When that is the campaign's, it destroys Qt objects that wait
in reference cycles there, and Qt crashes: with PySide6 6.11 a campaign that allocates fast did so every time in our test.
"""

from __future__ import annotations

import gc
import time

FULL_EVERY_S = 30.0
"""A full collection may take a tenth of a second with torch loaded: not oftener than this."""


class GarbageCollector:
    """Switches automatic collection off; call `collect_if_due` often, from Qt's thread only."""

    def __init__(self) -> None:
        gc.disable()
        self._full_s = time.monotonic()

    def collect_if_due(self) -> None:
        """Collect what Python would have collected by now."""
        counts, thresholds = gc.get_count(), gc.get_threshold()
        if counts[0] <= thresholds[0]:
            return
        now = time.monotonic()
        if counts[1] <= thresholds[1]:
            gc.collect(0)
        elif counts[2] <= thresholds[2] or now - self._full_s < FULL_EVERY_S:
            gc.collect(1)
        else:
            gc.collect(2)
            self._full_s = time.monotonic()
