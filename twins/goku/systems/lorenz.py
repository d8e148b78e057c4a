"""Three modes of a convecting layer: the standard chaotic system."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor

from twins.goku.quantity import Quantity, Values
from twins.goku.system import Symmetry, System
from twins.goku.systems.signs import turned
from twins.goku.systems.units import per_time


@dataclass(frozen=True, kw_only=True)
class Lorenz(System):
    """x' = prandtl (y - x), y' = x (rayleigh - z) - y, z' = x y - geometry z.

    E. Lorenz, J. Atmos. Sci. 20, 130 (1963); there 10, 28 and 8/3. The rate of y is 1 per unit of time, which sets the
    scale of time; the coefficients of the products set those of the states. Two errors grow apart by e in about one
    unit: long traces cannot be followed from one initial state (multiple shooting can).
    time_unit_s: seconds in the unit of time.
    """

    time_unit_s: float = 1.0

    states = (Quantity("x", "", -15.0, 15.0), Quantity("y", "", -20.0, 20.0), Quantity("z", "", 10.0, 40.0))

    @cached_property
    def parameters(self) -> tuple[Quantity, ...]:  # type: ignore[override]
        """The three numbers."""
        rate = per_time(self.time_unit_s)
        return (
            Quantity("prandtl", rate, 7.0, 13.0),
            Quantity("rayleigh", rate, 20.0, 35.0),
            Quantity("geometry", rate, 2.0, 3.5),
        )

    def drift(self, z: Values, p: Any, u: Values) -> tuple[Tensor, ...]:
        """Per time_unit_s."""
        return p.prandtl * (z.y - z.x), z.x * (p.rayleigh - z.z) - z.y, z.x * z.y - p.geometry * z.z

    def symmetries(self) -> tuple[Symmetry, ...]:
        """Half a turn about z."""
        change = turned(self.states, ("x", "y"))
        return (Symmetry("half turn about z", change, lambda parameters: parameters, outputs=("z",)),)
