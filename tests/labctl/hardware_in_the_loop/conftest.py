"""A twin that is spoilt on purpose: fitted to recordings of a leaky integrator with 1.5 of the time constant and half the
noise of the one on the simulated demo bench. All data are SIMULATED."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from labctl.campaign import run
from labctl.campaigns.fine_tune import fine_tune
from labctl.campaigns.plans import TaskPlan, plan_for
from labctl.clearance import Clearance, clear
from labctl.recording import Block, RecordingHeader
from labctl.store import RecordingWriter, open_recording
from twins import DeviceTwin, DeviceTwinSpec, fit, save_twin
from twins.network.initialise import random_wiring
from twins.network.wiring import DevicePort, Wiring

DT_S, TAU_S, NOISE = 2e-4, 1e-3, 0.05
N_PREPARE = 25
PASSED = {
    "passed": True,
    "gates": [{"name": "coverage_90", "value": 0.9, "lower": 0.88, "upper": 0.92, "passed": True}],
}


@dataclass(frozen=True, slots=True)
class Spoilt:
    """A spoilt twin, the recording that it was fitted to, and a small network that was optimised on it."""

    twin: Path
    recording: Path
    plan: TaskPlan
    wiring: Wiring

    @property
    def clearance(self) -> Clearance:
        """The twin passed its gates: for the device that it was fitted to it is right."""
        return clear(["leaky"], {"leaky": PASSED})


def leaky_integrator(drive: np.ndarray, rng: np.random.Generator, *, tau_s: float, noise: float) -> np.ndarray:
    """Response (trial, time) from rest, as sim_devices has it, in substeps of a tenth of the time constant."""
    n_substeps = round(DT_S / (0.1 * tau_s))
    keep = np.exp(-DT_S / n_substeps / tau_s)
    scale = noise * np.sqrt((1.0 - keep**2) / 2.0)
    x, response = np.zeros(len(drive)), np.empty_like(drive)
    for k, u in enumerate(drive.T):
        response[:, k] = x
        for _ in range(n_substeps):
            spread = np.hypot(scale * (np.tanh(np.abs(2.0 * u)) + 0.1), scale * np.tanh(3.0 * x))
            x = keep * x + (1.0 - keep) * np.tanh(u) + spread * rng.standard_normal(len(x))
    return response + 1e-3 * rng.standard_normal(response.shape)


def record_leaky(
    path: Path, *, tau_s: float, noise: float, seed: int, n_trials: int = 16, n_samples: int = 300
) -> Path:
    """A recording of random steps over -2..2 V, as `characterise` makes them."""
    rng = np.random.default_rng(seed)
    levels = rng.uniform(-2.0, 2.0, (n_trials, n_samples // 3))
    drive = np.concatenate(
        [np.tile(np.repeat([1.0, 0.0], [10, 15]), (n_trials, 1)), np.repeat(levels, 3, axis=1)], axis=1
    )
    response = leaky_integrator(drive, rng, tau_s=tau_s, noise=noise)
    header = RecordingHeader(
        shape=drive.shape,
        dt_s=DT_S,
        drive_names=("leaky_drive",),
        drive_units=("V",),
        response_names=("leaky_response",),
        response_units=("V",),
        n_prepare=N_PREPARE,
        input_id=np.arange(n_trials),
        simulated=True,
    )
    with RecordingWriter(path, header) as writer:
        for trial in range(n_trials):
            writer.append(Block(trial, 0, drive[trial, :, None], response[trial, :, None]))
        writer.finish(complete=True, ended="as planned")
    return path


def fitted_twin(path: Path, recording: Path, *, max_epochs: int = 40) -> Path:
    """A small twin of the recording, saved as one that passed its gates."""
    traces = open_recording(recording).traces()
    spec = DeviceTwinSpec.for_traces(traces, response_delays=1, drive_delays=1, hidden=(8, 8))
    twin = DeviceTwin(spec)
    for _ in fit(twin, [traces], seed=0, max_epochs=max_epochs):
        pass
    return save_twin(twin, path, provenance={"gates": PASSED, "simulated": True, "conditions": {}})


def small_plan() -> TaskPlan:
    """NARMA-10 on 3 + 3 leaky nodes, with little training."""
    plan = plan_for("narma10", ("leaky",), dt_s=DT_S)
    settings = replace(
        plan.settings, n_iterations=40, n_trials=24, n_validation_trials=16, n_readout_trials=32, n_readout_draws=4
    )
    architecture = replace(plan.architecture, layers=(("leaky",) * 3, ("leaky",) * 3))
    return replace(
        plan, architecture=architecture, settings=settings, n_steps=60, n_training_trials=10, n_heldout_trials=8
    )


@pytest.fixture(scope="session")
def spoilt(tmp_path_factory: pytest.TempPathFactory) -> Spoilt:
    folder = tmp_path_factory.mktemp("spoilt")
    recording = record_leaky(folder / "old.h5", tau_s=1.5 * TAU_S, noise=0.5 * NOISE, seed=0)
    twin = fitted_twin(folder / "leaky", recording)
    plan = small_plan()
    port = DevicePort.from_range("leaky", -1.9, 1.9, drive_unit="V", response_unit="V")
    start = random_wiring(plan.architecture, [port], np.random.default_rng(1), scales=plan.scales)
    tuned = run(fine_tune(start, {"leaky": twin}, plan, seed=0, key="optimise"))
    return Spoilt(twin, recording, plan, tuned.wiring)


@pytest.fixture(scope="session")
def record_device() -> Callable[..., Path]:
    """Write a recording of such a device: record_device(path, tau_s=…, noise=…, seed=…)."""
    return record_leaky
