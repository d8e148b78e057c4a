"""calibrate: a perfect twin passes, a wrong one is caught, and chance is told apart."""

import copy
import json

import numpy as np
import pytest
import torch

import twins


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def own_data(leaky_twin, ground_truth):
    """Data that the twin made itself: 10 inputs, 12 repeats."""
    plan = ground_truth.record("leaky", np.random.default_rng(5), n_inputs=10, n_samples=120, n_repeats=12)
    start = plan.n_prepare
    with torch.no_grad():
        response = leaky_twin.respond(torch.tensor(plan.drive[:, start:]).float(), generator=seeded(8)).double().numpy()
    before = np.repeat(response[:, :1], start, axis=1)
    return twins.Traces(
        plan.drive,
        np.concatenate((before, response), axis=1),
        plan.dt_s,
        plan.drive_names,
        plan.drive_units,
        plan.response_names,
        plan.response_units,
        n_prepare=start,
        input_id=plan.inputs,
    )


def test_a_perfect_twin_is_calibrated_within_its_floors(leaky_twin, own_data):
    figures = twins.calibrate(leaky_twin, own_data, generator=seeded())
    assert abs(figures.coverage_90 - 0.9) < 4 * figures.coverage_90_floor + 0.005
    assert abs(figures.std_ratio - 1) < 4 * figures.std_ratio_floor
    lags = figures.lag1_autocorrelation_twin - figures.lag1_autocorrelation_device
    assert abs(lags) < 4 * figures.lag1_autocorrelation_floor
    assert abs(figures.energy_distance) < 4 * figures.energy_distance_floor


def test_a_twin_whose_noise_is_wrong_is_caught(leaky_twin, own_data):
    loud = copy.deepcopy(leaky_twin)
    with torch.no_grad():
        loud.nets.biases[-1][1] += 1.0
    figures = twins.calibrate(loud, own_data, generator=seeded())
    assert figures.coverage_90 > 0.95 and figures.std_ratio > 1.3
    assert figures.energy_distance > 5 * figures.energy_distance_floor


def test_without_repeats_the_spread_is_judged_about_the_twins_mean(leaky_twin, own_data):
    figures = twins.calibrate(leaky_twin, own_data.select(range(0, 120, 12)), generator=seeded())
    assert figures.n_trials == figures.n_inputs == 10
    assert figures.energy_distance is None
    assert figures.std_ratio == pytest.approx(1.0, abs=5 * figures.std_ratio_floor)


def test_figures_are_plain_json(leaky_twin, own_data):
    figures = twins.calibrate(leaky_twin, own_data, n_draws=40, generator=seeded())
    assert json.loads(json.dumps(figures.as_dict()))["n_draws"] == 40


def test_too_few_draws_are_refused(leaky_twin, own_data):
    with pytest.raises(twins.TracesInvalid, match="n_draws"):
        twins.calibrate(leaky_twin, own_data, n_draws=5, generator=seeded())
