"""Lorenz: forecast a chaotic flow (Lorenz, J. Atmos. Sci. 20:130, 1963).

    dx/dt = 10 (y - x)      dy/dt = x (28 - z) - y      dz/dt = x y - 8/3 z

Integrated by the classical Runge-Kutta method of order 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

import numpy as np

from twins.network.tasks.task import Array, Metric, TaskData, TaskError, check_size, scored_after

COMPONENTS = ("x", "y", "z")
REACH: Mapping[str, tuple[float, float]] = MappingProxyType({"x": (0.0, 22.0), "y": (0.0, 30.0), "z": (25.0, 25.0)})
"""Middle and half-width of what each component reaches on the attractor; signals are (value - middle) / half-width."""
_SIGMA, _RHO, _BETA = 10.0, 28.0, 8.0 / 3.0


@dataclass(frozen=True, slots=True)
class Lorenz:
    """From the components `seen`, say what the components `forecast` will be `horizon` steps ahead.

    A step is `step_time` of the flow's own time and is integrated in `substeps` parts. The largest Lyapunov exponent is
    0.906, so that an error grows by e in a time of 1.1. Every trial is a stretch of a trajectory of its own, from a
    random start, after `run_in`. Signals are scaled by REACH to within -1..1.
    """

    horizon: int = 5
    seen: tuple[str, ...] = ("x",)
    forecast: tuple[str, ...] = ("x",)
    step_time: float = 0.05
    substeps: int = 5
    washout: int = 15
    run_in: float = 5.0

    name = "lorenz"
    metric: ClassVar[Metric] = "nrmse"

    def __post_init__(self) -> None:
        for what, names in (("seen", self.seen), ("forecast", self.forecast)):
            if not names or any(name not in COMPONENTS for name in names) or len(set(names)) < len(names):
                raise TaskError(f"{what} {names}: choose some of {', '.join(COMPONENTS)}, each once")
        if self.horizon < 0 or self.substeps < 1 or self.washout < 0 or self.run_in < 0 or not self.step_time > 0:
            raise TaskError(f"Lorenz needs horizon >= 0, substeps >= 1, step_time > 0 and washout >= 0, not {self}")

    @property
    def n_inputs(self) -> int:
        """The components that are seen."""
        return len(self.seen)

    @property
    def n_outputs(self) -> int:
        """The components that are forecast."""
        return len(self.forecast)

    def sample(self, n_trials: int, n_steps: int, rng: np.random.Generator) -> TaskData:
        """n_trials independent stretches of n_steps steps."""
        check_size(n_trials, n_steps, self.washout)
        start = rng.uniform([-15.0, -20.0, 10.0], [15.0, 20.0, 40.0], size=(n_trials, 3))
        waited = round(self.run_in / self.step_time)
        states = trajectory(start, waited + n_steps + self.horizon, self.step_time, self.substeps)[:, waited:]
        signals = {name: (states[..., i] - REACH[name][0]) / REACH[name][1] for i, name in enumerate(COMPONENTS)}
        inputs = np.stack([signals[name][:, :n_steps] for name in self.seen], axis=-1)
        targets = np.stack([signals[name][:, self.horizon :] for name in self.forecast], axis=-1)
        return TaskData(inputs, targets, scored_after(self.washout, n_trials, n_steps))


def trajectory(start: Array, n_steps: int, step_time: float, substeps: int) -> Array:
    """States (trial, n_steps, 3) at times 0, step_time, … from `start` (trial, 3)."""
    h = step_time / substeps
    state = np.array(start.T, dtype=np.float64)
    states = np.empty((n_steps, *state.shape))
    for step in range(n_steps):
        states[step] = state
        for _ in range(substeps):
            k1 = _slope(state)
            k2 = _slope(state + 0.5 * h * k1)
            k3 = _slope(state + 0.5 * h * k2)
            k4 = _slope(state + h * k3)
            state = state + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
    return np.ascontiguousarray(np.moveaxis(states, (0, 1, 2), (1, 2, 0)))


def _slope(state: Array) -> Array:
    x, y, z = state
    slope: Array = np.stack([_SIGMA * (y - x), x * (_RHO - z) - y, x * y - _BETA * z])
    return slope
