"""What is left over of a trace, for the eye: its distribution and its memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_EDGE = 5.0
_BINS = 40
_MOST_LAGS = 30

Samples = NDArray[np.float64]


def density(residuals: Samples) -> tuple[Samples, Samples]:
    """(residual, density) of a histogram over ±5; what lies beyond counts in the outermost bins, what is missing nowhere."""
    there = residuals[np.isfinite(residuals)]
    edges = np.linspace(-_EDGE, _EDGE, _BINS + 1)
    middle: Samples = 0.5 * (edges[1:] + edges[:-1])
    if not len(there):
        return middle, np.zeros_like(middle)
    inside = np.clip(there, -_EDGE + 1e-9, _EDGE - 1e-9)
    heights: Samples = np.histogram(inside, bins=edges, density=True)[0].astype(np.float64)
    return middle, heights


def standard_normal(values: Samples) -> Samples:
    """Its density."""
    result: Samples = np.exp(-0.5 * np.square(values)) / np.sqrt(2.0 * np.pi)
    return result


def autocorrelation(residuals: Samples) -> tuple[Samples, Samples]:
    """(lag in samples, autocorrelation) from lag 1 on, of the pairs that are there; NaN where there are none."""
    n_lags = min(_MOST_LAGS, max(len(residuals) // 2, 1))
    lags = np.arange(1, n_lags + 1, dtype=np.float64)
    there = np.isfinite(residuals)
    values = np.where(there, residuals, 0.0)
    power = float(np.sum(np.square(values))) / max(int(there.sum()), 1)
    found = np.full(n_lags, np.nan)
    for place in range(n_lags):
        lag = place + 1
        pairs = int((there[lag:] & there[:-lag]).sum())
        if pairs and power > 0.0:
            found[place] = float(np.sum(values[lag:] * values[:-lag])) / pairs / power
    return lags, found
