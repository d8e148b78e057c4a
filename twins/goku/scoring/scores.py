"""How far a reconstruction or a forecast is from what was measured."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from twins.errors import SeriesInvalid


def nrmse(
    predicted: Float64[np.ndarray, "... time channel"], measured: Float64[np.ndarray, "... time channel"]
) -> Float64[np.ndarray, "..."]:
    """√mean((predicted - measured)²) / mean|measured| over time and channels, trace by trace, as GOKU-UI is scored.

    Samples missing from `measured` (NaN) are left out; a trace without any is NaN. A prediction that is not finite where
    something was measured scores infinity, so that it cannot be averaged away. Raises SeriesInvalid for shapes that differ,
    and for a measured trace that is 0 throughout, of which nothing can be a fraction.
    """
    predicted, measured = np.asarray(predicted, dtype=np.float64), np.asarray(measured, dtype=np.float64)
    if predicted.shape != measured.shape or measured.ndim < 2:
        raise SeriesInvalid(
            f"predicted and measured must be (…, time, channel) alike, not {predicted.shape} and {measured.shape}"
        )
    seen = ~np.isnan(measured)
    counts = seen.sum(axis=(-2, -1))
    some = counts > 0
    size = np.abs(np.where(seen, measured, 0.0)).sum(axis=(-2, -1))
    if bool((some & (size == 0.0)).any()):
        raise SeriesInvalid("a measured trace is 0 throughout: its error has no scale; leave it away")
    usable = np.isfinite(predicted)
    with np.errstate(over="ignore"):  # a square beyond all numbers is infinite, which is what it scores
        squared = np.square(np.where(seen & usable, predicted - np.where(seen, measured, 0.0), 0.0)).sum(axis=(-2, -1))
    squared = np.where((seen & ~usable).any(axis=(-2, -1)), np.inf, squared)
    safe_counts, safe_size = np.where(some, counts, 1), np.where(some, size, 1.0)
    score: np.ndarray = np.where(some, np.sqrt(squared / safe_counts) * safe_counts / safe_size, np.nan)
    return score
