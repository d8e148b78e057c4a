"""Losses between distributions, cell by cell: they ask how much mass lies where, and not how far it would have to go.

Each channel is one distribution over the cells, and the loss the mean over channels. A. Bhattacharyya, Bull. Calcutta
Math. Soc. 35 (1943); E. Hellinger, J. reine angew. Math. 136 (1909); S. Kullback and R. Leibler, Ann. Math. Stat. 22 (1951);
for measures that are not normalised: I. Csiszár, Ann. Statist. 19 (1991).

Normalised, an image and its double are the same to them. The publication's "modified" losses multiply by one plus the
difference of mean values, which is still 0 for an image and its double. With amplitude they are taken between masses that are
not normalised: the affinity Σ√(p q) is divided by the arithmetic mean of both masses in place of the geometric one. It is 1
only where p = q, and the Bhattacharyya distance becomes that of the shapes plus log(arithmetic / geometric mean).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from twins.nca.losses.loss import channel_mean
from twins.nca.losses.mass import MassLoss

_GRID = (2, 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence(MassLoss):
    """amplitude: compare masses as they are, in shares of their arithmetic mean (of the target's, for KL)."""

    amplitude: bool = False

    def masses(self, predicted: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Of both, normalised each by itself or both by their mean."""
        if not self.amplitude:
            return self.distribution(predicted), self.distribution(target)
        found, wanted = self.mass(predicted), self.mass(target)
        total = (found + wanted).sum(dim=_GRID, keepdim=True) / 2.0
        return found / total, wanted / total


@dataclass(frozen=True, slots=True, kw_only=True)
class Hellinger(Divergence):
    """‖√p - √q‖ / √2 over the cells, from 0 to 1; its gradient where p = q is 0."""

    def distance(
        self,
        predicted: Float[Tensor, "batch channel y x"],
        target: Float[Tensor, "batch channel y x"],
        generator: torch.Generator | None,
    ) -> Float[Tensor, " batch"]:
        del generator
        found, wanted = self.masses(predicted, target)
        norm = torch.linalg.vector_norm(found.sqrt() - wanted.sqrt(), dim=_GRID)
        return channel_mean(norm / 2.0**0.5, self.shares(predicted))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bhattacharyya(Divergence):
    """-log Σ √(p q) over the cells; while the sum is large as -log(1 - H²) with the Hellinger distance H: exact near 0."""

    def distance(
        self,
        predicted: Float[Tensor, "batch channel y x"],
        target: Float[Tensor, "batch channel y x"],
        generator: torch.Generator | None,
    ) -> Float[Tensor, " batch"]:
        del generator
        found, wanted = self.masses(predicted, target)
        squared = (found.sqrt() - wanted.sqrt()).square().sum(dim=_GRID) / 2.0
        near = -torch.log1p(-squared.clamp_max(0.5))
        far = -(found.sqrt() * wanted.sqrt()).sum(dim=_GRID).log()
        return channel_mean(torch.where(squared < 0.5, near, far), self.shares(predicted))


@dataclass(frozen=True, slots=True, kw_only=True)
class KullbackLeibler(Divergence):
    """Σ q log(q/p) - q + p over the cells, q the target: what is lost by taking the predicted distribution p for it.

    The last two terms cancel where both are normalised; with them no summand is negative.
    """

    def distance(
        self,
        predicted: Float[Tensor, "batch channel y x"],
        target: Float[Tensor, "batch channel y x"],
        generator: torch.Generator | None,
    ) -> Float[Tensor, " batch"]:
        del generator
        if self.amplitude:
            found, wanted = self.mass(predicted), self.mass(target)
            total = wanted.sum(dim=_GRID, keepdim=True)
            found, wanted = found / total, wanted / total
        else:
            found, wanted = self.distribution(predicted), self.distribution(target)
        terms = wanted * (wanted.log() - found.log()) - wanted + found
        return channel_mean(terms.sum(dim=_GRID), self.shares(predicted))
