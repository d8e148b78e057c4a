"""The likelihood of a group of traces with one parameter held, in the form the climb takes."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from twins.goku.inference.group_density import GroupDensity, Quadratic

PRIOR_WEIGHT = 1e-3
"""Of the free coordinates' own density (at most 0.01 nats within 99.8 % of a range): what nothing is known of stays."""


class HeldDensity(GroupDensity):
    """As the density it is made of, but the likelihood alone (the prior counts a thousandth), with the coordinate `place`
    held where it is; None holds none."""

    def __init__(self, density: GroupDensity, place: int | None) -> None:
        super().__init__(density.likelihood, density.coordinates, density.members)
        self.place = place

    def first(self, n_samples: int) -> HeldDensity:
        """By the first samples only."""
        return HeldDensity(super().first(n_samples), self.place)

    def quadratic(self, x: Float[Tensor, "row free"], groups: Int64[Tensor, " row"]) -> Quadratic:
        """Value, slope and precision; the held coordinate has no slope."""
        found = super().quadratic(x, groups)
        by_prior, curvature = (self.joined(part) for part in self.coordinates.prior_slope(self.by_trace(x)))
        less = 1.0 - PRIOR_WEIGHT
        value = found.value - less * self.log_prior(x)
        gradient = found.gradient - less * by_prior
        precision = found.precision - less * torch.diag_embed(curvature)
        if self.place is not None:
            gradient[:, self.place] = 0.0
            precision[:, self.place] = 0.0
            precision[:, :, self.place] = 0.0
            precision[:, self.place, self.place] = 1.0
        return Quadratic(value, gradient, precision)
