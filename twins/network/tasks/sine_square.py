"""Sine or square: which of two waves is being played (as in Paquot et al., Sci. Rep. 2:287, 2012)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from twins.network.tasks.task import Array, Metric, TaskData, TaskError, check_size, scored_after


@dataclass(frozen=True, slots=True)
class SineSquare:
    """A random sequence of whole periods of a sine and of a square wave; say at every step which it is.

    A period has `period` steps, the step k at phase 2π (k + 1/2) / period, so that no step falls on a crossing of zero.
    Class 0: sine, a sin φ; class 1: square, a sign(sin φ). To each step is added noise that is uniform in ± `noise`, and
    a = 1 - noise, so that the input stays within -1..1. A trial begins at a random step of its first period.
    """

    period: int = 8
    noise: float = 0.2
    washout: int = 3

    name = "sine_square"
    metric: ClassVar[Metric] = "cross_entropy"
    n_inputs = 1
    n_outputs = 2

    def __post_init__(self) -> None:
        if self.period < 4 or not 0.0 <= self.noise < 1.0 or self.washout < 0:
            raise TaskError(f"sine-square needs period >= 4 (steps), 0 <= noise < 1 and washout >= 0, not {self}")

    def sample(self, n_trials: int, n_steps: int, rng: np.random.Generator) -> TaskData:
        """n_trials sequences of n_steps steps."""
        check_size(n_trials, n_steps, self.washout)
        first = rng.integers(0, self.period, size=(n_trials, 1))
        counted = first + np.arange(n_steps)
        square_of_period = rng.integers(0, 2, size=(n_trials, n_steps // self.period + 2)).astype(bool)
        square = np.take_along_axis(square_of_period, counted // self.period, axis=1)
        sine = np.sin(2 * np.pi * (counted % self.period + 0.5) / self.period)
        wave = (1.0 - self.noise) * np.where(square, np.sign(sine), sine)
        inputs: Array = wave + rng.uniform(-self.noise, self.noise, size=wave.shape)
        targets = np.stack([~square, square], axis=-1).astype(np.float64)
        return TaskData(inputs[..., None], targets, scored_after(self.washout, n_trials, n_steps))
