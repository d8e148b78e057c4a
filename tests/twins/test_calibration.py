"""calibrate: a perfect twin passes, a wrong one is caught, and chance is told apart."""

import copy
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import twins
from twins.calibration.energy import Distances
from twins.calibration.pairs import autocorrelations
from twins.gates import judge_gates
from twins.objectives.scores import energy_distance, lag1_autocorrelation


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


def test_a_perfect_twin_passes_its_gates_and_a_loud_one_does_not(leaky_twin, own_data):
    assert judge_gates(twins.calibrate(leaky_twin, own_data, generator=seeded(3))).passed
    quiet = own_data.response.copy()
    for input_id in np.unique(own_data.inputs):
        same = own_data.inputs == input_id
        quiet[same] = quiet[same].mean(0) + 0.8 * (quiet[same] - quiet[same].mean(0))
    report = judge_gates(twins.calibrate(leaky_twin, replace(own_data, response=quiet), generator=seeded(3)))
    assert not report.passed
    assert {"std_ratio", "coverage_90"} <= {gate.name for gate in report.gates if not gate.passed}


def test_the_worst_inputs_chance_is_that_of_a_perfect_twin(leaky_twin, own_data):
    figures = twins.calibrate(leaky_twin, own_data, generator=seeded(4))
    off = figures.coverage_90_worst_input - figures.coverage_90_worst_input_expected
    assert abs(off) < 4 * figures.coverage_90_worst_input_floor


def test_the_permutation_z_is_small_for_equal_laws_and_large_for_others():
    rng = np.random.default_rng(2)
    zs = []
    for shift in (0.0, 0.0, 0.0, 0.5):
        pairs = [Distances.between(rng.normal(size=(40, 6)), shift + rng.normal(size=(30, 6))) for _ in range(8)]
        permuted = np.mean([one.permuted(200, rng) for one in pairs], axis=0)
        zs.append((np.mean([one.energy()[0] for one in pairs]) - permuted.mean()) / permuted.std())
    assert max(abs(z) for z in zs[:3]) < 4 < zs[3]


def test_energies_from_one_matrix_are_those_of_the_samples():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(12, 5)), 0.3 + rng.normal(size=(9, 5))
    assert Distances.between(x, y).energy() == pytest.approx(energy_distance(x, y))


def test_lags_match_the_score_of_one_lag_and_the_truth():
    rng = np.random.default_rng(1)
    path = np.zeros((50, 400, 1))
    for k in range(1, 400):
        path[:, k] = 0.7 * path[:, k - 1] + rng.normal(size=(50, 1))
    twin, device = autocorrelations([(path[:25, 100:], path[25:, 100:])], 3)
    assert twin[0] == pytest.approx(lag1_autocorrelation(path[:25, 100:] - path[:25, 100:].mean(0)))
    assert device == pytest.approx([0.7, 0.49, 0.343], abs=0.06)


def test_inputs_channels_and_lags_are_told_apart_as_plain_data(leaky_twin, own_data):
    figures = twins.calibrate(leaky_twin, own_data, n_draws=40, generator=seeded())
    details = json.loads(json.dumps(figures.details(), allow_nan=False))
    assert len(details["inputs"]) == figures.n_inputs and details["inputs"][0]["n_trials"] == 12
    assert details["std_ratios"] == [pytest.approx(figures.std_ratio)]
    assert details["autocorrelation_twin"][0] == pytest.approx(figures.lag1_autocorrelation_twin)
    assert len(details["autocorrelation_device"]) == 5
    assert np.mean([one["coverage_90"] for one in details["inputs"]]) == pytest.approx(figures.coverage_90)


def test_free_runs_that_diverge_are_counted_and_close_the_gate(leaky_twin, own_data):
    class Diverging:
        """The twin, except that its last draw is lost."""

        spec, linear_weight = leaky_twin.spec, leaky_twin.linear_weight

        def respond(self, drive, **options):
            response = leaky_twin.respond(drive, **options)
            response[-1, 50:] = float("nan")
            return response

    figures = twins.calibrate(Diverging(), own_data, n_draws=50, generator=seeded())
    assert figures.finite_share == pytest.approx(0.98) and figures.largest_excursion > 1e5
    gates = {gate.name: gate.passed for gate in judge_gates(figures).gates}
    assert not gates["free_run_excursion"]
    json.dumps(figures.as_dict(), allow_nan=False)
