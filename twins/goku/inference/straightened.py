"""Importance draws in coordinates that follow the bends of a density.

Where some combinations of parameters are known far better than others, the density is a thin, bent ridge, and draws along
a straight line leave it. In the data it is straight again: the change of all predictions, projected on the directions in
which the predictions move at the top, is near a standard normal variable. So such a variable is drawn and the point with
that projection is looked for, from the top on by Newton's steps; the weights are exact, because the density of the points
is known from the projection's derivative.

Source: randomise-then-optimise (Bardsley, Solonen, Haario, Laine, SIAM J. Sci. Comput. 36 (2014); in this form Wang,
Bui-Thanh, Ghattas, SIAM J. Sci. Comput. 40 (2018)), here with the filter's means for noisy equations.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Generator

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from twins.goku.inference.group_density import GroupDensity
from twins.goku.inference.importance import DEGREES_OF_FREEDOM, Draws, resampled, weighted
from twins.goku.inference.likelihood import MOST_NUMBERS
from twins.goku.inference.slopes import Slopes, difference_slopes

_WIDER = 1.1
_PATH_STEPS = 4  # from the top to the drawn variable
_NEWTON_STEPS = 6  # at its end, at most
_LEAST_POINTS = 200
_MOST_MISSED = 0.05  # share of draws whose point is not found
_CLOSE = 1e-3  # of a standard deviation; the weights are exact for the point reached


def draw_straightened(
    density: GroupDensity,
    groups: Int64[Tensor, " row"],
    top: Float[Tensor, "row free"],
    *,
    n_draws: int,
    generator: torch.Generator,
) -> Generator[float, None, Draws]:
    """Weighted draws around one top a row. Yields the share that is done.

    Half as many points as draws are looked for, since each costs many solutions; they are drawn from by their weights.
    """
    n_rows, size = top.shape
    n_asked, n_draws = n_draws, max(_LEAST_POINTS, n_draws // 2)
    normal = torch.randn((n_draws, n_rows, size), dtype=torch.float64, generator=generator)
    chi = torch.randn((int(DEGREES_OF_FREEDOM), n_draws, n_rows), dtype=torch.float64, generator=generator)
    length = (DEGREES_OF_FREEDOM / chi.square().sum(0)).sqrt()
    wanted = _WIDER * normal * length.unsqueeze(-1)
    x, ratio = torch.empty_like(wanted), torch.empty(n_draws, n_rows, dtype=torch.float64)
    a_row = density.likelihood.data.n_samples * density.likelihood.n_channels * density.members.shape[1]
    a_row *= (2 * density.coordinates.size + 1) * n_draws
    chunks = torch.split(torch.arange(n_rows), max(1, 4 * MOST_NUMBERS // a_row))
    for number, rows in enumerate(chunks):
        projection = _Projection(density, groups[rows], top[rows])
        x[:, rows], ratio[:, rows] = projection.points(wanted[:, rows])
        yield (number + 1) / len(chunks)
    found = weighted(x, ratio)
    missed = torch.isinf(ratio).double().mean(0) > _MOST_MISSED
    found = dataclasses.replace(found, k_hat=torch.where(missed, torch.inf, found.k_hat))
    return resampled(found, n_asked, generator)


class _Projection:
    """Ψ(x) = L^-1 [Σ (dμ/dx at the top)' S^-1 (μ(x) - μ(top)) + R (x - top)], with L L' the precision at the top and R what
    of it is not the means' (the prior's, the noise levels'): its derivative at the top is L'."""

    def __init__(self, density: GroupDensity, groups: Tensor, top: Tensor) -> None:
        self.density, self.groups, self.top = density, groups, top
        precision = density.quadratic(top, groups).precision
        self.factor, _ = torch.linalg.cholesky_ex(precision)
        mean, slope, here = self._means(top, groups)
        seen = density.likelihood.select(density.members[groups].flatten()).data.seen
        self._mean = mean
        weight = slope * seen.unsqueeze(1)
        if here.here.covariance is None:
            weight = weight / here.here.variance
        else:
            weight = torch.linalg.solve(here.here.covariance.unsqueeze(1), weight.unsqueeze(-1)).squeeze(-1)
        self._weight = weight
        self._rest = precision - _assembled(density, _products(weight, slope), density.size)

    def points(self, wanted: Float[Tensor, "draw row free"]) -> tuple[Tensor, Tensor]:
        """(x, log of density over that of the draws): where Ψ(x) = wanted, as nearly as Newton's steps come."""
        n, n_rows, size = wanted.shape
        flat, row = wanted.reshape(n * n_rows, size), torch.arange(n_rows).repeat(n)
        start = torch.linalg.solve(self.factor.mT, wanted.unsqueeze(-1) / _PATH_STEPS).squeeze(-1)
        x = (self.top + start).reshape(n * n_rows, size)
        reached, log_slope = torch.full_like(flat, torch.inf), torch.zeros(len(flat), dtype=torch.float64)
        under_way = torch.arange(len(flat))
        for step in range(1, _PATH_STEPS + _NEWTON_STEPS):
            share = min(1.0, (step + 1) / _PATH_STEPS)
            value, slope = self._at(x[under_way], row[under_way])
            if step >= _PATH_STEPS:
                reached[under_way], log_slope[under_way] = value, torch.linalg.slogdet(slope)[1]
                far = (value - flat[under_way]).abs().amax(-1) > _CLOSE
                under_way, value, slope = under_way[far], value[far], slope[far]
                if not len(under_way):
                    break
            change = torch.linalg.solve_ex(slope, (share * flat[under_way] - value).unsqueeze(-1))[0].squeeze(-1)
            change = torch.nan_to_num(change, nan=0.0, posinf=0.0, neginf=0.0)
            x[under_way] += change / (change.abs().amax(-1, keepdim=True)).clamp(min=1.0)
        missed = ~((reached - flat).abs().amax(-1) <= _CLOSE)
        squares = (reached / _WIDER).square().sum(-1)
        log_drawn = _t_constant(size) - 0.5 * (DEGREES_OF_FREEDOM + size) * torch.log1p(squares / DEGREES_OF_FREEDOM)
        log_drawn = (log_drawn + log_slope - size * math.log(_WIDER)).reshape(n, n_rows)
        x = x.reshape(n, n_rows, size)
        ratio = self.density.value(x, self.groups) - log_drawn
        return x, torch.where(missed.reshape(n, n_rows) | torch.isnan(ratio), -torch.inf, ratio)

    def _at(self, x: Float[Tensor, "point free"], row: Int64[Tensor, " point"]) -> tuple[Tensor, Tensor]:
        """(Ψ, its derivative) at points of these rows."""
        members, size = self.density.members.shape[1], self.density.size
        mean, slope, _ = self._means(x, self.groups[row])
        trace = (row.unsqueeze(1) * members + torch.arange(members)).flatten()
        weight, apart = self._weight[:, :, trace], mean - self._mean[:, trace]
        moved = (weight * apart.unsqueeze(1)).sum(dim=(0, -1)).T.reshape(len(x), members, -1)
        rest = self._rest[row]
        value = (rest @ (x - self.top[row]).unsqueeze(-1)).squeeze(-1)
        for member, place in enumerate(self.density.places):
            value[:, place] += moved[:, member]
        slope = _assembled(self.density, _products(weight, slope), size) + rest
        factor = self.factor[row]
        value = torch.linalg.solve_triangular(factor, value.unsqueeze(-1), upper=False).squeeze(-1)
        return value, torch.linalg.solve_triangular(factor, slope, upper=False)

    def _means(self, x: Float[Tensor, "row free"], groups: Tensor) -> tuple[Tensor, Tensor, Slopes]:
        """(mean (time, trace, channel), its slopes (time, unknown, trace, channel) by the free coordinates)."""
        coordinates = self.density.coordinates
        likelihood = self.density.likelihood.select(self.density.members[groups].flatten())
        own = self.density.by_trace(x).reshape(-1, coordinates.size)
        found = difference_slopes(likelihood, coordinates.physical(own))
        moved = found.mean.shape[1]
        by_free = found.mean * coordinates.slope(own)[:, :moved].T.unsqueeze(-1)
        still = by_free.new_zeros(len(by_free), coordinates.size - moved, *by_free.shape[2:])
        return found.here.mean, torch.cat((by_free, still), dim=1), found


def _products(weight: Tensor, slope: Tensor) -> Float[Tensor, "trace unknown unknown"]:
    """Sum over times and channels of weights (time, unknown, trace, channel) with slopes of the same axes."""
    left, right = (part.permute(2, 1, 0, 3).flatten(2) for part in (weight, slope))
    return left @ right.mT


def _assembled(density: GroupDensity, by_trace: Tensor, size: int) -> Float[Tensor, "row free free"]:
    members = density.members.shape[1]
    by_trace = by_trace.reshape(-1, members, *by_trace.shape[1:])
    whole = by_trace.new_zeros(len(by_trace), size, size)
    for member, place in enumerate(density.places):
        whole[:, place.unsqueeze(-1), place] += by_trace[:, member]
    return whole


def _t_constant(size: int) -> float:
    dof = DEGREES_OF_FREEDOM
    return math.lgamma(0.5 * (dof + size)) - math.lgamma(0.5 * dof) - 0.5 * size * math.log(dof * math.pi)
