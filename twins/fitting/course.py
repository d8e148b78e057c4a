"""A fit under way: its clock, and the checkpoint kept so far by free-run score."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from twins.device.twin import DeviceTwin
from twins.fitting.adam import FlatAdam
from twins.fitting.events import Epoch
from twins.fitting.free_run import FreeRunScore
from twins.traces import Traces

_SCORES_PER_PHASE = 25  # a free run costs as much as some 50 steps of training
_JUDGING_SHARE = 0.3  # of a phase's time, where that is limited
_BETWEEN_EVENTS_S = 0.5  # "stop" acts at events
_LAST_RATE = 0.01  # of the first, at the end of the cosine
_LARGEST_GRADIENT = 5.0
_CHANCE = 2.0  # standard errors of a paired difference between two checkpoints' scores


@dataclass(frozen=True, slots=True)
class PhaseOptions:
    """What a phase is asked for: its budget is max_epochs (of its own default), ended early at until_s of the fit.

    settings: hyperparameters of this phase, of its class in twins.fitting.options; None: their defaults.
    """

    learning_rate: float
    seed: int
    max_epochs: int | None = None
    until_s: float | None = None
    settings: object | None = None


@dataclass(slots=True)
class Course:
    """A fit under way: the twin, its clock, what it is judged on and the checkpoint kept so far."""

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
    held_out: Sequence[Traces] = ()

    def judge(self, phase: str, *, must_improve: bool = False, chance: float = _CHANCE) -> bool:
        """Score the twin; keep it unless it is worse than the best ever by more than chance.

        Held-out scores are noisy, and the very lowest is often a lucky early one: so a later checkpoint replaces an
        earlier one unless it is worse by more than two standard errors of the paired difference. With must_improve
        it has to be better by as much. chance: how many standard errors count as such; with 0 the lowest mean is kept.
        """
        scores = self.score(self.twin)
        self.latest = float(scores.mean())
        if self.lowest is not None and not self._acceptable(scores, must_improve=must_improve, chance=chance):
            return False
        if self.lowest is None or self.latest < float(self.lowest.mean()):
            self.lowest = scores
        self._keep(phase)
        return True

    def choose(self, phase: str, *, better: bool) -> bool:
        """Score the twin for the record, but let the caller say whether it replaces the kept one."""
        self.latest = float(self.score(self.twin).mean())
        if better:
            self._keep(phase)
        return better

    def _keep(self, phase: str) -> None:
        self.kept, self.kept_epoch, self.kept_phase = self.latest, self.epoch, phase
        self.state = {name: value.detach().clone() for name, value in self.twin.named_parameters()}

    def _acceptable(self, scores: Tensor, *, must_improve: bool, chance: float) -> bool:
        assert self.lowest is not None  # the linear model was judged first
        if not math.isfinite(self.latest):
            return False
        if not math.isfinite(float(self.lowest.mean())):
            return True
        worse_by = scores - self.lowest
        by_chance = chance * float(worse_by.std(correction=1)) / math.sqrt(len(worse_by)) if len(worse_by) > 1 else 0.0
        return float(worse_by.mean()) <= (-by_chance if must_improve else by_chance)

    def restore_kept(self) -> None:
        """Put the kept checkpoint back into the twin."""
        with torch.no_grad():
            for name, value in self.twin.named_parameters():
                value.copy_(self.state[name])

    @property
    def seconds(self) -> float:
        """Since the fit began."""
        return time.perf_counter() - self.started_s


def descend(
    course: Course,
    losses: Callable[[], Iterator[Tensor]],
    phase: str,
    *,
    parameters: Sequence[nn.Parameter],
    learning_rate: float,
    n_epochs: int,
    until_s: float | None,
    must_improve: bool = False,
    constant_rate: bool = False,
    rates: Sequence[float] | None = None,
) -> Generator[Epoch, None, None]:
    """Adam over `n_epochs` epochs, each of the batches that `losses()` gives; the rate falls as a cosine, or is constant.

    rates: of each parameter, as a multiple of the learning rate. The twin is judged some 25 times on the way, and at
    the end; see Course.judge. Less often where that would take much of the time until until_s. Within epochs that take
    long there are events, too, and they end early at until_s.
    """
    optimiser = FlatAdam(parameters, largest_gradient=_LARGEST_GRADIENT, rates=rates)
    began_s = told_s = course.seconds
    progress, n_scored, judging_s = 0.0, 0, 0.0
    for number in range(1, n_epochs + 1):
        fall = 1.0 if constant_rate else _LAST_RATE + (1 - _LAST_RATE) * 0.5 * (1 + math.cos(math.pi * progress))
        total = []
        for loss in losses():
            optimiser.step(loss, learning_rate * fall)
            total.append(float(loss.detach()))
            if course.seconds - told_s > _BETWEEN_EVENTS_S:
                told_s = course.seconds
                so_far = sum(total) / len(total)
                yield Epoch(phase, course.epoch, so_far, course.latest, told_s, False, progress)
            if until_s is not None and course.seconds >= until_s:
                break
        progress = number / n_epochs
        if until_s is not None:
            progress = max(progress, min(1.0, (course.seconds - began_s) / max(1e-9, until_s - began_s)))
        course.epoch += 1
        due = progress >= 1.0 or int(progress * _SCORES_PER_PHASE) > n_scored
        n_scored = int(progress * _SCORES_PER_PHASE)
        if until_s is not None and progress < 1.0:
            due = due and judging_s <= _JUDGING_SHARE * (course.seconds - began_s)
        before_s = course.seconds
        kept = course.judge(phase, must_improve=must_improve) if due else False
        judging_s += course.seconds - before_s
        mean_loss, told_s = sum(total) / len(total), course.seconds
        yield Epoch(phase, course.epoch, mean_loss, course.latest, told_s, kept, progress)
        if progress >= 1.0:
            return
