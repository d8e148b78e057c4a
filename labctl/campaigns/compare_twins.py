"""Twins side by side on recordings that none of them has seen: who foresees the device better, and beyond chance?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from labctl.background import in_background
from labctl.campaign import Campaign, Step
from labctl.errors import CampaignError
from labctl.events import Progress, Reported, Warned
from labctl.recording import Recording
from labctl.twin_data import TwinData
from labctl.unseen_inputs import unseen_by

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from labctl.twin_evidence import FreeRuns
    from twins import AnyTwin, Traces

CHANCE = 2.0
"""A difference of more standard errors than this is beyond chance (about 5 % of equal twins would differ so)."""


@dataclass(frozen=True, slots=True)
class ComparedTwin:
    """One twin on the recordings, and what it cost.

    score: free-run CRPS in units of the response's spread, lower is better; None where a free run diverged. difference:
    of the score to the best twin's, paired by input, with its standard error. beyond_chance: it is worse by more than
    chance. The rest is its calibration.
    """

    twin: str
    score: float | None
    difference: float | None
    difference_error: float | None
    beyond_chance: bool
    coverage_90: float
    std_ratio: float | None
    lag1_difference: float | None
    energy_relative: float | None
    gates_passed: bool
    device_seconds: float | None
    cpu_seconds: float | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The twins, best score first."""

    twins: tuple[ComparedTwin, ...]
    n_inputs: int
    n_trials: int
    simulated: bool

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {**asdict(self), "twins": [asdict(one) for one in self.twins], "verdict": self.verdict}

    @property
    def verdict(self) -> str:
        """In words."""
        best, *others = self.twins
        worse = [one.twin for one in others if one.beyond_chance]
        equal = [one.twin for one in others if not one.beyond_chance]
        said = [f"{best.twin} is better than {', '.join(worse)} beyond chance"] if worse else []
        if equal:
            said.append(f"{best.twin} and {', '.join(equal)} cannot be told apart on these {self.n_inputs} inputs")
        return "; ".join(said)

    def as_text(self) -> str:
        """A table for a terminal."""
        names = (
            "twin", "free-run score", "to the best", "coverage", "std ratio", "lag-1 diff.", "energy", "gates",
            "device s", "CPU s",
        )  # fmt: skip
        rows = [names, *(_cells(one) for one in self.twins)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(names))]
        lines = ["SIMULATED recordings"] if self.simulated else []
        lines += ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
        return "\n".join([*lines, self.verdict]) + "\n"


def compare_twins(
    twins: Sequence[Path], recordings: Sequence[Recording], *, n_draws: int = 99, seed: int = 0
) -> Campaign[Comparison]:
    """Ask every twin for free runs of every input and compare, input by input.

    Inputs that any of them was trained on are left out for all, with a warning.

    Raises CampaignError for fewer than two twins, RecordingError where too little is left, and twins.TwinError.
    """
    from labctl.judging import merged
    from twins import load_any_twin, read_provenance

    if len(twins) < 2:
        raise CampaignError("a comparison needs at least two twins")
    names = _names(twins)
    key = "compare"
    step = Step(key, f"Compare {' and '.join(names)}")
    yield step.started()
    data = TwinData.of(recordings)
    for path in twins:
        data, told = unseen_by(read_provenance(path), data, path, "the recordings to compare on")
        if told:
            yield Warned(key, f"{path.stem}: {told}")
    lots = merged(data.traces)
    loaded = [load_any_twin(path) for path in twins]
    scores, judgements = [], []
    first = max(twin.spec.n_history for twin in loaded)
    for number, twin in enumerate(loaded):
        work = _Asking(twin, lots, n_draws, seed, first)
        score, judgement = yield from in_background(work, key=key)
        scores.append(score)
        judgements.append(judgement)
        yield Progress(key, number + 1, len(twins), f"{names[number]} {score.mean():.4f}")
    best = min(range(len(twins)), key=lambda number: float(scores[number].mean()))
    compared = [
        _compared(name, score, scores[best], judgement, read_provenance(path))
        for name, path, score, judgement in zip(names, twins, scores, judgements, strict=True)
    ]
    comparison = Comparison(
        tuple(sorted(compared, key=lambda one: math.inf if one.score is None else one.score)),
        n_inputs=len(scores[0]),
        n_trials=sum(lot.n_trials for lot in lots),
        simulated=data.simulated,
    )
    yield Reported(key, comparison.as_dict())
    yield step.finished(comparison.verdict)
    return comparison


@dataclass(frozen=True, slots=True)
class _Asking:
    """Score and judge one twin, on a thread."""

    twin: AnyTwin
    lots: Sequence[Traces]
    n_draws: int
    seed: int
    first: int

    def __call__(self) -> tuple[NDArray[np.float64], Any]:
        from labctl.judging import judge
        from labctl.twin_evidence import free_runs

        score = [
            _score(runs, first=max(self.first, lot.n_prepare) + 1, scale=lot.scored()[1].std((0, 1)))
            for lot in self.lots
            for runs in free_runs(self.twin, lot, n_draws=self.n_draws, seed=self.seed)
        ]
        return np.array(score), judge(self.twin, self.lots, n_draws=self.n_draws, seed=self.seed)


def _score(runs: FreeRuns, *, first: int, scale: NDArray[np.float64]) -> float:
    """CRPS of one input from sample `first` of its trials on, where all twins have started."""
    import torch

    from twins.objectives.scores import crps

    drawn, device = torch.tensor(runs.twin[:, first - runs.start :]), torch.tensor(runs.device[:, first - runs.start :])
    values = [float((crps(drawn, one).numpy() / np.maximum(scale, 1e-300)).mean()) for one in device]
    mean = float(np.mean(values))
    return mean if math.isfinite(mean) else math.inf  # a free run that diverged foresees nothing


def _compared(
    name: str, score: NDArray[np.float64], best: NDArray[np.float64], judgement: Any, provenance: Mapping[str, Any]
) -> ComparedTwin:
    difference, error, beyond = _difference(score, best)
    figures = judgement.figures
    extra = provenance.get("extra", {})
    lags = [figures[f"lag1_autocorrelation_{who}"] for who in ("twin", "device")]
    used = [one.get("device_seconds") for one in extra.get("recordings", ())]
    return ComparedTwin(
        twin=name,
        score=float(score.mean()) if np.isfinite(score).all() else None,
        difference=difference,
        difference_error=error,
        beyond_chance=beyond,
        coverage_90=figures["coverage_90"],
        std_ratio=figures["std_ratio"],
        lag1_difference=None if None in lags else lags[0] - lags[1],
        energy_relative=figures["energy_relative"],
        gates_passed=judgement.passed,
        device_seconds=sum(used) if used and None not in used else None,
        cpu_seconds=extra.get("training", {}).get("cpu_seconds"),
    )


def _difference(score: NDArray[np.float64], best: NDArray[np.float64]) -> tuple[float | None, float | None, bool]:
    """(to the best twin, its standard error, whether it is beyond chance), paired by input."""
    if not np.isfinite(score).all():
        return None, None, bool(np.isfinite(best).all())
    worse_by = score - best
    error = float(worse_by.std(ddof=1)) / math.sqrt(len(worse_by)) if len(worse_by) > 1 else None
    return float(worse_by.mean()), error, error is not None and float(worse_by.mean()) > CHANCE * error


def _cells(one: ComparedTwin) -> tuple[str, ...]:
    def shown(value: float | None, form: str) -> str:
        return "-" if value is None else format(value, form)

    error = shown(one.difference_error, ".4f")
    score = "diverges" if one.score is None else f"{one.score:.4f}"
    return (
        one.twin, score, f"{shown(one.difference, '+.4f')} ± {error}", f"{one.coverage_90:.3f}",
        shown(one.std_ratio, ".3f"), shown(one.lag1_difference, "+.3f"), shown(one.energy_relative, ".4f"),
        "passed" if one.gates_passed else "NOT PASSED", shown(one.device_seconds, ".2f"), shown(one.cpu_seconds, ".1f"),
    )  # fmt: skip


def _names(twins: Sequence[Path]) -> list[str]:
    """The files' names, with their folders where two are alike."""
    stems = [path.stem for path in twins]
    return [str(path.with_suffix("")) if stems.count(path.stem) > 1 else path.stem for path in twins]
