"""Memory capacity: how many of its past inputs a network still holds (Jaeger, GMD report 152, 2002)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from twins.network.tasks.task import Array, Metric, TaskData, TaskError, check_size, scored_after


@dataclass(frozen=True, slots=True)
class MemoryCapacity:
    """Say at once what the input was 1, 2, … `longest` steps ago: u[n] uniform in -1..1, target d is u[n-d].

    Beside the nrmse (averaged over the delays) stands the memory capacity C = Σ_d r²_d, r_d the correlation of output d
    with its target over all scored steps: `longest` for a perfect memory, 0 for none. For a linear read-out that was
    fitted on the same data, 1 - C / longest is the mean squared error over the targets' variance, so that minimising
    one maximises the other.
    """

    longest: int = 10

    name = "memory_capacity"
    metric: ClassVar[Metric] = "nrmse"
    n_inputs = 1

    def __post_init__(self) -> None:
        if self.longest < 1:
            raise TaskError(f"memory capacity needs longest >= 1 (steps), not {self.longest}")

    @property
    def n_outputs(self) -> int:
        """One for each delay 1..longest."""
        return self.longest

    @property
    def washout(self) -> int:
        """Steps before the first that has all its delays."""
        return self.longest

    def sample(self, n_trials: int, n_steps: int, rng: np.random.Generator) -> TaskData:
        """n_trials independent series of n_steps steps."""
        check_size(n_trials, n_steps, self.washout)
        u = rng.uniform(-1.0, 1.0, size=(n_trials, n_steps))
        targets = np.zeros((n_trials, n_steps, self.longest))
        for delay in range(1, self.longest + 1):
            targets[:, delay:, delay - 1] = u[:, :-delay]
        return TaskData(u[..., None], targets, scored_after(self.washout, n_trials, n_steps), memory_details)


def memory_details(outputs: Array, data: TaskData) -> dict[str, float]:
    """{'memory capacity': C} of outputs (trial, step, delay)."""
    return {"memory capacity": float(capacity_by_delay(outputs[data.scored], data.targets[data.scored]).sum())}


def capacity_by_delay(outputs: Array, targets: Array) -> Array:
    """Squared correlation of each output with its target, (delay,), for rows (row, delay); 0 where an output is
    constant."""
    ours, theirs = outputs - outputs.mean(axis=0), targets - targets.mean(axis=0)
    covariance = (ours * theirs).mean(axis=0)
    variances = (ours**2).mean(axis=0) * (theirs**2).mean(axis=0)
    squared: Array = np.divide(covariance**2, variances, out=np.zeros_like(variances), where=variances > 0)
    return squared
