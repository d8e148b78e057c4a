"""An oscillator with a cubic spring: free or driven, with or without noise of its own."""

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
class Duffing(System):
    """position' = velocity,
    velocity' = -damping velocity - stiffness position (- asymmetry position²) - hardening position³
                (+ drive_gain force) (+ offset) (+ noise dW/dt).

    G. Duffing, "Erzwungene Schwingungen bei veränderlicher Eigenfrequenz" (1918); noise: a random force (white), whose
    strength is a parameter. The mass is not told by the motion: everything is per mass. stiffness < 0 gives two wells.

    driven: under a measured force. noisy: with the random force. asymmetric: with a spring that is not the same up and
    down and a constant force, as real devices have. time_unit_s: seconds in the unit of time of the rates.
    """

    driven: bool = False
    noisy: bool = False
    asymmetric: bool = False
    time_unit_s: float = 1.0

    @cached_property
    def states(self) -> tuple[Quantity, ...]:  # type: ignore[override]
        """Position and velocity."""
        return Quantity("position", "", -1.5, 1.5), Quantity("velocity", per_time(self.time_unit_s), -1.5, 1.5)

    @cached_property
    def parameters(self) -> tuple[Quantity, ...]:  # type: ignore[override]
        """Per mass; those after hardening where they act."""
        square = per_time(self.time_unit_s, power="^2")
        always = (
            Quantity("damping", per_time(self.time_unit_s), 0.02, 1.0, scale="log"),
            Quantity("stiffness", square, 0.5, 2.0),
            Quantity("hardening", square, 0.1, 2.0),
        )
        gain = (Quantity("drive_gain", square, 0.3, 3.0, scale="log"),) if self.driven else ()
        lopsided = (Quantity("asymmetry", square, -0.5, 0.5), Quantity("offset", square, -0.5, 0.5))
        more = (*gain, *lopsided) if self.asymmetric else gain
        noise = Quantity("noise", per_time(self.time_unit_s, power="^1.5"), 0.01, 0.5, scale="log")
        return (*always, *more, noise) if self.noisy else (*always, *more)

    @cached_property
    def drives(self) -> tuple[Quantity, ...]:  # type: ignore[override]
        """The force."""
        return (Quantity("force", "", -2.0, 2.0),) if self.driven else ()

    @cached_property
    def noise(self) -> str:  # type: ignore[override]
        """Additive, where there is any."""
        return "additive" if self.noisy else "none"

    def drift(self, z: Values, p: Any, u: Values) -> tuple[Tensor, ...]:
        """Per time_unit_s."""
        spring = (p.stiffness + p.hardening * z.position * z.position) * z.position
        if self.asymmetric:
            spring = spring + p.asymmetry * z.position * z.position - p.offset
        force = -p.damping * z.velocity - spring
        return z.velocity, (force + p.drive_gain * u.force if self.driven else force)

    def diffusion(self, z: Values, p: Any, u: Values) -> tuple[float, Tensor]:
        """Of the velocity alone."""
        return 0.0, p.noise

    def symmetries(self) -> tuple[Symmetry, ...]:
        """Everything upside down, with what pushes or bends to one side."""
        change = turned(self.parameters, ("drive_gain", "asymmetry", "offset"))
        return (Symmetry("upside down", lambda state: -state, change),)
