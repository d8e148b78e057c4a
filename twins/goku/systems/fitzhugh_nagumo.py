"""Two variables that fire like a neuron."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from torch import Tensor

from twins.goku.quantity import Quantity, Values
from twins.goku.system import Symmetry, System
from twins.goku.systems.signs import turned
from twins.goku.systems.units import per_time


@dataclass(frozen=True, kw_only=True)
class FitzHughNagumo(System):
    """voltage' = voltage - voltage³/3 - recovery + current (+ drive_gain stimulus) (+ noise dW/dt),
    recovery' = slowness (voltage + offset - slope recovery).

    R. FitzHugh, Biophys. J. 1, 445 (1961); J. Nagumo et al., Proc. IRE 50, 2061 (1962); there slowness 0.08, offset 0.7,
    slope 0.8. Units of voltage and time are set by the first equation's cubic.

    driven: with a measured stimulus. noisy: with channel noise on the voltage. time_unit_s: seconds in the unit of time.
    """

    driven: bool = False
    noisy: bool = False
    time_unit_s: float = 1.0

    registry_name: ClassVar[str] = "fitzhugh_nagumo"
    states = (Quantity("voltage", "", -2.0, 2.0), Quantity("recovery", "", -0.6, 1.6))

    @cached_property
    def parameters(self) -> tuple[Quantity, ...]:  # type: ignore[override]
        """The last two where they act."""
        always = (
            Quantity("slowness", per_time(self.time_unit_s), 0.03, 0.3, scale="log"),
            Quantity("offset", "", 0.4, 1.0),
            Quantity("slope", "", 0.4, 1.0),
            Quantity("current", "", 0.0, 1.0),
        )
        gain = (Quantity("drive_gain", "", 0.3, 3.0, scale="log"),) if self.driven else ()
        noise = Quantity("noise", per_time(self.time_unit_s, power="^0.5"), 0.01, 0.3, scale="log")
        return (*always, *gain, noise) if self.noisy else (*always, *gain)

    @cached_property
    def drives(self) -> tuple[Quantity, ...]:  # type: ignore[override]
        """The stimulus."""
        return (Quantity("stimulus", "", -0.5, 0.5),) if self.driven else ()

    @cached_property
    def noise(self) -> str:  # type: ignore[override]
        """Additive, where there is any."""
        return "additive" if self.noisy else "none"

    def drift(self, z: Values, p: Any, u: Values) -> tuple[Tensor, ...]:
        """Per time_unit_s."""
        v = z.voltage
        quick = v - v * v * v * (1.0 / 3.0) - z.recovery + p.current
        slow = p.slowness * (v + p.offset - p.slope * z.recovery)
        return (quick + p.drive_gain * u.stimulus if self.driven else quick), slow

    def diffusion(self, z: Values, p: Any, u: Values) -> tuple[Tensor, float]:
        """Of the voltage alone."""
        return p.noise, 0.0

    def symmetries(self) -> tuple[Symmetry, ...]:
        """Everything upside down, offset and current too."""
        change = turned(self.parameters, ("offset", "current", "drive_gain"))
        return (Symmetry("upside down", lambda state: -state, change),)
