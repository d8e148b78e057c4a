"""fit: from traces to a twin, as a generator of events."""

from __future__ import annotations

from collections.abc import Generator, Sequence

import numpy as np
import torch

from twins.device.prepare import prepare_twin
from twins.device.twin import DeviceTwin
from twins.errors import TracesInvalid
from twins.fitting.events import Epoch, FitEvent, FitResult
from twins.fitting.free_run import FreeRunScore
from twins.fitting.held_out import InputSplit, split_by_input
from twins.fitting.phases import Course, likelihood_phase, window_phase
from twins.traces import Traces, check_same_grid

_LIKELIHOOD_SHARE = 0.75  # of max_seconds, where the window phase follows
_WINDOW_RATE = 0.1  # of the learning rate


def fit(
    twin: DeviceTwin,
    traces: Sequence[Traces],
    *,
    seed: int,
    max_epochs: int | None = None,
    max_seconds: float | None = None,
    held_out_fraction: float = 0.15,
    learning_rate: float = 1e-2,
    window_epochs: int = 0,
) -> Generator[FitEvent, None, FitResult]:
    """Fit `twin` in place; yields an Epoch every fraction of a second and returns a FitResult.

    One-step likelihood on the training inputs, checkpoints chosen by free-run CRPS on held-out inputs. With
    window_epochs > 0 the best checkpoint is then tuned on 32-sample free runs judged by proper scores, and the outcome
    kept only where the held-out free run improves.

    The learning rate falls as a cosine over max_epochs (default: 6000 optimiser steps), or over max_seconds where that
    ends first. The outcome follows from seed and data alone, unless max_seconds cuts it short. Closing the generator
    early leaves the twin at its best checkpoint so far.

    Raises TracesMismatch (mixed sampling times, channels, units; not the twin's; fewer than two inputs), TracesInvalid.
    """
    _check_options(max_epochs, max_seconds, held_out_fraction, learning_rate, window_epochs)
    check_same_grid(traces)
    split = split_by_input(traces, fraction=held_out_fraction, rng=np.random.default_rng(seed))
    generator = torch.Generator().manual_seed(seed)
    prepare_twin(twin, split.train, generator=generator)
    course = Course(twin, FreeRunScore(twin, split.held_out, generator=generator), generator)
    course.judge("linear")
    linear_score = course.kept
    yield Epoch("linear", 0, 0.5, linear_score, course.seconds, True, 0.0)
    share = _LIKELIHOOD_SHARE if window_epochs else 1.0
    try:
        yield from likelihood_phase(
            course,
            split.train,
            learning_rate=learning_rate,
            max_epochs=max_epochs,
            until_s=None if max_seconds is None else share * max_seconds,
        )
        if window_epochs:
            course.restore_kept()
            yield from window_phase(
                course,
                split.train,
                rng=np.random.default_rng([seed, 1]),
                learning_rate=_WINDOW_RATE * learning_rate,
                n_epochs=window_epochs,
                until_s=max_seconds,
            )
    finally:
        course.restore_kept()
    return _result(course, split, seed=seed, linear_score=linear_score)


def _check_options(
    max_epochs: int | None,
    max_seconds: float | None,
    held_out_fraction: float,
    learning_rate: float,
    window_epochs: int,
) -> None:
    if max_epochs is not None and max_epochs < 1:
        raise TracesInvalid(f"max_epochs must be at least 1, not {max_epochs}")
    if max_seconds is not None and not max_seconds > 0:
        raise TracesInvalid(f"max_seconds must be positive, not {max_seconds}")
    if not 0 < held_out_fraction < 1 or not learning_rate > 0 or window_epochs < 0:
        raise TracesInvalid(
            "held_out_fraction must lie between 0 and 1, learning_rate be positive and window_epochs not negative; "
            f"they are {held_out_fraction}, {learning_rate}, {window_epochs}"
        )


def _result(course: Course, split: InputSplit, *, seed: int, linear_score: float) -> FitResult:
    n_history = course.twin.spec.n_history
    return FitResult(
        seed=seed,
        best_phase=course.kept_phase,
        best_epoch=course.kept_epoch,
        free_run_score=course.kept,
        linear_free_run_score=linear_score,
        n_epochs=course.epoch,
        seconds=course.seconds,
        n_train_samples=sum(part.n_trials * (part.n_samples - 1 - n_history) for part in split.train),
        held_out_inputs=split.held_out_inputs,
    )
