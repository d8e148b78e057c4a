"""Deviations from the mean over repeats of one input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from twins.traces import Traces

_MIN_PREPARATION = 20  # samples


@dataclass(frozen=True, slots=True, eq=False)
class Repeats:
    """groups: (repeat, time, channel) for each repeated input, deviations from its mean over repeats.

    trials: of each group, the places of its repeats in the order of recording. source: "repeats", or "preparation"
    where only the common preparation of all trials was repeated.
    """

    groups: tuple[np.ndarray, ...]
    trials: tuple[np.ndarray, ...]
    source: str

    @property
    def n_free(self) -> int:
        """Independent deviations at each time."""
        return sum(len(group) - 1 for group in self.groups)

    def unbiased(self) -> list[np.ndarray]:
        """The groups, scaled up for what subtracting their own mean took away."""
        return [group * np.sqrt(len(group) / (len(group) - 1)) for group in self.groups]

    def covariances(self, n_lags: int) -> np.ndarray:
        """Autocovariance of the deviations at lags 0 to n_lags, (lag, channel)."""
        return np.stack(
            [
                sum((group[:, lag:] * group[:, : group.shape[1] - lag]).mean(1).sum(0) for group in self.groups)
                / self.n_free
                for lag in range(n_lags + 1)
            ]
        )


def find_repeats(traces: Sequence[Traces]) -> Repeats | None:
    """Deviations of repeated inputs; else of the preparation, where all trials share one; else None."""
    groups, trials, first = [], [], 0
    for part in traces:
        for input_id in np.unique(part.inputs):
            index = np.flatnonzero(part.inputs == input_id)
            if len(index) > 1:
                response = part.response[index]
                groups.append(response - response.mean(0))
                trials.append(first + index)
        first += part.n_trials
    if groups:
        length = min(group.shape[1] for group in groups)
        return Repeats(tuple(group[:, :length] for group in groups), tuple(trials), "repeats")
    return _of_preparation(traces)


def _of_preparation(traces: Sequence[Traces]) -> Repeats | None:
    """The later half of the preparation: the earlier may remember the trial before."""
    groups, trials, first = [], [], 0
    for part in traces:
        settled = slice(part.n_prepare // 2, part.n_prepare)
        alike = bool((part.drive[:, : part.n_prepare] == part.drive[:1, : part.n_prepare]).all())
        if part.n_prepare // 2 >= _MIN_PREPARATION and part.n_trials >= 8 and alike:
            response = part.response[:, settled]
            groups.append(response - response.mean(0))
            trials.append(first + np.arange(part.n_trials))
        first += part.n_trials
    if not groups:
        return None
    length = min(group.shape[1] for group in groups)
    return Repeats(tuple(group[:, :length] for group in groups), tuple(trials), "preparation")
