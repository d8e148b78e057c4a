"""Climbs from several starts, on growing spans, and the tops that are worth a proposal."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from twins.goku.inference.climb import Top, climb, covariance_of
from twins.goku.inference.deadline import NEVER, Deadline
from twins.goku.inference.group_density import GroupDensity
from twins.goku.inference.refine_settings import RefineEvent, RefineSettings

_JITTERS = (0.3, 0.9)  # of starts around the guess, in free coordinates
_LEAST_SAMPLES = 10  # of a first span
_EARLY_ITERATIONS = 15
_WORTH_NATS = 8.0  # a top this far below the best has no weight
_SAME_NATS = 0.5  # two climbs to the same top
_ROUNDS = 3  # of starts, for those whose best top was found by one climb only
_KEPT = 4  # starts that are followed to the end, at least
_MOST_TOPS = 4
_SAME_DISTANCE = 2.25  # squared, in standard deviations


@dataclass(frozen=True, slots=True)
class Tops:
    """The tops of every group, best first: x and covariance (group, top, …), value (group, top), -inf for those that are
    not there; converged: (group,), of the best; n_diverged: (group,), starts that ran away."""

    x: Float[Tensor, "group top free"]
    covariance: Float[Tensor, "group top free free"]
    value: Float[Tensor, "group top"]
    converged: Bool[Tensor, " group"]
    n_diverged: Tensor

    @property
    def diverged(self) -> Bool[Tensor, " group"]:
        """No start led anywhere."""
        return torch.isinf(self.value[:, 0])

    def share(self) -> Float[Tensor, "group top"]:
        """What each top's own Gaussian holds of the whole, at least a fiftieth each."""
        held = self.value + 0.5 * torch.nan_to_num(torch.logdet(self.covariance), nan=0.0, neginf=0.0)
        there = torch.isfinite(self.value)
        share = torch.where(there, torch.softmax(torch.where(there, held, -1e9), dim=-1).clamp(min=0.02), 0.0)
        share = torch.where(there.any(-1, keepdim=True), share, torch.eye(1, share.shape[1]).to(share))
        return share / share.sum(-1, keepdim=True)


def find_tops(
    density: GroupDensity,
    guess: Float[Tensor, "group free"] | None,
    settings: RefineSettings,
    generator: torch.Generator,
    out_of_time: Deadline = NEVER,
    *,
    guesses: Float[Tensor, "draw group free"] | None = None,
) -> Generator[RefineEvent, None, Tops]:
    """Climb from the guess and from starts around it and over the prior (or over the prior alone, without a guess).

    guesses: more of them, such as draws of a network's posterior; the likeliest take the place of half the starts around
    the guess. They find the top where the guess, a mean, lies between tops (a frequency that slipped by a turn).

    A group whose best top was reached by a single climb gets twice as many starts again, and then again: a top that
    others lead to as well is rarely a false one (the rule of Boender and Rinnooy Kan, Math. Program. 37 (1987), at its
    simplest).
    """
    n_starts = settings.n_starts * (1 if guess is not None else 4)
    n_diverged = torch.zeros(density.n_groups, dtype=torch.int64)
    pool = _Pool.empty(density)
    doubtful = torch.arange(density.n_groups)
    for turn in range(_ROUNDS):
        start = _starts(density, doubtful, guess, n_starts, generator, with_guess=turn == 0)
        if guesses is not None and n_starts > 2:
            start = _with_likeliest(density, doubtful, start, guesses)
        direct = None if guess is None or turn > 0 else guess[doubtful].unsqueeze(1)
        top, ran_away = yield from _climb_spans(density, doubtful, start, direct, settings, turn, out_of_time)
        n_diverged[doubtful] += ran_away
        pool = pool.joined(top, doubtful)
        doubtful = (pool.times_found() < 2).nonzero().squeeze(-1)
        if not len(doubtful) or settings.n_starts == 1 or out_of_time():
            break
        n_starts *= 2
    return pool.tops(n_diverged)


def _climb_spans(
    density: GroupDensity,
    groups: Tensor,
    x: Float[Tensor, "chosen start free"],
    direct: Float[Tensor, "chosen 1 free"] | None,
    settings: RefineSettings,
    turn: int,
    out_of_time: Deadline,
) -> Generator[RefineEvent, None, tuple[Top, Tensor]]:
    """Tops of the whole traces, by way of growing spans; half of the climbs are given up on each. direct: a start on the
    whole at once (a short span may lead away from a good guess)."""
    n_diverged = torch.zeros(len(groups), dtype=torch.int64)
    spans = _spans(density.likelihood.data.n_samples, settings.n_spans)
    for number, span in enumerate(spans):
        last = number + 1 == len(spans)
        if not last and out_of_time():
            continue
        if last and direct is not None and len(spans) > 1:
            x = torch.cat((direct, x), dim=1)
        rows = groups.repeat_interleave(x.shape[1])
        iterations = settings.max_iterations if last else min(_EARLY_ITERATIONS, settings.max_iterations)
        climbing = climb(density.first(span), x.flatten(0, 1), rows, max_iterations=iterations, out_of_time=out_of_time)
        done = 0
        while True:
            try:
                left = next(climbing)
            except StopIteration as stopped:
                top: Top = stopped.value
                break
            done += 1
            share = (number + done / iterations) / len(spans)
            yield RefineEvent("climb", (turn + share) / _ROUNDS, left, int(n_diverged.sum()))
        n_diverged += top.diverged.reshape(len(groups), -1).sum(1)
        if not last:
            x = _best(top, len(groups), max(min(_KEPT, x.shape[1]), -(-x.shape[1] // 2)))
    return top, n_diverged


def _starts(
    density: GroupDensity,
    groups: Tensor,
    guess: Tensor | None,
    n: int,
    generator: torch.Generator,
    *,
    with_guess: bool,
) -> Float[Tensor, "chosen start free"]:
    """Half near the guess (itself among them, where it was not taken yet), a quarter further away, the rest from the
    prior; all from the prior without a guess."""
    members = density.members.shape[1]
    drawn = density.coordinates.draw(len(groups) * n * members, generator)
    x = density.joined(drawn.reshape(len(groups), n, members, -1))
    if guess is None:
        return x
    near = guess[groups].unsqueeze(1)
    normal = torch.randn(x.shape, dtype=x.dtype, generator=generator)
    ends = (-(-n // 2), -(-3 * n // 4))
    x[:, : ends[0]] = near + _JITTERS[0] * normal[:, : ends[0]]
    x[:, ends[0] : ends[1]] = near + _JITTERS[1] * normal[:, ends[0] : ends[1]]
    if with_guess:
        x[:, 0] = guess[groups]
    return x


def _with_likeliest(
    density: GroupDensity,
    groups: Tensor,
    x: Float[Tensor, "chosen start free"],
    guesses: Float[Tensor, "draw group free"],
) -> Float[Tensor, "chosen start free"]:
    """Every other start, the first left alone, is one of the guesses: the likeliest first."""
    drawn = guesses[:, groups]
    order = torch.nan_to_num(density.value(drawn, groups), nan=-torch.inf).argsort(dim=0, descending=True)
    places = range(1, x.shape[1], 2)
    for place, chosen in zip(places, order[: len(places)], strict=False):
        x[:, place] = drawn[chosen, torch.arange(len(groups))]
    return x


def _spans(n_samples: int, n_spans: int) -> list[int]:
    spans = [n_samples]
    while len(spans) < n_spans and spans[0] // 2 >= _LEAST_SAMPLES:
        spans.insert(0, -(-spans[0] // 2))
    return spans


def _best(top: Top, n_groups: int, n_kept: int) -> Tensor:
    order = top.value.reshape(n_groups, -1).argsort(dim=1, descending=True)[:, :n_kept]
    return top.x.reshape(n_groups, -1, top.x.shape[-1])[torch.arange(n_groups).unsqueeze(1), order]


@dataclass(frozen=True, slots=True)
class _Pool:
    """All climbs' ends, by group, best first; value -inf where there is none."""

    x: Float[Tensor, "group climb free"]
    value: Float[Tensor, "group climb"]
    precision: Float[Tensor, "group climb free free"]
    converged: Bool[Tensor, "group climb"]

    @classmethod
    def empty(cls, density: GroupDensity) -> _Pool:
        n, size = density.n_groups, density.size
        zero = torch.zeros(n, 0, size, dtype=torch.float64)
        return cls(zero, zero[..., 0], zero.unsqueeze(-1).expand(n, 0, size, size), torch.zeros(n, 0, dtype=torch.bool))

    def joined(self, top: Top, groups: Tensor) -> _Pool:
        """With the ends of the climbs of these groups."""
        n, climbs, size = len(self.x), len(top.value) // len(groups), top.x.shape[-1]
        x, value = top.x.new_zeros(n, climbs, size), top.x.new_full((n, climbs), -torch.inf)
        precision = torch.eye(size, dtype=torch.float64).repeat(n, climbs, 1, 1)
        converged = torch.zeros(n, climbs, dtype=torch.bool)
        shape = (len(groups), climbs)
        x[groups], value[groups] = top.x.reshape(*shape, -1), top.value.reshape(shape)
        precision[groups] = top.precision.reshape(*shape, size, size)
        converged[groups] = top.converged.reshape(shape)
        both = [torch.cat(pair, dim=1) for pair in (
            (self.x, x), (self.value, value), (self.precision, precision), (self.converged, converged)
        )]  # fmt: skip
        order = both[1].argsort(dim=1, descending=True)
        row = torch.arange(n).unsqueeze(1)
        return _Pool(*(part[row, order] for part in both))

    def times_found(self) -> Tensor:
        """How many climbs ended at the best top of each group."""
        near = self._distance(0, slice(None)) < _SAME_DISTANCE
        return (near & (self.value > self.value[:, :1] - _SAME_NATS)).sum(1)

    def tops(self, n_diverged: Tensor) -> Tops:
        """The distinct ones that are worth a proposal."""
        kept = torch.isfinite(self.value) & (self.value > self.value[:, :1] - _WORTH_NATS)
        for later in range(1, self.value.shape[1]):
            near = self._distance(later, slice(0, later)) < _SAME_DISTANCE
            kept[:, later] &= ~(near & kept[:, :later]).any(1)
        kept[:, 0] = torch.isfinite(self.value[:, 0])
        first = (~kept).to(torch.int64).argsort(dim=1, stable=True)[:, :_MOST_TOPS]
        row = torch.arange(len(self.x)).unsqueeze(1)
        value = torch.where(kept, self.value, -torch.inf)[row, first]
        covariance = covariance_of(self.precision[row, first])
        return Tops(self.x[row, first], covariance, value, self.converged[:, 0], n_diverged)

    def _distance(self, one: int, others: slice) -> Tensor:
        """Squared, in standard deviations of the others."""
        apart = self.x[:, one : one + 1] - self.x[:, others]
        return torch.einsum("gti,gtij,gtj->gt", apart, self.precision[:, others], apart)
