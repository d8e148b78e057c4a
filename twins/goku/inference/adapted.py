"""Importance draws whose proposal is fitted to them, again and again, all draws so far counted together.

Every round draws from a mixture of Student's t that was fitted to all weighted draws so far (each draw's responsibilities
by expectation and maximisation), with a wide part that keeps the tails. A draw's weight is the density over the mean of
all rounds' proposals, so that a poor early proposal does not spoil what a later one found. Costs values of the density
only, no slopes.

Sources: Cornuet, Marin, Mira, Robert, Adaptive multiple importance sampling, Scand. J. Stat. 39 (2012); the fit: Peel and
McLachlan, Stat. Comput. 10 (2000), with fixed degrees of freedom; the deterministic mixture: Owen and Zhou, J. Am. Stat.
Assoc. 95 (2000).
"""

from __future__ import annotations

from collections.abc import Generator

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from twins.goku.inference.deadline import NEVER, Deadline
from twins.goku.inference.funnel import Funnel
from twins.goku.inference.group_density import GroupDensity
from twins.goku.inference.importance import DEGREES_OF_FREEDOM, Draws, Mixture, flattened, put, resampled, weighted

_MORE_DRAWS = (1, 1, 2, 2, 4, 4)  # times those asked for, by round
_PARTS = (2, 4, 6, 6, 8, 8)
_ITERATIONS = 12  # of the fit
_WIDE, _WIDE_SHARE = 2.0, 0.1  # standard deviations of all draws
_LEAST_WORTH = 4.0  # equal draws a coordinate that a fit is made of, by flattening the weights
_MOST_NUMBERS = 20_000_000  # of responsibilities times coordinates held at once


def draw_adapted(
    density: GroupDensity | Funnel,
    groups: Int64[Tensor, " row"],
    draws: Draws,
    *,
    n_draws: int,
    limits: tuple[float, float],
    generator: torch.Generator,
    out_of_time: Deadline = NEVER,
) -> Generator[float, None, tuple[Draws, Mixture]]:
    """(draws, the last proposal) of every row. Yields the share of rounds done.

    draws: weighted ones of any other kind that the first proposal is fitted to. A row is done once its draws are good
    by limits (largest k-hat, least equal draws).
    """
    size = draws.x.shape[-1]
    rows = torch.arange(len(groups))
    found = draws
    last = fitted(draws.x, flattened(draws.weights, _LEAST_WORTH * size), _PARTS[0])
    kept = _AllDraws(density, groups, last)
    for turn, (more, parts) in enumerate(zip(_MORE_DRAWS, _PARTS, strict=True)):
        if turn:
            kept.proposals.append(fitted(kept.x, flattened(kept.now.weights, _LEAST_WORTH * size), parts))
        kept.draw(more * n_draws, generator)
        found = put(found, rows, resampled(kept.now, len(found.x), generator), torch.ones(len(rows)).bool())
        last = _put(last, rows, kept.proposals[-1])
        under_way = ~kept.now.good(*limits)
        rows = rows[under_way]
        yield (turn + 1) / len(_PARTS)
        if not len(rows) or out_of_time():
            break
        kept = kept.only(under_way)
    return found, last


class _AllDraws:
    """All rounds' draws of the rows under way, and what they were drawn from."""

    def __init__(self, density: GroupDensity | Funnel, groups: Tensor, proposal: Mixture) -> None:
        self.density, self.groups = density, groups
        self.proposals = [proposal]
        self.counts: list[int] = []
        rows, size = len(groups), proposal.centre.shape[-1]
        self.x = torch.zeros(0, rows, size, dtype=torch.float64)
        self.value = torch.zeros(0, rows, dtype=torch.float64)
        self.by_proposal: list[Tensor] = []
        self.now: Draws

    def draw(self, n: int, generator: torch.Generator) -> None:
        """n more from the last proposal, and all weights anew."""
        newest = self.proposals[-1]
        x = newest.draw(n, generator)
        earlier = [
            torch.cat((levels, proposal.log_density(x)))
            for levels, proposal in zip(self.by_proposal, self.proposals[:-1], strict=True)
        ]
        self.x = torch.cat((self.x, x))
        self.value = torch.cat((self.value, self.density.value(x, self.groups)))
        self.by_proposal = [*earlier, newest.log_density(self.x)]
        self.counts.append(n)
        share = torch.tensor(self.counts, dtype=torch.float64) / sum(self.counts)
        together = (torch.stack(self.by_proposal) + share.log()[:, None, None]).logsumexp(0)
        self.now = weighted(self.x, torch.nan_to_num(self.value, nan=-torch.inf) - together)

    def only(self, rows: Tensor) -> _AllDraws:
        """Of these rows."""
        other = object.__new__(_AllDraws)
        other.density, other.groups, other.counts = self.density, self.groups[rows], list(self.counts)
        other.proposals = [Mixture(p.centre[rows], p.factor[rows], p.share[rows]) for p in self.proposals]
        other.x, other.value = self.x[:, rows], self.value[:, rows]
        other.by_proposal = [levels[:, rows] for levels in self.by_proposal]
        now = self.now
        other.now = Draws(
            now.x[:, rows], now.weights[:, rows], now.k_hat[rows], now.effective[rows], now.log_evidence[rows]
        )
        return other


def fitted(x: Float[Tensor, "draw row free"], weights: Float[Tensor, "draw row"], n_parts: int) -> Mixture:
    """A mixture of t distributions fitted to weighted draws, and a wide part around them all."""
    n_rows = x.shape[1]
    each = max(1, _MOST_NUMBERS // (x.shape[0] * x.shape[2] * n_parts))
    found = [_fitted(x[:, rows], weights[:, rows], n_parts) for rows in torch.split(torch.arange(n_rows), each)]
    return Mixture(*(torch.cat([getattr(one, name) for one in found]) for name in ("centre", "factor", "share")))


def _fitted(x: Tensor, weights: Tensor, n_parts: int) -> Mixture:
    """Done where the draws' mean is 0 and their covariance the unit matrix."""
    size = x.shape[-1]
    mean = torch.einsum("nr,nrd->rd", weights, x)
    apart = x - mean
    covariance = torch.einsum("nr,nrd,nre->rde", weights, apart, apart)
    covariance = covariance + torch.diag_embed(1e-9 * covariance.diagonal(dim1=-2, dim2=-1) + 1e-14)
    factor = torch.linalg.cholesky_ex(covariance)[0]
    white = torch.linalg.solve_triangular(factor, apart.permute(1, 2, 0), upper=False).permute(2, 0, 1)
    white = torch.nan_to_num(white, posinf=0.0, neginf=0.0)
    share_of = _slices(white, weights, n_parts)
    unit = torch.eye(size, dtype=x.dtype)
    pull = size + 1.0  # equal draws that the unit matrix counts for in every part's covariance
    squares = torch.full_like(share_of, float(size))
    for _ in range(_ITERATIONS):
        held = share_of * weights.unsqueeze(0)  # (part, draw, row)
        held_t = held * (DEGREES_OF_FREEDOM + size) / (DEGREES_OF_FREEDOM + squares)
        total = held.sum(1).clamp(min=1e-12)
        centre = torch.einsum("pnr,nrd->prd", held_t, white) / held_t.sum(1).clamp(min=1e-12).unsqueeze(-1)
        worth = (total.square() / held.square().sum(1).clamp(min=1e-30))[..., None, None]
        second = torch.einsum("pnr,nrd,nre->prde", held_t, white, white) / total[..., None, None]
        first = torch.einsum("pnr,nrd->prd", held_t, white) / total.unsqueeze(-1)
        weight = (held_t.sum(1) / total)[..., None, None]
        spread = second - first.unsqueeze(-1) * centre.unsqueeze(-2) - centre.unsqueeze(-1) * first.unsqueeze(-2)
        spread = spread + weight * centre.unsqueeze(-1) * centre.unsqueeze(-2)
        spread = (worth * spread + pull / n_parts * unit) / (worth + pull)
        parts = torch.linalg.cholesky_ex(0.5 * (spread + spread.mT) + 1e-9 * unit)[0]
        steps = (white.unsqueeze(0) - centre.unsqueeze(1)).permute(0, 2, 3, 1)
        squares = torch.linalg.solve_triangular(parts, steps, upper=False).square().sum(2).permute(0, 2, 1)
        level = total.log() - parts.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        logs = level.unsqueeze(1) - 0.5 * (DEGREES_OF_FREEDOM + size) * torch.log1p(squares / DEGREES_OF_FREEDOM)
        share_of = logs.softmax(0)
    share = (1.0 - _WIDE_SHARE) * total / total.sum(0)
    centre = torch.cat((centre, torch.zeros_like(centre[:1]))).transpose(0, 1)
    parts = torch.cat((parts, (_WIDE * unit).expand_as(parts[:1]))).transpose(0, 1)
    share = torch.cat((share, torch.full_like(share[:1], _WIDE_SHARE))).T
    whole = factor.unsqueeze(1)
    return Mixture(mean.unsqueeze(1) + (whole @ centre.unsqueeze(-1)).squeeze(-1), whole @ parts, share.contiguous())


def _slices(white: Tensor, weights: Tensor, n_parts: int) -> Float[Tensor, "part draw row"]:
    """Where a fit begins: slices of equal weight along the direction with the lightest tails: that of a ridge
    that ends somewhere, or from one top to another."""
    matrix = torch.einsum("nr,nr,nrd,nre->rde", weights, white.square().sum(-1), white, white)
    axis = torch.linalg.eigh(torch.nan_to_num(matrix))[1][..., 0]
    along = torch.einsum("nrd,rd->nr", white, axis)
    order = along.argsort(0)
    below = weights.gather(0, order).cumsum(0)
    part = torch.empty_like(order).scatter_(0, order, (below * n_parts).floor().clamp(0, n_parts - 1).to(torch.int64))
    return torch.stack([(part == number).to(white) for number in range(n_parts)])


def _put(last: Mixture, rows: Tensor, again: Mixture) -> Mixture:
    """`again` instead of these rows; parts that are missing have no share."""
    more = again.share.shape[1] - last.share.shape[1]
    n, _, size = last.centre.shape
    centre, factor, share = last.centre, last.factor, last.share
    if more > 0:
        centre = torch.cat((centre, centre[:, :1].expand(n, more, size)), dim=1)
        factor = torch.cat((factor, factor[:, :1].expand(n, more, size, size)), dim=1)
        share = torch.cat((share, torch.zeros(n, more, dtype=share.dtype)), dim=1)
    return Mixture(
        centre.index_copy(0, rows, again.centre),
        factor.index_copy(0, rows, again.factor),
        share.index_copy(0, rows, again.share),
    )
