"""Scores of a task's outputs; lower is better.

nrmse          sqrt( mean (y - t)² / var t ) over all scored steps, averaged over outputs; 1 for predicting the mean
cross_entropy  mean of -ln p(true class) over all scored steps, in nats; ln C for guessing among C classes
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twins.errors import TwinError
from twins.network.readout import ReadoutKind
from twins.network.tasks import Metric, TaskData, TaskError

_SMALLEST_PROBABILITY = 1e-12  # a class that a read-out excludes costs 27.6 nats, not infinity


class NetworkDivergedError(TwinError, ArithmeticError):
    """What a network answers is not finite, so often that there is nothing to learn from or to choose."""


@dataclass(frozen=True, slots=True)
class Score:
    """A task's score: value (lower is better; infinite where features were not finite), accuracy (0..1) of the scored steps
    beside it for classification.

    details: further figures of the task by name, such as a memory capacity (see TaskData.details).
    """

    metric: Metric
    value: float
    accuracy: float | None = None
    details: Mapping[str, float] = field(default_factory=dict)


def score(metric: Metric, outputs: ArrayLike, data: TaskData) -> Score:
    """Score outputs (trial, step, output): predictions for 'nrmse', probabilities for 'cross_entropy'."""
    out = np.asarray(outputs, dtype=np.float64)
    if out.shape != data.targets.shape:
        raise TaskError(f"outputs {out.shape} do not fit the targets {data.targets.shape}")
    details = dict(data.details(out, data)) if data.details is not None else {}
    out, targets = out[data.scored], data.targets[data.scored]
    if metric == "nrmse":
        return Score(metric, nrmse(out, targets), details=details)
    chosen = np.sum(out * targets, axis=-1)
    accuracy = np.mean(np.argmax(out, axis=-1) == np.argmax(targets, axis=-1))
    value = float(np.mean(-np.log(np.maximum(chosen, _SMALLEST_PROBABILITY))))
    return Score(metric, value, float(accuracy), details)


def mean_details(scores: Sequence[Score]) -> dict[str, float]:
    """The mean of each further figure over the scores that have it."""
    names = dict.fromkeys(name for one in scores for name in one.details)
    return {name: float(np.mean([one.details[name] for one in scores if name in one.details])) for name in names}


def nrmse(outputs: NDArray[np.float64], targets: NDArray[np.float64]) -> float:
    """Root mean square error over the standard deviation of the targets; (row, output), averaged over outputs."""
    variance = np.var(targets, axis=0)
    if not np.all(variance > 0):
        raise TaskError("NRMSE is undefined: a target is constant over the scored steps")
    return float(np.mean(np.sqrt(np.mean((outputs - targets) ** 2, axis=0) / variance)))


def readout_kind(metric: Metric) -> ReadoutKind:
    """The read-out that belongs to a metric."""
    return "linear" if metric == "nrmse" else "softmax"
