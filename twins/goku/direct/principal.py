"""Principal components of observed channels: many channels that are combinations of a few, taken back to the few."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64

from twins.errors import SeriesInvalid
from twins.goku.series import Series

_AT_ONCE = 64  # traces: what is held beside the data stays small


@dataclass(frozen=True, slots=True, eq=False)
class PrincipalComponents:
    """value = offset + components · score, channel by channel.

    offset: (channel,); components: (channel, component), columns of unit length in order of falling variance.
    variances: (component,), squared channel units; left_out: the variance in all other directions together.
    """

    offset: Float64[np.ndarray, " channel"]
    components: Float64[np.ndarray, "channel component"]
    variances: Float64[np.ndarray, " component"]
    left_out: float

    @classmethod
    def of(cls, series: Series, *, kept: float = 1.0 - 1e-6, largest: int | None = None) -> PrincipalComponents:
        """As many components as hold the share `kept` of the variance, at most `largest`.

        Moments are taken over the samples of which all channels were seen. Raises SeriesInvalid where nothing varies.
        """
        mean, covariance = _moments(series)
        values, vectors = np.linalg.eigh(covariance)
        values, vectors = np.clip(values[::-1], 0.0, None), vectors[:, ::-1]  # eigh rounds zero to either side
        if not values[0] > 0.0:
            raise SeriesInvalid("no channel varies, so there are no principal components; is the right file loaded?")
        needed = int(np.searchsorted(np.cumsum(values) / values.sum(), kept)) + 1
        n = min(needed, len(values), largest or len(values))
        return cls(mean, np.ascontiguousarray(vectors[:, :n]), values[:n], float(values[n:].sum()))

    @property
    def n_components(self) -> int:
        """Components kept."""
        return int(self.components.shape[1])

    def scores(self, values: Float64[np.ndarray, "... channel"]) -> Float64[np.ndarray, "... component"]:
        """The components of values; a sample with a missing channel gets NaN in all."""
        scores: np.ndarray = (values - self.offset) @ self.components
        return scores

    def values(self, scores: Float64[np.ndarray, "... component"]) -> Float64[np.ndarray, "... channel"]:
        """Back to the channels."""
        values: np.ndarray = self.offset + scores @ self.components.T
        return values

    def series(self, series: Series) -> Series:
        """The same traces with the components as channels, named component_0 …, in the channels' unit."""
        names = tuple(f"component_{i}" for i in range(self.n_components))
        unit = series.units[0] if len(set(series.units)) == 1 else ""
        return replace(series, values=self.scores(series.values), names=names, units=(unit,) * self.n_components)


def _moments(series: Series) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of the channels over complete samples."""
    n, total = 0, np.zeros(series.n_channels)
    for rows in _complete(series):
        n, total = n + len(rows), total + rows.sum(axis=0)
    if n < 2:
        raise SeriesInvalid("principal components need at least two samples of which every channel was seen")
    mean = total / n
    covariance = np.zeros((series.n_channels, series.n_channels))
    for rows in _complete(series):
        covariance += (rows - mean).T @ (rows - mean)
    return mean, covariance / (n - 1)


def _complete(series: Series) -> list[np.ndarray]:
    parts = [series.values[start : start + _AT_ONCE] for start in range(0, series.n_traces, _AT_ONCE)]
    return [part[~np.isnan(part).any(axis=-1)] for part in parts]
