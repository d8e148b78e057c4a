"""A damped pendulum under a measured torque, which lets its mass be told as well."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from twins.goku.quantity import Quantity, Values
from twins.goku.system import System
from twins.goku.systems.damped_pendulum import DAMPING
from twins.goku.systems.pendulum import ANGLE, LENGTH, RATE


@dataclass(frozen=True, kw_only=True)
class DrivenPendulum(System):
    """angle' = rate, rate' = -(g / length) sin(angle) - damping rate + torque / (mass length²).

    gravity_m_per_s2: known. See G. Baker and J. Gollub, "Chaotic Dynamics" (Cambridge 1996), chapter 3. A torque has a
    sign, so that left and right are told apart.
    """

    gravity_m_per_s2: float = 9.81

    states = (ANGLE, RATE)
    parameters = (LENGTH, DAMPING, Quantity("mass", "kg", 0.2, 2.0, scale="log"))
    drives = (Quantity("torque", "N m", -5.0, 5.0),)

    def coefficients(self, p: Values) -> Values:
        """g / length and the inverse moment of inertia, once."""
        return Values(
            stiffness=self.gravity_m_per_s2 / p.length,
            damping=p.damping,
            per_torque=1.0 / (p.mass * p.length * p.length),
        )

    def drift(self, z: Values, p: Any, u: Values) -> tuple[Tensor, ...]:
        """Per second."""
        return z.rate, -p.stiffness * torch.sin(z.angle) - p.damping * z.rate + p.per_torque * u.torque
