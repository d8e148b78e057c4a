"""Repeats of one input that part into clusters: the device remembers a state that the preparation does not set."""

from __future__ import annotations

import numpy as np

from twins.diagnosis.repeats import Repeats

_SEPARATION = 6.0  # between two means over the spread within; halves of a Gaussian reach 2.7, of a uniform law 3.5
_SHARE_OF_TIME = 0.05
_MIN_REPEATS = 4


def multistable_share(repeats: Repeats) -> float | None:
    """Share of inputs whose repeats split into two clusters for some time; None with fewer than 4 repeats of each."""
    enough = [group for group in repeats.groups if len(group) >= _MIN_REPEATS]
    if not enough:
        return None
    return float(np.mean([_splits(group) for group in enough]))


def _splits(group: np.ndarray) -> bool:
    separation = cluster_separation(group.reshape(len(group), -1)).reshape(group.shape[1:])
    return bool(((separation > _SEPARATION).mean(0) > _SHARE_OF_TIME).any())


def cluster_separation(values: np.ndarray) -> np.ndarray:
    """Of the best split of each column (repeat, column) in two: distance of the means over the spread within, (column,).

    Each part holds at least a tenth of the repeats and two of them. A few repeats split well by luck, so the spread is
    at least what as many Gaussian values would show.
    """
    n = len(values)
    ordered = np.sort(values, axis=0)
    count = np.arange(1, n)[:, None]
    total, square = ordered.cumsum(0), (ordered**2).cumsum(0)
    below, above = total[:-1] / count, (total[-1] - total[:-1]) / (n - count)
    within = (square[-1] - count * below**2 - (n - count) * above**2) / max(1, n - 2)
    floor = 1e-18 * square[-1] / n + 1e-300  # repeats that agree exactly are one cluster
    separation = (above - below) / np.sqrt(np.maximum(within, floor))
    smallest = max(2, int(np.ceil(0.1 * n)))
    allowed = separation[smallest - 1 : n - smallest]
    best: np.ndarray = allowed.max(0) if len(allowed) else np.zeros(values.shape[1])
    return best * (1.0 if n >= 10 else np.sqrt((n - 2) / n) * 0.7)
