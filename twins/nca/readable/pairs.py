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
    perturbation_sd: float = 0.0,
    generator: torch.Generator | None = None,
) -> FramePairs:
    """What the automaton makes of frames, in one frame's time each.

    along: "frames" begins at n_frames of the given ones, from `frame` on, with hidden channels at zero: what it has
    learned where the data are. "run" begins at one of the frames and goes on freely for n_frames, hidden channels and all.
    perturbation_sd: in units of the model's range; the states are run once more with so much smooth noise on the observed
    channels. generator: of that noise, and of the cells that fire. Raises FramesInvalid for a run that leaves the finite.
    """
    model.check(frames)
    exact = replace(model, automaton=copy.deepcopy(model.automaton).double())
    spec, n_observed = exact.automaton.spec, exact.automaton.spec.n_observed
    if along == "frames":
        n_frames = min(n_frames, frames.n_frames - frame)
        states = [exact.start(frames, number) for number in range(frame, frame + n_frames)]
    else:
        states = [exact.start(frames, frame), *exact.states(frames, n_frames - 1, frame=frame, generator=generator)]
    begun, n_fresh = torch.cat(states), len(states) * frames.n_trials
    if perturbation_sd > 0.0:
        if generator is None:
            raise FramesInvalid("perturbation_sd draws noise: pass a generator")
        moved = begun.clone()
        moved[:, :n_observed] += perturbation_sd * _smooth(begun[:, :n_observed], generator)
        begun = torch.cat((begun, moved))
    ended = _ahead(exact, frames, begun, generator)
    low = torch.tensor(model.scaling.lows, dtype=torch.float64)[:, None, None]
    span = torch.tensor(model.scaling.highs, dtype=torch.float64)[:, None, None] - low
    fields, after = low + span * begun[:, :n_observed], low + span * ended[:, :n_observed]
    if not bool(torch.isfinite(after).all()):
        raise FramesInvalid(f"the automaton ran away within {n_frames} frames: there is no rule to be read there")
    hidden = begun[:, n_observed + spec.n_environment :]
    samples = _samples(
        frames,
        fields[:n_fresh],
        after[:n_fresh],
        hidden[:n_fresh],
        spec.padding,
        "automaton, through whole frames",
        True,
    )
    fields = torch.cat((fields, samples.fields[:, n_observed:].repeat(len(begun) // n_fresh, 1, 1, 1)), dim=1)
    return FramePairs(
        fields, after, hidden if along == "run" else hidden[:, :0], samples.fold * (len(begun) // n_fresh),
        model.steps_per_frame, model.dt_s / model.steps_per_frame, samples, _own_errors(exact, frames, generator),
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
    samples = _samples(frames, before, after, before[:, :0], padding, told, frames.simulated)
    return FramePairs(samples.fields, after, before[:, :0], samples.fold, n_steps, frames.dt_s / n_steps, samples)


def _samples(
    frames: Frames, before: Tensor, after: Tensor, hidden: Tensor, padding: Padding, source: str, simulated: bool
) -> Samples:
    """Of states ordered by time and then trial. Rates: of the state in the middle of the frame before and the one after,
    which is right to second order where the states follow each other."""
    n_times = len(before) // frames.n_trials
    still, still_names = still_fields(frames, n_times)
    rates = ((after - before) / frames.dt_s).reshape(n_times, frames.n_trials, *after.shape[1:])
    if n_times > 2:
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


def _smooth(like: Tensor, generator: torch.Generator) -> Tensor:
    """Noise of standard deviation one over each image, that varies over a few cells: waves weighed by exp(-(k·length)²/4)."""
    white = torch.randn(like.shape, generator=generator, dtype=like.dtype)
    n_rows, n_columns = like.shape[-2:]
    frequency = torch.fft.fftfreq(n_rows)[:, None].square() + torch.fft.rfftfreq(n_columns).square()
    weight = torch.exp(-((torch.pi * _SMOOTH_OVER_CELLS) ** 2) * frequency.to(like.dtype))
    smooth = torch.fft.irfft2(weight * torch.fft.rfft2(white), (n_rows, n_columns))
    found: Tensor = smooth / smooth.std(dim=(2, 3), correction=0, keepdim=True)
    return found


def _own_errors(model: NcaModel, frames: Frames, generator: torch.Generator | None) -> tuple[float, ...]:
    """A frame ahead from every true frame that has a next one, hidden channels at zero."""
    if frames.n_frames < 2:
        return ()
    truth, n_observed = model.observed(frames), model.automaton.spec.n_observed
    squares = []
    for number in range(frames.n_frames - 1):
        led = _ahead(model, frames, model.start(frames, number), generator)[:, :n_observed]
        wrong = (led - truth[:, number + 1]).square().mean(dim=(2, 3))
        squares.append(wrong / (truth[:, number + 1] - truth[:, number]).square().mean(dim=(2, 3)).clamp_min(1e-24))
    found: list[float] = torch.stack(squares).mean(dim=(0, 1)).sqrt().tolist()
    return tuple(found)
