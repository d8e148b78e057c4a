"""A system with its parameters, as the solver takes equations."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from jaxtyping import Float
from torch import Tensor

from twins.goku.quantity import Values, joined

if TYPE_CHECKING:
    from twins.goku.system import System


class BoundSystem:
    """What ``twins.solver.solve`` asks of an equation (f, g, f_u, g_u, noise_type, sde_type).

    parameters: (…, parameter), broadcast against the states' batch. The coefficients that do not change with time are
    computed here, once. Time is in seconds unless `stepped`: then it counts samples, and the last column of the drive
    is the length (s) of the step, so that every trace can have times of its own.
    """

    def __init__(
        self, system: System, parameters: Float[Tensor, "... parameter"], *, stepped: bool = False, noisy: bool = True
    ) -> None:
        self.system = system
        self.noise_type = system.noise if noisy and system.stochastic else "none"
        if self.noise_type == "additive":  # the solver's additive noise is a matrix; ours is one value a state
            self.noise_type = "diagonal"
        self.sde_type = system.sde_type
        self._stepped = stepped
        self._coefficients = system.coefficients(Values.of(parameters, system.parameters))

    def coefficients_at(self, x: Tensor, drive: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """(drift, diffusion or None) per time_unit_s, at states (…, state) under a drive (…, channel)."""
        z, u = self._named(x, drive)
        return self._drift(z, u, x), (self._diffusion(z, u, x) if self.noise_type != "none" else None)

    def f_u(self, x: Tensor, u: Tensor) -> Tensor:
        """Drift under a drive."""
        drive, step = self._apart(u)
        z, values = self._named(x, drive)
        return self._drift(z, values, x) * (step / self.system.time_unit_s)

    def g_u(self, x: Tensor, u: Tensor) -> Tensor:
        """Diffusion under a drive."""
        drive, step = self._apart(u)
        z, values = self._named(x, drive)
        scale = math.sqrt(1.0 / self.system.time_unit_s) * (step**0.5)
        if isinstance(scale, Tensor) and self.noise_type == "general":
            scale = scale.unsqueeze(-1)
        return self._diffusion(z, values, x) * scale

    def f(self, _t: float, x: Tensor) -> Tensor:
        """Drift without a drive."""
        return self._drift(*self._named(x, None), x) * (1.0 / self.system.time_unit_s)

    def g(self, _t: float, x: Tensor) -> Tensor:
        """Diffusion without a drive."""
        return self._diffusion(*self._named(x, None), x) * math.sqrt(1.0 / self.system.time_unit_s)

    def _apart(self, u: Tensor) -> tuple[Tensor | None, Tensor | float]:
        if not self._stepped:
            return u, 1.0
        return (u[..., :-1] if u.shape[-1] > 1 else None), u[..., -1:]

    def _named(self, x: Tensor, drive: Tensor | None) -> tuple[Values, Values]:
        u = Values() if drive is None else Values.of(drive, self.system.drives)
        return Values.of(x, self.system.states), u

    def _drift(self, z: Values, u: Values, x: Tensor) -> Tensor:
        return joined(self.system.drift(z, self._coefficients, u), self.system.states, x.shape[:-1], x)

    def _diffusion(self, z: Values, u: Values, x: Tensor) -> Tensor:
        value = self.system.diffusion(z, self._coefficients, u)
        if self.noise_type == "general":
            assert isinstance(value, Tensor)
            return value
        return joined(value, self.system.states, x.shape[:-1], x)
