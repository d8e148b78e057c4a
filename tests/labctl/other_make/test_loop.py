"""The whole loop on two devices of two sets of instruments, by the generic driver: no play can have both."""

from dataclasses import replace

import numpy as np
import pytest

from labctl.bench import Bench
from labctl.campaign import run
from labctl.campaigns.characterise import CharacterisationDesign
from labctl.campaigns.close_the_loop import LoopSettings, close_the_loop
from labctl.campaigns.fit_twin import FitSettings
from labctl.campaigns.task_plan import narma10_plan
from labctl.errors import CampaignError

DEVICES = ("fast", "core")


@pytest.fixture
def both(tmp_path, stations, own_instruments):
    """The fast and the combined bench of the document in one station file; every instrument is a simulated one."""
    fast, combined = own_instruments.on(stations["fast"]), own_instruments.on(stations["combined"])
    combined = combined[combined.index("[instruments") :]
    for name in ("drive", "response"):
        combined = combined.replace(f"[channels.{name}]", f"[channels.core_{name}]")
        combined = combined.replace(f'{name} = ["{name}"]', f'{name} = ["core_{name}"]')
    text = fast.replace("simulated = false", "simulated = true").replace(
        'driver = "scpi"', 'driver = "scpi"\nsimulated = true'
    )
    text = text.replace("[channels.drive]", combined + "\n[channels.drive]", 1)
    path = tmp_path / "both.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def settings():
    plan = narma10_plan(DEVICES, dt_s=2e-4)
    plan = replace(
        plan,
        architecture=replace(plan.architecture, layers=(DEVICES, DEVICES)),
        settings=replace(
            plan.settings,
            n_iterations=4,
            n_trials=8,
            validate_every=2,
            n_validation_trials=4,
            n_validation_draws=1,
            n_readout_trials=8,
            n_readout_draws=1,
        ),
        n_steps=40,
        n_training_trials=4,
        n_heldout_trials=4,
        n_repeats=1,
        n_reservoir_draws=20,
        n_reservoir_trials=4,
    )
    design = CharacterisationDesign(n_trials=24, n_samples=60, n_inputs=2, n_repeats=6, n_heldout_samples=60)
    fit = FitSettings(choice="plain", response_delays=2, hidden=(8, 8), max_seconds=2.0, n_calibration_draws=20)
    return LoopSettings(
        designs=dict.fromkeys(DEVICES, design),
        fits=dict.fromkeys(DEVICES, fit),
        tasks=(plan,),
        override_gates="two held-out inputs are too few to pass",
    )


def test_the_loop_closes_on_devices_that_no_play_can_drive_together(both, settings, tmp_path):
    with Bench.open(both) as bench:
        assert bench.simulated
        assert bench.play_group("fast") != bench.play_group("core")
        result = run(close_the_loop(bench, folder=tmp_path / "out", seed=1, settings=settings))
        report = bench.make_safe()
    assert report.ok, report
    [task] = result.tasks
    assert np.isfinite([task.promised, task.measured_mean, task.reservoir_measured, task.unoptimised_measured]).all()
    assert task.measured_mean < 1.5
    assert [twin.device for twin in result.twins] == ["core", "fast"]


def test_devices_that_cannot_be_nodes_of_one_network_are_refused_before_anything_is_played(both, settings, tmp_path):
    text = both.read_text()
    at = text.index("[devices.core]")
    both.write_text(text[:at] + text[at:].replace("5000.0", "4000.0", 1))
    with Bench.open(both) as bench:
        with pytest.raises(CampaignError, match=r"sample rates differ: core 4000, fast 5000 Hz.*nothing was played"):
            run(close_the_loop(bench, folder=tmp_path / "out", seed=1, settings=settings))
        with pytest.raises(CampaignError, match=r"the plan of narma10 needs core"):
            run(close_the_loop(bench, folder=tmp_path, seed=1, settings=replace(settings, devices=("fast",))))
        assert not bench.safe_states.armed
