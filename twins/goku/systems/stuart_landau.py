"""One noisy auto-oscillator with shear, seen as a voltage: a spin-torque oscillator, a laser, any Hopf bifurcation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor

from twins.errors import EquationInvalid
from twins.goku.quantity import Quantity, Values
from twins.goku.system import Symmetry, System
from twins.goku.systems.signs import turned
from twins.goku.systems.units import per_time


@dataclass(frozen=True, kw_only=True)
class StuartLandau(System):
    """c = real + i imaginary, c' = (growth - saturation |c|²) c - i (angular_frequency + shear |c|²) c + noise (dW₁ + i dW₂)/dt;
    output: voltage = offset + gain real. With a bias as drive, growth = growth_per_V (bias - threshold).

    A. Slavin and V. Tiberkevich, IEEE Trans. Magn. 45, 1875 (2009), with damping and pumping to first order in the power
    |c|². The limit cycle has |c|² = growth / saturation and turns at angular_frequency + shear |c|².

    Gain and amplitude cannot both be told from the voltage (c -> 2 c, gain -> gain / 2), so one of them is given.
    gain: volts for real = 1; 1 counts c in volts. None: the gain is a parameter, then `saturation` must be given.
    saturation: given, or None for a parameter.
    driven: under a measured bias (V). noisy: with the noise. time_unit_s: seconds in the unit of time of all rates.
    """

    gain: float | None = 1.0
    saturation: float | None = None
    driven: bool = False
    noisy: bool = True
    time_unit_s: float = 1e-3

    outputs = (Quantity("voltage", "V", -3.0, 3.0),)

    def __post_init__(self) -> None:
        if self.gain is None and self.saturation is None:
            raise EquationInvalid(
                "stuart_landau: gain and saturation cannot both be told from a voltage; give one of them"
            )
        if self.gain == 0.0 or (self.saturation is not None and not self.saturation > 0.0):
            raise EquationInvalid("stuart_landau: a given gain must not be 0, a given saturation must be positive")

    @cached_property
    def states(self) -> tuple[Quantity, ...]:  # type: ignore[override]
        """Both quadratures; in volts where the gain is 1."""
        unit = "V" if self.gain == 1.0 else ""
        return Quantity("real", unit, -1.5, 1.5), Quantity("imaginary", unit, -1.5, 1.5)

    @cached_property
    def parameters(self) -> tuple[Quantity, ...]:  # type: ignore[override]
        """All that is not given."""
        unit, time = ("V" if self.gain == 1.0 else ""), self.time_unit_s
        power = "V^2 " if unit else ""
        growing = (
            (
                Quantity("growth_per_V", per_time(time, "1/V"), 0.5, 5.0, scale="log"),
                Quantity("threshold", "V", -0.5, 1.0),
            )
            if self.driven
            else (Quantity("growth", per_time(time), -1.0, 3.0),)
        )
        saturating = Quantity("saturation", _per_power(time, "1", power), 0.2, 20.0, scale="log")
        turning = (
            Quantity("angular_frequency", per_time(time, "rad"), 6.0, 20.0),
            Quantity("shear", _per_power(time, "rad", power), -10.0, 10.0),
        )
        noise = Quantity("noise", per_time(time, unit or "1", "^0.5"), 0.005, 0.5, scale="log")
        gain = Quantity("gain", "V", 0.1, 2.0, scale="log")
        return (
            *growing,
            *((saturating,) if self.saturation is None else ()),
            *turning,
            *((noise,) if self.noisy else ()),
            *((gain,) if self.gain is None else ()),
            Quantity("offset", "V", -0.2, 0.2),
        )

    @cached_property
    def drives(self) -> tuple[Quantity, ...]:  # type: ignore[override]
        """The bias."""
        return (Quantity("bias", "V", -1.0, 2.0),) if self.driven else ()

    @cached_property
    def noise(self) -> str:  # type: ignore[override]
        """Additive, where there is any."""
        return "additive" if self.noisy else "none"

    def drift(self, z: Values, p: Any, u: Values) -> tuple[Tensor, ...]:
        """Per time_unit_s."""
        x, y = z.real, z.imaginary
        power = x * x + y * y
        growth = p.growth_per_V * (u.bias - p.threshold) if self.driven else p.growth
        saturation = p.saturation if self.saturation is None else self.saturation
        gaining, turning = growth - saturation * power, p.angular_frequency + p.shear * power
        return gaining * x + turning * y, gaining * y - turning * x

    def diffusion(self, z: Values, p: Any, u: Values) -> tuple[Tensor, Tensor]:
        """The same for both quadratures."""
        return p.noise, p.noise

    def observe(self, z: Values, p: Values) -> tuple[Tensor, ...]:
        """One quadrature, through the instrument; the other stays hidden."""
        return (p.offset + (p.gain if self.gain is None else self.gain) * z.real,)

    def symmetries(self) -> tuple[Symmetry, ...]:
        """The sense of rotation, which one quadrature cannot tell; the sign of an unknown gain."""
        back = turned(self.parameters, ("angular_frequency", "shear"))
        mirrored = Symmetry("other sense of rotation", turned(self.states, ("imaginary",)), back, outputs=("voltage",))
        if self.gain is not None:
            return (mirrored,)
        gain = turned(self.parameters, ("gain",))
        return mirrored, Symmetry("other sign of the gain", lambda c: -c, gain, outputs=("voltage",))


def _per_power(time_unit_s: float, what: str, power: str) -> str:
    return f"{what}/({power}{per_time(time_unit_s)[2:]})" if power else per_time(time_unit_s, what)
