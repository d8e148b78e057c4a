"""Twins that are cheap to have, by the names of the simulated bench's devices."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from twins import DeviceTwin, DeviceTwinSpec, Traces, fit, save_twin

DT_S = 2e-4
BIASES = (-0.1, 0.0, 0.1)


def _traces(name: str, lag: float, bias: float | None, rng: np.random.Generator) -> Traces:
    """A device that follows its drive with a lag, and is shifted by its bias."""
    drive = np.repeat(rng.uniform(-0.3, 0.3, size=(8, 20, 1)), 3, axis=1)
    drive[:, :6] = 0.0
    response = np.zeros_like(drive)
    for k in range(drive.shape[1] - 1):
        push = np.tanh(2.0 * drive[:, k] + 3.0 * (bias or 0.0))
        response[:, k + 1] = lag * response[:, k] + (1 - lag) * push + 0.02 * rng.normal(size=(8, 1))
    conditions = {} if bias is None else {f"{name}_bias": bias}
    return Traces(
        drive, response, DT_S, (f"{name}_drive",), ("V",), (f"{name}_response",), ("V",), n_prepare=6,
        conditions=conditions,
    )  # fmt: skip


def lag_twin(name: str, *, lag: float = 0.7, biased: bool = False, seed: int = 0) -> DeviceTwin:
    """Fitted to such a device; biased: at several biases, which the twin then knows."""
    rng = np.random.default_rng(seed)
    parts = [_traces(name, lag, bias, rng) for bias in (BIASES if biased else (None,))]
    twin = DeviceTwin(DeviceTwinSpec.for_traces(parts, response_delays=0, drive_delays=0, hidden=(8,)))
    for _ in fit(twin, parts, seed=seed, max_epochs=3):
        pass
    return twin


@pytest.fixture(scope="session")
def fitted() -> dict[str, DeviceTwin]:
    """leaky at no condition, duffing at several values of duffing_bias."""
    return {"leaky": lag_twin("leaky"), "duffing": lag_twin("duffing", lag=0.5, biased=True)}


@pytest.fixture
def twin_files(fitted: dict[str, DeviceTwin], tmp_path: Path) -> Callable[..., list[str]]:
    """`--twin` arguments of both, saved as if recorded on simulated devices."""

    def saved(*devices: str) -> list[str]:
        arguments = []
        for device in devices or tuple(fitted):
            path = tmp_path / "twins" / device
            path.parent.mkdir(exist_ok=True)
            save_twin(fitted[device], path, provenance={"simulated": True})
            arguments += ["--twin", f"{device}={path}"]
        return arguments

    return saved


@pytest.fixture
def make_twin() -> Callable[..., DeviceTwin]:
    """make_twin(name, *, lag, biased, seed): another one."""
    return lag_twin
