"""What comes out when networks are judged: passes, penalties tried, and what a wiring promises. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twins.network.scores import Score, mean_details

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class NoisePass:
    """One noise draw more was played on the twins: for a validation, a final read-out or a promise."""

    draw: int
    n_draws: int
    seconds: float


@dataclass(frozen=True, slots=True)
class PenaltyTried:
    """One strength of the final read-out's penalty was tried by cross-validation."""

    regularisation: float
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class Promise:
    """What the twins say a wiring will score on given examples, over noise draws.

    scores: with the wiring's own read-out, not refitted, one for each draw. mean, std: of their values (std: n - 1).
    outputs: (trial, step, output) of the first draw, to look at.
    """

    scores: tuple[Score, ...]
    outputs: Array

    @property
    def mean(self) -> float:
        """Mean score over the draws."""
        return float(np.mean([one.value for one in self.scores]))

    @property
    def std(self) -> float:
        """Standard deviation over the draws."""
        return float(np.std([one.value for one in self.scores], ddof=1))

    @property
    def accuracy(self) -> float | None:
        """Mean accuracy over the draws; None for a regression."""
        accuracies = [one.accuracy for one in self.scores if one.accuracy is not None]
        return float(np.mean(accuracies)) if accuracies else None

    @property
    def details(self) -> dict[str, float]:
        """Means over the draws of the task's further figures."""
        return mean_details(self.scores)
