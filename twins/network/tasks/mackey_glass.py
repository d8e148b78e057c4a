"""Mackey-Glass: forecast a chaotic series whose past acts on it (Mackey and Glass, Science 197:287, 1977).

    dx/dt = β x(t-τ) / (1 + x(t-τ)^p) - γ x

Within one delay the first term is known already, so that there x obeys a linear equation with known forcing f:

    x(t + h) = e^{-γh} x(t) + ∫_0^h e^{-γ(h-s)} f(t+s) ds

The integral is taken exactly for the cubic through four neighbouring grid values of f that lie within the same delay (where
f is smooth: its kinks sit on the borders), so that the error falls as h⁴. One delay of all trials is one matrix product.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np

from twins.network.tasks.task import Array, Metric, TaskData, TaskError, check_size, scored_after

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)


@dataclass(frozen=True, slots=True)
class MackeyGlass:
    """Say what x will be `horizon` steps ahead; a step is `step_time` of the equation's own time, in which τ = `delay`.

    x lies between 0 and x_max = β/γ · (p-1)^((p-1)/p) / p; input and target are 2 x / x_max - 1. Every trial is a stretch
    of a series of its own, from a random constant history, at a random time after `run_in`. grid_per_time: grid points
    of the integration in a unit of time; delay and step_time are whole numbers of grid steps.
    """

    horizon: int = 10
    step_time: float = 3.0
    delay: float = 17.0
    feedback: float = 0.2
    decay: float = 0.1
    power: float = 10.0
    washout: int = 20
    run_in: float = 300.0
    grid_per_time: int = 10

    name = "mackey_glass"
    metric: ClassVar[Metric] = "nrmse"
    n_inputs = 1
    n_outputs = 1

    def __post_init__(self) -> None:
        numbers = (self.step_time, self.delay, self.feedback, self.decay, self.power - 1.0, self.grid_per_time)
        if self.horizon < 1 or self.washout < 0 or self.run_in < 0 or not all(one > 0 for one in numbers):
            raise TaskError(f"Mackey-Glass needs horizon >= 1, power > 1 and times and rates > 0, not {self}")
        for what, time in (("delay", self.delay), ("step_time", self.step_time)):
            points = time * self.grid_per_time
            if abs(points - round(points)) > 1e-9 or round(points) < 1:
                raise TaskError(f"{what} {time:g} must be a whole number of grid steps of {1 / self.grid_per_time:g}")
        if self._points(self.delay) < 4:
            raise TaskError(f"the grid needs 4 points in the delay of {self.delay:g}: raise grid_per_time")

    @property
    def highest(self) -> float:
        """x_max, which x cannot pass: the largest feedback over the decay."""
        p = self.power
        return self.feedback / self.decay * math.pow(p - 1, (p - 1) / p) / p

    def sample(self, n_trials: int, n_steps: int, rng: np.random.Generator) -> TaskData:
        """n_trials independent stretches of n_steps steps."""
        check_size(n_trials, n_steps, self.washout)
        stride = self._points(self.step_time)
        wait = rng.integers(0, self._points(20 * self.delay), size=n_trials)  # else all would begin in phase
        last = round(self.run_in * self.grid_per_time) + int(wait.max()) + stride * (n_steps - 1 + self.horizon)
        start = rng.uniform(0.2, 0.9, size=(n_trials, 1)) * self.highest
        x = self.series(np.repeat(start, self._points(self.delay) + 1, axis=1), last + 1)
        first = round(self.run_in * self.grid_per_time) + wait[:, None]
        u = 2.0 * np.take_along_axis(x, first + stride * np.arange(n_steps + self.horizon), axis=1) / self.highest - 1.0
        scored = scored_after(self.washout, n_trials, n_steps)
        return TaskData(u[:, :n_steps, None], u[:, self.horizon :, None], scored)

    def series(self, history: Array, n_points: int) -> Array:
        """x (trial, n_points) on the grid from t = 0 on. history (trial, delay's points + 1): x on the grid of -τ..0."""
        points = self._points(self.delay)
        if history.shape[1:] != (points + 1,):
            raise TaskError(f"the history must be (trial, {points + 1}), not {history.shape}")
        decayed, integral = _one_delay(points, 1.0 / self.grid_per_time, self.decay)
        pieces = [history[:, -1:]]
        before = history
        for _ in range(-(-(n_points - 1) // points)):
            forcing = self.feedback * before / (1.0 + before**self.power)
            before = before[:, -1:] * decayed + forcing @ integral.T
            pieces.append(before[:, 1:])
        whole: Array = np.concatenate(pieces, axis=1)[:, :n_points]
        return whole

    def _points(self, time: float) -> int:
        return round(time * self.grid_per_time)


@lru_cache(maxsize=8)
def _one_delay(points: int, h: float, decay: float) -> tuple[Array, Array]:
    """e^{-γt} (point,), and the matrix (point, point) that takes forcing on the grid of one delay to its integral."""
    integral = np.zeros((points + 1, points + 1))
    for j in range(points):
        first = min(max(j - 1, 0), points - 3)
        integral[j + 1] = np.exp(-decay * h) * integral[j]
        integral[j + 1, first : first + 4] += _cubic_weights(j - first, h, decay)
    return np.exp(-decay * h * np.arange(points + 1)), integral


def _cubic_weights(place: int, h: float, decay: float) -> Array:
    """∫_0^h e^{-γ(h-s)} of the four Lagrange polynomials on nodes 0..3 (units of h), for the interval from `place` on."""
    s = 0.5 * (_NODES + 1.0)
    at = place + s
    basis = np.stack([np.prod([(at - m) / (k - m) for m in range(4) if m != k], axis=0) for k in range(4)])
    weights: Array = (basis * np.exp(-decay * h * (1.0 - s)) * 0.5 * h * _WEIGHTS).sum(axis=1)
    return weights
