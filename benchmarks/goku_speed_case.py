"""The solves of goku_speed.py as plain arrays, for processes that need not have torch or jax. All SIMULATED.

pendulum: the 2021 experiments' (github orilinial/GOKU): angle and rate, length 1..2 m, g = 10, 50 samples every 0.05 s.
oscillators: 10 coupled Stuart-Landau oscillators of the GOKU-UI experiments, 46 samples every 0.05.
Batch 64, one set of parameters a trajectory; windows share one sample with the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

STEP_S = 0.05
GRAVITY = 10.0
TIME_SCALE, STRENGTH, NOISE = 20.0, 0.1, 0.02
N_OSCILLATORS = 10
SAMPLES = {"pendulum": 50, "oscillators": 46}
WINDOW_STEPS = {"pendulum": 7, "oscillators": 9}
N_STATES = {"pendulum": 2, "oscillators": 2 * N_OSCILLATORS}
STOCHASTIC = ("oscillators",)


@dataclass(frozen=True)
class Case:
    """name; initial (batch, state), parameters (batch, parameter), exact (time, batch, state): float64, tightly solved."""

    name: str
    initial: Any
    parameters: Any
    exact: Any

    @property
    def n_steps(self) -> int:
        """Sampling steps of a trajectory."""
        return SAMPLES[self.name] - 1

    @property
    def windows(self) -> tuple[Any, Any]:
        """(initial, parameters) of all windows of all trajectories as one batch."""
        begin = self.exact[: -1 : WINDOW_STEPS[self.name]]
        repeated = np.broadcast_to(self.parameters, (len(begin), *self.parameters.shape))
        return begin.reshape(-1, begin.shape[-1]), repeated.reshape(-1, repeated.shape[-1])

    def error(self, path: Any) -> float:
        """Relative error at the last sample."""
        exact = self.exact[-1]
        return float(np.linalg.norm(np.asarray(path, dtype=np.float64)[-1] - exact) / np.linalg.norm(exact))


def load_case(path: str) -> Case:
    """As written by save_case."""
    with np.load(path) as stored:
        return Case(str(stored["name"]), stored["initial"], stored["parameters"], stored["exact"])


def save_case(path: str, case: Case) -> None:
    """All arrays."""
    np.savez(path, name=case.name, initial=case.initial, parameters=case.parameters, exact=case.exact)
