"""seek_start: the start whose free run deviates most, or least, with the automaton frozen; a generator of events.

The stability analysis of Richardson et al. 2024 (doi 10.1371/journal.pcbi.1011589), by projected gradients through the run.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Generator
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from twins.errors import FramesInvalid
from twins.nca.frames import Frames
from twins.nca.model import NcaModel
from twins.nca.stability.bound import norms
from twins.nca.stability.result import SearchEvent, SearchUpdate, SoughtStart
from twins.nca.stability.settings import SearchSettings

_LAST_STEP = 0.02
"""Of the first step."""


def seek_start(
    model: NcaModel, frames: Frames, *, settings: SearchSettings, seed: int, n_frames: int | None = None
) -> Generator[SearchEvent, None, SoughtStart]:
    """Move the first frame of every trial within the bound until the run of n_frames frames deviates most, or least.

    The model is left as it is. n_frames: as many as follow in the data if not given; against="frames" there may not be more.
    seed: of the random changes to begin at, and of what the automaton draws: the same cells fire in every run, so that only
    the start makes the difference. Raises FramesInvalid, AutomatonInvalid.
    """
    search = _Search(model, frames, settings, seed, n_frames)
    for number in range(settings.n_updates):
        search.update(number / settings.n_updates)
        yield SearchUpdate(number + 1, float(search.best_of_trials().mean()), (number + 1) / settings.n_updates)
    search.update(None)
    return search.result()


class _Search:
    """Trials and their random starts lie side by side in one batch: start 0 of all trials, then start 1 …"""

    def __init__(
        self, model: NcaModel, frames: Frames, settings: SearchSettings, seed: int, n_frames: int | None
    ) -> None:
        model.check(frames)
        self.model, self.frames, self.settings, self.seed = model, frames, settings, seed
        self.n_frames = frames.n_frames - 1 if n_frames is None else n_frames
        most = frames.n_frames - 1 if settings.against == "frames" else math.inf
        if not 1 <= self.n_frames <= most:
            raise FramesInvalid(
                f"n_frames = {self.n_frames}: runs go to at least one frame, and against the frames to the last that was "
                f"measured; there are {frames.n_frames} of them"
            )
        self.automaton = copy.deepcopy(model.automaton).requires_grad_(False)
        self.loss = settings.make_loss()
        self.sign = 1.0 if settings.seek == "largest" else -1.0
        self.n_given = 1 if settings.against == "frames" else 0  # the start as it is competes too
        times = self.n_starts = self.n_given + settings.n_starts
        conditions = model.conditions(frames)
        self.conditions = None if conditions is None else conditions.repeat(times, 1)
        self.start = model.start(frames).detach().repeat(times, 1, 1, 1)
        self.target = self._target(times)
        self.change = self._random_changes()
        self.best_change = self.change.clone()
        self.best = self.start.new_full((len(self.start),), -math.inf)  # of the sign times the deviation
        self.deviation = self.start.new_zeros(len(self.start), self.n_frames)
        self.given_deviation = self.start.new_zeros(frames.n_trials, self.n_frames)
        self.random_deviation: Tensor | None = None

    def update(self, progress: float | None) -> None:
        """Judge the changes, keep those that are better, and move all; only judge them where progress is None."""
        change = self.change.clone().requires_grad_()
        deviation = self._run(self.start + change)
        judged = deviation[:, -1] if self.settings.judged == "last" else deviation.mean(dim=1)
        (slope,) = torch.autograd.grad(judged.sum(), change)
        self._keep(deviation.detach(), judged.detach())
        if progress is None:
            return
        broken = ~(judged.isfinite() & slope.isfinite().flatten(1).all(dim=1))
        slope = torch.where(broken[:, None, None, None], 0.0, slope) * self.settings.bound.free(
            self.start, self.automaton.spec
        )
        step = self.settings.step * (_LAST_STEP + (1.0 - _LAST_STEP) * 0.5 * (1.0 + math.cos(math.pi * progress)))
        # a run that is not finite has no slope to go by: on from the best one, by ever smaller steps
        here = torch.where(broken[:, None, None, None], self.best_change, self.change)
        self.change = self._projected(here + self.sign * step * self._ascent(slope))

    def best_of_trials(self) -> Float[Tensor, " trial"]:
        """The deviation of the best start of each trial."""
        return self.sign * self.best.reshape(self.n_starts, -1).amax(dim=0)

    def result(self) -> SoughtStart:
        n_trials = self.frames.n_trials
        which = self.best.reshape(self.n_starts, n_trials).argmax(dim=0)
        winner = which * n_trials + torch.arange(n_trials, device=which.device)
        change, deviation = self.best_change[winner], self.deviation[winner]
        state = self.start[winner] + change
        observed = state[:, : self.automaton.spec.n_observed].permute(0, 2, 3, 1)[:, None].cpu().numpy()
        assert self.random_deviation is not None
        initial = replace(
            self.frames,
            values=self.model.scaling.from_unit(observed),
            conditions=self.frames.condition_values,
            simulated=True,
        )
        return SoughtStart(
            initial=initial, state=_numpy(state), change=_numpy(change), size=_numpy(norms(change)),
            deviation=_numpy(deviation), given_deviation=_numpy(self.given_deviation),
            random_deviation=_numpy(self.random_deviation),
            ran_away=~_numpy(deviation.isfinite().all(dim=1)), settings=self.settings, n_frames=self.n_frames, seed=self.seed,
        )  # fmt: skip

    def _target(self, times: int) -> list[Tensor]:
        if self.settings.against == "frames":
            return [frame.repeat(times, 1, 1, 1) for frame in self.model.observed(self.frames)[:, 1:].unbind(1)]
        with torch.no_grad():
            return self._frames_of(self.start)

    def _random_changes(self) -> Tensor:
        bound, generator = self.settings.bound, torch.Generator().manual_seed(self.seed)
        drawn = torch.randn(self.start.shape, generator=generator).to(self.start)
        if bound.kind == "box":
            drawn = bound.size * drawn.sign()
        change = bound.projected(drawn, self.start, self.automaton.spec, whole=bound.kind == "norm")
        change[: self.n_given * self.frames.n_trials] = 0.0
        return change

    def _projected(self, change: Tensor) -> Tensor:
        return self.settings.bound.projected(change, self.start, self.automaton.spec, whole=self.settings.whole)

    def _ascent(self, slope: Tensor) -> Tensor:
        """The steepest way up in the norm of the bound, one size of it long."""
        size = self.settings.bound.size
        if self.settings.bound.kind == "box":
            return size * slope.sign()
        return size * slope / norms(slope).clamp_min(1e-30)[:, None, None, None]

    def _frames_of(self, state: Tensor) -> list[Tensor]:
        generator = torch.Generator().manual_seed(self.seed)
        seen = []
        for _ in range(self.n_frames):
            state = self.automaton.unroll(
                state, self.model.steps_per_frame, generator=generator, conditions=self.conditions,
                checkpoint_every=self.settings.checkpoint_every,
            ).state  # fmt: skip
            seen.append(state[:, : self.automaton.spec.n_observed])
        return seen

    def _run(self, state: Tensor) -> Float[Tensor, "batch frame"]:
        draws = torch.Generator().manual_seed(self.seed)
        pairs = zip(self._frames_of(state), self.target, strict=False)  # there may be more frames than are run
        return torch.stack([self.loss(seen, wanted, generator=draws) for seen, wanted in pairs], dim=1)

    def _keep(self, deviation: Tensor, judged: Tensor) -> None:
        if self.random_deviation is None:
            by_trial = deviation.reshape(self.n_starts, self.frames.n_trials, self.n_frames)
            self.random_deviation = by_trial[self.n_given :].median(dim=0).values
            if self.n_given:
                self.given_deviation = by_trial[0]
        # a run away is the largest deviation there is, and never the least
        worth = torch.where(judged.isfinite(), self.sign * judged, self.sign * math.inf)
        better = worth > self.best
        better |= ~self.best.isfinite() & (self.best < 0) & (worth >= self.best)
        self.best = torch.where(better, worth, self.best)
        self.best_change = torch.where(better[:, None, None, None], self.change, self.best_change)
        self.deviation = torch.where(better[:, None], deviation, self.deviation)


def _numpy(values: Tensor) -> np.ndarray:
    return np.asarray(values.cpu().numpy())
