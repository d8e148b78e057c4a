"""Optimising a network, interrupted and gone on with: the same network comes out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from labctl.campaign import run
from labctl.campaigns.optimise_network import OptimisedNetwork, optimise_network
from labctl.campaigns.plans import plan_for
from labctl.campaigns.plans.task_plan import TaskPlan
from labctl.events import Figures
from twins import DeviceTwin, DeviceTwinSpec, Traces, fit
from twins.network.multi_start_state import forget_choice


@pytest.fixture(scope="module")
def lag() -> DeviceTwin:
    """A twin that is cheap to have: of a device that follows its drive with a lag."""
    rng = np.random.default_rng(0)
    drive = np.repeat(rng.uniform(-1.0, 1.0, size=(20, 20, 1)), 3, axis=1)
    drive[:, :6] = 0.0
    response = np.zeros_like(drive)
    for k in range(drive.shape[1] - 1):
        response[:, k + 1] = 0.7 * response[:, k] + 0.3 * drive[:, k] + 0.02 * rng.normal(size=(20, 1))
    traces = Traces(drive, response, 2e-4, ("drive",), ("V",), ("response",), ("V",), n_prepare=6)
    twin = DeviceTwin(DeviceTwinSpec.for_traces(traces, response_delays=0, drive_delays=0, hidden=(4,)))
    for _ in fit(twin, [traces], seed=0, max_epochs=3):
        pass
    return twin


@pytest.fixture
def plan() -> TaskPlan:
    whole = plan_for("delayed_parity", ("lag",), dt_s=2e-4)
    quick = replace(whole.settings, n_iterations=16, n_trials=16, n_validation_trials=16, validate_every=3)
    return replace(
        whole,
        settings=replace(quick, n_readout_trials=16, n_readout_draws=1),
        n_training_trials=8,
        n_heldout_trials=8,
        n_reservoir_draws=20,
        n_reservoir_trials=8,
        n_starts=3,
        n_trained_starts=2,
    )


def test_an_interrupted_optimisation_comes_to_the_same_network(lag: DeviceTwin, plan: TaskPlan, tmp_path: Path) -> None:
    state = tmp_path / "out" / "unfinished.json"

    def campaign(state: Path | None) -> OptimisedNetwork:
        made = optimise_network(
            {"lag": lag}, plan, ranges={"lag": (-0.9, 0.9)}, seed=0, examples_seed=1, state=state
        )  # fmt: skip
        return run(made, on_event=stop if state is not None and not state.exists() else lambda event: None)

    def stop(event: object) -> None:
        if isinstance(event, Figures) and event.step == 14:
            raise KeyboardInterrupt

    whole = campaign(None)
    with pytest.raises(KeyboardInterrupt):
        campaign(state)
    found = campaign(state)
    assert found.learning_curve == whole.learning_curve
    assert found.promise.scores == whole.promise.scores
    assert found.wiring.readout is not None and whole.wiring.readout is not None
    np.testing.assert_array_equal(found.wiring.readout.weights, whole.wiring.readout.weights)
    assert len(list(state.parent.iterdir())) == 3, "the choice and its two starts"
    forget_choice(state)
    assert not list(state.parent.iterdir())
