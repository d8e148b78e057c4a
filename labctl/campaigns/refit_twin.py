"""Refit a twin on what its device just did in a network, without forgetting what it knew. Made for worker processes.

The twin goes on from where it is (warm start), on the network's plays together with the earlier recordings. Where these
contradict the plays (the device has aged, or they are of another one), they would hold it back; so a second candidate is
fitted to the plays alone, and taken if it foresees plays that were kept from both fits better, beyond chance. The twin as
it was is a candidate, too: it stays unless the refitted one foresees these plays better than it does, beyond chance.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from labctl.campaign import Campaign, Step
from labctl.campaigns.choose_twin import ChosenTwin
from labctl.campaigns.finish_twin import FittedTwin, TwinOrigin, finish_twin
from labctl.campaigns.fit_settings import FitSettings
from labctl.campaigns.network_plays import of_device, plays_of, some_inputs
from labctl.campaigns.train_twin import MEMBERS_APART, TrainedTwin
from labctl.errors import RecordingError
from labctl.events import Figures, Progress, Reported, Warned
from labctl.recording import Recording
from labctl.station import Device
from labctl.store import open_recording
from labctl.trained_inputs import TrainedInputs
from labctl.twin_data import TwinData
from labctl.unseen_inputs import trained_on, unseen

if TYPE_CHECKING:
    from twins import DeviceTwin, DeviceTwinSpec, FitResult, Traces

Array = NDArray[np.float64]
CHOOSING = 5
"""Every fifth of the examples that are learned from is kept to choose by."""
MOST_JUDGED = 4
"""Rounds' worth of inputs that a twin is judged on: judging takes its time."""
CHANCE = 2.0
"""Standard errors of a paired difference that count as chance."""
N_CALIBRATION_DRAWS = 99


@dataclass(frozen=True, slots=True)
class PlayedRound:
    """The recordings of one deployment; the first n_learned trials of each are to be learned from, the others judge."""

    folder: Path
    n_learned: int


@dataclass(frozen=True, slots=True)
class RefitTwin:
    """A refitted twin, or the one before where that stayed. surprise: one-step negative log likelihood (nats a sample) of
    plays that were kept from the fit, of the twin as it was and of the one that was fitted. old_kept: whether the earlier
    recordings still count. adopted: whether `fitted` is the refitted twin; if not, it is the one before, judged anew."""

    fitted: FittedTwin
    surprise_before: float
    surprise: float
    old_kept: bool
    adopted: bool = True

    def as_dict(self) -> dict[str, Any]:
        """Figures as plain data."""
        return {
            "surprise_before": self.surprise_before,
            "surprise": self.surprise,
            "old_recordings_kept": self.old_kept,
            "adopted": self.adopted,
            "gates_passed": self.fitted.passed,
            "coverage_90": self.fitted.figures["coverage_90"],
            "std_ratio": self.fitted.figures["std_ratio"],
        }


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A fit to some data, one twin or all members of an ensemble, and the surprise (trial,) of the first of them at the
    plays that were kept to choose by."""

    data: TwinData
    trained: list[TrainedTwin]
    surprise: Array
    old_kept: bool


@dataclass(frozen=True, slots=True)
class RefitSettings:
    """How to refit. old: recordings that the twin was fitted to before. heldout: recordings on which it must pass its
    gates as well. max_seconds, max_epochs: of each fit (with the earlier recordings, and without) and phase.
    n_judged_inputs: of the plays that no fit has seen, about so many inputs a round are judged on, with their repeats."""

    old: Sequence[Path] = ()
    heldout: Sequence[Path] = ()
    max_seconds: float | None = 60.0
    max_epochs: int | None = None
    n_judged_inputs: int = 48
    findings: Mapping[str, Any] = field(default_factory=dict)


def refit_twin(
    device: Device,
    twin: Path,
    *,
    rounds: Sequence[PlayedRound],
    settings: RefitSettings,
    seed: int,
    folder: Path,
    key: str,
) -> Campaign[RefitTwin]:
    """Refit the twin in this file on the learned trials of all rounds, and judge it on the other trials, which no fit sees.

    With the same seed in every round, no input that a fit was trained on becomes one that a later fit chooses its
    checkpoint by. Saves `<device>` with gates, origin and report in `folder`, as `fit_twin` does; of an ensemble all members
    are refitted, and the first is judged.

    Raises RecordingError for recordings that do not belong together; twins.TwinError.
    """
    from twins import read_provenance

    step = Step(key, f"Refit the twin of {device.name} on what the bench just did")
    yield step.started()
    plays, choosing = _learned(rounds, device)
    old = [of_device(open_recording(path), device, slice(None)) for path in settings.old]
    sets = [TwinData.of([*old, *plays]), TwinData.of(plays)] if old else [TwinData.of(plays)]
    candidates = []
    for number, data in enumerate(sets):
        trained = yield from _fit(members_of(twin), data, settings, seed=seed, key=key, part=(number, len(sets)))
        surprise = surprise_of(trained[0].twin, choosing.traces)
        candidates.append(_Candidate(data, trained, surprise, old_kept=bool(old) and number == 0))
    best = _best_of(candidates)
    members = members_of(twin)
    before = surprise_of(members[0], choosing.traces)
    adopted = beyond_chance(best.surprise, before)
    if adopted and bool(old) > best.old_kept:
        with_old, alone = (float(one.surprise.mean()) for one in candidates)
        yield Warned(
            key,
            f"{device.name}: its earlier recordings contradict what it does now and were left out (plays that neither fit "
            f"saw: {with_old:.4f} nats a sample with them, {alone:.4f} without)",
        )
    provenance = read_provenance(twin)
    if not adopted:
        yield Warned(
            key,
            f"{device.name}: the refitted twin foresees plays that no fit saw no better than the one before, beyond chance "
            f"({before.mean():.4f} nats a sample before, {best.surprise.mean():.4f} refitted): the twin stays as it was",
        )
        best = _as_it_was(members, best, choosing, provenance, old_kept=bool(old))
    refitted_surprise = float(best.surprise.mean())
    origin = _origin(device, best, choosing, rounds, trained_on(provenance), old, settings, seed)
    if not adopted:
        origin = replace(origin, kept=provenance)
    fitted, told = yield from finish_twin(key, best.trained, origin, folder=folder)
    refit = RefitTwin(fitted, float(before.mean()), refitted_surprise, best.old_kept, adopted)
    yield Reported(f"{key}/surprise", refit.as_dict())
    kept = "" if adopted else "; kept as it was"
    yield step.finished(f"{refit.surprise_before:.4f} -> {refit.surprise:.4f} nats a sample{kept}; {told}")
    return refit


def _best_of(candidates: Sequence[_Candidate]) -> _Candidate:
    """The first one, unless the other is better beyond chance."""
    best = candidates[0]
    return next((one for one in candidates[1:] if beyond_chance(one.surprise, best.surprise)), best)


def _as_it_was(
    members: Sequence[DeviceTwin],
    tried: _Candidate,
    choosing: TwinData,
    provenance: Mapping[str, Any],
    *,
    old_kept: bool,
) -> _Candidate:
    """The twin that stays, with the recordings that its file says it was fitted to. A fit that brings nothing ends where it
    began, which is what its result says here."""
    sources = tuple(provenance.get("extra", {}).get("recordings", ()))
    trained = []
    for member, one in zip(members, tried.trained, strict=True):
        result = replace(
            one.result, best_phase="warm start", best_epoch=0, free_run_score=one.result.linear_free_run_score
        )
        trained.append(TrainedTwin(member, result, one.cpu_seconds))
    return _Candidate(replace(choosing, sources=sources), trained, tried.surprise, old_kept)


def surprise_of(twin: DeviceTwin, traces: Sequence[Traces]) -> Array:
    """(trial,): mean one-step negative log likelihood of every trial, in nats a sample (less a constant)."""
    import torch

    from twins.device.prepare import step_rows
    from twins.objectives.likelihood import one_step_nll

    with torch.no_grad():
        each = [
            float(one_step_nll(twin, *step_rows(twin, part.select([number]))))
            for part in traces
            for number in range(part.n_trials)
        ]
    return np.array(each)


def beyond_chance(one: Array, other: Array) -> bool:
    """Whether `one` is lower than `other`, trial by trial, by more than chance."""
    difference = one - other
    if len(difference) < 2:
        return False
    return bool(difference.mean() < -CHANCE * difference.std(ddof=1) / np.sqrt(len(difference)))


def phases_of(spec: DeviceTwinSpec) -> tuple[str, ...]:
    """The phases that a twin of this structure goes on with: the filter where its state is hidden."""
    hidden = spec.observation or spec.auxiliaries or spec.observation_columns
    return ("likelihood", "filter") if hidden else ("likelihood",)


def _learned(rounds: Sequence[PlayedRound], device: Device) -> tuple[list[Recording], TwinData]:
    """(to fit to, to choose by). The same examples are kept in every play, so that no layer tells of another's."""
    fitted, chosen = [], []
    for one in rounds:
        kept = np.arange(one.n_learned) % CHOOSING == CHOOSING - 1
        for play in plays_of(one.folder, device, slice(one.n_learned)):
            fitted.append(replace(play.trials(np.flatnonzero(~kept)), path=play.path))
            chosen.append(replace(play.trials(np.flatnonzero(kept)), path=play.path))
    return fitted, TwinData.of(chosen)


def members_of(path: Path) -> list[DeviceTwin]:
    """The twin in a file, or all members of the ensemble in it."""
    from twins import TwinEnsemble, load_any_twin

    loaded = load_any_twin(path)
    return list(loaded.members) if isinstance(loaded, TwinEnsemble) else [loaded]


def _fit(
    twins: Sequence[DeviceTwin], data: TwinData, settings: RefitSettings, *, seed: int, key: str, part: tuple[int, int]
) -> Campaign[list[TrainedTwin]]:
    """Go on with twins in place, one after another; part: (number, of how many) of the fits, for the progress."""
    from labctl.judging import merged

    traces = merged(data.traces)  # the free runs of many short plays would take far longer one by one
    trained = []
    for number, twin in enumerate(twins):
        began_s = time.process_time()
        done = (part[0] + number / len(twins), part[1], 1.0 / len(twins))
        result = yield from _fit_one(twin, traces, settings, seed=seed + MEMBERS_APART * number, key=key, done=done)
        trained.append(TrainedTwin(twin, result, time.process_time() - began_s))
    return trained


def _fit_one(
    twin: DeviceTwin,
    traces: Sequence[Traces],
    settings: RefitSettings,
    *,
    seed: int,
    key: str,
    done: tuple[float, float, float],
) -> Campaign[FitResult]:
    """done: (before, in all, share of this one), for the progress."""
    from twins import fit

    phases = phases_of(twin.spec)
    epochs = fit(
        twin,
        traces,
        seed=seed,
        phases=phases,
        max_epochs=settings.max_epochs,
        max_seconds=settings.max_seconds,
        warm_start=True,
    )
    try:
        while True:
            try:
                epoch = next(epochs)
            except StopIteration as finished:
                result: FitResult = finished.value
                return result
            figures = {"train_loss": epoch.train_loss, "free_run_score": epoch.free_run_score}
            yield Figures(key, epoch.epoch, {name: one for name, one in figures.items() if math.isfinite(one)})
            phase = phases.index(epoch.phase) if epoch.phase in phases else 0
            share = (phase + epoch.progress) / len(phases)
            note = f"{epoch.phase}, held-out free-run score {epoch.free_run_score:.4f}"
            yield Progress(key, done[0] + share * done[2], done[1], note)
    finally:
        epochs.close()


def _origin(
    device: Device,
    best: _Candidate,
    choosing: TwinData,
    rounds: Sequence[PlayedRound],
    known: TrainedInputs | None,
    old: Sequence[Recording],
    settings: RefitSettings,
    seed: int,
) -> TwinOrigin:
    """What the twin is judged on and by which right: plays of all rounds that no fit has seen, so that evidence grows."""
    seen = [*best.data.traces, *choosing.traces, *([] if known else TwinData.of(old).traces if old else [])]
    trained = TrainedInputs.of(seen) if known is None else known.with_more(seen)
    plays = [play for one in rounds for play in plays_of(one.folder, device, slice(one.n_learned, None))]
    held = some_inputs(plays, settings.n_judged_inputs * min(len(rounds), MOST_JUDGED))
    more = [of_device(open_recording(path), device, slice(None)) for path in settings.heldout]
    judged = TwinData.of([*held, *more])
    how, withheld = "plays of the network on examples that were kept from every fit", ""
    try:
        judged, told = unseen(judged, trained, how)
        how = f"{how}; {told}" if told else how
    except RecordingError as error:
        withheld = str(error)
    chosen = ChosenTwin(
        spec=best.trained[0].twin.spec,
        phases=phases_of(best.trained[0].twin.spec),
        reasons=("it goes on from the twin before, as it is built",),
        findings=dict(settings.findings),
    )
    fit_settings = FitSettings(
        choice="refit", max_seconds=settings.max_seconds, n_calibration_draws=N_CALIBRATION_DRAWS
    )
    return TwinOrigin(device.name, best.data, judged, how, chosen, fit_settings, seed, trained, withheld)
