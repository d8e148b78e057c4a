"""Parity of delayed bits: what no linear model sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from twins.network.tasks.task import Array, Metric, TaskData, TaskError, check_size, scored_after


@dataclass(frozen=True, slots=True)
class DelayedParity:
    """Parity of `order` successive bits, the newest of them `delay` steps ago, as short sequences.

    One trial is one sequence of random bits ±1 with its own preparation before it. Class 1: an odd number of +1. A
    step is scored where all its bits lie inside the sequence, and it is one of the last `n_scored`, if that is given.
    """

    order: int = 3
    delay: int = 1
    n_scored: int | None = None

    name = "delayed_parity"
    metric: ClassVar[Metric] = "cross_entropy"
    n_inputs = 1
    n_outputs = 2

    def __post_init__(self) -> None:
        if self.order < 1 or self.delay < 0 or (self.n_scored is not None and self.n_scored < 1):
            raise TaskError(f"parity needs order >= 1, delay >= 0 and n_scored >= 1 or None, not {self}")

    @property
    def washout(self) -> int:
        """Steps before the first that has all its bits."""
        return self.delay + self.order - 1

    def sample(self, n_trials: int, n_steps: int, rng: np.random.Generator) -> TaskData:
        """n_trials sequences of n_steps bits."""
        check_size(n_trials, n_steps, self.washout)
        bits = rng.integers(0, 2, size=(n_trials, n_steps))
        odd = np.zeros((n_trials, n_steps), dtype=np.int64)
        for back in range(self.delay, self.delay + self.order):
            odd[:, back:] ^= bits[:, : n_steps - back]
        first = self.washout if self.n_scored is None else max(self.washout, n_steps - self.n_scored)
        targets = np.stack([odd == 0, odd == 1], axis=-1).astype(np.float64)
        inputs: Array = 2.0 * bits[..., None].astype(np.float64) - 1.0
        return TaskData(inputs, targets, scored_after(first, n_trials, n_steps))
