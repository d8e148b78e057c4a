"""benchmarks/tasks.py from twins to a line of its table, on twins that are cheap to have."""

from __future__ import annotations

import importlib
import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from twins import DeviceTwin, DeviceTwinSpec, Traces, fit, save_twin

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def tasks(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module, with plans a tenth as large."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    module = importlib.import_module("tasks")
    plan_for = module.plan_for

    def small(name: str, devices: tuple[str, ...], *, dt_s: float) -> Any:
        plan = plan_for(name, devices, dt_s=dt_s)
        settings = replace(
            plan.settings, n_iterations=10, n_trials=16, n_validation_trials=16, n_readout_trials=16, n_readout_draws=2
        )
        return replace(
            plan, settings=settings, n_training_trials=20, n_heldout_trials=16, n_reservoir_draws=20,
            n_reservoir_trials=8, n_starts=2,
        )  # fmt: skip

    monkeypatch.setattr(module, "plan_for", small)
    return module


@pytest.fixture
def twin_folder(tmp_path: Path) -> Path:
    """Both devices of the demo by name; they follow their drive with a lag."""
    rng = np.random.default_rng(0)
    drive = np.repeat(rng.uniform(-1.0, 1.0, size=(20, 20, 1)), 3, axis=1)
    drive[:, :6] = 0.0
    response = np.zeros_like(drive)
    for k in range(drive.shape[1] - 1):
        response[:, k + 1] = 0.7 * response[:, k] + 0.3 * np.tanh(drive[:, k]) + 0.02 * rng.normal(size=(20, 1))
    traces = Traces(drive, response, 2e-4, ("drive",), ("V",), ("response",), ("V",), n_prepare=6)
    twin = DeviceTwin(DeviceTwinSpec.for_traces(traces, response_delays=0, drive_delays=0, hidden=(8,)))
    for _ in fit(twin, [traces], seed=0, max_epochs=5):
        pass
    for device in ("leaky", "duffing"):
        save_twin(twin, tmp_path / device, provenance={"simulated": True})
    return tmp_path


def test_every_figure_of_a_task_is_written_and_shown(
    tasks: ModuleType, twin_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    out = tmp_path / "out.json"
    words = ["--twins", str(twin_folder), "--json", str(out), "--quick", "--tasks", "memory_capacity", "sine_square"]
    monkeypatch.setattr("sys.argv", ["tasks.py", *words])
    tasks.main()
    rows = json.loads(out.read_text())
    assert rows["simulated"] is True
    memory, waves = rows["tasks"]["memory_capacity"], rows["tasks"]["sine_square"]
    assert memory["linear_20_taps"]["memory capacity"] == pytest.approx(10.0, abs=0.01)
    for who in ("reservoir", "optimised"):
        assert 0.0 < memory[who]["memory capacity"] < 10.0
        assert 0.0 < memory[who]["value"] < 1.2
        assert 0.4 < waves[who]["accuracy"] <= 1.0
    shown = capsys.readouterr().out
    assert "SIMULATED" in shown
    assert "memory_capacity" in shown and "memory capacity 1." in shown
