"""An oscillator with negative damping at small and positive damping at large amplitude."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor

from twins.goku.quantity import Quantity, Values
from twins.goku.system import Symmetry, System
from twins.goku.systems.pendulum import mirror
from twins.goku.systems.units import per_time


@dataclass(frozen=True, kw_only=True)
class VanDerPol(System):
    """position' = velocity, velocity' = pumping (1 - position²) velocity - angular_frequency² position.

    B. van der Pol, Phil. Mag. 2, 978 (1926). The position is counted in units of the one at which damping changes its
    sign; behind an unknown gain it is told by the shape of the limit cycle.
    time_unit_s: seconds in the unit of time of the rates.
    """

    time_unit_s: float = 1.0

    @cached_property
    def states(self) -> tuple[Quantity, ...]:  # type: ignore[override]
        """Position and velocity."""
        return Quantity("position", "", -2.5, 2.5), Quantity("velocity", per_time(self.time_unit_s), -3.0, 3.0)

    @cached_property
    def parameters(self) -> tuple[Quantity, ...]:  # type: ignore[override]
        """Rate of the negative damping at rest, and the angular frequency without it."""
        return (
            Quantity("pumping", per_time(self.time_unit_s), 0.2, 4.0),
            Quantity("angular_frequency", per_time(self.time_unit_s, "rad"), 0.7, 2.0),
        )

    def coefficients(self, p: Values) -> Values:
        """The stiffness, once."""
        return Values(pumping=p.pumping, stiffness=p.angular_frequency * p.angular_frequency)

    def drift(self, z: Values, p: Any, u: Values) -> tuple[Tensor, ...]:
        """Per time_unit_s."""
        pumped = p.pumping * (1.0 - z.position * z.position) * z.velocity
        return z.velocity, pumped - p.stiffness * z.position

    def symmetries(self) -> tuple[Symmetry, ...]:
        """Up and down."""
        return (mirror(),)
