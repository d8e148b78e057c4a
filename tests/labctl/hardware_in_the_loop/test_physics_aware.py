"""Physics-aware training: the loss that falls is the device's, whatever is wrong with the twin."""

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labctl.bench import Bench
from labctl.campaign import run
from labctl.campaigns import physics_aware
from labctl.campaigns.close_gap import close_the_gap
from labctl.campaigns.gap_design import GapBudget
from labctl.campaigns.physics_aware import train_physics_aware
from labctl.campaigns.physics_aware_design import PhysicsAwareSettings, TrainedOnBench
from labctl.campaigns.plans import plan_for
from labctl.campaigns.play_cost import network_seconds
from labctl.clearance import clear
from labctl.deployment import deploy
from labctl.errors import CampaignError, GatesNotPassed, Stopped
from labctl.events import Event, Sampled, Warned
from labctl.store import open_recording
from twins import load_twin
from twins.network.initialise import random_wiring
from twins.network.network import PhysicalNetwork
from twins.network.optimise import optimise
from twins.network.tasks import DelayedParity, TaskData
from twins.network.wiring import DevicePort, Wiring
from twins.network.wiring_file import load_wiring

DT_S = 2e-4
QUICK = PhysicsAwareSettings(
    n_iterations=3, n_trials=4, n_steps=40, n_validations=1, n_readout_trials=10, n_judged_trials=4
)


def training(bench: Bench, spoilt: Any, wiring: Wiring, folder: Path, **other: Any) -> Any:
    return train_physics_aware(
        bench,
        wiring,
        {"leaky": spoilt.twin},
        spoilt.plan,
        clearance=other.pop("clearance", spoilt.clearance),
        budget_s=other.pop("budget_s", 1e3),
        seed=4,
        folder=folder,
        settings=other.pop("settings", QUICK),
    )


def needed_s(bench: Bench, spoilt: Any, *, n_iterations: int) -> float:
    iteration = network_seconds(bench, spoilt.wiring, n_trials=4, n_steps=40)
    validation = network_seconds(bench, spoilt.wiring, n_trials=10 + 2 * 4, n_steps=spoilt.plan.n_steps)
    return n_iterations * iteration + validation


def test_the_measured_loss_falls_though_the_twin_is_of_another_device(
    demo_station: Path, tmp_path: Path, spoilt: Any
) -> None:
    port = DevicePort.from_range("leaky", -1.9, 1.9, drive_unit="V", response_unit="V")
    port = replace(port, senses=spoilt.wiring.ports[0].senses)
    start = random_wiring(spoilt.plan.architecture, [port], np.random.default_rng(8), scales=spoilt.plan.scales)
    settings = PhysicsAwareSettings(
        n_iterations=30, n_trials=8, n_steps=60, learning_rate=0.05, n_validations=1, n_judged_trials=16, n_repeats=2
    )
    rng = np.random.default_rng(9)
    test, examples = (spoilt.plan.task.sample(24, 60, rng) for _ in range(2))
    with Bench.open(demo_station) as bench:
        trained: TrainedOnBench = run(training(bench, spoilt, start, tmp_path / "aware", settings=settings))
        scores = {}
        # the same read-out for all of them: fitted to what the device answers; and what the spoilt twin says, as it is
        for name, wiring, fitted in (
            ("untrained", start, examples),
            ("trained", trained.wiring, examples),
            ("on the twin", spoilt.wiring, None),
        ):
            measured = run(
                deploy(
                    bench,
                    wiring,
                    clearance=spoilt.clearance,
                    metric="nrmse",
                    heldout=test,
                    training=fitted,
                    folder=tmp_path / name,
                    key=name,
                    title=name,
                )
            )
            scores[name] = measured.refitted_scores[0].value if fitted else measured.mean
    assert scores["trained"] < 0.9 * scores["untrained"]
    assert scores["trained"] < scores["on the twin"]
    assert np.mean(trained.losses[-5:]) < np.mean(trained.losses[:5])
    assert trained.wiring.readout is not None


def test_the_budget_is_never_overrun_and_holds_what_is_needed_for_the_validation(
    demo_station: Path, tmp_path: Path, spoilt: Any
) -> None:
    with Bench.open(demo_station) as bench:
        budget_s = needed_s(bench, spoilt, n_iterations=2) * 1.01
        result: TrainedOnBench = run(training(bench, spoilt, spoilt.wiring, tmp_path, budget_s=budget_s))
        assert bench.device_seconds <= budget_s
    assert result.ended == "budget spent"
    assert len(result.losses) == 2
    assert [one.iteration for one in result.validations] == [2]
    assert result.device_seconds == pytest.approx(bench.device_seconds)
    told = json.loads((tmp_path / "training.json").read_text())
    assert told["simulated"] is True
    assert told["losses"] == list(result.losses)


def test_a_budget_that_holds_not_one_iteration_is_refused_before_anything_is_played(
    demo_station: Path, tmp_path: Path, spoilt: Any
) -> None:
    with Bench.open(demo_station) as bench:
        budget_s = 0.99 * needed_s(bench, spoilt, n_iterations=1)
        with pytest.raises(CampaignError, match="nothing was played"):
            run(training(bench, spoilt, spoilt.wiring, tmp_path, budget_s=budget_s))
        assert bench.device_seconds == 0.0


def test_every_play_is_kept_and_a_stop_leaves_safe_outputs(demo_station: Path, tmp_path: Path, spoilt: Any) -> None:
    stop = threading.Event()

    def watch(event: Event) -> None:
        if isinstance(event, Sampled) and "iteration2/layer1" in event.key:
            stop.set()

    bench = Bench.open(demo_station)
    with pytest.raises(Stopped), bench:
        run(training(bench, spoilt, spoilt.wiring, tmp_path), on_event=watch, stop=stop)
    assert bench.safe_report is not None
    assert bench.safe_report.ok
    first = [open_recording(path) for path in sorted((tmp_path / "iteration-001").glob("*.h5"))]
    assert len(first) == 6
    assert all(one.complete for one in first)
    assert len(list((tmp_path / "iteration-002").glob("layer0-*.h5"))) == 3


def test_an_interruption_loses_nothing_that_was_trained(demo_station: Path, tmp_path: Path, spoilt: Any) -> None:
    stop = threading.Event()

    def watch(event: Event) -> None:
        if isinstance(event, Sampled) and "iteration3" in event.key:
            stop.set()

    with pytest.raises(Stopped), Bench.open(demo_station) as bench:
        run(training(bench, spoilt, spoilt.wiring, tmp_path), on_event=watch, stop=stop)
    said = json.loads((tmp_path / "training.json").read_text())
    assert len(said["losses"]) == 2 and said["device_seconds"] > 0 and said["simulated"] is True
    first, second = (load_wiring(tmp_path / f"iteration-00{number}" / "trained") for number in (1, 2))
    assert not np.array_equal(first.layers[0].W_in, spoilt.wiring.layers[0].W_in)
    assert not np.array_equal(second.layers[0].W_in, first.layers[0].W_in)
    assert not (tmp_path / "iteration-003" / "trained.json").exists()


def test_a_device_that_was_not_cleared_is_not_trained_on(demo_station: Path, tmp_path: Path, spoilt: Any) -> None:
    other = clear(["duffing"], {}, override="a test")
    with Bench.open(demo_station) as bench:
        with pytest.raises(GatesNotPassed, match="leaky"):
            run(training(bench, spoilt, spoilt.wiring, tmp_path, clearance=other))
        assert bench.device_seconds == 0.0


def test_no_training_example_is_one_of_the_judged_ones_though_the_task_has_few_inputs(
    demo_station: Path, tmp_path: Path, spoilt: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also a classification on the bench, from a wiring without a read-out."""
    task = DelayedParity(order=2, delay=0)
    whole = plan_for("delayed_parity", ("leaky",), dt_s=DT_S)
    shape = replace(whole.architecture, layers=(("leaky",) * 2,), washout=task.washout)
    parity = replace(whole, task=task, architecture=shape, n_steps=5)
    port = DevicePort.from_range("leaky", -1.9, 1.9, drive_unit="V", response_unit="V")
    start = random_wiring(shape, [port], np.random.default_rng(0), scales=whole.scales)
    trained_on: list[np.ndarray] = []
    judged_on: list[np.ndarray] = []
    play, measure = physics_aware.play_layers, physics_aware.deploy

    def played(bench: Bench, wiring: Wiring, inputs: np.ndarray, **more: Any) -> Any:
        trained_on.append(inputs)
        return play(bench, wiring, inputs, **more)

    def measured(bench: Bench, wiring: Wiring, **more: Any) -> Any:
        judged_on.append(more["heldout"].inputs)
        return measure(bench, wiring, **more)

    monkeypatch.setattr(physics_aware, "play_layers", played)
    monkeypatch.setattr(physics_aware, "deploy", measured)
    settings = replace(QUICK, n_trials=12, n_steps=None, n_judged_trials=8)
    with Bench.open(demo_station) as bench:
        campaign = train_physics_aware(
            bench, start, {"leaky": spoilt.twin}, parity, clearance=spoilt.clearance, budget_s=1e3, seed=4,
            folder=tmp_path, settings=settings,
        )  # fmt: skip
        result: TrainedOnBench = run(campaign)
    judged = {one.tobytes() for one in np.concatenate(judged_on)}
    assert not [one for one in np.concatenate(trained_on) if one.tobytes() in judged]
    assert result.measurement.scores[0].accuracy is not None


def test_campaigns_of_one_seed_judge_by_examples_that_neither_another_nor_the_optimiser_draws(
    demo_station: Path, tmp_path: Path, spoilt: Any
) -> None:
    first_draws: list[int] = []

    class Watched:
        """The task, and where the generator stands that examples are drawn with."""

        def __getattr__(self, name: str) -> Any:
            return getattr(spoilt.plan.task, name)

        def sample(self, n_trials: int, n_steps: int, rng: np.random.Generator) -> TaskData:
            first_draws.append(rng.bit_generator.state["state"]["state"])
            data: TaskData = spoilt.plan.task.sample(n_trials, n_steps, rng)
            return data

    seed, plan = 4, replace(spoilt.plan, task=Watched())
    twins, common = {"leaky": spoilt.twin}, {"clearance": spoilt.clearance, "seed": seed, "folder": tmp_path}
    with Bench.open(demo_station) as bench:  # of budgets that are refused once the judged examples are drawn
        with pytest.raises(CampaignError, match="nothing was played"):
            run(train_physics_aware(bench, spoilt.wiring, twins, plan, budget_s=1e-6, **common))
        with pytest.raises(CampaignError, match="nothing was played"):
            run(close_the_gap(bench, spoilt.wiring, twins, plan, budget=GapBudget(1e-6), **common))
    network = PhysicalNetwork(spoilt.wiring, {"leaky": load_twin(spoilt.twin)})
    optimising = optimise(network, plan.task, seed=seed, settings=replace(plan.settings, n_iterations=1))
    for _ in optimising:
        pass
    assert len(first_draws) > 3
    assert len(set(first_draws)) == len(first_draws)


def test_that_set_points_are_held_which_the_plan_trains_is_said(
    demo_station: Path, tmp_path: Path, spoilt: Any
) -> None:
    plan = replace(spoilt.plan, trained_conditions={"duffing_bias": (-0.1, 0.1)})
    wiring = replace(spoilt.wiring, conditions={"duffing_bias": 0.05})
    events: list[Event] = []
    with Bench.open(demo_station) as bench:
        campaign = training(
            bench, replace(spoilt, plan=plan), wiring, tmp_path, settings=replace(QUICK, n_iterations=1)
        )
        result: TrainedOnBench = run(campaign, on_event=events.append)
        assert bench.get("duffing_bias") == pytest.approx(0.05, abs=1e-3)
    (said,) = [event.message for event in events if isinstance(event, Warned)]
    assert "the plan trains duffing_bias; on the bench it is held at 0.05" in said
    assert result.wiring.conditions == {"duffing_bias": 0.05}


def test_a_training_that_goes_wrong_is_not_kept_where_the_start_was_measured_too(
    demo_station: Path, tmp_path: Path, spoilt: Any
) -> None:
    reckless = replace(QUICK, n_validations=2, learning_rate=5.0)
    with Bench.open(demo_station) as bench:
        result: TrainedOnBench = run(training(bench, spoilt, spoilt.wiring, tmp_path, settings=reckless))
    assert [one.iteration for one in result.validations] == [0, 3]
    start, end = (one.measured for one in result.validations)
    assert start < end
    assert result.measurement.mean == start
    np.testing.assert_allclose(result.wiring.layers[0].W_in, spoilt.wiring.layers[0].W_in, rtol=1e-6)
