"""Weighted draws from a density, proposed around its tops; and how far the weights can be trusted."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from twins.goku.inference.group_density import GroupDensity
from twins.goku.inference.pareto import smooth_weights

DEGREES_OF_FREEDOM = 5.0
_WIDER = 1.1  # than the top's own covariance
_MORE_DRAWS = (1, 2, 4, 8)  # in the rounds for those that fail


@dataclass(frozen=True, slots=True)
class Mixture:
    """Student's t (5 degrees of freedom) around several places, for every row.

    centre: (row, part, free); factor: (row, part, free, free), lower triangular; share: (row, part), 0 for a part that
    is not there.
    """

    centre: Float[Tensor, "row part free"]
    factor: Float[Tensor, "row part free free"]
    share: Float[Tensor, "row part"]

    @classmethod
    def of_first(cls, whole: Mixture, n: int) -> Mixture:
        """What a mixture says of the first n coordinates."""
        return cls(whole.centre[..., :n], whole.factor[..., :n, :n].contiguous(), whole.share)

    def draw(self, n: int, generator: torch.Generator) -> Float[Tensor, "n row free"]:
        """n draws a row; every part gets its share of them."""
        rows, _, size = self.centre.shape
        place = (torch.arange(n, dtype=torch.float64) + 0.5) / n
        ends = self.share.cumsum(-1).contiguous()
        part = torch.searchsorted(ends, place.expand(rows, n).contiguous()).clamp(max=ends.shape[1] - 1).T
        z = torch.randn((n, rows, size), dtype=torch.float64, generator=generator)
        normals = torch.randn((int(DEGREES_OF_FREEDOM), n, rows), dtype=torch.float64, generator=generator)
        chi = normals.square().sum(0)
        row = torch.arange(rows)
        step = (self.factor[row, part] @ z.unsqueeze(-1)).squeeze(-1)
        return self.centre[row, part] + step * (DEGREES_OF_FREEDOM / chi).sqrt().unsqueeze(-1)

    def log_density(self, x: Float[Tensor, "n row free"]) -> Float[Tensor, "n row"]:
        """Natural logarithm."""
        return self.log_parts(x).logsumexp(0)

    def log_parts(self, x: Float[Tensor, "n row free"]) -> Float[Tensor, "part n row"]:
        """Of each part, with its share."""
        size, dof = x.shape[-1], DEGREES_OF_FREEDOM
        parts = []
        for part in range(self.share.shape[1]):
            factor = self.factor[:, part]
            white = torch.linalg.solve_triangular(factor, (x - self.centre[:, part]).permute(1, 2, 0), upper=False)
            squares = white.square().sum(1).T
            constant = math.lgamma(0.5 * (dof + size)) - math.lgamma(0.5 * dof) - 0.5 * size * math.log(dof * math.pi)
            level = constant - factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
            parts.append(self.share[:, part].log() + level - 0.5 * (dof + size) * torch.log1p(squares / dof))
        return torch.stack(parts)


@dataclass(frozen=True, slots=True)
class Draws:
    """x: (draw, row, free) with weights (draw, row) whose sum is 1 a row. k_hat: the shape of the weights' tail: beyond
    0.7 they cannot be trusted; effective: how many equal draws they are worth; log_evidence: of the mean weight."""

    x: Float[Tensor, "draw row free"]
    weights: Float[Tensor, "draw row"]
    k_hat: Float[Tensor, " row"]
    effective: Float[Tensor, " row"]
    log_evidence: Float[Tensor, " row"]

    def good(self, largest_k_hat: float, least_effective: float) -> Bool[Tensor, " row"]:
        """Which rows can be trusted."""
        return (self.k_hat <= largest_k_hat) & (self.effective >= least_effective)


def mixture_of_tops(
    x: Float[Tensor, "row part free"], covariance: Float[Tensor, "row part free free"], share: Float[Tensor, "row part"]
) -> Mixture:
    """The proposal around tops with these covariances."""
    factor, failed = torch.linalg.cholesky_ex(torch.nan_to_num(covariance))
    unit = torch.eye(x.shape[-1], dtype=x.dtype).expand_as(factor)
    return Mixture(x, _WIDER * torch.where((failed > 0)[..., None, None], unit, factor), share)


def draw_weighted(
    density: GroupDensity,
    groups: Int64[Tensor, " row"],
    proposal: Mixture,
    *,
    n_draws: int,
    rounds: int,
    largest_k_hat: float,
    least_effective: float,
    generator: torch.Generator,
) -> Generator[int, None, Draws]:
    """Importance draws with Pareto-smoothed weights; where they fail, the proposal is fitted to them and they are drawn
    anew, `rounds` times at most. Yields the number of rows that fail so far.

    Sources: Vehtari et al., Pareto smoothed importance sampling, JMLR 25 (2024); adapting: Cappé et al., Population
    Monte Carlo, J. Comput. Graph. Stat. 13 (2004).
    """
    draws = _weigh(density, groups, proposal, proposal.draw(n_draws, generator))
    for turn in range(rounds - 1):
        failed = (~draws.good(largest_k_hat, least_effective)).nonzero().squeeze(-1)
        yield len(failed)
        if not len(failed):
            break
        some = Draws(*(getattr(draws, name)[..., failed] if name != "x" else draws.x[:, failed] for name in _FIELDS))
        wider = adapted(some, rows_of(proposal, failed))
        n_more = n_draws * _MORE_DRAWS[min(turn, len(_MORE_DRAWS) - 1)]
        again = resampled(_weigh(density, groups[failed], wider, wider.draw(n_more, generator)), n_draws, generator)
        better = (again.effective > some.effective) & (again.k_hat < some.k_hat.clamp(min=largest_k_hat))
        draws = put(draws, failed[better], again, better)
        proposal = _put_mixture(proposal, failed[better], wider, better)
    return draws


_FIELDS = ("x", "weights", "k_hat", "effective", "log_evidence")


def _weigh(density: GroupDensity, groups: Tensor, proposal: Mixture, x: Tensor) -> Draws:
    return weighted(x, density.value(x, groups) - proposal.log_density(x))


def weighted(x: Float[Tensor, "draw row free"], ratio: Float[Tensor, "draw row"]) -> Draws:
    """Draws with smoothed weights. ratio: logarithm of the density over that of the draws."""
    log_weights, k_hat = smooth_weights(ratio.T.numpy())
    log_sum = torch.from_numpy(np.logaddexp.reduce(log_weights, axis=1))
    weights = torch.nan_to_num((torch.from_numpy(log_weights) - log_sum.unsqueeze(-1)).exp()).T
    effective = torch.nan_to_num(1.0 / weights.square().sum(0), posinf=0.0)
    equal = torch.full_like(weights, 1.0 / len(weights))
    return Draws(
        x,
        torch.where(weights.sum(0) > 0.5, weights, equal),
        torch.where(weights.sum(0) > 0.5, torch.from_numpy(k_hat), math.inf),
        effective,
        log_sum - math.log(len(x)),
    )


def resampled(draws: Draws, n: int, generator: torch.Generator) -> Draws:
    """n equal draws of the weighted ones (systematic resampling), unless they are n; the figures stay theirs."""
    if len(draws.x) == n:
        return draws
    offset = torch.rand((draws.x.shape[1], 1), dtype=torch.float64, generator=generator)
    at = (torch.arange(n, dtype=torch.float64) + offset) / n
    pick = torch.searchsorted(draws.weights.cumsum(0).T.contiguous(), at).clamp(max=len(draws.x) - 1).T
    x = draws.x[pick, torch.arange(draws.x.shape[1])]
    return replace(draws, x=x, weights=torch.full((n, x.shape[1]), 1.0 / n, dtype=x.dtype))


def adapted(draws: Draws, proposal: Mixture) -> Mixture:
    """The proposal with a part more: mean and covariance of the draws, their weights flattened until some count."""
    weights = flattened(draws.weights, 5.0 * draws.x.shape[-1])
    mean = torch.einsum("nr,nrd->rd", weights, draws.x)
    apart = draws.x - mean
    covariance = torch.einsum("nr,nrd,nre->rde", weights, apart, apart)
    covariance = covariance + 1e-10 * torch.diag_embed(covariance.diagonal(dim1=-2, dim2=-1) + 1e-12)
    new = mixture_of_tops(mean.unsqueeze(1), covariance.unsqueeze(1), torch.full((len(mean), 1), 0.7).to(mean))
    return Mixture(
        torch.cat((new.centre, proposal.centre), dim=1),
        torch.cat((new.factor, proposal.factor), dim=1),
        torch.cat((new.share, 0.3 * proposal.share), dim=1),
    )


def flattened(weights: Float[Tensor, "draw row"], worth: float) -> Float[Tensor, "draw row"]:
    """Their square root, again and again, until they are worth so many equal draws (of those that are not 0)."""
    for _ in range(8):
        few = 1.0 / weights.square().sum(0) < worth
        weights = torch.where(few, weights.sqrt() / weights.sqrt().sum(0), weights)
    return weights


def rows_of(proposal: Mixture, rows: Tensor) -> Mixture:
    """For these rows alone."""
    return Mixture(proposal.centre[rows], proposal.factor[rows], proposal.share[rows])


def put(draws: Draws, rows: Tensor, again: Draws, chosen: Tensor) -> Draws:
    """`again` instead of these rows, where chosen."""
    x, weights = draws.x.clone(), draws.weights.clone()
    x[:, rows], weights[:, rows] = again.x[:, chosen], again.weights[:, chosen]
    single = {}
    for name in ("k_hat", "effective", "log_evidence"):
        single[name] = getattr(draws, name).index_copy(0, rows, getattr(again, name)[chosen])
    return replace(draws, x=x, weights=weights, **single)


def _put_mixture(proposal: Mixture, rows: Tensor, again: Mixture, chosen: Tensor) -> Mixture:
    more = again.share.shape[1] - proposal.share.shape[1]
    n, _, size = proposal.centre.shape
    centre = torch.cat((proposal.centre[:, :1].expand(n, more, size), proposal.centre), dim=1).clone()
    factor = torch.cat((proposal.factor[:, :1].expand(n, more, size, size), proposal.factor), dim=1).clone()
    share = torch.cat((torch.zeros(n, more, dtype=torch.float64), proposal.share), dim=1)
    centre[rows], factor[rows], share[rows] = again.centre[chosen], again.factor[chosen], again.share[chosen]
    return Mixture(centre, factor, share)
