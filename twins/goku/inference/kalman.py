"""Prediction of an equation with noise of its own: a cubature Kalman filter through the Runge–Kutta flow.

The state given the samples so far is taken as Gaussian. Its sigma points m ± sqrt(n) L_j (L L' the covariance) follow
the drift by one Runge–Kutta step of order 4; the noise of a substep enters one half before it, one half after (so that
the covariance is right to second order in the step), and where it depends on the state as its mean over the points.
No derivative of the user's drift is needed. Where drift and observation are linear and the noise is additive, this is
the Kalman filter, exact but for the step.

Source: Arasaratnam and Haykin, Cubature Kalman filters, IEEE Trans. Autom. Control 54 (2009); for equations in
continuous time, Särkkä and Solin, Applied Stochastic Differential Equations (2019), chapters 9 and 10.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from twins.errors import SolverRefused
from twins.goku.bound import BoundSystem
from twins.goku.compiled.filter import (
    SMALLEST_SD,
    Filtered,
    FilterKernel,
    filter_compiled,
    filter_kernel,
    why_not_these,
)
from twins.goku.compiled.filter_plan import NUDGE
from twins.goku.inference.prediction import LOG_TWO_PI, Prediction, log_density
from twins.goku.inference.small_matrices import lower_factor, solve_lower
from twins.goku.inference.trace_data import TraceData
from twins.goku.trajectories import BACKENDS, LARGEST_STATE

if TYPE_CHECKING:
    from twins.goku.observation import Observation
    from twins.goku.system import System


@dataclass(frozen=True, slots=True)
class Filtering:
    """mean: (time, batch, channel), covariance: (time, batch, channel, channel) of each sample before it was seen;
    diverged: (batch,)."""

    mean: Float[Tensor, "time batch channel"]
    covariance: Float[Tensor, "time batch channel channel"]
    diverged: Bool[Tensor, " batch"]


def predict_filtered(
    system: System,
    observation: Observation,
    data: TraceData,
    parameters: Float[Tensor, "copy trace parameter"],
    initial: Float[Tensor, "copy trace state"],
    noise_sd: Float[Tensor, "copy trace channel"],
    *,
    substeps: int,
    blurred: bool = False,
    backend: str = "auto",
) -> Prediction:
    """Mean and covariance of each sample given the earlier ones. The initial state is known: its uncertainty is that of
    the unknown it is given as.

    blurred: the initial state is the mean of a Gaussian instead, with the variance of the noise of the first step.
    backend: "compiled": in C, see ``twins.goku.compiled.filter``; SolverRefused where that cannot be. "loop": in torch,
    with derivatives. "auto": compiled where it can be; the results are equal to rounding.
    """
    copies, n_traces, n_channels = noise_sd.shape
    flat = _flat(parameters, initial, noise_sd)
    kernel = _kernel(system, observation, flat, backend)
    found: Filtering | Filtered
    if isinstance(kernel, str):
        found = filter_in_torch(system, observation, data, *flat, substeps=substeps, blurred=blurred)
    else:
        found = filter_compiled(
            kernel, system, observation, data, *flat, substeps=substeps, predictions=True, blurred=blurred
        )
    assert found.mean is not None and found.covariance is not None
    shape = (data.n_samples, copies, n_traces, n_channels)
    return Prediction(
        found.mean.reshape(shape), noise_sd.square(), found.covariance.reshape(*shape, n_channels),
        found.diverged.reshape(copies, n_traces),
    )  # fmt: skip


def filtered_log_density(
    system: System,
    observation: Observation,
    data: TraceData,
    parameters: Float[Tensor, "copy trace parameter"],
    initial: Float[Tensor, "copy trace state"],
    noise_sd: Float[Tensor, "copy trace channel"],
    *,
    substeps: int,
    blurred: bool = False,
) -> Float[Tensor, "copy trace"]:
    """``prediction.log_density`` of ``predict_filtered``, without the predictions where it is compiled."""
    flat = _flat(parameters, initial, noise_sd)
    kernel = _kernel(system, observation, flat, "auto")
    if isinstance(kernel, str):
        predicted = predict_filtered(
            system, observation, data, parameters, initial, noise_sd, substeps=substeps, blurred=blurred
        )
        return log_density(data, predicted)
    found = filter_compiled(
        kernel, system, observation, data, *flat, substeps=substeps, predictions=False, blurred=blurred
    )
    count = data.seen.sum(dim=(0, -1)).double().repeat(len(parameters))
    value = -0.5 * (found.surprise + count * LOG_TWO_PI)
    return torch.where(found.diverged | ~torch.isfinite(value), -math.inf, value).reshape(parameters.shape[:2])


def first_kick(
    system: System, data: TraceData, parameters: Float[Tensor, "trace parameter"], initial: Float[Tensor, "trace state"]
) -> Float[Tensor, "trace state"]:
    """Variance of the noise that enters in the first step, by its strength at these states: that of `blurred`."""
    kick = Flow(system, parameters, 1).kick(initial, *_step_and_drive(data, 0, len(parameters) // data.n_traces))
    return kick.diagonal(dim1=-2, dim2=-1)


def _flat(parameters: Tensor, initial: Tensor, noise_sd: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return parameters.flatten(0, 1), initial.flatten(0, 1), noise_sd.flatten(0, 1).square()


def _kernel(
    system: System, observation: Observation, flat: tuple[Tensor, Tensor, Tensor], backend: str
) -> FilterKernel | str:
    if backend not in BACKENDS:
        raise SolverRefused(f"backend must be one of {', '.join(BACKENDS)}, not {backend!r}")
    if backend == "loop":
        return "it was not asked for"
    found = why_not_these(flat) or filter_kernel(system, observation, flat[2].shape[-1])
    if isinstance(found, str) and backend == "compiled":
        raise SolverRefused(f"backend='compiled' cannot take this: {found}; use backend='loop'")
    return found


def filter_in_torch(
    system: System,
    observation: Observation,
    data: TraceData,
    parameters: Float[Tensor, "batch parameter"],
    initial: Float[Tensor, "batch state"],
    variance: Float[Tensor, "batch channel"],
    *,
    substeps: int,
    blurred: bool = False,
) -> Filtering:
    """The filter step by step. batch: copies of all traces; the traces of a copy one after another."""
    copies = len(parameters) // data.n_traces
    flow, look = Flow(system, parameters, substeps), Look(system, observation, parameters, variance)
    m = initial
    P = m.new_zeros(*m.shape, m.shape[-1])
    if blurred:
        P = P + flow.kick(m, *_step_and_drive(data, 0, copies))
    means, covariances = [], []
    for k in range(data.n_samples):
        m, P, mean, covariance = look(m, P, _copied(data.values[k], copies), _copied(data.seen[k], copies))
        means.append(mean)
        covariances.append(covariance)
        if k + 1 < data.n_samples:
            m, P = flow(m, P, *_step_and_drive(data, k, copies))
    mean, covariance = torch.stack(means), torch.stack(covariances)
    with torch.no_grad():
        bad = ~torch.isfinite(mean).all(-1).all(0) | ~torch.isfinite(covariance).flatten(2).all(-1).all(0)
        bad |= ~torch.isfinite(m).all(-1) | flow.left
    return Filtering(mean, covariance, bad)


def _step_and_drive(data: TraceData, k: int, copies: int) -> tuple[float | Tensor, Tensor | None]:
    step = data.step_s
    length = _copied(step[k].unsqueeze(-1), copies) if isinstance(step, Tensor) else step
    return length, None if data.drive is None else _copied(data.drive[k], copies)


def _copied(values: Tensor, copies: int) -> Tensor:
    return values.expand(copies, *values.shape).reshape(copies * len(values), *values.shape[1:])


def sigma_points(m: Float[Tensor, "batch n"], L: Float[Tensor, "batch n n"]) -> Float[Tensor, "point batch n"]:
    """m ± sqrt(n) times each column of L: 2 n points of equal weight."""
    columns = (L * math.sqrt(m.shape[-1])).permute(2, 0, 1)
    return torch.cat((m + columns, m - columns))


def moments(points: Tensor) -> tuple[Tensor, Tensor]:
    """(mean, deviations) of points (point, batch, n)."""
    mean = points.mean(0)
    return mean, points - mean


def product(a: Float[Tensor, "point batch i"], b: Float[Tensor, "point batch j"]) -> Float[Tensor, "batch i j"]:
    """Mean over the points of a b'."""
    return (a.permute(1, 2, 0) @ b.transpose(0, 1)) / len(a)


class Flow:
    """Mean and covariance of the state over one sample. ``left``: (copy,), whose state ran away."""

    def __init__(self, system: System, parameters: Tensor, substeps: int) -> None:
        self._system, self._substeps = system, substeps
        self._drift = BoundSystem(system, parameters, noisy=False)
        self._noisy = BoundSystem(system, parameters)
        self._state_dependent = system.noise != "additive"
        self._corrected = self._state_dependent and system.sde_type == "stratonovich"
        low, high = system.state_range(parameters)
        half = torch.nan_to_num(0.5 * (high - low), posinf=1.0)
        self._floor = torch.diag((SMALLEST_SD * half).square())
        self._largest = LARGEST_STATE * torch.nan_to_num(0.5 * (high - low), posinf=1e4)
        self._middle = torch.nan_to_num(0.5 * (low + high))
        self.left = torch.zeros(len(parameters), dtype=torch.bool)

    def __call__(self, m: Tensor, P: Tensor, step_s: float | Tensor, drive: Tensor | None) -> tuple[Tensor, Tensor]:
        h = step_s / (self._substeps * self._system.time_unit_s)
        scale = h.unsqueeze(-1) if isinstance(h, Tensor) else h
        for _ in range(self._substeps):
            before = sigma_points(m, lower_factor(P + self._floor)) if self._state_dependent else m
            noise = self._spread(before, drive)
            points = sigma_points(m, lower_factor(P + self._floor + noise * (0.5 * scale)))
            m, deviations = moments(self._rk4(points, h, drive))
            P = product(deviations, deviations)
            if self._state_dependent:
                noise = self._spread(m + deviations, drive)
            P = P + noise * (0.5 * scale)
        with torch.no_grad():
            self.left |= ((m.detach() - self._middle).abs() > self._largest).any(-1)
        return m, P

    def kick(self, m: Tensor, step_s: float | Tensor, drive: Tensor | None) -> Tensor:
        """Covariance of the noise of a whole sample, by its strength here."""
        whole = step_s / self._system.time_unit_s
        return self._spread(m, drive) * (whole.unsqueeze(-1) if isinstance(whole, Tensor) else whole)

    def _rk4(self, x: Tensor, h: float | Tensor, drive: Tensor | None) -> Tensor:
        k1 = self._rate(x, drive) * h
        k2 = self._rate(x + 0.5 * k1, drive) * h
        k3 = self._rate(x + 0.5 * k2, drive) * h
        k4 = self._rate(x + k3, drive) * h
        return x + (k1 + 2.0 * (k2 + k3) + k4) / 6.0

    def _rate(self, x: Tensor, drive: Tensor | None) -> Tensor:
        """Drift in Itô's reading."""
        drift = self._drift.coefficients_at(x, drive)[0]
        if not self._corrected:
            return drift
        columns = self._columns(x, drive)  # (channel, …, state): each column of g, and its slope along itself
        ahead = torch.stack([self._columns(x + NUDGE * column, drive)[j] for j, column in enumerate(columns)])
        behind = torch.stack([self._columns(x - NUDGE * column, drive)[j] for j, column in enumerate(columns)])
        return drift + (0.25 / NUDGE) * (ahead - behind).sum(0)

    def _columns(self, x: Tensor, drive: Tensor | None) -> Tensor:
        g = self._noisy.coefficients_at(x, drive)[1]
        assert g is not None
        return (torch.diag_embed(g) if self._noisy.noise_type == "diagonal" else g).movedim(-1, 0)

    def _spread(self, x: Tensor, drive: Tensor | None) -> Tensor:
        """g g' (batch, state, state), its mean over the points where x has an axis of them."""
        g = self._noisy.coefficients_at(x, drive)[1]
        assert g is not None
        if self._noisy.noise_type == "diagonal":
            squares = g.square()
            return torch.diag_embed(squares.mean(0) if squares.ndim == 3 else squares)
        outer = g @ g.mT
        return outer.mean(0) if outer.ndim == 4 else outer


class Look:
    """One sample: what was expected of it, and the state once it is seen."""

    def __init__(self, system: System, observation: Observation, parameters: Tensor, variance: Tensor) -> None:
        self._system, self._observation, self._parameters = system, observation, parameters
        self._variance, self._unit = variance, torch.eye(variance.shape[-1]).to(variance)
        low, high = system.state_range(parameters)
        half = torch.nan_to_num(0.5 * (high - low), posinf=1.0)
        self._floor = torch.diag((SMALLEST_SD * half).square())

    def __call__(self, m: Tensor, P: Tensor, values: Tensor, seen: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(mean, covariance) of the state after the sample, (mean, covariance) of the sample before it."""
        points = sigma_points(m, lower_factor(P + self._floor))
        mean, deviations = moments(self._observation(self._system.outputs_of(points, self._parameters)))
        there = seen.to(mean.dtype)
        deviations, mean = deviations * there, mean * there
        covariance = product(deviations, deviations) + torch.diag_embed(self._variance * there + (1.0 - there))
        cross = product(points - m, deviations)
        factor = lower_factor(covariance)
        white = solve_lower(factor, torch.cat((cross.mT, ((values - mean) * there).unsqueeze(-1)), dim=-1))
        gain, error = white[..., :-1], white[..., -1:]
        m = m + (gain.mT @ error).squeeze(-1)
        return m, P - gain.mT @ gain, mean, covariance
