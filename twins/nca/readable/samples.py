"""States and how fast their observed channels change: of an automaton as it runs, of an equation, of frames."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from twins.errors import FramesInvalid
from twins.nca.frames import Frames
from twins.nca.model import NcaModel
from twins.nca.pde.equation import Pde
from twins.nca.spec import Padding

_FOLDS = 6
"""Parts of the data that are held out in turn."""


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """fields: channels and behind them the fields that hold still (environment, conditions that differ among trials), in
    float64 and the images' units. rates: of the channels, per unit of time. hidden: of an automaton, in its units.
    fold: which part of the data each state belongs to. trial, step: where each state comes from."""

    fields: Float[Tensor, "state field y x"]
    rates: Float[Tensor, "state channel y x"]
    hidden: Float[Tensor, "state hidden y x"]
    names: tuple[str, ...]
    fold: tuple[int, ...]
    padding: Padding
    time_unit: str
    source: str
    simulated: bool
    n_fresh: int
    """States of the run itself, in front; behind them stand the perturbed ones."""

    @property
    def n_channels(self) -> int:
        """Observed channels."""
        return int(self.rates.shape[1])


def samples_of_model(
    model: NcaModel,
    frames: Frames,
    *,
    n_frames: int,
    frame: int = 0,
    every: int = 1,
    perturbation_sd: float = 0.0,
    generator: torch.Generator | None = None,
) -> Samples:
    """What the automaton does in single steps, on its way from one of the frames to n_frames later.

    every: steps from one state that is looked at to the next. perturbation_sd: in units of the model's range; the states
    are looked at once more with so much white noise on the observed channels. generator: of that noise, and of the cells
    that fire. A rate is the mean over what may fire. Raises FramesInvalid for a run that leaves the finite.
    """
    model.check(frames)
    automaton = copy.deepcopy(model.automaton).double()
    spec, n_observed = automaton.spec, automaton.spec.n_observed
    known = model.conditions(frames)
    conditions = None if known is None else known.double()
    states = [model.start(frames, frame).double()]
    for state in automaton.trajectory(
        states[0], n_frames * model.steps_per_frame, every=every, generator=generator, conditions=conditions
    ):
        states.append(state)
    if not bool(torch.isfinite(states[-1]).all()):
        raise FramesInvalid(f"the automaton ran away within {n_frames} frames: there is no rule to be read there")
    looked_at = list(states)
    if perturbation_sd > 0.0:
        looked_at += [_perturbed(state, n_observed, perturbation_sd, generator) for state in states]
    low = torch.tensor(model.scaling.lows, dtype=torch.float64)[:, None, None]
    high = torch.tensor(model.scaling.highs, dtype=torch.float64)[:, None, None]
    per_time = model.steps_per_frame / model.dt_s * spec.fire_rate
    with torch.no_grad():
        changes = [(automaton.step(one, None, conditions) - one)[:, :n_observed] for one in looked_at]
    both, n_fixed = torch.cat(looked_at), n_observed + spec.n_environment
    still, still_names = still_fields(frames, len(looked_at))
    folds = folds_of(frames.n_trials, len(states))
    return Samples(
        torch.cat((low + (high - low) * both[:, :n_observed], still), dim=1),
        (high - low) * per_time * torch.cat(changes),
        both[:, n_fixed:],
        (*model.names, *still_names),
        folds * (len(looked_at) // len(states)),
        spec.padding, model.time_unit, "automaton", True, len(states) * frames.n_trials,
    )  # fmt: skip


def samples_of_pde(pde: Pde, like: Samples) -> Samples:
    """The equation's own rates on the same states. Raises EquationInvalid where the fields do not fit."""
    n = like.n_channels
    rates = pde.rate(like.fields[:, :n], padding=like.padding)
    return replace(like, rates=rates, hidden=like.hidden[:, :0], source=pde.name)


def samples_of_frames(
    frames: Frames, *, padding: Padding = "periodic", at: Literal["start", "mean"] = "start"
) -> Samples:
    """Differences of successive frames over their distance in time.

    at: "start" takes the terms in the earlier frame, exact for Euler steps; "mean" the mean state of both, better where
    the frames lie further apart. Raises FramesInvalid for single frames.
    """
    if frames.n_frames < 2:
        raise FramesInvalid("rates need at least two frames of a sequence")
    values = frames.tensor().double().transpose(0, 1)  # (time, trial, …): folds are spans of time
    before, after = values[:-1], values[1:]
    fields = before if at == "start" else 0.5 * (before + after)
    still, still_names = still_fields(frames, frames.n_frames - 1)
    flat = fields.flatten(0, 1)
    return Samples(
        torch.cat((flat, still), dim=1), ((after - before) / frames.dt_s).flatten(0, 1), flat[:, :0],
        (*frames.names, *still_names), folds_of(frames.n_trials, frames.n_frames - 1), padding, frames.time_unit, "frames",
        frames.simulated, len(flat),
    )  # fmt: skip


def _perturbed(state: Tensor, n_observed: int, sd: float, generator: torch.Generator | None) -> Tensor:
    if generator is None:
        raise FramesInvalid("perturbation_sd draws noise: pass a generator")
    noise = torch.zeros_like(state)
    noise[:, :n_observed] = sd * torch.randn(state[:, :n_observed].shape, generator=generator, dtype=state.dtype)
    return state + noise


def still_fields(frames: Frames, n_times: int) -> tuple[Tensor, tuple[str, ...]]:
    """Environment, and the conditions that differ among trials, of states ordered by time and then trial."""
    n_rows, n_columns = frames.size
    environment = frames.environment_tensor()
    fields = [torch.zeros(frames.n_trials, 0, n_rows, n_columns) if environment is None else environment]
    names = [f"environment {number}" for number in range(frames.n_environment)]
    for number, name in enumerate(frames.condition_names):
        values = frames.condition_values[:, number]
        if values.min() < values.max():
            fields.append(torch.tensor(values)[:, None, None, None].expand(-1, 1, n_rows, n_columns))
            names.append(name)
    return torch.cat(fields, dim=1).double().repeat(n_times, 1, 1, 1), tuple(names)


def folds_of(n_trials: int, n_times: int) -> tuple[int, ...]:
    """By trial where there are enough; by spans of time within trials where there are not."""
    if n_trials >= _FOLDS:
        return tuple(trial % _FOLDS for _ in range(n_times) for trial in range(n_trials))
    spans = min(n_times, -(-_FOLDS // n_trials))
    return tuple(trial * spans + time * spans // n_times for time in range(n_times) for trial in range(n_trials))
