"""Closing the gap and training on the bench with recurrent networks, trained set-points and classifications."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from labctl.bench import Bench
from labctl.bench.loop_rate import LoopRate
from labctl.campaign import run
from labctl.campaigns.close_gap import close_the_gap
from labctl.campaigns.fine_tune import fine_tune
from labctl.campaigns.gap import Gap
from labctl.campaigns.gap_design import ClosedGap, GapBudget, GapSettings
from labctl.campaigns.physics_aware import train_physics_aware
from labctl.campaigns.physics_aware_design import PhysicsAwareSettings, TrainedOnBench
from labctl.campaigns.plans import TaskPlan, plan_for
from labctl.clearance import Clearance, clear
from labctl.simulation import SimulatedBench, bundled_bench, bundled_station
from labctl.store import open_recording
from twins import DeviceTwin, DeviceTwinSpec, Traces, fit, save_twin
from twins.network import Architecture, DevicePort, LayerPlan, Wiring, random_wiring
from twins.network.tasks import DelayedParity

GAP = GapSettings(n_training_trials=10, n_judged_trials=4, n_repeats=3, n_promise_draws=4, refit_epochs=3)
TRAINING = PhysicsAwareSettings(
    n_iterations=1, n_trials=2, n_validations=1, n_readout_trials=10, n_judged_trials=2, n_repeats=2
)
DT_S = 2e-4
SLOW_DT_S = 0.04
RATE = LoopRate(("leaky_1", "leaky_2"), 100, 0.002, 0.003, 0.004, 0.005, 0.0019, 0.0, 0.0001, 0.004)
"""As if measured: a busy machine that runs tests may be slower than is good for a promise."""


@pytest.fixture(autouse=True)
def never_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that there is a second round, whatever chance makes of the first."""
    monkeypatch.setattr(Gap, "closed", property(lambda _: False))


def overridden(*devices: str) -> Clearance:
    return clear(devices, {}, override="a test")


def lag_twin(path: Path, names: tuple[str, str, str], dt_s: float, biases: Sequence[float | None] = (None,)) -> Path:
    """Hardly fitted to a device (its name, drive and response) that follows its drive with a lag, shifted by its bias."""
    device, drive_name, response_name = names
    rng, parts = np.random.default_rng(0), []
    for bias in biases:
        drive = np.repeat(rng.uniform(-1.0, 1.0, size=(8, 20, 1)), 3, axis=1)
        drive[:, :6] = 0.0
        response = np.zeros_like(drive)
        for k in range(drive.shape[1] - 1):
            push = np.tanh(drive[:, k] + 3.0 * (bias or 0.0))
            response[:, k + 1] = 0.7 * response[:, k] + 0.3 * push + 0.02 * rng.normal(size=(8, 1))
        conditions = {} if bias is None else {f"{device}_bias": bias}
        parts.append(
            Traces(
                drive,
                response,
                dt_s,
                (drive_name,),
                ("V",),
                (response_name,),
                ("V",),
                n_prepare=6,
                conditions=conditions,
            )
        )
    twin = DeviceTwin(DeviceTwinSpec.for_traces(parts, response_delays=0, drive_delays=0, hidden=(4,)))
    for _ in fit(twin, parts, seed=0, max_epochs=2):
        pass
    return save_twin(twin, path, provenance={"simulated": True})


def small_parity(architecture: Architecture) -> TaskPlan:
    whole = plan_for("delayed_parity", ("leaky",), dt_s=architecture.dt_s)
    task = DelayedParity(order=2, delay=0)
    settings = replace(
        whole.settings, n_iterations=2, n_trials=4, n_validation_trials=4, n_readout_trials=10, n_readout_draws=1
    )
    shape = replace(architecture, washout=task.washout)
    return replace(whole, task=task, architecture=shape, settings=settings, n_steps=7, n_heldout_trials=4)


def both(
    bench: Bench, wiring: Wiring, twins: dict[str, Path], plan: TaskPlan, folder: Path
) -> tuple[ClosedGap, TrainedOnBench]:
    """Two rounds of closing the gap, then one iteration on the bench, from where the gap is left."""
    clearance = overridden(*twins)
    budget = GapBudget(1e3, rounds=2)
    gap: ClosedGap = run(
        close_the_gap(
            bench, wiring, twins, plan, clearance=clearance, budget=budget, seed=1, folder=folder / "gap", settings=GAP
        )
    )
    trained: TrainedOnBench = run(
        train_physics_aware(
            bench, gap.wiring, gap.twins, plan, clearance=clearance, budget_s=1e3, seed=1, folder=folder / "trained",
            settings=TRAINING,
        )
    )  # fmt: skip
    return gap, trained


@pytest.fixture(scope="module")
def slow_sim() -> Iterator[SimulatedBench]:
    with SimulatedBench.start(bundled_bench("closed_loop")) as sim:
        yield sim


@pytest.mark.slow
def test_a_recurrent_classifier_is_refitted_tuned_and_trained_on_the_bench(
    slow_sim: SimulatedBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Bench, "loop_rate", lambda *_, **__: RATE)
    text = re.sub(
        r"(time_constant_s = .*)", r"\1\npreparation = { rest_s = 0.08 }", bundled_station("closed_loop")
    )  # too short to forget the last trial, but it saves time
    devices = ("leaky_1", "leaky_2")
    architecture = Architecture(
        (LayerPlan(devices, sources=(0,)),), 1, (0,), SLOW_DT_S, input_taps=(0,), coupling_delays=(1,), washout=1
    )
    ports = [DevicePort.from_range(name, -0.9, 0.9, drive_unit="V", response_unit="V") for name in devices]
    plan = small_parity(architecture)
    twins = {
        name: lag_twin(tmp_path / name, (name, f"drive_{number}", f"response_{number}"), SLOW_DT_S)
        for number, name in enumerate(devices, start=1)
    }
    start = random_wiring(plan.architecture, ports, np.random.default_rng(0))
    wiring = run(fine_tune(start, twins, plan, seed=0, key="optimise")).wiring
    with Bench.open(slow_sim.write_station(tmp_path / "station.toml", text)) as bench:
        gap, trained = both(bench, wiring, twins, plan, tmp_path)
        assert gap.device_seconds + trained.device_seconds == pytest.approx(bench.device_seconds)
    assert [one.cleared for one in gap.rounds] == [True, None]  # under the override
    assert set(gap.twins) == set(devices)
    assert gap.measurement.scores[0].accuracy is not None
    assert np.isfinite(trained.losses[0])
    assert open_recording(tmp_path / "gap/round-2/plays/closed-loop.h5").complete


def test_a_trained_set_point_moves_from_round_to_round_and_is_held_while_training_on_the_bench(
    demo_station: Path, tmp_path: Path
) -> None:
    name = "duffing_bias"
    twins = {
        "duffing": lag_twin(
            tmp_path / "duffing", ("duffing", "duffing_drive", "duffing_response"), DT_S, (-0.1, 0.0, 0.1)
        )
    }
    architecture = Architecture((("duffing",) * 2,), 3, (0, 1, 2), DT_S, washout=1)
    plan = replace(small_parity(architecture), trained_conditions={name: (-0.1, 0.1)})
    ports = [DevicePort.from_range("duffing", -0.8, 0.8, drive_unit="V", response_unit="V")]
    start = random_wiring(plan.architecture, ports, np.random.default_rng(0), conditions={name: 0.02})
    wiring = run(fine_tune(start, twins, plan, seed=0, key="optimise")).wiring
    with Bench.open(demo_station) as bench:
        gap, trained = both(bench, wiring, twins, plan, tmp_path)
        assert bench.get(name) == pytest.approx(trained.wiring.conditions[name], abs=1e-3)
    played = [open_recording(tmp_path / f"gap/round-{n}/plays/layer0-play0.h5").conditions[name] for n in (1, 2)]
    assert played[0] == pytest.approx(wiring.conditions[name], abs=1e-3)
    assert played[1] != played[0]
    assert abs(played[1]) <= 0.1 + 1e-3
    assert trained.wiring.conditions == gap.wiring.conditions
