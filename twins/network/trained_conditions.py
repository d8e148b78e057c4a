"""Conditions (a bias, a clock) that are optimised along with the weights, each within its range."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from twins.network.ports import WiringError
from twins.network.wiring import Wiring

_NEAREST_EDGE = 0.999
"""Of the half-range: a start at the very edge would have no gradient."""


class TrainedConditions(nn.Module):
    """Set-points by channel: mid + half · tanh(p) with p trained, so that none leaves its range.

    ranges: (low, high) of each. They start from the wiring's conditions, or from the middle. Raises WiringError for a
    condition that no twin knows, an empty range, one beyond what a twin was fitted on, or a start outside of it.
    """

    def __init__(
        self,
        ranges: Mapping[str, tuple[float, float]],
        wiring: Wiring,
        members: Mapping[str, tuple[Any, ...]],
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        self.names = tuple(ranges)
        positions = []
        for name, (low, high) in ranges.items():
            _check(name, low, high, members)
            start = wiring.conditions.get(name, 0.5 * (low + high))
            if not low <= start <= high:
                raise WiringError(f"condition {name!r}: it is to start at {start:g}, outside {low:g}..{high:g}")
            within = (start - 0.5 * (low + high)) / (0.5 * (high - low))
            positions.append(math.atanh(max(-_NEAREST_EDGE, min(_NEAREST_EDGE, within))))
        self.position = nn.Parameter(torch.tensor(positions, dtype=dtype))
        self._ranges = [(float(low), float(high)) for low, high in ranges.values()]

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """(low, high) of each."""
        return dict(zip(self.names, self._ranges, strict=True))

    def values(self) -> dict[str, Tensor]:
        """The present values, float64, with their gradient."""
        found = {}
        for name, (low, high), position in zip(self.names, self._ranges, self.position, strict=True):
            found[name] = 0.5 * (low + high) + 0.5 * (high - low) * torch.tanh(position.double())
        return found

    def plain(self) -> dict[str, float]:
        """The present values as numbers."""
        return {name: float(value.detach()) for name, value in self.values().items()}


def _check(name: str, low: float, high: float, members: Mapping[str, tuple[Any, ...]]) -> None:
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise WiringError(f"condition {name!r}: its range {low}..{high} is empty; give finite low < high")
    known = [
        (device, member)
        for device, twins in members.items()
        for member in twins
        if name in getattr(getattr(member, "spec", None), "condition_names", ())
    ]
    if not known:
        raise WiringError(
            f"condition {name!r} cannot be trained: no twin of this network was fitted at several values of it "
            f"(twins of {', '.join(members)})"
        )
    for device, member in known:
        lower, upper = (float(edge) for edge in member.condition_range[member.spec.condition_names.index(name)])
        slack = 1e-6 * (upper - lower)
        if low < lower - slack or high > upper + slack:
            raise WiringError(
                f"condition {name!r}: {low:g}..{high:g} asked for, the twin of {device!r} was fitted over "
                f"{lower:g}..{upper:g}; narrow it or record the device over more"
            )
