"""Small systems and series for the tests of GOKU networks."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from twins.goku.network.spec import GokuSpec
from twins.goku.quantity import Quantity
from twins.goku.series import Series
from twins.goku.system import System
from twins.goku.trajectories import solve_system

SMALL: dict[str, Any] = {
    "feature_widths": (12, 12, 8), "state_hidden": 6, "parameter_hidden": 5, "latent_state": 4, "latent_parameter": 4,
    "latent_out_width": 10,
}  # fmt: skip


class Swing(System):
    """A pendulum."""

    states = (Quantity("angle", "rad", -1.0, 1.0), Quantity("rate", "rad/s", -2.0, 2.0))
    parameters = (Quantity("length", "m", 0.5, 3.0),)

    def drift(self, z, p, u):
        return z.rate, -9.81 / p.length * torch.sin(z.angle)


class Relaxer(System):
    """A driven, noisy decay."""

    states = (Quantity("level", "V", -1.0, 1.0),)
    parameters = (Quantity("decay", "1/s", 0.5, 5.0), Quantity("noise", "V/sqrt(s)", 0.01, 0.1, scale="log"))
    drives = (Quantity("input", "V"),)
    noise = "additive"

    def drift(self, z, p, u):
        return (-p.decay * (z.level - u.input),)

    def diffusion(self, z, p, u):
        return (p.noise,)


class Wandering(System):
    """A noisy decay, whose noise may be weak or strong."""

    states = (Quantity("level", "V", -1.0, 1.0),)
    parameters = (Quantity("decay", "1/s", 0.5, 5.0), Quantity("strength", "V/sqrt(s)", 0.05, 1.0, scale="log"))
    noise = "additive"

    def drift(self, z, p, u):
        return (-p.decay * z.level,)

    def diffusion(self, z, p, u):
        return (p.strength,)


class Explosive(System):
    """Blows up in finite time where it begins above zero, and more so for a large growth."""

    states = (Quantity("x", "", -1.0, 1.0),)
    parameters = (Quantity("growth", "1/s", 0.0, 200.0),)

    def drift(self, z, p, u):
        return (p.growth * z.x * z.x,)


def small(**changes: Any) -> GokuSpec:
    """A network of few weights."""
    return GokuSpec(**{**SMALL, "initial_map": "range", **changes})


def swings(n: int = 24, n_samples: int = 28, *, noise_sd: float = 0.02, seed: int = 0) -> tuple[Series, np.ndarray]:
    """(simulated angles, true lengths (trace, 1))."""
    generator, system = torch.Generator().manual_seed(seed), Swing()
    lengths, initial = system.draw_parameters(n, generator), system.draw_states(n, generator)
    states = solve_system(system, initial, lengths, step_s=0.1, n_steps=n_samples - 1)
    angles = states[..., :1].transpose(0, 1)
    angles = angles + noise_sd * torch.randn(angles.shape, generator=generator, dtype=torch.float64)
    times_s = 0.1 * np.arange(n_samples)
    return Series(angles.numpy(), times_s, ("angle",), ("rad",)), lengths.numpy()


def driven(n: int = 6, n_samples: int = 12) -> Series:
    """Simulated levels at times of their own, some missing."""
    rng = np.random.default_rng(3)
    values = rng.normal(size=(n, n_samples, 1))
    values[0, 3:5] = np.nan
    times_s = np.cumsum(rng.uniform(0.05, 0.15, (n, n_samples)), axis=1)
    drive = rng.normal(size=(n, n_samples, 1))
    return Series(values, times_s, ("level",), ("V",), drive, ("input",), ("V",))
