"""Python's cyclic garbage collector, kept in Qt's thread, and kept from what will never be garbage.

Left alone it runs in whichever thread happens to allocate. When that is the campaign's, it destroys Qt objects that wait
in reference cycles there, and Qt crashes: with PySide6 6.11 a campaign that allocates fast did so every time in our test.

A full collection looks at every object there is, all of them in Qt's thread: with torch loaded that took 1.3 s on a busy
machine. Libraries stay until the end, so their objects are set aside (`gc.freeze`, which costs nothing) once they are
loaded, and a full collection looks at what the window itself has made.
"""

from __future__ import annotations

import gc
import sys
import time

FULL_EVERY_S = 30.0
"""Not oftener than this a full collection."""
LIBRARY_MODULES = 100
"""So many modules more than before: a library was loaded, such as torch (some 1500) or scipy."""


class GarbageCollector:
    """Switches automatic collection off; call `collect_if_due` often, from Qt's thread only."""

    def __init__(self) -> None:
        gc.disable()
        self._full_s = time.monotonic()
        self._n_modules = len(sys.modules)

    def collect_if_due(self) -> None:
        """Collect what Python would have collected by now."""
        counts, thresholds = gc.get_count(), gc.get_threshold()
        if counts[0] <= thresholds[0]:
            return
        if len(sys.modules) - self._n_modules >= LIBRARY_MODULES:
            self.set_aside()
        now = time.monotonic()
        if counts[1] <= thresholds[1]:
            gc.collect(0)
        elif counts[2] <= thresholds[2] or now - self._full_s < FULL_EVERY_S:
            gc.collect(1)
        else:
            gc.collect(2)
            self._full_s = time.monotonic()

    def set_aside(self) -> None:
        """Never look again at what there is now, after a look at what is young of it."""
        gc.collect(1)
        gc.freeze()
        self._n_modules = len(sys.modules)
