"""Auto-oscillator with a nonlinear frequency: the universal model of a spin-torque nano-oscillator, seen as a voltage.

    dc = [γ(U) - s |c|²] c dt - i [ω + q |c|²] c dt + σ (dW₁ + i dW₂)        γ(U) = γ' (U - U_th)

c is the complex amplitude of the oscillation, U the voltage at the port `drive` (the bias current through its resistance);
what can be seen is offset + gain · Re c at `voltage`. The equation is the generator model of A. Slavin and V. Tiberkevich,
"Nonlinear auto-oscillator theory of microwave generation by spin-polarized current", IEEE Trans. Magn. 45, 1875 (2009), with
damping and pumping to first order in the power |c|². Frequencies are in the kilohertz, where generator and oscilloscope of
a bench can follow them; a real one oscillates in the gigahertz.

Above threshold: |c|² = γ/s, frequency f + shear γ/s, a disturbed power relaxes at the rate 2γ, and the phase diffuses as
σ² (1 + (q/s)²) t / |c|². Below it: thermal noise of variance σ² / (2 |γ|) in Re c.
"""

import cmath
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from sim_devices.physics.device import Array

STEPS_PER_GROWTH = 40.0
"""Steps while the amplitude grows by e at 1 V above threshold. Without noise every step length is exact (tested); the
noise, added half before and half after, errs by (2γ step)²/3 of its variance, below 1e-3 at 1 V above threshold."""


@dataclass(slots=True, kw_only=True)
class StuartLandau:
    """State and parameters of one oscillator.

    Args:
        frequency_Hz: ω / 2π, the frequency at vanishing amplitude.
        growth_per_V_s: γ', growth rate of the amplitude for each volt of drive (1 / (V s)).
        threshold_V: U_th, the drive at which the damping is just made up for.
        saturation_per_s: s, loss rate for each unit of the power |c|².
        shear_Hz: q / 2π, change of the frequency for each unit of the power.
        noise_scale: σ (1/√s), thermal noise of Re c and of Im c.
        gain_V: voltage for Re c = 1.
        offset_V: voltage at rest.
        initial_real: Re c at the start.
        initial_imaginary: Im c at the start.
    """

    frequency_Hz: float = 2000.0
    growth_per_V_s: float = 2000.0
    threshold_V: float = 0.3
    saturation_per_s: float = 1000.0
    shear_Hz: float = 200.0
    noise_scale: float = 3.0
    gain_V: float = 0.4
    offset_V: float = 0.05
    initial_real: float = 0.0
    initial_imaginary: float = 0.0
    _c: complex = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("growth_per_V_s", "saturation_per_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)}")
        for name in ("frequency_Hz", "noise_scale"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must not be negative, not {getattr(self, name)}")
        if self.gain_V == 0:
            raise ValueError("gain_V must not be 0: nothing could be seen")
        self._c = complex(self.initial_real, self.initial_imaginary)

    @property
    def ports(self) -> tuple[str, ...]:
        """The drive, which feeds the oscillation."""
        return ("drive",)

    @property
    def observables(self) -> tuple[str, ...]:
        """One quadrature of the amplitude; the other stays hidden."""
        return ("voltage",)

    @property
    def steps_per_s(self) -> float:
        """Forty steps in the growth time at 1 V above threshold; the rotation sets no limit, it is exact."""
        return STEPS_PER_GROWTH * self.growth_per_V_s

    def observe(self) -> dict[str, float]:
        """The voltage across the oscillator (V)."""
        return {"voltage": self.offset_V + self.gain_V * self._c.real}

    def advance(self, ports: Mapping[str, Array], *, step_s: float, generator: np.random.Generator) -> dict[str, Array]:
        """Splitting half noise, exact flow, half noise (second order); the drive is held in a step.

        With u = 1 + s |c|² (exp(2γ step) - 1) / γ the flow multiplies c by exp(γ step) u^(-1/2) and turns its phase by
        -ω step - q/(2s) ln u.
        """
        growth = self.growth_per_V_s * (ports["drive"] - self.threshold_V)
        at_threshold = growth == 0.0
        gained = np.expm1(2.0 * growth * step_s) / np.where(at_threshold, 1.0, growth)
        saturating = (self.saturation_per_s * np.where(at_threshold, 2.0 * step_s, gained)).tolist()
        growing = (growth * step_s - 2j * math.pi * self.frequency_Hz * step_s).tolist()
        bending = complex(0.5, math.pi * self.shear_Hz / self.saturation_per_s)
        kick = self.noise_scale * math.sqrt(0.5 * step_s)
        draws = kick * generator.standard_normal((growth.size, 4))
        before, after = (draws[:, 0] + 1j * draws[:, 1]).tolist(), (draws[:, 2] + 1j * draws[:, 3]).tolist()
        c, out, log, exp = self._c, list[float](), math.log1p, cmath.exp
        append = out.append
        for first, second, linear, saturation in zip(before, after, growing, saturating, strict=True):
            c += first
            bent = log(saturation * (c.real * c.real + c.imag * c.imag))
            c = c * exp(linear - bending * bent) + second
            append(c.real)
        self._c = c
        return {"voltage": self.offset_V + self.gain_V * np.array(out)}
