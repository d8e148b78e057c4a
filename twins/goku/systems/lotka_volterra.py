"""Predators and prey."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor

from twins.goku.quantity import Quantity, Values
from twins.goku.system import System
from twins.goku.systems.units import per_time


@dataclass(frozen=True, kw_only=True)
class LotkaVolterra(System):
    """prey' = birth prey - predation prey predators, predators' = growth prey predators - death predators.

    A. Lotka, Proc. Natl. Acad. Sci. 6, 410 (1920); V. Volterra, Nature 118, 558 (1926). All four rates are told by traces
    in known units. Behind a free decoder the scales of prey and predators are not, and with them predation and growth.
    time_unit_s: seconds in the unit of time of the rates.
    """

    time_unit_s: float = 1.0

    states = (Quantity("prey", "", 0.5, 3.0), Quantity("predators", "", 0.5, 3.0))

    @cached_property
    def parameters(self) -> tuple[Quantity, ...]:  # type: ignore[override]
        """Four rates."""
        rate = per_time(self.time_unit_s)
        return tuple(Quantity(name, rate, 0.5, 2.0) for name in ("birth", "predation", "growth", "death"))

    def drift(self, z: Values, p: Any, u: Values) -> tuple[Tensor, ...]:
        """Per time_unit_s."""
        met = z.prey * z.predators
        return p.birth * z.prey - p.predation * met, p.growth * met - p.death * z.predators
