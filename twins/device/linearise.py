"""What a twin's step does to a Gaussian belief about its hidden state: by sigma points, or by the tangent at the mean."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

if TYPE_CHECKING:
    from twins.device.twin import DeviceTwin, StepLaw


class Belief(NamedTuple):
    """A Gaussian belief about the hidden state, normalised: delayed responses (newest first), auxiliaries, trial offset."""

    mean: Float[Tensor, "batch state"]
    covariance: Float[Tensor, "batch state state"]


class Foreseen(NamedTuple):
    """Moments of the next response before it is measured, without the step's noise, and that noise's covariance.

    cross: covariance of the next response with the present state. noise: of response, then auxiliaries.
    """

    mean: Float[Tensor, "batch response"]
    variance: Float[Tensor, "batch response response"]
    cross: Float[Tensor, "batch response state"]
    noise: Float[Tensor, "batch driven driven"]


# twin, belief, drive inputs (batch, drive_inputs), variance that counts as nothing (state, state)
Linearise = Callable[["DeviceTwin", Belief, Tensor, Tensor], Foreseen]


def by_sigma_points(twin: DeviceTwin, belief: Belief, u: Tensor, nothing: Tensor) -> Foreseen:
    """Third-degree cubature (Arasaratnam and Haykin 2009): 2 states points of equal, hence never negative, weights."""
    spec, (mean, covariance) = twin.spec, belief
    n_batch, n_state = mean.shape
    root = torch.linalg.cholesky_ex(covariance + nothing)[0] * math.sqrt(n_state)
    offsets = root.permute(2, 0, 1)  # (point, batch, state)
    points = torch.cat((mean + offsets, mean - offsets))
    law = _law(twin, points, u.expand(2 * n_state, *u.shape))
    n = spec.n_response
    following = points[..., :n] + law.increment.view(2 * n_state, n_batch, n)
    centre = following.mean(0)
    deviation = following - centre
    slope = 0.5 * (following[:n_state] - following[n_state:])
    return Foreseen(
        centre,
        _outer(deviation, deviation) / (2 * n_state),
        _outer(slope, offsets) / n_state,
        _noise_covariance(twin, law, 2 * n_state, n_batch),
    )


def by_tangent(twin: DeviceTwin, belief: Belief, u: Tensor, nothing: Tensor) -> Foreseen:  # noqa: ARG001
    """The extended Kalman filter: the mean increment is replaced by its tangent at the mean, the noise is taken there."""
    n = twin.spec.n_response
    wanted = torch.is_grad_enabled()
    with torch.enable_grad():
        mean = belief.mean if belief.mean.requires_grad else belief.mean.detach().requires_grad_()
        law = _law(twin, mean, u)
        following = mean[:, :n] + law.increment
        rows = [
            torch.autograd.grad(following[:, i].sum(), mean, create_graph=wanted, retain_graph=True)[0]
            for i in range(n)
        ]
    tangent = torch.stack(rows, dim=1)
    cross = tangent @ belief.covariance
    noise = _noise_covariance(twin, law, 1, len(mean))
    foreseen = Foreseen(following, cross @ tangent.mT, cross, noise)
    return foreseen if wanted else Foreseen(*(part.detach() for part in foreseen))


METHODS: Mapping[str, Linearise] = {"sigma_points": by_sigma_points, "extended": by_tangent}


def noise_of(law: StepLaw, gain: Tensor | None = None) -> Tensor:
    """Covariance of a step's noise, (row, driven, driven), driven being response and auxiliaries; gain scales each."""
    parts = []
    if law.spread is not None:
        spread = law.spread if gain is None else law.spread * gain
        parts.append(spread.square().unsqueeze(-1) if spread.shape[1] == 1 else torch.diag_embed(spread.square()))
    if law.columns is not None:
        columns = law.columns if gain is None else law.columns * gain.unsqueeze(-1)
        parts.append(columns @ columns.mT)
    return parts[0] if len(parts) == 1 else parts[0] + parts[1]


def auxiliary_gain(twin: DeviceTwin) -> Tensor | None:
    """What a step's noise is multiplied with, a response channel or auxiliary each; None where it is 1 throughout."""
    if not twin.spec.auxiliaries:
        return None
    kick = (1.0 - twin.auxiliary_correlation.square()).clamp_min(0.0).sqrt()
    return torch.cat((torch.ones_like(twin.increment_scale), kick))


def _law(twin: DeviceTwin, states: Tensor, u: Tensor) -> StepLaw:
    """The step's law at states (…, state) under drive inputs (…, drive_inputs), as rows."""
    spec = twin.spec
    n = spec.n_state_inputs
    rows = torch.cat((states[..., :n], u), dim=-1).reshape(-1, spec.n_inputs)
    force = None
    if spec.auxiliaries:
        force = twin.force(states[..., n : n + spec.auxiliaries]).reshape(-1, spec.n_response)
    return twin.step_law(rows, force)


def _noise_covariance(twin: DeviceTwin, law: StepLaw, n_points: int, n_batch: int) -> Tensor:
    """Mean over the points, (batch, driven, driven)."""
    driven = twin.spec.n_response + twin.spec.auxiliaries
    if not twin.spec.noisy:
        return law.increment.new_zeros(n_batch, driven, driven)
    covariance = noise_of(law, auxiliary_gain(twin))
    return covariance.view(n_points, n_batch, driven, driven).mean(0) if n_points > 1 else covariance


def _outer(first: Tensor, second: Tensor) -> Tensor:
    """Sum over points of first ⊗ second: (point, batch, i), (point, batch, j) -> (batch, i, j)."""
    return first.permute(1, 2, 0) @ second.permute(1, 0, 2)


def negligible(twin: DeviceTwin, n_state: int) -> Float[Tensor, "state state"]:
    """Variance below which nothing matters: rounding must not make a covariance indefinite."""
    tiny = 10.0 * torch.finfo(twin.linear_weight.dtype).eps
    return torch.eye(n_state).to(twin.linear_weight) * (tiny * twin.increment_scale.square().mean().clamp_min(1e-2))
