"""A single magnetisation under field, anisotropy, damping and spin torque."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from twins.errors import EquationInvalid
from twins.goku.quantity import Quantity, Values
from twins.goku.system import Symmetry, System
from twins.goku.systems.signs import scaled
from twins.goku.systems.units import per_time

GYROMAGNETIC_RATIO_RAD_PER_S_T = 1.76085963e11  # of the free electron, CODATA 2018
_COMPONENTS = ("mx", "my", "mz")
_AXES = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
Vector = tuple[Any, ...]  # three components: tensors (…), or numbers


@dataclass(frozen=True, kw_only=True)
class Macrospin(System):
    """(1 + damping²) m' = T + damping m × T, with T = -γ m × B - γ torque m × (m × p), B = field h + anisotropy m_z e_z.

    Landau-Lifshitz-Gilbert with the torque of J. Slonczewski, J. Magn. Magn. Mater. 159, L1 (1996), as a field (T);
    positive turns m towards p. m is a unit vector; easy axis z (negative anisotropy: easy plane). The equations leave |m|
    alone; it is kept at 1 by a term length_rate (1 - |m|²) m, which vanishes on the sphere, and only the direction of m
    enters elsewhere, so that neither rounding nor a guess off the sphere does harm. Traces begin tilted from the easy axis;
    ranges of -1..1 are the whole sphere.

    field_direction, polarisation: h and p, known, of any length. driven: under a measured current (mA), torque =
    torque_per_mA current. noisy: a thermal field, noise dW/dt in each direction, Stratonovich (W. F. Brown, Phys. Rev. 130,
    1677, 1963), whose strength is a parameter. time_unit_s: seconds in the unit of time.
    """

    field_direction: tuple[float, float, float] = (1.0, 0.0, 0.0)
    polarisation: tuple[float, float, float] = (0.0, 0.0, 1.0)
    length_rate: float = 1.0
    driven: bool = False
    noisy: bool = False
    time_unit_s: float = 1e-9

    states = (Quantity("mx", "", 0.1, 0.7), Quantity("my", "", -0.4, 0.4), Quantity("mz", "", 0.6, 1.0))
    sde_type = "stratonovich"

    def __post_init__(self) -> None:
        for name in ("field_direction", "polarisation"):
            vector = tuple(float(component) for component in getattr(self, name))
            length = math.hypot(*vector)
            if len(vector) != 3 or not (math.isfinite(length) and length > 0.0):
                raise EquationInvalid(f"macrospin: {name} must be three numbers, not all 0, not {vector}")
            object.__setattr__(self, name, vector)

    @cached_property
    def parameters(self) -> tuple[Quantity, ...]:  # type: ignore[override]
        """Fields in tesla."""
        torque = Quantity("torque_per_mA", "T/mA", -0.02, 0.02) if self.driven else Quantity("torque", "T", -0.01, 0.01)
        noise = Quantity("noise", f"T {per_time(self.time_unit_s)[2:]}^0.5", 3e-4, 1e-2, scale="log")
        return (
            Quantity("anisotropy", "T", 0.05, 0.3),
            Quantity("field", "T", 0.01, 0.1),
            Quantity("damping", "", 0.005, 0.1, scale="log"),
            torque,
            *((noise,) if self.noisy else ()),
        )

    @cached_property
    def drives(self) -> tuple[Quantity, ...]:  # type: ignore[override]
        """The current through the device."""
        return (Quantity("current", "mA", -1.0, 1.0),) if self.driven else ()

    @cached_property
    def noise(self) -> str:  # type: ignore[override]
        """A random field turns m: three channels that act together."""
        return "general" if self.noisy else "none"

    def coefficients(self, p: Values) -> Values:
        """In radians per unit of time, once."""
        rate = GYROMAGNETIC_RATIO_RAD_PER_S_T * self.time_unit_s
        named = {
            "anisotropy": rate * p.anisotropy,
            "field": rate * p.field,
            "damping": p.damping,
            "kept": 1.0 / (1.0 + p.damping * p.damping),
            "torque": rate * (p.torque_per_mA if self.driven else p.torque),
        }
        return Values(**named, **({"thermal": rate * p.noise} if self.noisy else {}))

    def drift(self, z: Values, p: Any, u: Values) -> tuple[Tensor, ...]:
        """Per time_unit_s."""
        m, length = _direction(z)
        x, y, easy = (p.field * component for component in _unit(self.field_direction))
        field = (x, y, easy + p.anisotropy * m[2])
        torque = p.torque * u.current if self.driven else p.torque
        towards = _cross(m, tuple(torque * component for component in _unit(self.polarisation)))
        turning = self._turning(m, tuple(a + b for a, b in zip(field, towards, strict=True)), p)
        lengthening = self.length_rate * (1.0 - length * length)
        a, b, c = (length * (turned + lengthening * own) for turned, own in zip(turning, m, strict=True))
        return a, b, c

    def diffusion(self, z: Values, p: Any, u: Values) -> Tensor:
        """(…, 3, 3): what a field along each axis does to m."""
        m, length = _direction(z)
        strength: Tensor = p.thermal * length
        columns = [torch.stack(self._turning(m, axis, p), dim=-1) for axis in _AXES]
        return strength[..., None, None] * torch.stack(columns, dim=-1)

    @staticmethod
    def _turning(m: Vector, field: Vector, p: Any) -> Vector:
        """m' in a field, from Gilbert's implicit damping m × m'."""
        a, b, c = _cross(field, m)
        damped = _cross(m, (a, b, c))
        return tuple((free + p.damping * more) * p.kept for free, more in zip((a, b, c), damped, strict=True))

    def draw_states(self, n: int, generator: torch.Generator) -> Tensor:
        """(n, 3), float64: evenly over the sphere, within the ranges of the three components if they are narrowed.

        Raises EquationInvalid where the ranges leave next to nothing of the sphere."""
        low, high = self.state_range(torch.zeros((), dtype=torch.float64))
        found, n_found = [], 0
        for _ in range(1000):
            draws = torch.randn((max(n, 64), 3), dtype=torch.float64, generator=generator)
            draws = draws / draws.norm(dim=-1, keepdim=True)
            found.append(draws[((draws >= low) & (draws <= high)).all(-1)])
            n_found += len(found[-1])
            if n_found >= n:
                return torch.cat(found)[:n]
        raise EquationInvalid(f"macrospin: the ranges {low.tolist()}..{high.tolist()} of m hold next to no unit vector")

    def symmetries(self) -> tuple[Symmetry, ...]:
        """Half a turn about x, y or z, wherever it maps field and polarisation onto themselves or their opposites."""
        found = []
        for axis in range(3):
            signs = [1.0 if index == axis else -1.0 for index in range(3)]
            field, torque = _sign(self.field_direction, signs), _sign(self.polarisation, signs)
            if field and torque:
                factor = {"field": field, "torque": torque, "torque_per_mA": torque}
                by_parameter = [factor.get(quantity.name, 1.0) for quantity in self.parameters]
                turned, changed = scaled(signs), scaled(by_parameter)
                found.append(Symmetry(f"half turn about {'xyz'[axis]}", turned, changed, (_COMPONENTS[axis],)))
        return tuple(found)


def _direction(z: Values) -> tuple[Vector, Tensor]:
    """The unit vector, and the length."""
    length = torch.sqrt(z.mx * z.mx + z.my * z.my + z.mz * z.mz)
    return (z.mx / length, z.my / length, z.mz / length), length


def _unit(vector: tuple[float, float, float]) -> tuple[float, ...]:
    length = math.hypot(*vector)
    return tuple(component / length for component in vector)


def _cross(a: Vector, b: Vector) -> Vector:
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


def _sign(vector: tuple[float, float, float], signs: list[float]) -> float:
    """1 or -1 if the vector is mapped onto itself or its opposite, else 0."""
    kept = {sign for component, sign in zip(vector, signs, strict=True) if component != 0.0}
    return kept.pop() if len(kept) == 1 else 0.0
