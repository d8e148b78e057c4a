"""fit: from traces to a twin, as a generator of events."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence

import numpy as np
import torch

from twins.device.prepare import prepare_twin, widen_twin
from twins.device.spec import DeviceTwinSpec
from twins.device.trial_drift import check_repeats
from twins.device.twin import DeviceTwin
from twins.errors import TracesInvalid
from twins.fitting.course import Course, PhaseOptions
from twins.fitting.events import Epoch, FitEvent, FitResult
from twins.fitting.free_run import FreeRunScore
from twins.fitting.held_out import InputSplit, split_by_input
from twins.fitting.options import check_phase_options
from twins.fitting.phases import MATCH_NOISE, PHASES, SHARES, TRAIN_AUXILIARIES, TRAIN_HEAD
from twins.traces import Traces, check_same_grid


def fit(
    twin: DeviceTwin,
    traces: Sequence[Traces],
    *,
    seed: int,
    phases: Sequence[str] = ("likelihood",),
    max_epochs: int | None = None,
    max_seconds: float | None = None,
    held_out_fraction: float = 0.15,
    learning_rate: float = 1e-2,
    warm_start: bool = False,
    phase_options: Mapping[str, object] | None = None,
) -> Generator[FitEvent, None, FitResult]:
    """Fit `twin` in place; yields an Epoch every fraction of a second and returns a FitResult.

    phases, one after another, each from the best checkpoint so far: "likelihood" (of each sample given those before),
    "filter" (marginal likelihood where the state is hidden by measurement noise or auxiliaries), "windows" (short free
    runs judged by proper scores), "rollout" (mean squared error of short free runs), "simulation" (that of longer ones by
    Gauss-Newton on the backbone), "adversarial" (of the reference).
    Checkpoints are chosen by free-run CRPS on held-out inputs, whatever the phase trains on.

    Each phase has max_epochs of its own (or its default); max_seconds is shared out among them and may cut them short.
    The learning rate falls as a cosine in each. The outcome follows from seed and data alone, unless max_seconds cuts
    it short. Closing the generator early leaves the twin at its best checkpoint so far. warm_start: go on with a twin
    that was fitted before, whose normalisation stays; the data may have grown. phase_options: hyperparameters of single
    phases by their names, see twins.fitting.options; twins.presets has those of the reference.

    Which inputs are held out follows from each drive and the seed: when data grow, and the seed is the same, none that
    was trained on becomes one to be judged on.

    Raises TracesMismatch (mixed sampling times, channels, units; not the twin's; fewer than two inputs), TracesInvalid
    (options; auxiliaries or an observation head that none of the phases trains).
    """
    _check_options(phases, max_epochs, max_seconds, held_out_fraction, learning_rate)
    check_phase_options(phases, phase_options)
    _check_trained(twin.spec, phases)
    check_same_grid(traces, varying=twin.spec.condition_names)
    split = split_by_input(traces, fraction=held_out_fraction, rng=np.random.default_rng(seed), may_grow=True)
    if twin.spec.trial_drift:
        check_repeats(split.train)
    generator = torch.Generator().manual_seed(seed)
    if warm_start:
        twin.require_fitted()
        widen_twin(twin, split.train)
    else:
        prepare_twin(twin, split.train, generator=generator)
    score = FreeRunScore(twin, split.held_out, generator=generator)
    course = Course(twin, score, generator, held_out=split.held_out)
    start = "warm start" if warm_start else "linear"
    course.judge(start)
    start_score = course.kept
    yield Epoch(start, 0, 0.5, start_score, course.seconds, True, 0.0)
    try:
        for number, name in enumerate(phases):
            course.restore_kept()
            until_s = _end_s(course, phases[number:], max_seconds)
            options = PhaseOptions(learning_rate, seed, max_epochs, until_s, (phase_options or {}).get(name))
            yield from PHASES[name](course, split.train, options)
    finally:
        course.restore_kept()
    return _result(course, split, seed=seed, start_score=start_score)


def _end_s(course: Course, remaining: Sequence[str], max_seconds: float | None) -> float | None:
    """When the first of the remaining phases is to end, in seconds since the fit began."""
    if max_seconds is None:
        return None
    share = SHARES[remaining[0]] / sum(SHARES[name] for name in remaining)
    return course.seconds + share * max(0.0, max_seconds - course.seconds)


def _check_options(
    phases: Sequence[str],
    max_epochs: int | None,
    max_seconds: float | None,
    held_out_fraction: float,
    learning_rate: float,
) -> None:
    unknown = [name for name in phases if name not in PHASES]
    if unknown or not phases or isinstance(phases, str):
        raise TracesInvalid(f"phases must be some of {', '.join(PHASES)}, not {phases!r}")
    if max_epochs is not None and max_epochs < 1:
        raise TracesInvalid(f"max_epochs must be at least 1, not {max_epochs}")
    if max_seconds is not None and not max_seconds > 0:
        raise TracesInvalid(f"max_seconds must be positive, not {max_seconds}")
    if not 0 < held_out_fraction < 1 or not learning_rate > 0:
        raise TracesInvalid(
            "held_out_fraction must lie between 0 and 1 and learning_rate be positive; "
            f"they are {held_out_fraction}, {learning_rate}"
        )


def _check_trained(spec: DeviceTwinSpec, phases: Sequence[str]) -> None:
    """Raise TracesInvalid if a part of the twin would stay as it was made, for want of a phase that trains it."""
    trained = {
        "auxiliaries": TRAIN_AUXILIARIES,
        # matching noise sets the head's level only where all noise beside it is white
        # ("adversarial" says itself that it knows no measurement noise)
        "observation": TRAIN_HEAD | {"adversarial"} | (MATCH_NOISE if spec.noisy and not spec.auxiliaries else set()),
    }
    for part, those in trained.items():
        if getattr(spec, part) and not those & set(phases):
            raise TracesInvalid(
                f"{part}={getattr(spec, part)} would never be trained by {', '.join(phases)}, and the twin's spread be "
                f'wrong: add "filter" to the phases'
            )


def _result(course: Course, split: InputSplit, *, seed: int, start_score: float) -> FitResult:
    n_delays = course.twin.spec.n_delays
    return FitResult(
        seed=seed,
        best_phase=course.kept_phase,
        best_epoch=course.kept_epoch,
        free_run_score=course.kept,
        linear_free_run_score=start_score,
        n_epochs=course.epoch,
        seconds=course.seconds,
        n_train_samples=sum(part.n_trials * (part.n_samples - 1 - n_delays) for part in split.train),
        held_out_inputs=split.held_out_inputs,
    )
