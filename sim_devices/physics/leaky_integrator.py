"""Leaky integrator whose noise depends on the drive and on the state.

    τ dx = (-x + tanh u) dt + sqrt((s tanh|2u| + s/10)² + (s tanh|3x|)²) √τ dW

The ground-truth system of "Noise-aware training of neuromorphic dynamic device networks" (Nat. Commun. 16:9192, 2025) with a free
noise scale s (there 0.2). 1 V at the port `drive` is u = 1; x = 1 is 1 V at `response`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from sim_devices.physics.device import Array

# Within a step the linear part is exact and only the noise amplitude is held, so 0.1 τ is fine enough (tested by halving).
LARGEST_STEP_TAU = 0.1


@dataclass(slots=True, kw_only=True)
class LeakyIntegrator:
    """State and parameters of one leaky integrator.

    Args:
        tau_s: time constant (s).
        noise_scale: s in the equation above.
        initial: x at the start.
    """

    tau_s: float = 1e-3
    noise_scale: float = 0.05
    initial: float = 0.0
    _x: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.tau_s > 0:
            raise ValueError(f"tau_s must be positive, not {self.tau_s}")
        if not self.noise_scale >= 0:
            raise ValueError(f"noise_scale must not be negative, not {self.noise_scale}")
        self._x = self.initial

    @property
    def ports(self) -> tuple[str, ...]:
        """One drive."""
        return ("drive",)

    @property
    def observables(self) -> tuple[str, ...]:
        """The state itself."""
        return ("response",)

    @property
    def steps_per_s(self) -> float:
        """Ten steps a time constant."""
        return 1.0 / (LARGEST_STEP_TAU * self.tau_s)

    def observe(self) -> dict[str, float]:
        """The state (V)."""
        return {"response": self._x}

    def advance(self, ports: Mapping[str, Array], *, step_s: float, generator: np.random.Generator) -> dict[str, Array]:
        """Exact exponential for the drift (u is held in a step), noise amplitude taken at the start of the step (Itô)."""
        drive = ports["drive"]
        decay = math.exp(-step_s / self.tau_s)
        noise_gain = math.sqrt((1.0 - decay * decay) / 2.0)  # ∫ of the decayed white noise over one step, exactly
        scale = self.noise_scale * noise_gain
        pull = ((1.0 - decay) * np.tanh(drive)).tolist()
        drive_variance = ((scale * np.tanh(np.abs(2.0 * drive)) + 0.1 * scale) ** 2).tolist()
        normals = generator.standard_normal(drive.size).tolist()
        x, out, tanh, sqrt = self._x, list[float](), math.tanh, math.sqrt
        append = out.append
        for push, variance, normal in zip(pull, drive_variance, normals, strict=True):
            state_noise = scale * tanh(3.0 * x)
            x = decay * x + push + sqrt(variance + state_noise * state_noise) * normal
            append(x)
        self._x = x
        return {"response": np.array(out)}
