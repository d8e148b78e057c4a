"""The posterior density of groups of traces that share their parameters, in free coordinates."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from twins.goku.inference.coordinates import FreeCoordinates
from twins.goku.inference.likelihood import TraceLikelihood


@dataclass(frozen=True, slots=True)
class Quadratic:
    """A density's logarithm around a point: value, slope, and precision (its information and the prior's)."""

    value: Float[Tensor, " row"]
    gradient: Float[Tensor, "row free"]
    precision: Float[Tensor, "row free free"]


class GroupDensity:
    """log p(data, x) of groups of equally many traces.

    x: (…, free): the shared parameters, then (initial state, noise sd) of each trace of the group.
    members: (group, member), the traces of each group, as numbers of the likelihood's traces.
    """

    def __init__(
        self, likelihood: TraceLikelihood, coordinates: FreeCoordinates, members: Int64[Tensor, "group member"]
    ) -> None:
        self.likelihood, self.coordinates, self.members = likelihood, coordinates, members
        n, own = coordinates.n_parameters, coordinates.size - coordinates.n_parameters
        shared = torch.arange(n).expand(members.shape[1], n)
        each = n + torch.arange(members.shape[1] * own).reshape(-1, own)
        self.places = torch.cat((shared, each), dim=1)
        """(member, unknown): where a trace's unknowns are in x."""
        self.size = n + members.shape[1] * own

    @property
    def n_groups(self) -> int:
        """Groups."""
        return len(self.members)

    def first(self, n_samples: int) -> GroupDensity:
        """The density by the first samples only."""
        return GroupDensity(self.likelihood.first(n_samples), self.coordinates, self.members)

    def by_trace(self, x: Float[Tensor, "*batch free"]) -> Float[Tensor, "*batch member unknown"]:
        """The free coordinates of every member."""
        return x[..., self.places]

    def joined(self, by_trace: Float[Tensor, "*batch member unknown"]) -> Float[Tensor, "*batch free"]:
        """The inverse; the shared parameters are the members' mean."""
        n = self.coordinates.n_parameters
        return torch.cat((by_trace[..., :n].mean(-2), by_trace[..., n:].flatten(-2)), dim=-1)

    def log_prior(self, x: Float[Tensor, "*batch free"]) -> Float[Tensor, "*batch"]:
        """Of all coordinates, each once."""
        return self.joined(self.coordinates.log_prior(self.by_trace(x))).sum(-1)

    def value(self, x: Float[Tensor, "copy row free"], groups: Int64[Tensor, " row"]) -> Float[Tensor, "copy row"]:
        """log p(data, x) for any number of points of each row's group; -inf where the equation diverges."""
        n_copies, n_rows, _ = x.shape
        likelihood = self.likelihood.select(self.members[groups].flatten())
        physical = self.coordinates.physical(self.by_trace(x)).reshape(n_copies, -1, self.coordinates.size)
        by_trace = likelihood.log_likelihood(*self.coordinates.split(physical))
        return by_trace.reshape(n_copies, n_rows, -1).sum(-1) + self.log_prior(x)

    def quadratic(self, x: Float[Tensor, "row free"], groups: Int64[Tensor, " row"]) -> Quadratic:
        """Value, slope and precision at one point a row."""
        n_rows, coordinates = len(x), self.coordinates
        own = self.by_trace(x)
        flat = own.reshape(-1, coordinates.size)
        found = self.likelihood.select(self.members[groups].flatten()).derivatives(
            *coordinates.split(coordinates.physical(flat))
        )
        slope = coordinates.slope(flat)
        gradient = (found.gradient * slope).reshape(own.shape)
        information = found.information * slope.unsqueeze(-1) * slope.unsqueeze(-2)
        information = information.reshape(*own.shape, coordinates.size)
        whole, precision = torch.zeros_like(x), x.new_zeros(n_rows, self.size, self.size)
        for member, place in enumerate(self.places):
            whole[:, place] += gradient[:, member]
            precision[:, place.unsqueeze(-1), place] += information[:, member]
        by_prior, curvature = (self.joined(part) for part in coordinates.prior_slope(own))
        value = found.value.reshape(n_rows, -1).sum(-1) + self.log_prior(x)
        return Quadratic(value, whole + by_prior, precision + torch.diag_embed(curvature))
