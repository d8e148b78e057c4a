"""Climb to the nearest top of a density by Fisher scoring, damped, for many rows at once."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from twins.goku.inference.deadline import NEVER, Deadline
from twins.goku.inference.group_density import GroupDensity, Quadratic

_LONGEST_STEP = 1.2  # in free coordinates: from the middle of a range to 0.88 of it
_MOST_DAMPING = 1e8


@dataclass(frozen=True, slots=True)
class Top:
    """Where each row's climb ended: x, the density's logarithm there and its precision. converged: its distance from
    the top is small beside the width of the density. diverged: the equation ran away already at the start."""

    x: Float[Tensor, "row free"]
    value: Float[Tensor, " row"]
    precision: Float[Tensor, "row free free"]
    converged: Bool[Tensor, " row"]
    diverged: Bool[Tensor, " row"]


def climb(
    density: GroupDensity,
    x: Float[Tensor, "row free"],
    groups: Int64[Tensor, " row"],
    *,
    max_iterations: int,
    tolerance: float = 1e-4,
    out_of_time: Deadline = NEVER,
) -> Generator[int, None, Top]:
    """Levenberg–Marquardt steps with the Fisher information as the curvature, each row with its own damping.

    A row is done where a whole step would gain less than `tolerance` nats. Yields the number of rows still under
    way after every iteration; out of time, they stay where they are.
    Source: Marquardt, J. SIAM 11 (1963); scoring: Osborne, Int. Stat. Rev. 60 (1992).
    """
    x = x.clone()
    here = density.quadratic(x, groups)
    value, gradient, precision = here.value, here.gradient, here.precision
    diverged = ~torch.isfinite(value)
    damping = torch.full_like(value, 1e-2)
    converged = torch.zeros_like(diverged)
    stuck = diverged.clone()
    for _ in range(max_iterations):
        rows = (~(converged | stuck)).nonzero().squeeze(-1)
        if not len(rows) or out_of_time():
            break
        step, to_gain = scoring_step(gradient[rows], precision[rows], torch.zeros_like(damping[rows]))
        converged[rows] = to_gain < tolerance
        rows = rows[~(to_gain < tolerance)]
        if not len(rows):
            break
        step, _ = scoring_step(gradient[rows], precision[rows], damping[rows])
        expected = (step * gradient[rows]).sum(-1) - 0.5 * torch.einsum("bi,bij,bj->b", step, precision[rows], step)
        there = density.quadratic(x[rows] + step, groups[rows])
        gain = there.value - value[rows]
        taken = gain > 1e-3 * expected.clamp(min=0.0)
        kept = rows[taken]
        x[kept] += step[taken]
        value[kept], gradient[kept] = there.value[taken], there.gradient[taken]
        precision[kept] = there.precision[taken]
        factor = torch.where(gain > 0.75 * expected, 0.2, torch.where(gain > 0.25 * expected, 1.0, 3.0))
        damping[rows] = (damping[rows] * torch.where(taken, factor, 8.0)).clamp(min=1e-9)
        stuck[rows] = damping[rows] > _MOST_DAMPING
        yield int((~(converged | stuck)).sum())
    return Top(x, value, precision, converged, diverged)


def scoring_step(gradient: Tensor, precision: Tensor, damping: Tensor) -> tuple[Tensor, Tensor]:
    """(step, nats that a quadratic density would gain by it); steps are cut where they leave a coordinate's scale."""
    scale = precision.diagonal(dim1=-2, dim2=-1).clamp(min=1e-12).sqrt()
    scaled = precision / (scale.unsqueeze(-1) * scale.unsqueeze(-2))
    scaled = scaled + torch.diag_embed(damping.unsqueeze(-1).expand_as(gradient) + 1e-12)
    factor, failed = torch.linalg.cholesky_ex(scaled)
    step = torch.cholesky_solve((gradient / scale).unsqueeze(-1), factor).squeeze(-1) / scale
    step = torch.where((failed > 0).unsqueeze(-1), gradient / scale.square() * 0.1, step)
    to_gain = 0.5 * (step * gradient).sum(-1)
    return step * (_LONGEST_STEP / step.abs().amax(-1, keepdim=True).clamp(min=_LONGEST_STEP)), to_gain


def covariance_of(precision: Float[Tensor, "row n n"]) -> Float[Tensor, "row n n"]:
    """The inverse of positive definite matrices, scaled first so that units do not matter; NaN where there is none."""
    scale = precision.diagonal(dim1=-2, dim2=-1).clamp(min=1e-300).rsqrt()
    scaled = precision * scale.unsqueeze(-1) * scale.unsqueeze(-2)
    factor, failed = torch.linalg.cholesky_ex(scaled)
    inverse = torch.cholesky_inverse(factor)
    inverse = torch.where((failed > 0)[..., None, None], torch.nan, inverse)
    return inverse * scale.unsqueeze(-1) * scale.unsqueeze(-2)


__all__ = ["Quadratic", "Top", "climb", "covariance_of", "scoring_step"]
