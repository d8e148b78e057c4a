"""Deployment: a wiring and its conditions applied to the bench, what was promised, and what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from labctl.bench import Bench
from labctl.campaign import Campaign, Step
from labctl.clearance import Clearance
from labctl.errors import DeploymentError, GatesNotPassed
from labctl.events import Reported, Warned
from labctl.network_bench import apply_conditions, play_network

if TYPE_CHECKING:
    from twins.network.scores import Score
    from twins.network.tasks import Metric, TaskData
    from twins.network.wiring import Wiring

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Measurement:
    """A wiring as the device played it.

    outputs (repeat, trial, step, output) and scores (one a repeat) are those of the wiring's own read-out, or of the
    refitted one where the wiring has none. refitted_scores: those of a read-out fitted on measured training data, which
    refitted_wiring carries; empty and None where no training data was played. folder: the recordings.
    """

    outputs: Array
    scores: tuple[Score, ...]
    refitted_scores: tuple[Score, ...]
    refitted_wiring: Wiring | None
    device_seconds: float
    folder: Path

    @property
    def mean(self) -> float:
        """Mean score over the repeats."""
        return mean_of(self.scores)

    @property
    def std(self) -> float:
        """Standard deviation over the repeats (0 for one)."""
        return float(np.std([one.value for one in self.scores], ddof=1)) if len(self.scores) > 1 else 0.0

    def figures(self) -> dict[str, float]:
        """The figures as plain data."""
        figures = {"measured_mean": self.mean, "measured_std": self.std, "device_seconds": self.device_seconds}
        accuracy = mean_accuracy(self.scores)
        if accuracy is not None:
            figures["accuracy"] = accuracy
        figures |= details_of(self.scores)
        if self.refitted_scores:
            figures["refitted"] = mean_of(self.refitted_scores)
            figures |= {f"{name}, refitted": value for name, value in details_of(self.refitted_scores).items()}
        return figures


def mean_of(scores: Sequence[Score]) -> float:
    """Mean value of several scores."""
    return float(np.mean([one.value for one in scores]))


def mean_accuracy(scores: Sequence[Score]) -> float | None:
    """Mean accuracy of several scores, None for a regression."""
    values = [one.accuracy for one in scores if one.accuracy is not None]
    return float(np.mean(values)) if values else None


def details_of(scores: Sequence[Score]) -> dict[str, float]:
    """Means of the task's further figures, such as a memory capacity."""
    from twins.network.scores import mean_details

    return mean_details(scores)


def deploy(
    bench: Bench,
    wiring: Wiring,
    *,
    clearance: Clearance,
    metric: Metric,
    heldout: TaskData,
    training: TaskData | None = None,
    conditions: Mapping[str, float] | None = None,
    n_repeats: int = 1,
    folder: Path,
    key: str,
    title: str,
    seed: int | None = None,
    refit_regularisation: float | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> Campaign[Measurement]:
    """Apply `wiring` to the bench and measure its task on `heldout`, `n_repeats` times.

    clearance: leave to do so (see labctl.clearance); it is kept in the provenance of every recording, and an override
    is warned of.

    conditions: set-points, held for all recordings together with those that the wiring itself names.

    With `training` the bench plays that too, and a read-out is fitted on what it measured (its penalty is
    refit_regularisation; None: by cross-validation over trials): the figure that stands beside the one with the wiring's
    own read-out. seed: of the examples, and provenance: plain data, both for the recordings' provenance. Raises
    DeploymentError if the wiring has no read-out and no `training` is given, and GatesNotPassed if the clearance is not
    for all of its devices.
    """
    lacking = clearance.lacks(port.name for port in wiring.ports)
    if lacking:
        raise GatesNotPassed(
            f"the wiring plays on {', '.join(lacking)}, whose twins were not cleared; see labctl.clearance"
        )
    if wiring.readout is None and training is None:
        raise DeploymentError("the wiring has no read-out, and no training data to fit one on was given")
    if clearance.override is not None:
        yield Warned(key, f"applied although the twins' gates were not passed, because: {clearance.override}")
    set_points = {**(conditions or {}), **wiring.conditions}
    if set_points:
        yield from _conditions(bench, set_points, key=key)
    before_s = bench.device_seconds
    sets = ([training] if training is not None else []) + [heldout] * n_repeats
    inputs = np.concatenate([data.inputs for data in sets])
    layers = yield from play_network(
        bench,
        wiring,
        inputs,
        folder=folder,
        key=key,
        title=title,
        seed=seed,
        provenance={**(provenance or {}), "clearance": clearance.as_dict()},
    )
    used_s = bench.device_seconds - before_s
    result = judge_features(wiring, layers, metric, training, heldout, n_repeats, used_s, folder, refit_regularisation)
    yield Reported(key, result.figures(), (str(folder),))
    return result


def _conditions(bench: Bench, conditions: Mapping[str, float], *, key: str) -> Campaign[None]:
    step = Step(f"{key}/conditions", "Set conditions")
    yield step.started()
    apply_conditions(bench, conditions)
    yield step.finished(", ".join(f"{name} = {value:g}" for name, value in conditions.items()))


def judge_features(
    wiring: Wiring,
    layers: list[Array],
    metric: Metric,
    training: TaskData | None,
    heldout: TaskData,
    n_repeats: int,
    used_s: float,
    folder: Path,
    refit_regularisation: float | None,
) -> Measurement:
    """Score the measured features (training trials first, then the held-out ones of each repeat)."""
    from twins.network.readout import fit_readout, fit_readout_by_validation
    from twins.network.scores import readout_kind, score
    from twins.network.wiring import flat_features

    features = flat_features(layers)
    n_training = 0 if training is None else len(training.inputs)
    measured = features[n_training:].reshape(n_repeats, len(heldout.inputs), *features.shape[1:])
    refitted_wiring: Wiring | None = None
    refitted_scores: tuple[Score, ...] = ()
    if training is not None:
        trial_of_row = np.broadcast_to(np.arange(n_training)[:, None], training.scored.shape)[training.scored]
        kind, rows, targets = (
            readout_kind(metric),
            features[:n_training][training.scored],
            training.targets[training.scored],
        )
        if refit_regularisation is None:
            readout = fit_readout_by_validation(kind, rows, targets, trial_of_row)
        else:
            readout = fit_readout(kind, rows, targets, regularisation=refit_regularisation)
        refitted_wiring = wiring.with_readout(readout)
        refitted_scores = tuple(score(metric, readout.apply(one), heldout) for one in measured)
    own = wiring.readout or (refitted_wiring.readout if refitted_wiring else None)
    if own is None:
        raise DeploymentError("the wiring has no read-out, and no training data to fit one on was given")
    outputs = np.stack([own.apply(one) for one in measured])
    scores = tuple(score(metric, one, heldout) for one in outputs)
    return Measurement(outputs, scores, refitted_scores, refitted_wiring, used_s, folder)
