"""A pendulum with viscous friction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from twins.goku.quantity import Quantity, Values
from twins.goku.system import Symmetry, System
from twins.goku.systems.pendulum import ANGLE, LENGTH, RATE, mirror

DAMPING = Quantity("damping", "1/s", 0.02, 1.0, scale="log")


@dataclass(frozen=True, kw_only=True)
class DampedPendulum(System):
    """angle' = rate, rate' = -(g / length) sin(angle) - damping rate.

    gravity_m_per_s2: known. Friction proportional to the rate, for the moment of inertia of mass · length²; see G. Baker
    and J. Gollub, "Chaotic Dynamics" (Cambridge 1996), chapter 3.
    """

    gravity_m_per_s2: float = 9.81

    states = (ANGLE, RATE)
    parameters = (LENGTH, DAMPING)

    def coefficients(self, p: Values) -> Values:
        """g / length, once."""
        return Values(stiffness=self.gravity_m_per_s2 / p.length, damping=p.damping)

    def drift(self, z: Values, p: Any, u: Values) -> tuple[Tensor, ...]:
        """Per second."""
        return z.rate, -p.stiffness * torch.sin(z.angle) - p.damping * z.rate

    def symmetries(self) -> tuple[Symmetry, ...]:
        """Left and right."""
        return (mirror(),)
