"""How the learning rate goes: warm-up, then steps down a cosine at every plateau (Abrevaya et al., public code)."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PlateauCosine:
    """lr = peak · decay^k · cos⁴(π k / period) + floor, k the number of plateaus so far.

    The first `warm_up_batches` rise linearly from `begin` to `peak`. A judged unit (of 9 batches) is a gain if its score
    is below the last gain's by more than `threshold`, relative. More than first_patience units without a gain are a
    plateau; after the first one, more than `patience`. More than stop_patience units without a gain end the training.
    """

    peak: float = 0.005251
    floor: float = 1e-5
    begin: float = 1e-7
    warm_up_batches: int = 180
    period: int = 50
    decay: float = 0.995
    first_patience: int = 50
    patience: int = 2
    threshold: float = 0.01
    stop_patience: int = 350

    def warm_up(self, n_batches: int) -> float:
        """The rate of the batch after n_batches of the warm-up."""
        return self.begin + (self.peak - self.begin) * n_batches / max(1, self.warm_up_batches)

    def after(self, n_plateaus: int) -> float:
        """The rate after so many plateaus."""
        cosine = math.cos(math.pi * n_plateaus / self.period)
        return self.peak * self.decay**n_plateaus * cosine**4 + self.floor


class LearningRate:
    """Where a training stands on its schedule; None: the same rate always, and no early stop."""

    def __init__(self, schedule: PlateauCosine | None, constant: float) -> None:
        self._schedule, self._constant = schedule, constant
        self._best, self._since_gain, self._since_plateau = math.inf, 0, 0
        self.n_plateaus = 0

    def of_batch(self, n_batches: int) -> float:
        """The rate for the batch after n_batches."""
        if self._schedule is None:
            return self._constant
        if n_batches < self._schedule.warm_up_batches:
            return self._schedule.warm_up(n_batches)
        return self._schedule.after(self.n_plateaus) if self.n_plateaus else self._schedule.peak

    def judge(self, score: float, n_batches: int) -> bool:
        """Hear the score of a unit (lower is better); whether to stop. Nothing counts during the warm-up.

        A score that is not finite is no gain.
        """
        schedule = self._schedule
        if schedule is None or n_batches <= schedule.warm_up_batches:
            return False
        if _is_gain(score, self._best, schedule.threshold):
            self._best, self._since_gain, self._since_plateau = score, 0, 0
            return False
        self._since_gain += 1
        self._since_plateau += 1
        if self._since_plateau > (schedule.patience if self.n_plateaus else schedule.first_patience):
            self.n_plateaus += 1
            self._since_plateau = 0
        return self._since_gain > schedule.stop_patience


def _is_gain(score: float, best: float, threshold: float) -> bool:
    """Relative, also for a score below zero, as minus a log-likelihood can be."""
    if not math.isfinite(best):
        return math.isfinite(score)
    return score < best - threshold * abs(best)
