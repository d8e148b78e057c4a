"""Fit automata to image sequences: train, keep the best by free runs, judge on what was held out, report."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from labctl.campaign import Campaign, Step
from labctl.campaigns.evaluate_nca import Evaluation, EvaluationSettings, evaluate_frames, write_evaluation
from labctl.campaigns.evaluate_nca_ensemble import EnsembleEvaluation, judged_together
from labctl.campaigns.finish_twin import plain
from labctl.campaigns.nca_settings import NcaTraining
from labctl.campaigns.train_nca import NcaJob, trained_nca
from labctl.events import Reported, Warned
from labctl.images import Images
from labctl.nca_model import SavedNca, save_ensemble, save_in_any_case
from labctl.provenance import utc_now

if TYPE_CHECKING:
    from twins.nca import Frames
    from twins.nca.training.events import FittedNca
    from twins.nca.training.settings import NcaFitSettings


@dataclass(frozen=True, slots=True, eq=False)
class FittedAutomaton:
    """saved: the automaton with its file. fitted: how the training went. evaluation: on the frames it was judged on.
    report: its page, and data: the same as JSON."""

    saved: SavedNca
    fitted: FittedNca
    evaluation: Evaluation
    report: Path
    data: Path


@dataclass(frozen=True, slots=True, eq=False)
class FittedEnsemble:
    """path: of the ensemble's JSON. evaluation: on the frames that its members were judged on, with report and data (JSON)."""

    path: Path
    evaluation: EnsembleEvaluation
    report: Path
    data: Path


@dataclass(frozen=True, slots=True, eq=False)
class FittedAutomata:
    """automata: one a seed that stayed finite, in the order of seeds. best: the one to use: stable before all others, then by
    free runs. diverged: seeds that did not stay finite. ensemble: of several automata, all that are fit to be run together.
    """

    automata: tuple[FittedAutomaton, ...]
    diverged: tuple[int, ...] = ()
    ensemble: FittedEnsemble | None = None

    @property
    def best(self) -> FittedAutomaton:
        """By held-out free runs."""
        return min(self.automata, key=lambda one: (not one.fitted.stable, not one.fitted.kept, one.fitted.validation))

    def as_dict(self) -> dict[str, Any]:
        """Plain data: each, and the spread over seeds."""
        scores = [one.fitted.validation for one in self.automata]
        known = [one.evaluation.figures["transition_ratio_to_no_change"] for one in self.automata]
        ratios = [math.inf if ratio is None else ratio for ratio in known]
        spread = {
            "seeds": [one.fitted.seed for one in self.automata],
            "diverged_seeds": list(self.diverged),
            "stable_seeds": sum(one.evaluation.figures["stable"] for one in self.automata),
            **_mean_and_sd("free_run_error", scores),
            **_mean_and_sd("transition_ratio", ratios),
        }
        each = [
            {
                "model": str(one.saved.path), "report": str(one.report), "seed": one.fitted.seed,
                **training_facts(one.fitted), **one.evaluation.figures,
            }
            for one in self.automata
        ]  # fmt: skip
        together = self.ensemble and {
            "file": str(self.ensemble.path), "report": str(self.ensemble.report), **self.ensemble.evaluation.figures,
        }  # fmt: skip
        told = {"best": str(self.best.saved.path), "spread": spread, "ensemble": together, "automata": each}
        return dict(plain(told))


def fit_nca(
    name: str,
    images: Images,
    validation: Images | None = None,
    *,
    seed: int,
    training: NcaTraining | None = None,
    folder: Path,
    evaluation: EvaluationSettings | None = None,
) -> Campaign[FittedAutomata]:
    """Train an automaton a seed; write NAME.json, NAME.safetensors, NAME.report.html and NAME.evaluation.json in `folder`.

    With several seeds the names end in -1, -2 …, and NAME-ensemble.json holds them together, with a page and figures of its
    own. The best so far is on disk while the training goes on, so that a stop, or worse, loses none of it; where the folder
    cannot be written at the end, the automaton is written elsewhere before CampaignError says so. validation: sequences of
    the same kind that judge; without them trials (the same for all seeds), or the end of a single one, are held out.
    Raises CampaignError, ImagesError, twins.TwinError.
    """
    training = training or NcaTraining()
    key = f"nca/fit/{name}"
    for words in (*images.told, *(validation.told if validation else ())):
        yield Warned(key, words)
    from twins.errors import AutomatonDiverged

    if training.n_seeds > 1 and validation is None and images.frames.n_trials > 1:
        images, validation, words = _held_out_of_all(images, seed, training)
        yield Warned(key, words)
    fitted, diverged, jobs = [], [], []
    for number in range(training.n_seeds):
        own = name if training.n_seeds == 1 else f"{name}-{number + 1}"
        job = NcaJob(own, images, validation, seed + number, training, folder)
        try:
            fitted.append((yield from _one(job, evaluation or EvaluationSettings())))
            jobs.append(job)
        except AutomatonDiverged as error:  # the other seeds may do better
            diverged.append(job.seed)
            if not fitted and number == training.n_seeds - 1:
                raise
            yield Warned(job.key, f"seed {job.seed}: {error}")
    ensemble = (yield from _together(name, jobs, fitted)) if training.n_seeds > 1 else None
    result = FittedAutomata(tuple(fitted), tuple(diverged), ensemble)
    outcome = result.as_dict()
    files = (str(result.best.saved.path), *((str(ensemble.path),) if ensemble else ()))
    yield Reported(key, {"best": outcome["best"], **outcome["spread"]}, files)
    return result


def _held_out_of_all(images: Images, seed: int, training: NcaTraining) -> tuple[Images, Images, str]:
    """What all seeds learn from, and what judges all of them: an ensemble must not be judged on what a member has seen."""
    import torch

    from twins.nca import Automaton
    from twins.nca.training.fit import divided_for

    automaton = Automaton(training.spec_for(images.frames), generator=torch.Generator().manual_seed(seed))
    held = divided_for(automaton, images.frames, seed=seed, settings=training.settings()).held_out
    kept = [trial for trial in range(images.frames.n_trials) if trial not in held]
    judging = replace(images, frames=images.frames.select(list(held)), sources=(), told=(), done=())
    words = f"sequences {', '.join(str(one + 1) for one in held)} are held out of all {training.n_seeds} trainings, and judge"
    return replace(images, frames=images.frames.select(kept)), judging, words


def _together(name: str, jobs: Sequence[NcaJob], fitted: Sequence[FittedAutomaton]) -> Campaign[FittedEnsemble | None]:
    """The ensemble of the automata that are stable, or that are finite at least; saved, judged, with its page."""
    key = f"nca/fit/{name}"
    stable = [one for one in fitted if one.evaluation.figures["stable"]]
    kept = stable if len(stable) > 1 else [one for one in fitted if one.evaluation.figures["finite"]]
    left = [one.saved.name for one in fitted if one not in kept]
    if len(kept) < 2:
        yield Warned(key, "no ensemble was written: fewer than two of the automata stay finite on their own")
        return None
    if left:
        yield Warned(key, f"the ensemble is without {', '.join(left)}: not {'stable' if kept is stable else 'finite'}")
    path = jobs[0].folder / f"{name}-ensemble"
    told = {"members": [one.saved.name for one in kept], "seeds": [one.fitted.seed for one in kept]}
    about = jobs[0].about(told)
    members = save_ensemble([one.fitted.model for one in kept], path, about)
    report, data = path.with_name(f"{path.name}.report.html"), path.with_name(f"{path.name}.evaluation.json")
    evaluated = yield from judged_together(
        path.name, members, kept[0].evaluation.data, seed=jobs[0].seed, about=about, report=report, data=data,
        judged_on=kept[0].fitted.validated_on,
    )  # fmt: skip
    return FittedEnsemble(path.with_name(f"{path.name}.json"), evaluated, report, data)


def _one(job: NcaJob, evaluation: EvaluationSettings) -> Campaign[FittedAutomaton]:
    settings = job.training.settings()
    step = Step(job.key, f"Train {job.name} on {in_words(job.images.frames)}")
    yield step.started()
    fitted = yield from trained_nca(job, settings)
    saved = save_in_any_case(fitted.model, job.folder / job.name, job.about({"fit": training_facts(fitted)}))
    for words in _remarks(fitted):
        yield Warned(job.key, words)
    yield step.finished(
        f"{fitted.n_epochs} epochs, best {fitted.best_epoch}, free-run error {fitted.validation:.3g} of the data's spread on "
        f"{fitted.validated_on}, {'stable' if fitted.stable else 'NOT stable'} in the free runs that chose it"
    )
    judged, begun_with = _judged(job, fitted, settings)
    evaluated = yield from evaluate_frames(
        saved, judged, key=f"nca/evaluate/{job.name}", seed=job.seed, settings=evaluation, trained_on=begun_with
    )
    told = {"fit": training_facts(fitted), "evaluation": evaluated.figures}
    saved = save_in_any_case(fitted.model, job.folder / job.name, job.about(told))
    report, data = job.folder / f"{job.name}.report.html", job.folder / f"{job.name}.evaluation.json"
    write_evaluation(evaluated, report=report, data=data, judged_on=fitted.validated_on)
    yield Reported(job.key, plain({"model": job.name, **evaluated.figures}), (str(saved.path), str(report), str(data)))
    return FittedAutomaton(saved, fitted, evaluated, report, data)


def _judged(job: NcaJob, fitted: FittedNca, settings: NcaFitSettings) -> tuple[Frames, str]:
    """The frames that chose the best, which the report shows too; and what the training saw, in words."""
    from twins.nca.training.fit import divided_for

    held = None if job.validation is None else job.validation.frames
    automaton = fitted.model.automaton
    parts = divided_for(automaton, job.images.frames, held, seed=job.seed, settings=settings)
    return parts.judged, in_words(parts.trained)


def _mean_and_sd(name: str, values: Sequence[float | None]) -> dict[str, float | None]:
    """None where there is none, or one of the values was not finite."""
    known = [math.nan if value is None else value for value in values]
    finite = all(map(math.isfinite, known))
    return {
        f"{name}_mean": float(np.mean(known)) if finite else None,
        f"{name}_sd": float(np.std(known, ddof=1)) if finite and len(known) > 1 else None,
    }


def training_facts(fitted: FittedNca) -> dict[str, Any]:
    """How a training went, as plain data."""
    return {
        "epochs": fitted.n_epochs, "best_epoch": fitted.best_epoch, "seconds": round(fitted.seconds, 3),
        "stopped": fitted.stopped, "train_loss": fitted.train_loss, "validation": fitted.validation,
        "validation_stable": fitted.stable, "validation_kept": fitted.kept,
        "validated_on": fitted.validated_on, "held_out": list(fitted.held_out),
        "skipped_updates": fitted.n_skipped, "replaced_states": fitted.n_replaced, "finished_utc": utc_now(),
    }  # fmt: skip


def _remarks(fitted: FittedNca) -> list[str]:
    said = []
    if fitted.stopped == "diverged":
        said.append(f"the training ended early: {fitted.advice}")
    if fitted.stopped == "max_seconds":
        said.append(
            f"the time was over after {fitted.n_epochs} epochs; more seconds (max_seconds), or epochs without a limit of time, may "
            "give a better one"
        )
    if not fitted.stable:
        said.append(
            "the best automaton is NOT stable on its own; train longer, or with stages that go back through several frames "
            "(stage), bounds='clip', or more state_weight"
        )
    elif not fitted.kept:
        said.append("the best automaton does NOT keep its pattern beyond the end of the frames it was chosen by")
    if fitted.validated_on == "training frames":
        said.append(
            "there was nothing to hold out: the automaton was chosen, and is judged, on the frames it was trained on"
        )
    if fitted.n_skipped:
        said.append(f"{fitted.n_skipped} updates were not finite and were left out")
    return said


def in_words(frames: Frames) -> str:
    """Numbers, sizes and channels."""
    rows, columns = frames.size
    sequences = "1 sequence" if frames.n_trials == 1 else f"{frames.n_trials} sequences"
    return f"{sequences} of {frames.n_frames} frames, {rows} × {columns}, {', '.join(frames.names)}"
