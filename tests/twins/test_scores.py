"""Scores against brute force and closed forms."""

import math

import numpy as np
import pytest
import torch

from twins.objectives.scores import crps, energy_distance, energy_score, interval, lag1_autocorrelation


def test_crps_is_the_fair_estimate_by_pairs():
    samples, observed = torch.randn(7, 4, dtype=torch.float64), torch.randn(4, dtype=torch.float64)
    pairs = (samples[:, None] - samples[None]).abs().sum((0, 1)) / (7 * 6)
    torch.testing.assert_close(crps(samples, observed), (samples - observed).abs().mean(0) - 0.5 * pairs)


def test_energy_score_of_single_numbers_is_the_crps():
    samples, observed = torch.randn(7, 4, 1, dtype=torch.float64), torch.randn(4, 1, dtype=torch.float64)
    torch.testing.assert_close(energy_score(samples, observed), crps(samples, observed)[:, 0])


def test_energy_score_has_a_gradient_where_two_draws_agree():
    samples = torch.zeros(3, 2, dtype=torch.float64, requires_grad=True)
    energy_score(samples, torch.ones(2, dtype=torch.float64)).backward()
    assert torch.isfinite(samples.grad).all()


def test_energy_distance_is_unbiased_and_sees_a_shift():
    rng = np.random.default_rng(0)
    same = [energy_distance(rng.normal(size=(20, 3)), rng.normal(size=(20, 3)))[0] for _ in range(300)]
    assert abs(np.mean(same)) < 4 * np.std(same) / math.sqrt(300)
    assert energy_distance(rng.normal(size=(200, 3)), rng.normal(size=(200, 3)) + 1)[0] > 0.2


def test_a_further_draw_falls_into_the_interval_as_often_as_it_says_however_few_the_draws():
    rng = np.random.default_rng(0)
    draws, further = rng.normal(size=(39, 40000)), rng.normal(size=40000)
    lower, upper = interval(draws, 0.9)
    assert np.mean((lower <= further) & (further <= upper)) == pytest.approx(0.9, abs=0.006)


def test_lag_one_autocorrelation_of_an_autoregression():
    rng = np.random.default_rng(0)
    x = np.zeros((500, 200, 1))
    for k in range(199):
        x[:, k + 1] = 0.8 * x[:, k] + rng.normal(size=(500, 1))
    assert lag1_autocorrelation(x[:, 50:]) == pytest.approx(0.8, abs=0.01)
