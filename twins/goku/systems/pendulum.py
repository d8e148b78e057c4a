"""A pendulum of unknown length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from twins.goku.quantity import Quantity, Values
from twins.goku.system import Symmetry, System

ANGLE = Quantity("angle", "rad", -2.0, 2.0)
RATE = Quantity("rate", "rad/s", -3.0, 3.0)
LENGTH = Quantity("length", "m", 1.0, 2.0)


@dataclass(frozen=True, kw_only=True)
class Pendulum(System):
    """angle' = rate, rate' = -(g / length) sin(angle): any amplitude, no friction.

    gravity_m_per_s2: known. Length 1..2 m is the prior of O. Linial et al., "Generative ODE modeling with known unknowns"
    (CHIL 2021), whose code takes 10 for gravity. The mass cannot be told without a force.
    """

    gravity_m_per_s2: float = 9.81

    states = (ANGLE, RATE)
    parameters = (LENGTH,)

    def coefficients(self, p: Values) -> Values:
        """g / length, once."""
        return Values(stiffness=self.gravity_m_per_s2 / p.length)

    def drift(self, z: Values, p: Any, u: Values) -> tuple[Tensor, ...]:
        """Per second."""
        return z.rate, -p.stiffness * torch.sin(z.angle)

    def symmetries(self) -> tuple[Symmetry, ...]:
        """Left and right."""
        return (mirror(),)


def mirror() -> Symmetry:
    """All states change their sign, no parameter does."""
    return Symmetry("mirror", lambda state: -state, lambda parameters: parameters)
