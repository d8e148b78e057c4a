"""Driven double-well Duffing oscillator with coloured forcing; only its position can be seen.

    q'' = -δ q' + q - q³ + F + c a        da = -(a/τ_n) dt + (1/τ_n) dW        time in units of time_unit_s

F is 1 per volt at the port `drive`, plus 1 per volt at the port `bias`. The wells are at q = ±1; q = 1 is 1 V at
`response`. The system of "Noise-aware training of neuromorphic dynamic device networks" (Nat. Commun. 16:9192, 2025),
with its noise as a force.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from sim_devices.physics.device import Array

# Second-order splitting; with 16 steps a time unit the frequency in a well is right to 1e-3 (tested by halving).
LARGEST_STEP = 1.0 / 16.0


@dataclass(slots=True, kw_only=True)
class Duffing:
    """State and parameters of one double-well oscillator.

    Args:
        time_unit_s: seconds in one unit of the equation's time.
        damping: δ.
        noise_scale: c, the size of the coloured force.
        noise_time: τ_n, its correlation time, in time units.
        initial_position: q at the start; -1 is the left well.
    """

    time_unit_s: float = 4e-4
    damping: float = 0.3
    noise_scale: float = 0.05
    noise_time: float = 0.2
    initial_position: float = -1.0
    _q: float = field(init=False, repr=False)
    _v: float = field(init=False, repr=False)
    _a: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("time_unit_s", "noise_time"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)}")
        for name in ("damping", "noise_scale"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must not be negative, not {getattr(self, name)}")
        self._q, self._v, self._a = self.initial_position, 0.0, 0.0

    @property
    def ports(self) -> tuple[str, ...]:
        """The force, and a slow bias added to it."""
        return ("drive", "bias")

    @property
    def observables(self) -> tuple[str, ...]:
        """The position; the velocity and the noise stay hidden."""
        return ("response",)

    @property
    def steps_per_s(self) -> float:
        """Sixteen steps a time unit."""
        return 1.0 / (LARGEST_STEP * self.time_unit_s)

    def observe(self) -> dict[str, float]:
        """The position (V)."""
        return {"response": self._q}

    def advance(self, ports: Mapping[str, Array], *, step_s: float, generator: np.random.Generator) -> dict[str, Array]:
        """Splitting kick, drift, (damp and noise kick), drift, kick; the coloured force and its integral over a step are exact."""
        h = step_s / self.time_unit_s
        force = (ports["drive"] + ports["bias"]).tolist()
        correlation, kick_per_a, new_a, kick, extra = coloured_step(h, self.noise_time, self.noise_scale)
        damp, half = math.exp(-self.damping * h), 0.5 * h
        innovations = generator.standard_normal((len(force), 2))
        a_draws = (new_a * innovations[:, 0]).tolist()
        kick_draws = (kick * innovations[:, 0] + extra * innovations[:, 1]).tolist()
        q, v, a, out = self._q, self._v, self._a, list[float]()
        append = out.append
        for f, a_draw, kick_draw in zip(force, a_draws, kick_draws, strict=True):
            v += half * (q - q * q * q + f)
            q += half * v
            v = damp * v + kick_per_a * a + kick_draw
            a = correlation * a + a_draw
            q += half * v
            v += half * (q - q * q * q + f)
            append(q)
        self._q, self._v, self._a = q, v, a
        return {"response": np.array(out)}


def coloured_step(h: float, noise_time: float, scale: float) -> tuple[float, float, float, float, float]:
    """Exact joint law of the coloured noise after a step of h and of its integral over the step.

    Returns:
        (correlation, kick_per_a, new_a, kick, extra): a' = correlation a + new_a ξ₁ and
        scale ∫ a dt = kick_per_a a + kick ξ₁ + extra ξ₂ with independent standard normal ξ₁, ξ₂.
    """
    r = math.exp(-h / noise_time)
    variance_a = (1.0 - r * r) / (2.0 * noise_time)
    covariance = 0.5 * (1.0 - r) ** 2
    variance_integral = h - 2.0 * noise_time * (1.0 - r) + 0.5 * noise_time * (1.0 - r * r)
    new_a = math.sqrt(variance_a)
    kick = covariance / new_a
    extra = math.sqrt(max(variance_integral - kick * kick, 0.0))  # below rounding for very small steps
    return r, scale * noise_time * (1.0 - r), new_a, scale * kick, scale * extra
