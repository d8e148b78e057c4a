"""Prediction of an ordinary equation: the trajectory itself; all error is the observation's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from twins.goku.inference.prediction import Prediction
from twins.goku.inference.trace_data import TraceData
from twins.goku.trajectories import LARGEST_STATE, solve_system

if TYPE_CHECKING:
    from twins.goku.observation import Observation
    from twins.goku.system import System


def predict_trajectory(
    system: System,
    observation: Observation,
    data: TraceData,
    parameters: Float[Tensor, "copy trace parameter"],
    initial: Float[Tensor, "copy trace state"],
    noise_sd: Float[Tensor, "copy trace channel"],
    *,
    substeps: int,
) -> Prediction:
    """Exact but for the solver's step. Copies (draws, tangents) of all traces are solved as one batch."""
    copies, n_traces, _ = parameters.shape
    batch = copies * n_traces
    step, drive = data.step_s, data.drive
    if isinstance(step, Tensor):
        step = step.unsqueeze(1).expand(-1, copies, -1).reshape(len(step), batch)
    if drive is not None:
        drive = drive.unsqueeze(1).expand(-1, copies, -1, -1).reshape(len(drive), batch, -1)
    flat = parameters.reshape(batch, -1)
    states = solve_system(
        system, initial.reshape(batch, -1), flat,
        step_s=step, n_steps=data.n_samples - 1, drive=drive, substeps=substeps,
    )  # fmt: skip
    mean = observation(system.outputs_of(states, flat))
    diverged = _left(system, states.detach(), mean.detach())
    return Prediction(
        mean.reshape(data.n_samples, copies, n_traces, -1),
        noise_sd.square(), None, diverged.reshape(copies, n_traces),
    )  # fmt: skip


def _left(system: System, states: Tensor, mean: Tensor) -> Bool[Tensor, " batch"]:
    """Which ran away, as ``trajectories.ran_away`` has it: by the extremes of each state, which takes a third of the time
    (and a NaN is an extreme that compares with nothing)."""
    low, high = system.state_range(states)
    middle = torch.nan_to_num(0.5 * (low + high))
    far = LARGEST_STATE * torch.nan_to_num(0.5 * (high - low), posinf=1e4)
    inside = (states.amax(0) <= middle + far) & (states.amin(0) >= middle - far)
    finite = (mean.amax(0) < torch.inf) & (mean.amin(0) > -torch.inf)
    return ~(inside.all(-1) & finite.all(-1))
