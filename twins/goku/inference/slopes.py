"""How a prediction changes with each unknown: by differences of one batch, or by forward mode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd import forward_ad

from twins.goku.inference.prediction import Prediction

if TYPE_CHECKING:
    from twins.goku.inference.likelihood import TraceLikelihood

_DIFFERENCE = 1e-6  # of a range: rounding (1e-10 of the values) and curvature (1e-12 of it) are both small


@dataclass(frozen=True, slots=True)
class Slopes:
    """here: the prediction of every trace (trace, channel last). mean: (time, unknown, trace, channel) and covariance:
    (time, unknown, trace, channel, channel), their slopes by every unknown; without a covariance, the noise levels are
    no unknowns of these (their part is known in closed form)."""

    here: Prediction
    mean: Float[Tensor, "time unknown trace channel"]
    covariance: Float[Tensor, "time unknown trace channel channel"] | None


def difference_slopes(
    likelihood: TraceLikelihood, point: Float[Tensor, "trace unknown"], *, states_only: bool = False
) -> Slopes:
    """Central differences. A parameter near the end of its range is moved by half its distance from there at most.

    states_only: by the initial state alone.
    """
    sizes = _sizes(likelihood)
    which = slice(sizes[0], sizes[0] + sizes[1]) if states_only else slice(0, _moved(likelihood))
    steps = _steps(likelihood, point)
    shift = torch.diag_embed(steps)[:, which].transpose(0, 1)
    steps, moved = steps[:, which], len(shift)
    points = torch.cat((point.unsqueeze(0), point + shift, point - shift))
    found = likelihood.predict(*torch.split(points, sizes, dim=-1))
    here = Prediction(
        found.mean[:, 0],
        found.variance[0],
        None if found.covariance is None else found.covariance[:, 0],
        found.diverged.any(0),
    )
    width = 2.0 * steps.T
    mean = (found.mean[:, 1 : moved + 1] - found.mean[:, moved + 1 :]) / width[..., None]
    if found.covariance is None:
        return Slopes(here, mean, None)
    ahead, behind = found.covariance[:, 1 : moved + 1], found.covariance[:, moved + 1 :]
    return Slopes(here, mean, (ahead - behind) / width[..., None, None])


def forward_slopes(likelihood: TraceLikelihood, point: Float[Tensor, "trace unknown"]) -> Slopes:
    """Exact, by forward mode: one copy of every trace an unknown."""
    sizes, moved = _sizes(likelihood), _moved(likelihood)
    copies = point.expand(moved, -1, -1).contiguous()
    tangents = torch.eye(moved, point.shape[-1], dtype=point.dtype).unsqueeze(1).expand_as(copies).contiguous()
    with torch.no_grad(), forward_ad.dual_level():
        dual = forward_ad.make_dual(copies, tangents)  # type: ignore[no-untyped-call]
        found = likelihood.predict(*torch.split(dual, sizes, dim=-1))
        mean, mean_slope = _apart(found.mean)
        spread, spread_slope = (None, None) if found.covariance is None else _apart(found.covariance)
        variance, _ = _apart(found.variance)
    here = Prediction(mean[:, 0], variance[0], None if spread is None else spread[:, 0], found.diverged.any(0))
    return Slopes(here, mean_slope, spread_slope)


def _sizes(likelihood: TraceLikelihood) -> list[int]:
    return [likelihood.system.n_parameters, likelihood.system.n_states, likelihood.n_channels]


def _moved(likelihood: TraceLikelihood) -> int:
    return likelihood.n_unknowns - (0 if likelihood.system.stochastic else likelihood.n_channels)


def _steps(likelihood: TraceLikelihood, point: Tensor) -> Tensor:
    """How far each unknown is moved (trace, unknown)."""
    system = likelihood.system
    parameters, states, noise_sd = torch.split(point, _sizes(likelihood), dim=-1)
    low, high = system.parameter_range(point)
    is_log = torch.tensor([quantity.scale == "log" for quantity in system.flat_parameters])
    whole = _DIFFERENCE * torch.where(is_log, parameters.abs(), high - low)
    to_edge = 0.5 * torch.minimum(parameters - low, high - parameters)
    by_parameter = torch.minimum(whole, to_edge).clamp(min=1e-13 * (high - low))
    state_low, state_high = system.state_range(point)
    width = torch.nan_to_num(state_high - state_low, posinf=2.0)
    return torch.cat((by_parameter, (_DIFFERENCE * width).expand_as(states), _DIFFERENCE * noise_sd), dim=-1)


def _apart(dual: Tensor) -> tuple[Tensor, Tensor]:
    primal, tangent = forward_ad.unpack_dual(dual)  # type: ignore[no-untyped-call]
    return primal, torch.zeros_like(primal) if tangent is None else tangent
