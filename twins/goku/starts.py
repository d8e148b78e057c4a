"""Climbs from several starts, on growing spans, and the tops that are worth a proposal."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from twins.goku.climb import Top, climb, covariance_of
from twins.goku.group_density import GroupDensity
from twins.goku.refine_settings import RefineEvent, RefineSettings

_JITTER = 1.0  # of starts around the guess, in free coordinates
_LEAST_SAMPLES = 10  # of a first span
_EARLY_ITERATIONS = 15
_WORTH_NATS = 12.0  # a top this far below the best has no weight
_MOST_TOPS = 4


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
        """What each top's own Gaussian holds of the whole, at least a twentieth each."""
        held = self.value + 0.5 * torch.nan_to_num(torch.logdet(self.covariance), nan=0.0, neginf=0.0)
        there = torch.isfinite(self.value)
        share = torch.where(there, torch.softmax(torch.where(there, held, -1e9), dim=-1).clamp(min=0.05), 0.0)
        share = torch.where(there.any(-1, keepdim=True), share, torch.eye(1, share.shape[1]).to(share))
        return share / share.sum(-1, keepdim=True)


def find_tops(
    density: GroupDensity,
    guess: Float[Tensor, "group free"] | None,
    settings: RefineSettings,
    generator: torch.Generator,
) -> Generator[RefineEvent, None, Tops]:
    """Climb from the guess and from starts around it, or from draws of the prior where there is no guess."""
    x = _starts(density, guess, settings, generator)
    n_groups, n_starts = density.n_groups, x.shape[1]
    n_diverged = torch.zeros(n_groups, dtype=torch.int64)
    spans = _spans(density.likelihood.data.n_samples, settings.n_spans)
    for number, span in enumerate(spans):
        last = span == spans[-1]
        if last and guess is not None and len(spans) > 1:
            x = torch.cat((guess.unsqueeze(1), x), dim=1)  # a short span may have led away from a good guess
        groups = torch.arange(n_groups).repeat_interleave(x.shape[1])
        iterations = settings.max_iterations if last else min(_EARLY_ITERATIONS, settings.max_iterations)
        climbing = climb(density.first(span), x.flatten(0, 1), groups, max_iterations=iterations)
        done = 0
        while True:
            try:
                left = next(climbing)
            except StopIteration as stopped:
                top: Top = stopped.value
                break
            done += 1
            yield RefineEvent("climb", (number + done / iterations) / len(spans), left, int(n_diverged.sum()))
        n_diverged += top.diverged.reshape(n_groups, -1).sum(1)
        if last:
            return _sorted_tops(top, n_groups, n_diverged)
        x = _best(top, n_groups, max(2, -(-x.shape[1] // 2)) if n_starts > 1 else 1)
    raise AssertionError("the last span returns")


def _starts(
    density: GroupDensity, guess: Tensor | None, settings: RefineSettings, generator: torch.Generator
) -> Tensor:
    n_groups, members = density.members.shape
    if guess is None:
        n = 4 * settings.n_starts
        drawn = density.coordinates.draw(n_groups * n * members, generator)
        return density.joined(drawn.reshape(n_groups, n, members, -1))
    shape = (n_groups, settings.n_starts - 1, guess.shape[-1])
    jitter = _JITTER * torch.randn(shape, dtype=torch.float64, generator=generator)
    return torch.cat((guess.unsqueeze(1), guess.unsqueeze(1) + jitter), dim=1)


def _spans(n_samples: int, n_spans: int) -> list[int]:
    spans = [n_samples]
    while len(spans) < n_spans and spans[0] // 2 >= _LEAST_SAMPLES:
        spans.insert(0, -(-spans[0] // 2))
    return spans


def _best(top: Top, n_groups: int, n_kept: int) -> Tensor:
    order = top.value.reshape(n_groups, -1).argsort(dim=1, descending=True)[:, :n_kept]
    return top.x.reshape(n_groups, -1, top.x.shape[-1])[torch.arange(n_groups).unsqueeze(1), order]


def _sorted_tops(top: Top, n_groups: int, n_diverged: Tensor) -> Tops:
    """Distinct tops: one nearer than 1.5 standard deviations to a better one is the same."""
    value = top.value.reshape(n_groups, -1)
    order = value.argsort(dim=1, descending=True)
    row = torch.arange(n_groups).unsqueeze(1)
    x = top.x.reshape(n_groups, value.shape[1], -1)[row, order]
    precision = top.precision.reshape(*x.shape, -1)[row, order]
    value, converged = value[row, order], top.converged.reshape(n_groups, -1)[row, order]
    kept = torch.isfinite(value) & (value > value[:, :1] - _WORTH_NATS)
    for later in range(1, value.shape[1]):
        apart = x[:, later : later + 1] - x[:, :later]
        squares = torch.einsum("gti,gtij,gtj->gt", apart, precision[:, :later], apart)
        kept[:, later] &= ~((squares < 2.25) & kept[:, :later]).any(1)
    kept[:, 0] = torch.isfinite(value[:, 0])
    first = (~kept).to(torch.int64).argsort(dim=1, stable=True)[:, :_MOST_TOPS]
    value = torch.where(kept, value, -torch.inf)
    return Tops(x[row, first], covariance_of(precision[row, first]), value[row, first], converged[:, 0], n_diverged)
