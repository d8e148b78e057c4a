"""Tasks: what a network is for. A task of your own is one small class with the members of `Task`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from twins.errors import TwinError

Array = NDArray[np.float64]
Metric = Literal["nrmse", "cross_entropy"]


class TaskError(TwinError, ValueError):
    """A task cannot be made with these numbers."""


@dataclass(frozen=True, slots=True, eq=False)
class TaskData:
    """Examples. inputs (trial, step, input) within -1..1; targets (trial, step, output), one-hot for classes; scored
    (trial, step)."""

    inputs: Array
    targets: Array
    scored: NDArray[np.bool_]

    def __post_init__(self) -> None:
        if self.inputs.ndim != 3 or self.targets.ndim != 3 or self.scored.ndim != 2:
            raise TaskError("task data: inputs and targets are (trial, step, channel), scored is (trial, step)")
        if not self.inputs.shape[:2] == self.targets.shape[:2] == self.scored.shape:
            raise TaskError(
                f"task data disagree: inputs {self.inputs.shape}, targets {self.targets.shape}, "
                f"scored {self.scored.shape}"
            )
        if not self.scored.any():
            raise TaskError("no step of the task data is scored: ask for more steps than the task's washout")

    def take(self, trials: slice) -> TaskData:
        """The same for some of the trials."""
        return TaskData(self.inputs[trials], self.targets[trials], self.scored[trials])


@runtime_checkable
class Task(Protocol):
    """What the optimiser, the baselines and a deployment need to know of a task."""

    @property
    def name(self) -> str:
        """Short name, as in reports."""

    @property
    def metric(self) -> Metric:
        """'nrmse' (regression, linear read-out) or 'cross_entropy' (classification, softmax read-out); lower is
        better."""

    @property
    def n_inputs(self) -> int:
        """Input channels."""

    @property
    def n_outputs(self) -> int:
        """Output channels, or classes."""

    @property
    def washout(self) -> int:
        """Leading steps of a trial that are never scored."""

    def sample(self, n_trials: int, n_steps: int, rng: np.random.Generator) -> TaskData:
        """Fresh examples."""


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

    def sample(self, n_trials: int, n_steps: int, rng: np.random.Generator) -> TaskData:
        """n_trials independent series of n_steps steps. Raises TaskError if n_steps leaves nothing to score."""
        _check_size(n_trials, n_steps, self.washout)
        v = np.empty((n_trials, self.run_in + n_steps))
        y = np.empty((n_trials, self.run_in + n_steps + 1))
        wanted = np.arange(n_trials)
        while wanted.size:
            v[wanted] = rng.uniform(0.0, 0.5, size=(wanted.size, v.shape[1]))
            y[wanted] = _narma(v[wanted])
            wanted = wanted[~np.all(y[wanted] < 1.0, axis=1)]
        scored = np.broadcast_to(np.arange(n_steps) >= self.washout, (n_trials, n_steps)).copy()
        inputs: Array = 4.0 * v[:, self.run_in :, None] - 1.0
        return TaskData(inputs, y[:, self.run_in + 1 :, None], scored)


def _narma(v: Array) -> Array:
    y = np.zeros((v.shape[0], v.shape[1] + 1))
    with np.errstate(over="ignore", invalid="ignore"):  # a diverging draw is seen by the caller and drawn again
        for n in range(v.shape[1]):
            last_ten = y[:, max(n - 9, 0) : n + 1].sum(axis=1)
            product = v[:, n - 9] * v[:, n] if n >= 9 else 0.0
            y[:, n + 1] = 0.3 * y[:, n] + 0.05 * y[:, n] * last_ten + 1.5 * product + 0.1
    return y


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
        _check_size(n_trials, n_steps, self.washout)
        bits = rng.integers(0, 2, size=(n_trials, n_steps))
        odd = np.zeros((n_trials, n_steps), dtype=np.int64)
        for back in range(self.delay, self.delay + self.order):
            odd[:, back:] ^= bits[:, : n_steps - back]
        first = self.washout if self.n_scored is None else max(self.washout, n_steps - self.n_scored)
        scored = np.broadcast_to(np.arange(n_steps) >= first, (n_trials, n_steps)).copy()
        targets = np.stack([odd == 0, odd == 1], axis=-1).astype(np.float64)
        inputs: Array = 2.0 * bits[..., None].astype(np.float64) - 1.0
        return TaskData(inputs, targets, scored)


def _check_size(n_trials: int, n_steps: int, washout: int) -> None:
    if n_trials < 1 or n_steps <= washout:
        raise TaskError(
            f"{n_trials} trials of {n_steps} steps: give at least 1 trial and more steps than the washout of {washout}"
        )
