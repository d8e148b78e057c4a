"""Whether an automaton heals: part of a state is wiped, and the run is followed beside the one that was left alone."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from twins.errors import FramesInvalid
from twins.nca.frames import Frames
from twins.nca.model import NcaModel
from twins.nca.training.damage import Damage, damage

_SD_FLOOR = 0.01
"""Added to standard deviations, in units of the range: a field that has levelled out has no pattern to compare."""


@dataclass(frozen=True, slots=True, eq=False)
class Regeneration:
    """Errors are in units of the data's range: Euclidean norms over cells and observed channels.

    steps: (time,), steps of the automaton after the damage; the first is 0, the moment of it.
    deviation: (trial, hole, time), of the damaged run from the run left alone, with the same draws of firing.
    error, undamaged_error: (trial, hole, time) and (trial, time), of either from the target: the frame of the data nearest
    in time, the last one beyond the data.
    sd_ratio: (trial, hole, time), standard deviation of the damaged pattern over that of the one left alone, of the channel
    that is farthest off: a pattern may grow again without being the same, where deviation tells nothing.
    masks: (trial, hole, y, x), which cells were wiped.
    """

    steps: Int[np.ndarray, " time"]
    deviation: Float[np.ndarray, "trial hole time"]
    error: Float[np.ndarray, "trial hole time"]
    undamaged_error: Float[np.ndarray, "trial time"]
    sd_ratio: Float[np.ndarray, "trial hole time"]
    masks: Bool[np.ndarray, "trial hole y x"]

    @property
    def recovered(self) -> Float[np.ndarray, "trial hole time"]:
        """Share of the damage that is healed: 1 - deviation over that at once after it; below 0 where it grew.

        NaN where the hole changed nothing, minus infinity where the run ran away.
        """
        first = self.deviation[..., :1]
        share = 1.0 - self.deviation / np.where(first > 0, first, np.nan)
        return np.asarray(np.where(np.isfinite(self.deviation), share, -np.inf))

    @property
    def healed(self) -> Float[np.ndarray, "trial hole time"]:
        """Share of what the damage added to the squared error from the target that is gone again: 1 where the damaged run is
        as near to the target as the run left alone, which need not be where that run is.

        NaN where the damage added nothing, minus infinity where the run ran away.
        """
        added = np.square(self.error) - np.square(self.undamaged_error)[:, None]
        first = added[..., :1]
        with np.errstate(invalid="ignore"):
            share = 1.0 - added / np.where(first > 0, first, np.nan)
        return np.asarray(np.where(np.isfinite(self.error), share, -np.inf))

    def share_recovered(self, at_least: float = 0.9) -> float:
        """Share of the holes of which at least this much is healed at the end. Holes that changed nothing do not count."""
        last = self.recovered[..., -1]
        counted = last[~np.isnan(last)]
        if not counted.size:
            raise FramesInvalid("no hole changed anything: damage where the pattern is")
        return float((counted >= at_least).mean())

    def steps_to_recover(self, at_least: float = 0.9) -> Float[np.ndarray, "trial hole"]:
        """Steps after which at least this much is healed, and stays so to the end; infinite where that never happens."""
        healed = self.recovered >= at_least
        stays = np.flip(np.logical_and.accumulate(np.flip(healed, axis=-1), axis=-1), axis=-1)
        return np.where(stays.any(axis=-1), self.steps[stays.argmax(axis=-1)], np.inf)


def regeneration(
    model: NcaModel,
    frames: Frames,
    holes: Damage | Bool[Tensor, "*hole y x"],
    *,
    n_before: int,
    n_after: int,
    n_holes: int = 1,
    every: int | None = None,
    background: tuple[float, ...] = (),
    generator: torch.Generator,
) -> Regeneration:
    """Run from the first frame of every trial, damage, and run on.

    holes: random ones, n_holes for every trial, or masks (y, x) or (hole, y, x), the same for every trial.
    n_before, n_after: frames run before and after the damage. every: steps from one measurement to the next (by default
    those of a frame). background: of the observed channels in a given mask, in the automaton's units.
    generator: draws the holes, and which cells fire, where not all do. Raises FramesInvalid, AutomatonInvalid.
    """
    spec, every = model.automaton.spec, model.steps_per_frame if every is None else every
    n_steps = n_after * model.steps_per_frame
    if n_before < 0 or not 1 <= every <= n_steps:
        raise FramesInvalid(
            f"nothing to follow: n_before = {n_before}, {n_steps} steps after the damage, every {every}"
        )
    model.check(frames)
    before = model.start(frames)
    for before in model.states(frames, n_before, generator=generator):  # noqa: B007 - the last one is meant
        pass
    masks = _masks(model, holes, frames, n_holes, generator)
    background = holes.background if isinstance(holes, Damage) else background
    steps = np.arange(0, n_steps + 1, every)
    nearest = n_before + (steps / model.steps_per_frame + 0.5).astype(int)
    targets = model.observed(frames)[:, np.minimum(nearest, frames.n_frames - 1)]
    draws = generator.get_state()  # a damaged run fires as the run left alone does
    alone = _run(model, frames, before, steps, generator)
    rows = []
    for hole in masks.unbind(1):
        generator.set_state(draws)
        harmed = damage(before, hole.to(before.device), spec, background=background)
        rows.append(_measured(_run(model, frames, harmed, steps, generator), alone, targets))
    deviation, error, sd_ratio = (torch.stack(part, dim=1).double().cpu().numpy() for part in zip(*rows, strict=True))
    undamaged_error = _norm(alone - targets).double().cpu().numpy()
    return Regeneration(steps, deviation, error, undamaged_error, sd_ratio, masks.numpy())


def _run(
    model: NcaModel, frames: Frames, state: Tensor, steps: np.ndarray, generator: torch.Generator
) -> Float[Tensor, "trial time observed y x"]:
    """Observed channels at these steps, the first of them that of the state itself."""
    n_observed, conditions = model.automaton.spec.n_observed, model.conditions(frames)
    seen = [state[:, :n_observed]]
    every = int(steps[1] - steps[0])
    run = model.automaton.trajectory(state, int(steps[-1]), every=every, generator=generator, conditions=conditions)
    seen += [state[:, :n_observed] for state in run]
    return torch.stack(seen, dim=1)


def _measured(healing: Tensor, alone: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Deviation, error and ratio of standard deviations, (trial, time) each."""
    spreads = [run.flatten(3).std(dim=3) + _SD_FLOOR for run in (healing, alone)]
    ratios = spreads[0] / spreads[1]
    farthest = ratios.log().abs().nan_to_num(nan=float("inf")).argmax(dim=2, keepdim=True)
    return _norm(healing - alone), _norm(healing - targets), ratios.gather(2, farthest)[..., 0]


def _norm(difference: Tensor) -> Tensor:
    return difference.flatten(2).square().sum(dim=2).sqrt()


def _masks(
    model: NcaModel, holes: Damage | Tensor, frames: Frames, n_holes: int, generator: torch.Generator
) -> Bool[Tensor, "trial hole y x"]:
    if isinstance(holes, Damage):
        if n_holes < 1:
            raise FramesInvalid(f"n_holes must be at least 1, not {n_holes}")
        always = replace(holes, share=1.0)
        n_all = frames.n_trials * n_holes
        masks = always.mask(n_all, frames.size, model.automaton.spec, generator=generator)
        return masks.reshape(frames.n_trials, n_holes, *frames.size)
    given = holes if holes.ndim == 3 else holes[None]
    if given.dtype != torch.bool or given.shape[-2:] != torch.Size(frames.size):
        raise FramesInvalid(
            f"masks must be True or False of (hole, y, x) with (y, x) = {frames.size}, not {holes.dtype} of "
            f"{tuple(holes.shape)}"
        )
    return given[None].expand(frames.n_trials, -1, -1, -1)
