"""A simulated linear system with noise, and ways to write it as other programs do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class System:
    """(trial, time) of a first-order system, sampled every millisecond."""

    drive: Array
    response: Array
    dt_s: float = 1e-3

    @property
    def time_s(self) -> Array:
        """(time,)."""
        return np.arange(self.drive.shape[1]) * self.dt_s

    @property
    def columns(self) -> dict[str, Array]:
        """Of the first trial."""
        return {"t": self.time_s, "V1": self.drive[0], "V2": self.response[0]}


def linear_system(n_trials: int = 1, n_samples: int = 400) -> System:
    rng = np.random.default_rng(1)
    drive = rng.uniform(-1.0, 1.0, size=(n_trials, n_samples))
    response = np.zeros((n_trials, n_samples))
    for k in range(n_samples - 1):
        response[:, k + 1] = 0.8 * response[:, k] + 0.2 * drive[:, k] + 0.01 * rng.standard_normal(n_trials)
    return System(drive, response)


@pytest.fixture
def one() -> System:
    return linear_system()


@pytest.fixture
def ten() -> System:
    return linear_system(10, 60)


@pytest.fixture
def write_csv(tmp_path: Path) -> Callable[[Mapping[str, object]], Path]:
    """Columns of numbers or texts as CSV; the numbers in full."""

    def write(columns: Mapping[str, object], name: str = "data.csv") -> Path:
        rows = zip(*columns.values(), strict=True)
        lines = [
            ",".join(columns),
            *(",".join(cell if isinstance(cell, str) else repr(float(cell)) for cell in row) for row in rows),
        ]
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write
