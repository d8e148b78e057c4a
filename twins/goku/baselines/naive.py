"""The naive baseline: every trace stays at its mean over time."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from twins.goku.baselines.drives import checked_drive
from twins.goku.series import Series


class TemporalMean:
    """Each channel's mean over the samples that were seen; a channel never seen in a trace gets NaN."""

    def reconstruct(self, series: Series) -> Float64[np.ndarray, "trace time channel"]:
        """The means, at every sample."""
        return _means(series, series.n_samples)

    def forecast(
        self, series: Series, *, n_samples: int, drive: np.ndarray | None = None
    ) -> Float64[np.ndarray, "trace time channel"]:
        """The means, at every sample to come, whatever the drive."""
        checked_drive(series, n_samples, drive)
        return _means(series, n_samples)


def _means(series: Series, n_samples: int) -> np.ndarray:
    n_seen = series.seen.sum(axis=1, keepdims=True)
    total = np.nansum(series.values, axis=1, keepdims=True)
    means = np.divide(total, n_seen, out=np.full_like(total, np.nan), where=n_seen > 0)
    return np.repeat(means, n_samples, axis=1)
