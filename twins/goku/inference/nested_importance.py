"""Importance draws for traces that share parameters: every draw of these has several draws of each trace's own unknowns.

Given the shared parameters, traces know nothing of each other. So only the parameters are drawn as a whole; for each of these
draws, the part of its weight that is a trace's is the mean over several draws of the trace's own unknowns (initial state, noise
levels). That mean is right in expectation, so that the weights are exact for any number of draws, and their spread does not
grow with the number of traces as it does where everything is drawn at once.

Sources: Chopin, Jacob and Papaspiliopoulos, SMC², J. R. Stat. Soc. B 75 (2013); Tran, Scharth, Pitt and Kohn, Importance
sampling squared (2013). Proposal: the tops' Gaussians, apart into that of the parameters and those of the rest given them.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from twins.goku.inference.group_density import GroupDensity
from twins.goku.inference.importance import (
    DEGREES_OF_FREEDOM,
    Draws,
    Mixture,
    adapted,
    put,
    resampled,
    rows_of,
    weighted,
)
from twins.goku.inference.prediction import LOG_TWO_PI
from twins.goku.inference.small_matrices import solve_lower

_EACH = 24  # draws of each trace's own unknowns
_MOST_POINTS = 400_000  # at once
_ROUNDS = (0.25, 0.5, 1.0, 2.0)  # of the draws that are asked for
_FEWEST = 100


def draw_nested(
    density: GroupDensity,
    groups: Int64[Tensor, " row"],
    proposal: Mixture,
    *,
    n_draws: int,
    largest_k_hat: float,
    least_effective: float,
    generator: torch.Generator,
) -> Generator[float, None, Draws]:
    """Weighted draws with Pareto-smoothed weights. In a few rounds, the first ones smaller than asked, the proposal of the
    shared parameters is fitted to the draws; the last round is twice as large, for rows that fail until then. Yields the
    share that is done."""
    rest, n = _Rest.of(density, proposal), density.coordinates.n_parameters
    shared = Mixture.of_first(proposal, n)
    rows, found = torch.arange(len(groups)), None
    for turn, part in enumerate(_ROUNDS):
        draws = _weigh(density, groups[rows], shared, rest.rows(rows), max(_FEWEST, int(part * n_draws)), generator)
        if part >= 1.0:
            equal = resampled(draws, n_draws, generator)
            found = equal if found is None else put(found, rows, equal, torch.ones(len(rows), dtype=torch.bool))
            failed = ~draws.good(largest_k_hat, least_effective)
        else:
            failed = torch.ones(len(rows), dtype=torch.bool)
        yield (turn + 1) / len(_ROUNDS)
        if not bool(failed.any()):
            break
        some = replace(
            draws, x=draws.x[:, failed, :n], weights=draws.weights[:, failed], k_hat=draws.k_hat[failed],
            effective=draws.effective[failed], log_evidence=draws.log_evidence[failed],
        )  # fmt: skip
        rows = rows[failed]
        shared = adapted(some, rows_of(Mixture.of_first(proposal, n), rows))
    assert found is not None
    return found


@dataclass(frozen=True, slots=True)
class _Rest:
    """What is proposed for each trace's own unknowns, given the shared ones: half of the draws are Student's t around a linear
    function of these, that of the most likely part; the others have noise levels from before the data, since a level that
    hardly shows has a long, flat tail.

    shared: the proposal of the parameters, whose parts are meant. centre: (row, part, member, own); slope: (row, part,
    member, own, parameter); factor: (row, part, member, own, own), lower triangular.
    """

    shared: Mixture
    centre: Tensor
    slope: Tensor
    factor: Tensor
    n_states: int

    @classmethod
    def of(cls, density: GroupDensity, proposal: Mixture) -> _Rest:
        n, places = density.coordinates.n_parameters, density.places[:, density.coordinates.n_parameters :]
        first, below = proposal.factor[..., :n, :n], proposal.factor[..., n:, :n]
        slope = torch.linalg.solve_triangular(first.mT, below.mT, upper=True).mT
        apart = proposal.factor[..., n:, n:]
        covariance = (apart @ apart.mT)[..., (places - n).unsqueeze(-1), (places - n).unsqueeze(-2)]
        factor, failed = torch.linalg.cholesky_ex(covariance)
        unit = torch.eye(places.shape[1], dtype=factor.dtype)
        factor = torch.where((failed > 0)[..., None, None], unit, factor)
        return cls(
            Mixture.of_first(proposal, n),
            proposal.centre[..., places],
            slope[..., places - n, :],
            factor,
            density.coordinates.sizes[1],
        )

    def rows(self, rows: Tensor) -> _Rest:
        """For these rows alone."""
        return _Rest(rows_of(self.shared, rows), self.centre[rows], self.slope[rows], self.factor[rows], self.n_states)

    def draw(
        self, x: Float[Tensor, "draw row parameter"], generator: torch.Generator
    ) -> tuple[Float[Tensor, "each draw row member own"], Float[Tensor, "each draw row member"]]:
        """(values, log of their density)."""
        part, row = self.shared.log_parts(x).argmax(0), torch.arange(x.shape[1])
        apart = (x - self.shared.centre[row, part]).unsqueeze(-2).unsqueeze(-1)
        middle = self.centre[row, part] + (self.slope[row, part] @ apart).squeeze(-1)
        factor, n_states = self.factor[row, part], self.n_states
        shape = (_EACH, *middle.shape[:-1])
        values = middle + _student(factor, shape, generator)
        wide = values[: _EACH // 2]  # the first half
        wide[..., :n_states] = middle[..., :n_states] + _student(
            factor[..., :n_states, :n_states], wide.shape[:-1], generator
        )
        wide[..., n_states:] = torch.randn(wide[..., n_states:].shape, dtype=x.dtype, generator=generator)
        apart, noise = values - middle, values[..., n_states:]
        of_wide = _log_student(factor[..., :n_states, :n_states], apart[..., :n_states])
        of_wide = of_wide - 0.5 * (noise.square() + LOG_TWO_PI).sum(-1)
        share = (_EACH // 2) / _EACH
        near = _log_student(factor, apart) + math.log1p(-share)
        return values, torch.logaddexp(near, of_wide + math.log(share)) if share else near


def _student(factor: Tensor, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Draws around 0 of this scale."""
    dof = DEGREES_OF_FREEDOM
    normal = torch.randn((*shape, factor.shape[-1], 1), dtype=factor.dtype, generator=generator)
    chi = torch.randn((int(dof), *shape), dtype=factor.dtype, generator=generator).square().sum(0)
    return (factor @ normal).squeeze(-1) * (dof / chi).sqrt().unsqueeze(-1)


def _log_student(factor: Tensor, apart: Tensor) -> Tensor:
    """Logarithm of their density."""
    size, dof = apart.shape[-1], DEGREES_OF_FREEDOM
    squares = solve_lower(factor, apart.unsqueeze(-1)).square().sum(dim=(-2, -1))
    constant = math.lgamma(0.5 * (dof + size)) - math.lgamma(0.5 * dof) - 0.5 * size * math.log(dof * math.pi)
    level = constant - factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    return level - 0.5 * (dof + size) * torch.log1p(squares / dof)


def _weigh(
    density: GroupDensity, groups: Tensor, shared: Mixture, rest: _Rest, n_draws: int, generator: torch.Generator
) -> Draws:
    n_rows, members = len(groups), density.members.shape[1]
    x = shared.draw(n_draws, generator)
    whole = torch.empty(n_draws, n_rows, density.size, dtype=x.dtype)
    log_shares = torch.empty(n_draws, n_rows, dtype=x.dtype)
    for rows in torch.split(torch.arange(n_rows), max(1, _MOST_POINTS // (_EACH * n_draws * members))):
        some = rest.rows(rows)
        whole[:, rows], log_shares[:, rows] = _by_trace(density, groups[rows], some, x[:, rows], generator)
    return weighted(whole, log_shares - shared.log_density(x))


def _by_trace(
    density: GroupDensity,
    groups: Tensor,
    rest: _Rest,
    x: Float[Tensor, "draw row parameter"],
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """(one of the draws for every trace, by its weight, with the parameters; log of the density of the parameters with all
    traces, the traces' own unknowns integrated out by their draws)."""
    coordinates, members = density.coordinates, density.members.shape[1]
    n, (n_draws, n_rows, _) = coordinates.n_parameters, x.shape
    own, log_drawn = rest.draw(x, generator)
    unknown = torch.cat((x.unsqueeze(-2).expand(*own.shape[:-1], n), own), dim=-1)
    log_prior = coordinates.log_prior(unknown)
    likelihood = density.likelihood.select(density.members[groups].flatten())
    physical = coordinates.physical(unknown).reshape(_EACH * n_draws, n_rows * members, coordinates.size)
    log_likelihood = likelihood.log_likelihood(*coordinates.split(physical)).reshape(log_drawn.shape)
    ratio = torch.nan_to_num(log_likelihood + log_prior[..., n:].sum(-1) - log_drawn, nan=-torch.inf, posinf=torch.inf)
    log_share = ratio.logsumexp(0) - math.log(_EACH)
    chance = torch.nan_to_num((ratio - ratio.amax(0)).exp(), nan=1.0)
    pick = torch.multinomial(chance.flatten(1).T, 1, generator=generator).reshape(n_draws, n_rows, members)
    chosen = unknown.gather(0, pick[None, ..., None].expand(1, *unknown.shape[1:]))[0]
    return density.joined(chosen), log_share.sum(-1) + log_prior[0, :, :, 0, :n].sum(-1)
