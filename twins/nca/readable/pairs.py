"""States and where they are a frame later: of an automaton as it runs, of frames."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from twins.errors import FramesInvalid
from twins.nca.frames import Frames
from twins.nca.model import NcaModel
from twins.nca.readable.samples import Samples, folds_of, still_fields
from twins.nca.spec import Padding

Along = Literal["frames", "run"]
_SMOOTH_OVER_CELLS = 2.0
"""Of the perturbations: white noise would be gone long before the end of a frame."""


@dataclass(frozen=True, slots=True, eq=False)
class FramePairs:
    """fields, hidden: how the states begin, as in Samples. after: the channels a frame later, in the images' units. n_steps:
    time steps from one to the other, of dt. fold: which part of the data each state belongs to. samples: the unperturbed
    states, which stand in front, with rates estimated from the frames around them.

    own_errors: one a channel, of the automaton against the data, one frame ahead along the frames, in units of how much
    they change; empty where frames themselves are read.
    """

    fields: Float[Tensor, "state field y x"]
    after: Float[Tensor, "state channel y x"]
    hidden: Float[Tensor, "state hidden y x"]
    fold: tuple[int, ...]
    n_steps: int
    dt: float
    samples: Samples
    own_errors: tuple[float, ...] = ()

    @property
    def changes(self) -> Float[Tensor, "state channel y x"]:
        """Over the frame."""
        return self.after - self.fields[:, : self.after.shape[1]]

    def of(self, states: np.ndarray) -> FramePairs:
        """Some of the states; the samples stay as they are."""
        fold = tuple(self.fold[state] for state in states)
        return replace(
            self, fields=self.fields[states], after=self.after[states], hidden=self.hidden[states], fold=fold
        )


def pairs_of_model(
    model: NcaModel,
    frames: Frames,
    *,
    n_frames: int,
    frame: int = 0,
    along: Along = "frames",
    every: int = 1,
    perturbation_sd: float = 0.0,
    generator: torch.Generator | None = None,
) -> FramePairs:
    """What the automaton makes of frames, in one frame's time each.

    along: "frames" begins at n_frames of the given ones (or as many as there are), one in `every` from `frame` on, with
    hidden channels at zero: what it has learned where the data are. "run" begins at one of the frames and goes on freely
    for n_frames, hidden channels and all.
    perturbation_sd: in units of the model's range; the states are run once more with so much smooth noise on the observed
    channels. generator: of that noise, and of the cells that fire. Raises FramesInvalid for a run that leaves the finite.
    """
    model.check(frames)
    exact = replace(model, automaton=copy.deepcopy(model.automaton).double())
    numbers = range(frame, min(frame + n_frames * every, frames.n_frames), every)
    if along == "frames":
        states = [exact.start(frames, number) for number in numbers]
    else:
        states = [exact.start(frames, frame), *exact.states(frames, n_frames - 1, frame=frame, generator=generator)]
    begun, n_fresh = torch.cat(states), len(states) * frames.n_trials
    n, n_still = exact.automaton.spec.n_observed, exact.automaton.spec.n_environment
    if perturbation_sd > 0.0:
        begun = torch.cat((begun, _perturbed(begun, n, perturbation_sd, generator)))
    low, high = (
        torch.tensor(ends, dtype=torch.float64)[:, None, None] for ends in (model.scaling.lows, model.scaling.highs)
    )
    ended = _ahead(exact, frames, begun, generator)
    fields, after = (low + (high - low) * states[:, :n] for states in (begun, ended))
    if not bool(torch.isfinite(after).all()):
        raise FramesInvalid(f"the automaton ran away within {n_frames} frames: there is no rule to be read there")
    fresh, hidden = slice(n_fresh), begun[:, n + n_still :] if along == "run" else begun[:, :0]
    samples = _samples(
        frames, fields[fresh], after[fresh], hidden[fresh], padding=exact.automaton.spec.padding,
        source="automaton, through whole frames", simulated=True, follow=along == "run" or every == 1,
    )  # fmt: skip
    n_copies = len(begun) // n_fresh
    fields = torch.cat((fields, samples.fields[:, n:].repeat(n_copies, 1, 1, 1)), dim=1)
    return FramePairs(
        fields, after, hidden, samples.fold * n_copies, model.steps_per_frame, model.dt_s / model.steps_per_frame, samples,
        _own_errors(exact, frames, numbers, generator),
    )  # fmt: skip


def pairs_of_frames(frames: Frames, *, n_steps: int, padding: Padding = "periodic") -> FramePairs:
    """Frames and their next ones. n_steps: time steps that are thought to lie between. Raises FramesInvalid."""
    if frames.n_frames < 2 or n_steps < 1:
        raise FramesInvalid(
            f"rates need at least two frames of a sequence and n_steps >= 1, not {frames.n_frames} and {n_steps}"
        )
    run = frames.tensor().double().transpose(0, 1)  # (time, trial, …): folds are spans of time
    before, after = run[:-1].flatten(0, 1), run[1:].flatten(0, 1)
    told = "frames, through their distance in time"
    samples = _samples(
        frames, before, after, before[:, :0], padding=padding, source=told, simulated=frames.simulated, follow=True
    )
    return FramePairs(samples.fields, after, before[:, :0], samples.fold, n_steps, frames.dt_s / n_steps, samples)


def _samples(
    frames: Frames,
    before: Tensor,
    after: Tensor,
    hidden: Tensor,
    *,
    padding: Padding,
    source: str,
    simulated: bool,
    follow: bool,
) -> Samples:
    """Of states ordered by time and then trial. Rates: where states follow each other the mean over the frames before and
    after, which is right to second order."""
    n_times = len(before) // frames.n_trials
    still, still_names = still_fields(frames, n_times)
    rates = ((after - before) / frames.dt_s).reshape(n_times, frames.n_trials, *after.shape[1:])
    if follow and n_times > 2:
        rates = torch.cat((1.5 * rates[:1] - 0.5 * rates[1:2], 0.5 * (rates[1:] + rates[:-1])))
    return Samples(
        torch.cat((before, still), dim=1), rates.flatten(0, 1), hidden, (*frames.names, *still_names),
        folds_of(frames.n_trials, n_times), padding, frames.time_unit, source, simulated, len(before),
    )  # fmt: skip


def _ahead(model: NcaModel, frames: Frames, states: Tensor, generator: torch.Generator | None) -> Tensor:
    """A frame later, of states ordered by time and then trial."""
    conditions = model.conditions(frames)
    repeated = None if conditions is None else conditions.repeat(len(states) // frames.n_trials, 1)
    with torch.no_grad():
        return model.automaton.unroll(states, model.steps_per_frame, generator=generator, conditions=repeated).state


def _perturbed(states: Tensor, n_observed: int, sd: float, generator: torch.Generator | None) -> Tensor:
    if generator is None:
        raise FramesInvalid("perturbation_sd draws noise: pass a generator")
    moved = states.clone()
    moved[:, :n_observed] += sd * _smooth(states[:, :n_observed], generator)
    return moved


def _smooth(like: Tensor, generator: torch.Generator) -> Tensor:
    """Noise of standard deviation one over each image, that varies over a few cells: waves weighed by exp(-(k·length)²/4)."""
    white = torch.randn(like.shape, generator=generator, dtype=like.dtype)
    n_rows, n_columns = like.shape[-2:]
    frequency = torch.fft.fftfreq(n_rows)[:, None].square() + torch.fft.rfftfreq(n_columns).square()
    weight = torch.exp(-((torch.pi * _SMOOTH_OVER_CELLS) ** 2) * frequency.to(like.dtype))
    smooth = torch.fft.irfft2(weight * torch.fft.rfft2(white), (n_rows, n_columns))
    found: Tensor = smooth / smooth.std(dim=(2, 3), correction=0, keepdim=True)
    return found


def _own_errors(
    model: NcaModel, frames: Frames, numbers: range, generator: torch.Generator | None
) -> tuple[float, ...]:
    """A frame ahead from these true frames, as far as they have a next one, hidden channels at zero."""
    numbers = range(numbers.start, min(numbers.stop, frames.n_frames - 1), numbers.step)
    if not numbers:
        return ()
    truth, n_observed = model.observed(frames), model.automaton.spec.n_observed
    squares = []
    for number in numbers:
        led = _ahead(model, frames, model.start(frames, number), generator)[:, :n_observed]
        wrong = (led - truth[:, number + 1]).square().mean(dim=(2, 3))
        squares.append(wrong / (truth[:, number + 1] - truth[:, number]).square().mean(dim=(2, 3)).clamp_min(1e-24))
    found: list[float] = torch.stack(squares).mean(dim=(0, 1)).sqrt().tolist()
    return tuple(found)
