"""The parts of a diagnosis against closed forms and finite differences."""

import numpy as np
import pytest

from twins.diagnosis.drift import drift_over_repeats
from twins.diagnosis.features import OneStepModel, least_squares, polynomial_terms, products, select_terms
from twins.diagnosis.multistability import cluster_separation
from twins.diagnosis.repeats import find_repeats
from twins.diagnosis.state_space import run_filter


def test_slopes_are_derivatives_of_the_prediction():
    rng = np.random.default_rng(0)
    terms = polynomial_terms(2, 2, 3, 3)
    model = OneStepModel(2, terms)
    coefficients = rng.normal(size=(1, len(terms)))
    row = np.concatenate(([1.0], rng.normal(size=7)))
    slope_terms, weights = model.slope_form(coefficients)
    slopes = weights[:, :, 0] @ products(row, slope_terms)
    for lag in range(2):
        step = np.zeros(8)
        step[1 + lag] = 1e-6
        difference = (products(row + step, terms) - products(row - step, terms)) @ coefficients[0] / 2e-6
        assert slopes[lag] == pytest.approx(difference, rel=1e-6)


def test_the_filters_variance_is_the_riccati_equations():
    phi, ratio = 0.9, 0.5
    model = OneStepModel(1, np.array([[1, 0, 0]]))
    done = run_filter(
        model, np.array([[phi]]), np.array([ratio]), np.zeros((1, 200)), np.zeros((1, 200, 0)), first_scored=150
    )
    predicted = 1.0
    for _ in range(500):
        predicted = phi**2 * predicted * ratio / (predicted + ratio) + 1.0
    assert done.variance == pytest.approx(predicted + ratio)


def test_without_observation_noise_innovations_are_one_step_errors():
    rng = np.random.default_rng(0)
    response, drive = rng.normal(size=(3, 30)), rng.normal(size=(3, 30, 1))
    terms = polynomial_terms(2, 1, 0, 2)
    coefficients = 0.1 * rng.normal(size=(1, len(terms)))
    done = run_filter(OneStepModel(2, terms), coefficients, np.zeros(1), response, drive, sensitivity=True)
    row = np.stack([np.ones((3, 28)), response[:, 1:-1], response[:, :-2], drive[:, 1:-1, 0]])
    expected = response[:, 2:] - np.einsum("f,fst->st", coefficients[0], products(row, terms))
    assert done.innovation[0] == pytest.approx(expected)
    assert np.moveaxis(done.sensitivity[0], -1, 0) == pytest.approx(products(row, terms))


def test_sensitivities_of_a_filter_are_finite_differences():
    rng = np.random.default_rng(1)
    response, drive = rng.normal(size=(4, 40)), rng.normal(size=(4, 40, 2))
    terms = np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0], [3, 0, 0], [3, 4, 0]])  # drive terms leave the gain as it is
    coefficients, ratios = np.array([[0.1, 0.7, -0.2, 0.4, 0.3]] * 2), np.array([0.3, 5.0])
    model = OneStepModel(2, terms)
    done = run_filter(model, coefficients, ratios, response, drive, sensitivity=True)
    for feature in (0, 3, 4):
        step = np.zeros(5)
        step[feature] = 1e-5
        higher, lower = (run_filter(model, coefficients + s, ratios, response, drive) for s in (step, -step))
        difference = (higher.innovation - lower.innovation) / 2e-5
        assert -done.sensitivity[..., feature] == pytest.approx(difference, rel=1e-6, abs=1e-9)


def test_the_filters_likelihood_is_that_of_the_joint_gaussian():
    rng = np.random.default_rng(2)
    phi, ratio, n = 0.8, 0.7, 12
    model = OneStepModel(1, np.array([[1, 0, 0]]))
    response = rng.normal(size=(1, n))
    done = run_filter(model, np.array([[phi]]), np.array([ratio]), response, np.zeros((1, n, 0)))
    # given the first sample, x_0 ~ N(y_0, R): y_k = phi^k x_0 + sum of noises + e_k
    lags = np.arange(1, n)
    covariance = ratio * np.eye(n - 1) + ratio * phi ** (lags[:, None] + lags[None, :])
    for k in lags:
        weight = np.where(lags >= k, phi ** (lags - k).astype(float), 0.0)
        covariance += np.outer(weight, weight)
    off = response[0, 1:] - phi**lags * response[0, 0]
    expected = 0.5 * (np.linalg.slogdet(covariance)[1] + off @ np.linalg.solve(covariance, off))
    found = 0.5 * (np.log(done.variance) + done.innovation**2 / done.variance).sum()
    assert found == pytest.approx(expected)


def test_matching_pursuit_finds_the_products_that_made_the_data():
    rng = np.random.default_rng(3)
    row = np.concatenate((np.ones((1, 2000)), rng.normal(size=(4, 2000))))
    terms = polynomial_terms(2, 2, 0, 3)
    features = products(row, terms).T
    true = [terms.tolist().index(term) for term in ([1, 1, 3], [2, 4, 0])]
    target = features[:, 1] - 0.5 * features[:, true[0]] + 0.3 * features[:, true[1]] + 0.1 * rng.normal(size=2000)
    kept = select_terms(features, target, n_kept=5, n_most=20)
    assert set(true) <= set(kept.tolist()) and len(kept) <= 10
    found = dict(zip(kept.tolist(), least_squares(features[:, kept], target), strict=True))
    assert found[true[0]] == pytest.approx(-0.5, abs=0.02)


def test_clusters_separate_and_single_laws_do_not():
    rng = np.random.default_rng(4)
    for n in (5, 8, 16, 60):
        assert (cluster_separation(rng.normal(size=(n, 4000))) > 6.0).mean() < 0.02
    assert (cluster_separation(rng.uniform(size=(60, 4000))) > 6.0).mean() < 0.02
    two = np.where(rng.random((16, 50)) < 0.5, -1.0, 1.0) + 0.05 * rng.normal(size=(16, 50))
    assert (cluster_separation(two) > 6.0).mean() > 0.9
    assert not cluster_separation(np.ones((8, 3))).any()


@pytest.mark.parametrize("per_input", [40, 200])
def test_drift_is_unbiased_whatever_the_repeats_mean_takes_away(known, per_input):
    rng = np.random.default_rng(5)
    found = []
    for _ in range(12):
        response = 0.1 * rng.normal(size=(200, 40)) + known.autoregressive(200, 0.8, 0.05, rng)
        data = known.traces(response, np.ones((200, 40)), repeats=per_input)
        found.append(drift_over_repeats(find_repeats([data]), rng)[0])
    assert all(one.distinct for one in found)
    assert np.mean([one.std.value for one in found]) == pytest.approx(0.05, rel=0.15)
    assert np.mean([one.correlation.value for one in found]) == pytest.approx(0.8, abs=0.06)
    spread = np.std([one.std.value for one in found])
    assert 0.4 * spread < np.mean([one.std.sd for one in found]) < 2.5 * spread


def test_no_drift_is_found_where_there_is_none(known):
    rng = np.random.default_rng(6)
    significant = []
    for _ in range(40):
        data = known.traces(rng.normal(size=(100, 40)), np.ones((100, 40)), repeats=50)
        significant.append(drift_over_repeats(find_repeats([data]), rng)[0].significant)
    assert np.mean(significant) < 0.06
