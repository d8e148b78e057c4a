"""The two phases of a fit. Both judge the twin now and then by its free run and keep the best of their checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from twins.device.prepare import step_rows
from twins.device.twin import DeviceTwin
from twins.fitting.adam import FlatAdam
from twins.fitting.events import Epoch
from twins.fitting.free_run import FreeRunScore
from twins.objectives.likelihood import CHUNK_ROWS, one_step_nll, shuffled_chunks
from twins.objectives.windows import draw_windows, window_score
from twins.traces import Traces

_CHUNKS_PER_EPOCH = 64  # an event at least every quarter of a second, however much data there is
_DEFAULT_STEPS = 6000  # optimiser steps, about 15 CPU seconds for nets of 2 x 24
_SCORES_PER_PHASE = 25  # a free run costs as much as some 50 steps of training
_LAST_RATE = 0.01  # of the first, at the end of the cosine
_LARGEST_GRADIENT = 5.0
_CHANCE = 2.0  # standard errors of a paired difference between two checkpoints' scores
_WINDOW_STEPS, _N_WINDOWS, _WINDOW_DRAWS, _BATCHES_PER_WINDOW_EPOCH = 32, 64, 8, 4


@dataclass(slots=True)
class Course:
    """A fit under way: the twin, its clock and the checkpoint kept so far."""

    twin: DeviceTwin
    score: FreeRunScore
    generator: torch.Generator
    started_s: float = field(default_factory=time.perf_counter)
    epoch: int = 0
    latest: float = float("inf")
    kept: float = float("inf")
    kept_epoch: int = 0
    kept_phase: str = "linear"
    state: dict[str, Tensor] = field(default_factory=dict)
    lowest: Tensor | None = None

    def judge(self, phase: str) -> bool:
        """Score the twin; keep it unless it is worse than the best ever by more than chance.

        Held-out scores are noisy, and the very lowest is often a lucky early one: so a later checkpoint replaces an
        earlier one unless it is worse by more than two standard errors of the paired difference. The window phase
        must be better by as much to be kept.
        """
        scores = self.score(self.twin)
        self.latest = float(scores.mean())
        if self.lowest is not None and not self._acceptable(scores, must_improve=phase == "windows"):
            return False
        if self.lowest is None or self.latest < float(self.lowest.mean()):
            self.lowest = scores
        self.kept, self.kept_epoch, self.kept_phase = self.latest, self.epoch, phase
        self.state = {name: value.clone() for name, value in self.twin.nets.state_dict().items()}
        return True

    def _acceptable(self, scores: Tensor, *, must_improve: bool) -> bool:
        assert self.lowest is not None  # the linear model was judged first
        if not math.isfinite(self.latest):
            return False
        if not math.isfinite(float(self.lowest.mean())):
            return True
        worse_by = scores - self.lowest
        by_chance = _CHANCE * float(worse_by.std(correction=1)) / math.sqrt(len(worse_by)) if len(worse_by) > 1 else 0.0
        return float(worse_by.mean()) <= (-by_chance if must_improve else by_chance)

    def restore_kept(self) -> None:
        """Put the kept checkpoint back into the twin."""
        self.twin.nets.load_state_dict(self.state)

    @property
    def seconds(self) -> float:
        """Since the fit began."""
        return time.perf_counter() - self.started_s


def likelihood_phase(
    course: Course,
    traces: Sequence[Traces],
    *,
    learning_rate: float,
    max_epochs: int | None,
    until_s: float | None,
) -> Generator[Epoch, None, None]:
    """One-step likelihood over all samples of all traces."""
    twin = course.twin
    rows, increments = (torch.cat(parts) for parts in zip(*(step_rows(twin, t) for t in traces), strict=True))
    chunks_per_pass = -(-len(rows) // CHUNK_ROWS)
    n_chunks = min(_CHUNKS_PER_EPOCH, chunks_per_pass * max(1, _CHUNKS_PER_EPOCH // (4 * chunks_per_pass)))
    chunks = _endless_chunks(len(rows), course.generator)

    def losses() -> Iterator[Tensor]:
        for _ in range(n_chunks):
            chosen = next(chunks)
            yield one_step_nll(twin, rows[chosen], increments[chosen])

    n_epochs = -(-_DEFAULT_STEPS // n_chunks) if max_epochs is None else max_epochs
    yield from _descend(course, losses, "likelihood", learning_rate=learning_rate, n_epochs=n_epochs, until_s=until_s)


def window_phase(
    course: Course,
    traces: Sequence[Traces],
    *,
    rng: np.random.Generator,
    learning_rate: float,
    n_epochs: int,
    until_s: float | None,
) -> Generator[Epoch, None, None]:
    """Free runs of 32 samples from measured histories, judged by CRPS and energy score."""

    def losses() -> Iterator[Tensor]:
        for _ in range(_BATCHES_PER_WINDOW_EPOCH):
            windows = draw_windows(course.twin, traces, n_windows=_N_WINDOWS, n_steps=_WINDOW_STEPS, rng=rng)
            yield window_score(course.twin, windows, n_draws=_WINDOW_DRAWS, generator=course.generator)

    yield from _descend(course, losses, "windows", learning_rate=learning_rate, n_epochs=n_epochs, until_s=until_s)


def _descend(
    course: Course,
    losses: Callable[[], Iterator[Tensor]],
    phase: str,
    *,
    learning_rate: float,
    n_epochs: int,
    until_s: float | None,
) -> Generator[Epoch, None, None]:
    optimiser = FlatAdam(course.twin.nets.parameters(), largest_gradient=_LARGEST_GRADIENT)
    began_s, progress, n_scored = course.seconds, 0.0, 0
    for number in range(1, n_epochs + 1):
        rate = learning_rate * (_LAST_RATE + (1 - _LAST_RATE) * 0.5 * (1 + math.cos(math.pi * progress)))
        total = []
        for loss in losses():
            optimiser.step(loss, rate)
            total.append(float(loss.detach()))
        progress = number / n_epochs
        if until_s is not None:
            progress = max(progress, min(1.0, (course.seconds - began_s) / max(1e-9, until_s - began_s)))
        course.epoch += 1
        due = progress >= 1.0 or int(progress * _SCORES_PER_PHASE) > n_scored
        n_scored = int(progress * _SCORES_PER_PHASE)
        kept = course.judge(phase) if due else False
        mean_loss = sum(total) / len(total)
        yield Epoch(phase, course.epoch, mean_loss, course.latest, course.seconds, kept, progress)
        if progress >= 1.0:
            return


def _endless_chunks(n_rows: int, generator: torch.Generator) -> Iterator[Tensor]:
    while True:
        yield from shuffled_chunks(n_rows, CHUNK_ROWS, generator)
