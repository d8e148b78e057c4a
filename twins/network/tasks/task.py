"""What a task is: examples, a metric, and how many channels go in and come out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from twins.errors import TwinError

Array: TypeAlias = NDArray[np.float64]
Metric = Literal["nrmse", "cross_entropy"]
Details: TypeAlias = "Callable[[Array, TaskData], Mapping[str, float]]"
"""Figures beside the score, by name, of outputs (trial, step, output) on these data; e.g. a memory capacity."""


class TaskError(TwinError, ValueError):
    """A task cannot be made with these numbers."""


@dataclass(frozen=True, slots=True, eq=False)
class TaskData:
    """Examples. inputs (trial, step, input) within -1..1; targets (trial, step, output), one-hot for classes; scored
    (trial, step). details: what else is to be said of outputs on them, for tasks with a figure besides the score."""

    inputs: Array
    targets: Array
    scored: NDArray[np.bool_]
    details: Details | None = None

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
        return replace(self, inputs=self.inputs[trials], targets=self.targets[trials], scored=self.scored[trials])


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


def check_size(n_trials: int, n_steps: int, washout: int) -> None:
    """Raise TaskError unless something of these trials can be scored."""
    if n_trials < 1 or n_steps <= washout:
        raise TaskError(
            f"{n_trials} trials of {n_steps} steps: give at least 1 trial and more steps than the washout of {washout}"
        )


def scored_after(washout: int, n_trials: int, n_steps: int) -> NDArray[np.bool_]:
    """The mask (trial, step) of trials that are scored from step `washout` on."""
    return np.broadcast_to(np.arange(n_steps) >= washout, (n_trials, n_steps)).copy()
