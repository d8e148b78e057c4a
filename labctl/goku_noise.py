"""Between which levels the noise of an instrument lies, as its traces show."""

from __future__ import annotations

from collections.abc import Mapping
from math import comb
from typing import TYPE_CHECKING

import numpy as np

from labctl.errors import UsageError

if TYPE_CHECKING:
    from twins.goku.series import Series

_ORDER = 3  # of the differences: they take a slowly moving signal away, and leave independent noise
_BELOW, _ABOVE = 20.0, 3.0
_OF_SPREAD = (1e-3, 0.1)  # of the channel's spread: the range holds these levels in any case


def noise_levels(series: Series, wished: Mapping[str, tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    """(lowest, highest) standard deviation of the noise, (channel,) each: as wished, else about what differences show.

    wished: by channel, "" for all others. Differences of third order hold the noise and what is left of the signal, so
    that the noise is at most about what they show. Raises UsageError for a channel that is not observed.
    """
    unknown = sorted(set(wished) - {"", *series.names})
    if unknown:
        raise UsageError(f"noise of {unknown[0]}: that channel is not observed; observed are {', '.join(series.names)}")
    ranges = [
        wished.get(name) or wished.get("") or _shown(series.values[:, :, channel])
        for channel, name in enumerate(series.names)
    ]
    low, high = np.array(ranges, dtype=np.float64).T
    return low, high


def _shown(values: np.ndarray) -> tuple[float, float]:
    """values: (trace, time) of one channel."""
    spread = float(np.nanstd(values)) or 1.0
    differences = np.diff(values, n=_ORDER, axis=1)
    weight = sum(comb(_ORDER, k) ** 2 for k in range(_ORDER + 1))
    found = differences[np.isfinite(differences)]
    rough = float(np.sqrt(np.mean(np.square(found)) / weight)) if found.size else 0.1 * spread
    low = max(min(rough / _BELOW, _OF_SPREAD[0] * spread * _BELOW), _OF_SPREAD[0] * spread)
    return low, max(_ABOVE * min(rough, spread), _OF_SPREAD[1] * spread)
