"""NARMA: nonlinear autoregressive moving averages of random input, the usual test of memory and nonlinearity together.

    y[n+1] = α y[n] + β y[n] Σ_{i=0..m-1} y[n-i] + 1.5 v[n-m+1] v[n] + δ          v uniform in 0..0.5

order m = 10: α 0.3, β 0.05, δ 0.1     (Atiya and Parlos, IEEE Trans. Neural Netw. 11:697, 2000)
order m = 30: α 0.2, β 0.04, δ 0.001   (Schrauwen et al., Neurocomputing 71:1159, 2008)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from twins.network.tasks.task import Array, Metric, TaskData, TaskError, check_size, scored_after


@dataclass(frozen=True, slots=True)
class Recurrence:
    """The figures of one NARMA: order m, own (α), summed (β), constant (δ)."""

    order: int
    own: float
    summed: float
    constant: float


@dataclass(frozen=True, slots=True)
class Narma10:
    """NARMA-10: y[n] = 0.3 y[n-1] + 0.05 y[n-1] Σ_{i=1..10} y[n-i] + 1.5 v[n-10] v[n-1] + 0.1 with v uniform in 0..0.5.

    The input is u = 4 v - 1 in -1..1. The target of step n is y[n+1], which the newest input v[n] decides (Atiya and Parlos
    2000). Every trial starts in the middle of a long series (`run_in` steps before it). Draws in which y passes 1 are on
    their way to diverging, and are drawn again.
    """

    washout: int = 20
    run_in: int = 60

    name = "narma10"
    metric: ClassVar[Metric] = "nrmse"
    n_inputs = 1
    n_outputs = 1
    recurrence: ClassVar[Recurrence] = Recurrence(order=10, own=0.3, summed=0.05, constant=0.1)

    def __post_init__(self) -> None:
        _check(self.washout, self.run_in)

    def sample(self, n_trials: int, n_steps: int, rng: np.random.Generator) -> TaskData:
        """n_trials independent series of n_steps steps. Raises TaskError if n_steps leaves nothing to score."""
        return _sample(self.recurrence, self.washout, self.run_in, n_trials, n_steps, rng)


@dataclass(frozen=True, slots=True)
class Narma30:
    """NARMA-30: y[n] = 0.2 y[n-1] + 0.04 y[n-1] Σ_{i=1..30} y[n-i] + 1.5 v[n-30] v[n-1] + 0.001 with v uniform in 0..0.5.

    The input is u = 4 v - 1 in -1..1, the target of step n is y[n+1] (Schrauwen et al. 2008). Starts, and draws that
    diverge, as in NARMA-10.
    """

    washout: int = 40
    run_in: int = 150

    name = "narma30"
    metric: ClassVar[Metric] = "nrmse"
    n_inputs = 1
    n_outputs = 1
    recurrence: ClassVar[Recurrence] = Recurrence(order=30, own=0.2, summed=0.04, constant=0.001)

    def __post_init__(self) -> None:
        _check(self.washout, self.run_in)

    def sample(self, n_trials: int, n_steps: int, rng: np.random.Generator) -> TaskData:
        """n_trials independent series of n_steps steps. Raises TaskError if n_steps leaves nothing to score."""
        return _sample(self.recurrence, self.washout, self.run_in, n_trials, n_steps, rng)


def _check(washout: int, run_in: int) -> None:
    if washout < 0 or run_in < 0:
        raise TaskError(f"washout and run_in are steps >= 0, not {washout} and {run_in}")


def _sample(
    recurrence: Recurrence, washout: int, run_in: int, n_trials: int, n_steps: int, rng: np.random.Generator
) -> TaskData:
    check_size(n_trials, n_steps, washout)
    v = np.empty((n_trials, run_in + n_steps))
    y = np.empty((n_trials, run_in + n_steps + 1))
    wanted = np.arange(n_trials)
    while wanted.size:
        v[wanted] = rng.uniform(0.0, 0.5, size=(wanted.size, v.shape[1]))
        y[wanted] = narma_series(v[wanted], recurrence)
        wanted = wanted[~np.all(y[wanted] < 1.0, axis=1)]
    inputs: Array = 4.0 * v[:, run_in:, None] - 1.0
    return TaskData(inputs, y[:, run_in + 1 :, None], scored_after(washout, n_trials, n_steps))


def narma_series(v: Array, recurrence: Recurrence) -> Array:
    """y (trial, n + 1) from y[0] = 0 for input v (trial, n); y and v before the beginning are 0. May diverge."""
    y = np.zeros((v.shape[0], v.shape[1] + 1))
    order = recurrence.order
    with np.errstate(over="ignore", invalid="ignore"):  # a diverging draw is seen by the caller and drawn again
        for n in range(v.shape[1]):
            summed = y[:, max(n - order + 1, 0) : n + 1].sum(axis=1)
            product = v[:, n - order + 1] * v[:, n] if n >= order - 1 else 0.0
            y[:, n + 1] = (
                recurrence.own * y[:, n] + recurrence.summed * y[:, n] * summed + 1.5 * product + recurrence.constant
            )
    return y
