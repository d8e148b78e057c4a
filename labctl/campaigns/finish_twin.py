"""The end of every fit: judge the twin, save it with its gates and its origin, write its report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from labctl.background import in_background
from labctl.campaign import Campaign
from labctl.campaigns.choose_twin import ChosenTwin
from labctl.campaigns.fit_settings import FitSettings
from labctl.campaigns.train_twin import TrainedTwin
from labctl.clearance import Gates, shortcomings
from labctl.events import Reported, Warned
from labctl.provenance import collect_provenance
from labctl.trained_inputs import TrainedInputs
from labctl.twin_data import TwinData
from labctl.twin_drives import TwinDrives

if TYPE_CHECKING:
    from labctl.judging import Judgement
    from labctl.twin_evidence import Evidence
    from twins import DeviceTwin


@dataclass(frozen=True, slots=True)
class FittedTwin:
    """Where a twin was saved, how well it is calibrated on held-out inputs, and whether it passed its gates.

    sampled: free runs (draw, time) of the first held-out input, first response channel, from sample `sampled_from` of
    its scored part on. reasons: why it is built and trained as it is. ensemble: the file of the ensemble that it is the
    first member of, if more than one was fitted. drives: how it may be driven.
    """

    device: str
    figures: Mapping[str, float | int | None]
    sampled: NDArray[np.float64]
    sampled_from: int
    path: Path
    gates: Gates
    report: Path
    drives: TwinDrives
    reasons: tuple[str, ...] = ()
    ensemble: Path | None = None

    @property
    def passed(self) -> bool:
        """Whether it passed all gates."""
        return bool(self.gates["passed"])

    def load(self) -> DeviceTwin:
        """The twin."""
        from twins import load_twin

        return load_twin(self.path)


@dataclass(frozen=True, slots=True)
class TwinOrigin:
    """How a twin came about: what it was fitted to, what it is judged on (`how` in words), and how it was chosen.

    trained_on: fingerprints of `data`, if they are known already. withheld: why the judgement cannot clear the twin,
    whatever its figures; empty if it can. kept: provenance of a twin that stays as it was and is only judged anew.
    """

    device: str
    data: TwinData
    judged: TwinData
    how: str
    chosen: ChosenTwin
    settings: FitSettings
    seed: int
    trained_on: TrainedInputs | None = None
    withheld: str = ""
    kept: Mapping[str, Any] | None = None


def finish_twin(
    key: str, trained: Sequence[TrainedTwin], origin: TwinOrigin, *, folder: Path
) -> Campaign[tuple[FittedTwin, str]]:
    """Judge the first of the twins and save all of them, with the report; returns it and its figures in one line."""
    device, first = origin.device, trained[0]
    n_draws, seed = origin.settings.n_calibration_draws, origin.seed
    yield from _remark_conditions(key, origin)
    judgement, evidence = yield from in_background(
        lambda: _judge(first.twin, origin.judged, n_draws=n_draws, seed=seed), key=key
    )
    if origin.withheld:
        judgement = judgement.withheld(origin.withheld)
    folder.mkdir(parents=True, exist_ok=True)
    path, ensemble = _save(folder / device, trained, judgement, origin)
    report = folder / f"{device}.report.html"
    yield from in_background(lambda: _report(report, judgement, evidence, first, origin), key=key)
    for fault in shortcomings(device, judgement.gates):
        yield Warned(key, fault)
    score = first.result.free_run_score
    outcome = {**judgement.figures, "free_run_score": score, "gates_passed": judgement.passed}
    yield Reported(key, outcome, (str(path), str(report)))
    shown = evidence.shown[0]
    fitted = FittedTwin(
        device=device,
        figures=judgement.figures,
        sampled=shown.sampled[:, :, 0],
        sampled_from=shown.start,
        path=path,
        gates=judgement.gates,
        report=report,
        drives=TwinDrives.of(first.twin),
        reasons=origin.chosen.reasons,
        ensemble=ensemble,
    )
    return fitted, _one_line(judgement, score)


def _remark_conditions(key: str, origin: TwinOrigin) -> Campaign[None]:
    for name in origin.chosen.spec.condition_names:
        values = sorted({part.conditions[name] for part in origin.data.traces})
        if len(values) < 3:
            yield Warned(
                key,
                f"the twin is conditioned on {name}, recorded at {len(values)} values only: between them it is a guess",
            )


def _judge(twin: DeviceTwin, data: TwinData, *, n_draws: int, seed: int) -> tuple[Judgement, Evidence]:
    from labctl.judging import judge, merged
    from labctl.twin_evidence import evidence_of

    judgement = judge(twin, data.traces, n_draws=n_draws, seed=seed)
    largest = max(merged(data.traces), key=lambda lot: lot.n_trials)
    return judgement, evidence_of(twin, largest, n_draws=n_draws, seed=seed)


def _save(
    path: Path, trained: Sequence[TrainedTwin], judgement: Judgement, origin: TwinOrigin
) -> tuple[Path, Path | None]:
    """The twin, and beside it the ensemble that it is the first member of, if it is."""
    from twins import save_twin

    one = trained[0]
    training = {**asdict(origin.settings), **asdict(one.result), "cpu_seconds": one.cpu_seconds}
    provenance = provenance_of(training, origin, figures=judgement.figures, gates=judgement.gates)
    saved = save_twin(trained[0].twin, path, provenance=provenance)
    if len(trained) < 2:
        return saved, None
    from twins.ensemble import TwinEnsemble
    from twins.ensemble_file import save_ensemble

    ensemble = TwinEnsemble([one.twin for one in trained])
    # The gates were judged of the first member alone.
    kept = {**provenance, "gates": {}}
    return saved, save_ensemble(ensemble, path.with_name(f"{path.name}-ensemble"), provenance=kept)


def provenance_of(
    training: Mapping[str, Any], origin: TwinOrigin, *, figures: Mapping[str, Any], gates: Mapping[str, Any]
) -> dict[str, Any]:
    """Where the twin comes from: recordings with their benches, diagnosis, training; and how it was judged, if it was."""
    data, chosen = origin.data, origin.chosen
    station = data.bench.get("station", {})
    extra = {
        "training": plain({**training, "phases": chosen.phases}),
        "recordings": [dict(one) for one in data.sources],
        "judged_on": {"how": origin.how, "recordings": [dict(one) for one in origin.judged.sources]},
        "calibration": plain(figures),
        "treatments": list(data.treatments),
        "trained_on": (origin.trained_on or TrainedInputs.of(data.traces, whole=data.uncut)).as_dict(),
    }
    base = collect_provenance(
        simulated=data.simulated or origin.judged.simulated,
        seed=origin.seed,
        station_text=station.get("text", ""),
        station_sha256=station.get("sha256", ""),
        identities=data.bench.get("identities", {}),
        extra=extra,
    )
    made = {
        "conditions": data.conditions,
        "choice": {"choice": origin.settings.choice, "reasons": list(chosen.reasons), **plain(chosen.findings)},
    }
    if origin.kept is not None:  # how it was made is as it was
        made |= {name: origin.kept[name] for name in made if name in origin.kept}
        before = origin.kept.get("extra", {})
        base["extra"] |= {name: before[name] for name in ("training", "treatments") if name in before}
    return {"gates": plain(gates), **made, **base}


def _report(path: Path, judgement: Judgement, evidence: Evidence, one: TrainedTwin, origin: TwinOrigin) -> None:
    from labctl.twin_limits import limits_of
    from labctl.twin_report import TwinAccount, write_twin_report

    data = origin.data
    facts = {
        "fitted to": [one["path"] for one in data.sources],
        "judged on": origin.how,
        "device time of the recordings (s)": data.seconds,
        "seed": origin.seed,
        "structure": plain(asdict(one.twin.spec)),
        "phases": list(origin.chosen.phases),
        "training, wall time (s)": one.result.seconds,
        "training, processor time (s)": one.cpu_seconds,
        "held-out free-run score": one.result.free_run_score,
        "free-run score of the backbone alone": one.result.linear_free_run_score,
        "treatments": list(data.treatments),
    }
    account = TwinAccount(
        name=origin.device,
        simulated=data.simulated or origin.judged.simulated,
        gates=judgement.gates,
        figures=judgement.figures,
        evidence=evidence,
        diagnosis=origin.chosen.words,
        reasons=origin.chosen.reasons,
        limits=limits_of(one.twin, origin.judged, origin.how, repeated=evidence.repeated),
        facts=facts,
    )
    write_twin_report(path, account)


def plain(value: Any) -> Any:
    """Data that JSON can hold: what is not finite becomes null."""
    if isinstance(value, Mapping):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _one_line(judgement: Judgement, score: float) -> str:
    """The most telling figures."""
    ratio = judgement.figures["std_ratio"]
    return (
        f"held-out 90 % coverage {judgement.figures['coverage_90']:.3f}, "
        f"std ratio {'not known' if ratio is None else format(ratio, '.3f')}, "
        f"free-run score {score:.4f}, gates {'passed' if judgement.passed else 'NOT PASSED'}"
    )
