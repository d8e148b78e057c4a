"""Bring estimates of parameters as near to the truth as the symmetries of the equation allow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from twins.errors import EquationInvalid
from twins.goku.scoring.symmetry_group import SymmetryGroup, symmetry_group, usable_symmetries
from twins.goku.system import Symmetry, System

MOST_ORDERED_BY_TRYING = 6
_TRACES_AT_ONCE = 64


@runtime_checkable
class ExchangeableUnits(Protocol):
    """A system of N units, one like the other, whose parameters can be put in another order."""

    @property
    def exchangeable(self) -> int:
        """N."""

    def reordered(self, parameters: Tensor, order: list[int]) -> Tensor:
        """Parameters (…, parameter) of the same system with unit order[j] at place j."""

    def unit_parameters(self, parameters: Tensor) -> Tensor:
        """(…, N, n), the parameters that belong to one unit each."""

    def symmetries_in_place(self) -> tuple[Symmetry, ...]:
        """The symmetries that do not change the order."""


@dataclass(frozen=True, slots=True)
class Match:
    """The change of one trace's parameters: an element of the group, then an order of the units (() keeps it)."""

    element: int = 0
    order: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Matching:
    """The change of parameters of every trace that brings its estimate nearest to the truth."""

    system: System
    group: SymmetryGroup
    matches: tuple[Match, ...]

    def apply(self, values: Float64[np.ndarray, "trace ... parameter"]) -> Float64[np.ndarray, "trace ... parameter"]:
        """Change estimates, or all draws of a posterior, trace by trace in the same way."""
        changed = np.array(values, dtype=np.float64)
        for trace, match in enumerate(self.matches):
            own = self.group.image(match.element, torch.from_numpy(changed[trace]))
            if match.order:
                assert isinstance(self.system, ExchangeableUnits)
                own = self.system.reordered(own, list(match.order))
            changed[trace] = own.numpy()
        return changed


def match_parameters(
    system: System,
    estimate: Float64[np.ndarray, "trace parameter"],
    truth: Float64[np.ndarray, "trace parameter"],
    *,
    observed: Sequence[str] | None,
) -> Matching:
    """For every trace the change, among those that data cannot tell, with the smallest error.

    The error is the sum of squares over parameters, each in units of its prior range. observed: the names of the outputs
    that were observed through a known operator; then only symmetries that leave all of them alone count. None: a free or
    learned observation; all count. Up to six exchangeable units all orders are tried; of more, the best assignment of
    their own parameters is improved by exchanging pairs, which nearly always ends at the best order.
    Raises EquationInvalid where shapes do not fit.
    """
    if estimate.shape != truth.shape or estimate.ndim != 2 or estimate.shape[1] != system.n_parameters:
        raise EquationInvalid(
            f"{system.name}: estimate and truth must be (trace, {system.n_parameters}), not {estimate.shape} and {truth.shape}"
        )
    found, aim = torch.as_tensor(estimate, dtype=torch.float64), torch.as_tensor(truth, dtype=torch.float64)
    if isinstance(system, ExchangeableUnits) and observed is None and system.exchangeable > MOST_ORDERED_BY_TRYING:
        group = symmetry_group(system, system.symmetries_in_place())
        return Matching(system, group, tuple(_assigned(system, group, *pair) for pair in zip(found, aim, strict=True)))
    group = symmetry_group(system, usable_symmetries(system, observed))
    best = []
    for start in range(0, len(found), _TRACES_AT_ONCE):
        part = slice(start, start + _TRACES_AT_ONCE)
        best += _distance(system, group.images(found[part]), aim[part]).argmin(0).tolist()
    return Matching(system, group, tuple(Match(element) for element in best))


def _distance(
    system: System, one: Float[Tensor, "... parameter"], other: Float[Tensor, "... parameter"]
) -> Float[Tensor, "..."]:
    """Sum of squares in units of the prior ranges; what has no place in a range (a negative value on a log scale) is far."""
    apart = system.parameters_to_unit(one) - system.parameters_to_unit(other)
    return torch.nan_to_num(apart, nan=1e6).square().sum(-1)


def _assigned(system: System, group: SymmetryGroup, estimate: Tensor, truth: Tensor) -> Match:
    """The best order for each element of the group, and of these the best."""
    from scipy.optimize import linear_sum_assignment

    assert isinstance(system, ExchangeableUnits)
    best, smallest = Match(), float("inf")
    for element in range(len(group)):
        image = group.image(element, estimate)
        placed = (torch.nan_to_num(system.parameters_to_unit(values), nan=1e3) for values in (image, truth))
        ours, aim = (system.unit_parameters(values) for values in placed)
        cost = (aim[:, None] - ours[None]).square().sum(-1)
        order = [int(column) for column in linear_sum_assignment(cost.numpy())[1]]
        order, distance = _improved(system, image, truth, order)
        if distance < smallest:
            best, smallest = Match(element, tuple(order)), distance
    return best


def _improved(system: System, image: Tensor, truth: Tensor, order: list[int]) -> tuple[list[int], float]:
    """Exchange pairs as long as it helps: the coupling between units is no part of an assignment's cost."""
    assert isinstance(system, ExchangeableUnits)
    pairs = [(first, second) for first in range(len(order)) for second in range(first)]
    smallest = float(_distance(system, system.reordered(image, order), truth))
    while True:
        tried = []
        for first, second in pairs:
            other = list(order)
            other[first], other[second] = other[second], other[first]
            tried.append(other)
        distances = _distance(system, torch.stack([system.reordered(image, one) for one in tried]), truth)
        if float(distances.min()) >= smallest:
            return order, smallest
        order, smallest = tried[int(distances.argmin())], float(distances.min())
