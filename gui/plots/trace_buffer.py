"""The last samples of a running acquisition, in bounded memory, and as few points as a plot can show.

No Qt here: the thread that runs the campaign appends, the window's timer takes views.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labctl.events import Sampled
from labctl.few_points import extremes

CAPACITY = 1 << 19
"""Samples kept of each channel: at four channels 8 MB, and half a second at 1e6 samples a second."""

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class TraceView:
    """What a plot shows: `time_s` (point,), zero at the newest sample, `values` (channel, point).

    More samples than points come as pairs of minimum and maximum, so that no spike is lost.
    """

    drive_names: tuple[str, ...]
    response_names: tuple[str, ...]
    time_s: Array
    values: Array


class TraceBuffer:
    """The last `capacity` samples of each channel; a block of other channels or another rate starts it afresh."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._lock = threading.Lock()
        self._capacity = capacity
        self._ring: Array = np.zeros((0, capacity), dtype=np.float32)
        self._stream: tuple[tuple[str, ...], tuple[str, ...], float] = ((), (), 0.0)
        self._written = 0
        self._total = 0

    def append(self, block: Sampled) -> None:
        """Keep the samples of a block; the oldest make room."""
        count = block.drive.shape[0]
        kept = min(count, self._capacity)
        with self._lock:
            stream = (block.drive_names, block.response_names, block.dt_s)
            if stream != self._stream:
                self._restart(stream)
            n_drives = len(block.drive_names)
            first = (self._written + count - kept) % self._capacity
            head = min(kept, self._capacity - first)
            for rows, values in ((slice(0, n_drives), block.drive), (slice(n_drives, None), block.response)):
                newest = values[count - kept :].T
                self._ring[rows, first : first + head] = newest[:, :head]
                if head < kept:
                    self._ring[rows, : kept - head] = newest[:, head:]
            self._written += count
            self._total += count

    def clear(self) -> None:
        """Forget everything, also the count of samples."""
        with self._lock:
            self._stream = ((), (), 0.0)
            self._written = self._total = 0

    @property
    def total(self) -> int:
        """Samples of each channel that came in since `clear`, kept or not."""
        return self._total

    @property
    def capacity_bytes(self) -> int:
        """Memory that the samples take; it does not grow."""
        return self._ring.nbytes

    def newest(self) -> dict[str, float]:
        """The last sample of each channel."""
        with self._lock:
            if not self._written:
                return {}
            values = self._ring[:, (self._written - 1) % self._capacity]
            return {
                name: float(value) for name, value in zip((*self._stream[0], *self._stream[1]), values, strict=True)
            }

    def view(self, *, span_s: float, max_points: int) -> TraceView | None:
        """The last `span_s` seconds in at most `max_points` points a channel; None when there is nothing yet."""
        with self._lock:
            drives, responses, dt_s = self._stream
            held = min(self._written, self._capacity)
            if not held:
                return None
            count = int(min(max(span_s / dt_s, 1.0), held))
            samples = self._latest(count)
        positions, values = extremes(samples, max_points)
        time_s = (positions - (count - 1)).astype(np.float32) * np.float32(dt_s)
        return TraceView(drives, responses, time_s, values)

    def _restart(self, stream: tuple[tuple[str, ...], tuple[str, ...], float]) -> None:
        n_channels = len(stream[0]) + len(stream[1])
        if self._ring.shape[0] != n_channels:
            self._ring = np.zeros((n_channels, self._capacity), dtype=np.float32)
        self._stream = stream
        self._written = 0

    def _latest(self, count: int) -> Array:
        end = self._written % self._capacity
        if count <= end:
            return self._ring[:, end - count : end].copy()
        return np.concatenate([self._ring[:, end - count :], self._ring[:, :end]], axis=1)
