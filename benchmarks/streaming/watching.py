"""How every contender is watched: the same source, the same frames counted, the same clocks."""

from __future__ import annotations

import json
import os
import resource
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QEventLoop, QObject, QTimer
from PySide6.QtWidgets import QWidget

SIZE = (900, 500)
"""Pixels of every contender's plot, about."""
SETTLE_S = 1.0


def blocks_of(rate_per_s: float, *, seed: int = 1) -> Iterator[NDArray[np.float64]]:
    """Blocks (time, 2) of a drive and a response without end, at this rate; later where whoever takes them is slow."""
    size = 50 if rate_per_s <= 1e4 else 500
    time_s = np.arange(200 * size) / rate_per_s
    wave = np.sin(2 * np.pi * 3.0 * time_s) + 0.05 * np.random.default_rng(seed).standard_normal(time_s.size)
    both = np.stack([np.sin(2 * np.pi * 3.0 * time_s), wave], axis=1)
    parts = both.reshape(200, size, 2)
    began, done = time.perf_counter(), 0
    while True:
        yield parts[(done // size) % 200]
        done += size
        ahead_s = done / rate_per_s - (time.perf_counter() - began)
        if ahead_s > 0.0:
            time.sleep(ahead_s)


class Painted(QObject):
    """Counts how often a plot was painted with other data than the time before."""

    def __init__(self, viewport: QWidget, newest: Callable[[], int]) -> None:
        super().__init__()
        self._newest, self._seen = newest, -1
        self.times: list[float] = []
        viewport.installEventFilter(self)

    def eventFilter(self, _watched: QObject, event: QEvent) -> bool:
        """Look, and let it pass."""
        if event.type() == QEvent.Type.Paint and (newest := self._newest()) != self._seen:
            self._seen = newest
            self.times.append(time.perf_counter())
        return False


def spin(until: Callable[[], bool], *, limit_s: float = 120.0) -> None:
    """Run Qt's event loop until something is true."""
    loop, watch, began = QEventLoop(), QTimer(interval=2), time.perf_counter()
    watch.timeout.connect(lambda: loop.quit() if until() or time.perf_counter() - began > limit_s else None)
    watch.start()
    loop.exec()
    if not until():
        raise RuntimeError(f"waited {limit_s:g} s in vain")


def spin_for(seconds: float) -> None:
    """Run Qt's event loop for a time, undisturbed."""
    loop = QEventLoop()
    QTimer.singleShot(round(1000 * seconds), loop.quit)
    loop.exec()


def cpu_s() -> float:
    """CPU seconds of this process, all threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def resident_MB() -> float:
    """Resident memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def watch(
    *,
    viewport: QWidget,
    taken: Callable[[], int],
    drawn: Callable[[], int],
    stop: Callable[[], None],
    ended: Callable[[], bool],
    seconds: float,
) -> dict[str, Any]:
    """Watch a contender whose source runs already; then click its Stop, and take the time until its source has ended.

    taken: points of each channel that came in. drawn: grows with what the plot was given. Every second's memory is kept.
    """
    spin(lambda: taken() > 0)
    spin_for(SETTLE_S)
    painted = Painted(viewport, drawn)
    memory_MB: list[float] = []
    timer = QTimer(interval=1000)
    timer.timeout.connect(lambda: memory_MB.append(resident_MB()))
    timer.start()
    began, first, used_s = time.perf_counter(), taken(), cpu_s()
    spin_for(seconds)
    lasted_s = time.perf_counter() - began
    points, used_s = taken() - first, cpu_s() - used_s
    timer.stop()
    gaps = np.diff([began, *painted.times, began + lasted_s])
    figures: dict[str, Any] = {
        "fps": len(painted.times) / lasted_s,
        "longest_gap_ms": 1000 * float(gaps.max()),
        "cpu": used_s / lasted_s,
        "points_per_s": points / lasted_s,
        "rss_MB": resident_MB(),
        "rss_growth_MB_per_min": _slope(memory_MB) * 60.0,
        "memory_MB": memory_MB,
    }
    return figures | {"stop_ms": stop_ms(stop, ended)}


def stop_ms(stop: Callable[[], None], ended: Callable[[], bool]) -> float:
    """From the click until the source has ended. The click waits in the event loop as a person's would."""
    clicked: list[float] = []
    over = threading.Event()
    ended_s: list[float] = []

    def look() -> None:
        while not ended():
            time.sleep(0.0005)
        ended_s.append(time.perf_counter())
        over.set()

    def click() -> None:
        stop()

    clicked.append(time.perf_counter())
    QTimer.singleShot(0, click)
    threading.Thread(target=look, daemon=True).start()
    spin(over.is_set)
    return 1000 * (ended_s[0] - clicked[0])


def _slope(values: list[float]) -> float:
    """Per value, by least squares over the second half: what a start allocates is no growth."""
    half = values[len(values) // 2 :]
    return float(np.polyfit(np.arange(len(half)), half, 1)[0]) if len(half) > 2 else 0.0


def tell(figures: dict[str, Any]) -> None:
    """The last line that a contender prints."""
    sys.stdout.write(json.dumps(figures) + "\n")
    sys.stdout.flush()
