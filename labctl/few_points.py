"""Few points for many samples, such that a plot of them shows every spike."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Float = TypeVar("Float", bound=np.floating)


def extremes(values: NDArray[Float], most_points: int) -> tuple[NDArray[np.intp], NDArray[Float]]:
    """(positions (point,), values (..., point)): all samples where they are few, else minimum and maximum of equal stretches.

    `values` is (..., sample). Points come in pairs: the minimum at the first sample of its stretch, the maximum at its middle.
    The first stretch may be shorter; no sample is left out. NaN counts only where a stretch holds nothing else.
    """
    count = values.shape[-1]
    if count <= max(most_points, 2):
        return np.arange(count), values
    width = -(-count // max(most_points // 2, 1))
    rest = count % width
    binned = values[..., rest:].reshape(*values.shape[:-1], count // width, width)
    pairs = np.stack([np.fmin.reduce(binned, axis=-1), np.fmax.reduce(binned, axis=-1)], axis=-1)
    starts = np.arange(rest, count, width)
    positions = np.stack([starts, starts + width // 2], axis=-1)
    if rest:
        head = values[..., None, :rest]
        first = np.stack([np.fmin.reduce(head, axis=-1), np.fmax.reduce(head, axis=-1)], axis=-1)
        pairs = np.concatenate([first, pairs], axis=-2)
        positions = np.concatenate([[[0, rest // 2]], positions])
    return positions.reshape(-1), pairs.reshape(*values.shape[:-1], positions.size)
