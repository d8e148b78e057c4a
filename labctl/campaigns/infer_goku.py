"""Infer the parameters of measured traces with a trained model, refined by each trace's own likelihood."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from labctl.background import in_background
from labctl.campaign import Campaign, Step
from labctl.campaigns.goku_settings import InferSettings
from labctl.errors import CampaignError
from labctl.events import Progress, Reported, Warned
from labctl.goku_channels import FREE_KINDS
from labctl.goku_judging import out_of_time
from labctl.goku_model import GokuModel
from labctl.goku_noise import noise_levels
from labctl.goku_series import Measured
from labctl.goku_table import TraceRow, rows_of, write_inferred
from labctl.provenance import collect_provenance
from labctl.twin_data import sha256_of

if TYPE_CHECKING:
    from twins.goku.diagnosis.identifiability import Identifiability
    from twins.goku.inference.refine_settings import Refined
    from twins.goku.posterior import Posterior
    from twins.goku.series import Series

ASKED, DONE, NOT_ASKED = "asked for, not finished", "done", "not asked for"
"""The `refinement` that a file of inferred parameters tells of."""
_PHASES = {"climb": (0.0, 0.6), "draw": (0.6, 0.1), "sample": (0.7, 0.3)}
"""Of a refinement: where each begins and what it takes of the whole."""


@dataclass(frozen=True, slots=True, eq=False)
class Inferred:
    """measured, series: what was asked about, as measured and as the model takes it. rows: the table. substeps: of the solver, a
    sample. refined: what the likelihood gave, if it was asked."""

    model: GokuModel
    measured: Measured
    series: Series
    posterior: Posterior
    rows: tuple[TraceRow, ...]
    about: dict[str, Any]
    substeps: int
    refined: Refined | None = None
    files: tuple[Path, ...] = ()

    @property
    def n_trusted(self) -> int:
        """Traces whose posterior can be trusted."""
        return int(self.posterior.trusted.sum())

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {**self.about, "traces": [row.as_dict() for row in self.rows]}


def infer_goku(
    model: GokuModel,
    measured: Measured,
    *,
    seed: int,
    settings: InferSettings | None = None,
    files: Sequence[Path] = (),
) -> Campaign[Inferred]:
    """What `model` says of every trace, then what its likelihood says beginning there.

    measured: cut as the model takes it (``GokuModel.fitting``). files: written by their endings (.json, .csv, .h5), first
    with what the network says, so that an interrupted refinement leaves that; their `refinement` tells.
    Raises RecordingError, CampaignError, twins.TwinError.
    """
    import torch

    settings = settings or InferSettings()
    key = f"goku/infer/{model.name}"
    step = Step(key, f"Infer {measured_in_words(measured)} with {model.name}")
    yield step.started()
    if model.wired.kind in FREE_KINDS:
        yield Warned(
            key,
            f"the {model.wired.kind} operator between equation and channels was learned and counts as exact: the intervals do not "
            "hold its error, and parameters that it can make up for have no meaning of their own",
        )
    series = model.series(measured, share=settings.share)
    generator = torch.Generator().manual_seed(seed)
    about = about_of(model, measured, seed=seed, extra={"share": settings.share, "sampler": settings.sampler})
    n_draws = settings.n_draws
    guess = yield from in_background(lambda: model.infer(series, n_draws=n_draws, generator=generator), key=key)
    state = ASKED if settings.refine else NOT_ASKED
    inferred = _kept(model, measured, series, guess, {**about, "refinement": state}, files)
    if settings.refine:
        found = yield from refined(model, series, guess, key=key, seed=seed, settings=settings)
        late = len(out_of_time(found.posterior))
        state = f"out of time in {late} of {series.n_traces} traces" if late else DONE
        inferred = _kept(model, measured, series, found.posterior, {**about, "refinement": state}, files, found)
        for remark in _remarks(found):
            yield Warned(key, remark)
    left = len(inferred.rows) - inferred.n_trusted
    if left:
        example = next(row for row in inferred.rows if not row.trusted)
        yield Warned(
            key, f"{left} of {len(inferred.rows)} traces are not to be trusted ({example.trace}: {example.why})"
        )
    outcome = {"traces": len(inferred.rows), "trusted": inferred.n_trusted, "simulated": about["simulated"]}
    yield Reported(key, outcome, tuple(map(str, files)))
    yield step.finished(f"{inferred.n_trusted} of {len(inferred.rows)} traces to be trusted")
    return inferred


def refined(
    model: GokuModel, series: Series, guess: Posterior, *, key: str, seed: int, settings: InferSettings | None = None
) -> Campaign[Refined]:
    """What each trace's (or group's) own likelihood gives, beginning at the network's guess."""
    from twins.goku.inference.refine import refine
    from twins.goku.inference.refine_settings import RefineSettings

    settings = settings or InferSettings()
    sweeps = {} if settings.n_sweeps is None else {"n_sweeps": settings.n_sweeps}
    events = refine(
        model.system, model.observation(), series, guess, seed=seed,
        settings=RefineSettings(
            noise_sd_range=noise_range(model, series), initial=settings.initial, sampler=settings.sampler,
            always_sample=settings.sampler == "emcee", n_draws=settings.refined_draws, n_starts=settings.n_starts,
            max_seconds=settings.max_seconds, **sweeps,
        ),
    )  # fmt: skip
    try:
        while True:
            try:
                event = next(events)
            except StopIteration as finished:
                found: Refined = finished.value
                break
            begins, share = _PHASES[event.phase]
            yield Progress(key, begins + share * event.progress, 1.0, f"{event.phase}, {event.n_under_way} under way")
    finally:
        events.close()
    return found


def noise_range(model: GokuModel, series: Series) -> tuple[np.ndarray, np.ndarray]:
    """Of the instrument's noise by channel: that of the training, else what the traces show."""
    if model.training == "simulated":
        simulator = model.amortised.simulator
        return simulator.noise_low.numpy(), simulator.noise_high.numpy()
    return noise_levels(series, {})


def _remarks(found: Refined) -> list[str]:
    """What of a refinement wants saying."""
    at_edge = Counter(name for names in found.at_edge.values() for name in names)
    return [
        f"{name} lies at the end of its range in {count} trace{'s' * (count != 1)}: if nature allows more, widen it (--range)"
        for name, count in at_edge.items()
    ]


def _kept(
    model: GokuModel,
    measured: Measured,
    series: Series,
    posterior: Posterior,
    about: dict[str, Any],
    files: Sequence[Path],
    found: Refined | None = None,
) -> Inferred:
    rows = tuple(rows_of(posterior, measured.labels, series.groups.tolist()))
    told = {**about, "how": posterior.how}
    for path in files:
        write_inferred(path, rows, posterior, told)
    substeps = model.substeps if found is None else found.substeps
    return Inferred(model, measured, series, posterior, rows, told, substeps, found, tuple(files))


def about_of(model: GokuModel, measured: Measured, *, seed: int, extra: dict[str, Any]) -> dict[str, Any]:
    """Where an outcome comes from, as plain data."""
    station = measured.bench.get("station", {})
    return {
        "model": str(model.path.absolute()),
        "model_sha256": sha256_of(model.path),
        "equation": model.source.as_dict(),
        "observed": model.wired.as_dict(),
        "data": [dict(source) for source in measured.sources],
        "treatments": list(measured.treatments),
        **collect_provenance(
            simulated=measured.simulated or model.simulated,
            seed=seed,
            station_text=station.get("text", ""),
            station_sha256=station.get("sha256", ""),
            identities=measured.bench.get("identities", {}),
            extra=extra,
        ),
    }


def what_can_be_told(inferred: Inferred, *, seed: int, most: int = 4) -> list[tuple[str, Identifiability]]:
    """Which parameters the data tell and which they do not, for the first groups of traces: (traces in words, findings).

    Nothing where the likelihood was not asked, or for groups whose every start ran away.
    """
    from twins.goku.diagnosis.identifiability import identifiability
    from twins.goku.posterior import Guess

    found = inferred.refined
    if found is None:
        return []
    series = inferred.series
    groups = [
        group for group in dict.fromkeys(series.groups.tolist()) if not found.diverged[series.groups == group].any()
    ]
    chosen = np.flatnonzero(np.isin(series.groups, groups[:most]))
    if not len(chosen):
        return []
    estimate = Guess(*(getattr(found.estimate, name)[chosen] for name in ("parameters", "initial", "noise_sd")))
    findings = identifiability(
        inferred.model.system, inferred.model.observation(), series.select(chosen), estimate,
        posterior=inferred.posterior.select(chosen), substeps=found.substeps, seed=seed,
    )  # fmt: skip
    told = []
    for one in findings:
        labels = [inferred.rows[int(k)].trace for k in np.flatnonzero(series.groups == one.group)]
        told.append(
            (labels[0] if len(labels) == 1 else f"{labels[0]} and {len(labels) - 1} more that share parameters", one)
        )
    return told


def measured_in_words(measured: Measured) -> str:
    """As 12 traces."""
    return f"{len(measured.traces)} trace{'s' * (len(measured.traces) != 1)}"


def check_writable(files: Sequence[Path]) -> None:
    """Raise CampaignError where a file's folder cannot be made."""
    for path in files:
        if path.is_dir() or any(parent.exists() and not parent.is_dir() for parent in path.parents):
            raise CampaignError(f"{path} cannot be written: it or what is above it is no place for a file")
