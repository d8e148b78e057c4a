"""Fit a model of an equation of known form to measured traces: train it, judge it on traces it has not seen, report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from labctl.campaign import Campaign, Step
from labctl.campaigns.finish_twin import plain
from labctl.campaigns.goku_settings import GokuSettings, judging_seconds
from labctl.campaigns.train_goku import FEWEST_MEASURED, train_measured, train_simulated
from labctl.errors import CampaignError
from labctl.events import Progress, Reported, Warned
from labctl.goku_channels import Wired, Wishes, wire
from labctl.goku_equation import EquationSource
from labctl.goku_judging import GokuJudgement, judge_goku
from labctl.goku_model import PROVENANCE, GokuModel, Training
from labctl.goku_plausible import check_plausible, remarks
from labctl.goku_series import Measured
from labctl.provenance import collect_provenance

if TYPE_CHECKING:
    from twins.goku.amortised.posterior import AmortisedPosterior
    from twins.goku.amortised.settings import AmortisedSettings
    from twins.goku.network.model import GokuNet
    from twins.goku.series import Series
    from twins.goku.system import System


@dataclass(frozen=True, slots=True, eq=False)
class FittedModel:
    """model: as saved. judgement: on the traces `judged`, which did not train it. figures: plain data. report: its page."""

    model: GokuModel
    judgement: GokuJudgement
    judged: Sequence[str]
    figures: Mapping[str, Any]
    report: Path


@dataclass(frozen=True, slots=True, eq=False)
class _Origin:
    """All that a fit begins with. series: what it trains on; held: what it is judged on, `how` in words."""

    name: str
    source: EquationSource
    wired: Wired
    system: System
    measured: Measured
    series: Series
    held_measured: Measured
    held: Series
    how: str
    settings: GokuSettings
    seed: int
    reading: Mapping[str, Any]


def fit_goku(
    name: str,
    measured: Measured,
    heldout: Measured | None,
    source: EquationSource,
    wishes: Wishes | None = None,
    *,
    seed: int,
    settings: GokuSettings | None = None,
    folder: Path,
    segment: int | None = None,
    reading: Mapping[str, Any] | None = None,
    amortised: AmortisedSettings | None = None,
    network: Mapping[str, Any] | None = None,
) -> Campaign[list[FittedModel]]:
    """Train on simulations (the default), on the measured traces, or both; judge; save NAME.safetensors, .json, .report.html.

    measured, heldout: whole traces, cut to `segment` samples here. A model of measured traces is NAME-measured where both
    are trained. reading: how the data were read, kept for later. amortised, network: settings of the two trainings other
    than the defaults. What was trained when it is stopped is kept. Raises CampaignError, RecordingError, UsageError,
    twins.TwinError.
    """
    settings = settings or GokuSettings()
    key = f"goku/fit/{name}"
    source.make()  # an equation that is no good is told before anything else
    origin, told = prepare(
        name,
        measured,
        heldout,
        source,
        wishes or Wishes(),
        seed=seed,
        settings=settings,
        segment=segment,
        reading=reading,
    )
    check_plausible(origin.system, origin.wired, origin.series, seed=seed, anyway=settings.anyway)
    for warning in (*told, *remarks(origin.system, origin.series), *_aliasing(origin)):
        yield Warned(key, warning)
    kinds: list[Training] = ["simulated", "measured"] if settings.training == "both" else [settings.training]
    fitted = []
    for kind in kinds:
        own_name = f"{name}-measured" if len(kinds) > 1 and kind == "measured" else name
        own = replace(origin, name=own_name)
        seconds = settings.max_seconds / len(kinds)
        model = yield from _trained(
            own, kind, folder, max_seconds=seconds, amortised=amortised, network=dict(network or {})
        )
        fitted.append((yield from _finished(own, model, folder)))
    return fitted


def prepare(
    name: str,
    measured: Measured,
    heldout: Measured | None,
    source: EquationSource,
    wishes: Wishes,
    *,
    seed: int,
    settings: GokuSettings,
    segment: int | None = None,
    reading: Mapping[str, Any] | None = None,
) -> tuple[_Origin, list[str]]:
    """The equation, the channels and the traces, divided; and what wants saying."""
    system = source.make()
    wired, told = wire(system, measured, wishes)
    if settings.training != "measured" and wired.kind != "known":
        raise CampaignError(
            f"a {wired.kind} operator is learned from measured traces: give --training measured, or say which channel shows "
            "which output (--observe CHANNEL=OUTPUT) to train on simulations"
        )
    trained, kept = measured.divided()
    cut = trained.cut(segment, ends=False)
    if cut is not trained:
        told.append(cut.treatments[-1].removeprefix("Data: "))
    length = max(len(trace.times_s) for trace in cut.traces)
    held = heldout or kept
    how = "traces that were given to judge on" if held is not None else ""
    if held is not None:
        held = held.cut(length)
    elif settings.training == "simulated":
        held, how = cut, "the measured traces, of which training saw none"
    else:
        cut, held = _split(cut, settings, seed)
        how = f"{len(held.traces)} traces that were kept from training"
    chosen = np.random.default_rng(seed).permutation(len(held.traces))[: settings.n_judged]
    held = held.select(np.sort(chosen))
    series = cut.series(wired.channels, wired.drives, share=settings.share)
    judged = held.series(wired.channels, wired.drives)
    if judged.n_samples < length:
        from twins.goku.inference.predictive import extended

        short = length - judged.n_samples
        last = None if judged.drive is None else judged.drive[:, -1:].repeat(short, axis=1)
        judged = extended(judged, short, last)
    return _Origin(
        name, source, wired, system, cut, series, held, judged, how, settings, seed, dict(reading or {})
    ), told


def _split(measured: Measured, settings: GokuSettings, seed: int) -> tuple[Measured, Measured]:
    """Whole trials to judge on where there are several, else traces."""
    trials = list(dict.fromkeys(trace.trial for trace in measured.traces))
    several = len(trials) >= FEWEST_MEASURED
    keys = [trace.trial if several else number for number, trace in enumerate(measured.traces)]
    units = list(dict.fromkeys(keys))
    n_held = max(1, round(settings.held_out_fraction * len(units)))
    if len(units) - n_held < 1:
        raise CampaignError(
            f"{len(measured.traces)} traces are too few to keep some to judge on; cut them (--segment), or train on simulations"
        )
    held = {units[index] for index in np.random.default_rng(seed).permutation(len(units))[:n_held]}
    parts = [[number for number, one in enumerate(keys) if (one in held) == wanted] for wanted in (False, True)]
    return measured.select(parts[0]), measured.select(parts[1])


def _aliasing(origin: _Origin) -> list[str]:
    """Where samples are too far apart for this equation in these ranges."""
    from twins.goku.diagnosis.aliasing import aliasing_warnings

    return [str(one) for one in aliasing_warnings(origin.system, origin.series, seed=origin.seed)]


def _trained(
    origin: _Origin,
    kind: Training,
    folder: Path,
    *,
    max_seconds: float,
    amortised: AmortisedSettings | None,
    network: dict[str, Any],
) -> Campaign[GokuModel]:
    key = f"goku/fit/{origin.name}"
    how = "simulations" if kind == "simulated" else f"{origin.series.n_traces} measured traces"
    step = Step(key, f"Train {origin.name} ({origin.system.name}) on {how}")
    yield step.started()
    if kind == "simulated":

        def keep_posterior(best: AmortisedPosterior) -> None:
            _save(origin, kind, best, folder, {"interrupted": True, "simulations": best.n_simulations})

        posterior = yield from train_simulated(
            key, origin.system, origin.wired, origin.series, origin.settings, seed=origin.seed, max_seconds=max_seconds,
            amortised=amortised, keep=keep_posterior,
        )  # fmt: skip
        model = _save(
            origin, kind, posterior, folder, {"simulations": posterior.n_simulations, "seconds": posterior.seconds}
        )
        coverage = posterior.coverage90_after
        yield step.finished(
            f"{posterior.n_simulations} simulations; 90 % intervals hold {np.mean(list(coverage.values())):.3f} in simulations"
        )
        return model

    def keep(net: GokuNet) -> None:
        _save(origin, kind, net, folder, {"interrupted": True})

    fitted = yield from train_measured(
        key, origin.system, origin.wired, origin.series, origin.settings, seed=origin.seed, max_seconds=max_seconds, keep=keep,
        spec=network,
    )  # fmt: skip
    about = {
        "epochs": fitted.n_epochs,
        "seconds": fitted.seconds,
        "stopped": fitted.stopped,
        "validation": fitted.validation,
    }
    model = _save(origin, kind, fitted.net, folder, about)
    yield step.finished(f"{fitted.n_epochs} epochs, validation {fitted.validation:.4g}, stopped: {fitted.stopped}")
    return model


def _finished(origin: _Origin, model: GokuModel, folder: Path) -> Campaign[FittedModel]:
    """Judge, save again with the judgement, report."""
    from labctl.goku_report import fit_account, write_goku_report

    key = f"goku/judge/{origin.name}"
    step = Step(key, f"Judge {origin.name} on {origin.held.n_traces} traces")
    yield step.started()
    judgement = yield from judge_goku(
        model, origin.held, key=key, seed=origin.seed, max_seconds=judging_seconds(origin.settings.max_seconds)
    )
    figures = plain({"how": origin.how, **judgement.figures})
    model = _save(origin, model.training, model.machine, folder, {**model.about["training"], "judged": figures})
    report = folder / f"{origin.name}.report.html"
    yield Progress(key, 0.9, 1.0, "report")
    write_goku_report(report, fit_account(model, judgement, origin.held_measured.labels, origin.how))
    yield Reported(key, {"model": origin.name, **figures}, (str(model.path), str(report)))
    yield step.finished(judgement.in_words())
    return FittedModel(model, judgement, origin.held_measured.labels, figures, report)


def _save(
    origin: _Origin, kind: Training, machine: AmortisedPosterior | GokuNet, folder: Path, training: Mapping[str, Any]
) -> GokuModel:
    about = plain(_provenance(origin, training))
    folder.mkdir(parents=True, exist_ok=True)
    if kind == "simulated":
        from twins.goku.amortised.file import save_amortised
        from twins.goku.amortised.posterior import AmortisedPosterior

        assert isinstance(machine, AmortisedPosterior)
        path = save_amortised(machine, folder / origin.name, provenance=about)
    else:
        from twins.goku.network.goku_file import save_goku
        from twins.goku.network.model import GokuNet

        assert isinstance(machine, GokuNet)
        path = save_goku(machine, folder / origin.name, provenance=about)
    return GokuModel(path, kind, origin.source, origin.wired, origin.system, machine, origin.series.n_samples, about)


def _provenance(origin: _Origin, training: Mapping[str, Any]) -> dict[str, Any]:
    station = origin.measured.bench.get("station", {})
    base = collect_provenance(
        simulated=origin.measured.simulated,
        seed=origin.seed,
        station_text=station.get("text", ""),
        station_sha256=station.get("sha256", ""),
        identities=origin.measured.bench.get("identities", {}),
        extra={
            "data": [dict(source) for source in origin.measured.sources],
            "judged_on": {"how": origin.how, "traces": origin.held_measured.labels},
            "treatments": list(origin.measured.treatments),
        },
    )
    goku = {
        "equation": origin.source.as_dict(),
        "observed": origin.wired.as_dict(),
        "n_samples": origin.series.n_samples,
        "reading": dict(origin.reading),
    }
    return {PROVENANCE: goku, "training": {**asdict(origin.settings), **training}, **base}


def listed(fitted: Sequence[FittedModel]) -> list[dict[str, Any]]:
    """Plain data of every model."""
    return [
        {
            "model": str(one.model.path),
            "report": str(one.report),
            "training": one.model.training,
            "simulated": one.model.simulated,
            "describes_the_traces": one.judgement.describes,
            **one.figures,
        }
        for one in fitted
    ]
