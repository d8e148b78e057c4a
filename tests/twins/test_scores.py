"""Scores against brute force and closed forms."""

import math

import numpy as np
import pytest
import torch

from twins.objectives.scores import (
    adjacent_pairs_score,
    crps,
    energy_distance,
    energy_score,
    interval,
    lag1_autocorrelation,
)


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


def test_the_score_of_adjacent_pairs_is_the_fair_estimate_by_pairs():
    generator = torch.Generator().manual_seed(0)
    samples = torch.randn(5, 3, 4, 2, generator=generator, dtype=torch.float64)
    observed = torch.randn(3, 4, 2, generator=generator, dtype=torch.float64)
    x = torch.cat((samples[:, 1, 2], samples[:, 1, 3]), dim=-1)
    y = torch.cat((observed[1, 2], observed[1, 3]))
    distance = torch.cdist(x, x).square()
    wanted = 0.0
    for width in (0.5, 2.0):
        kernel = torch.exp(-0.5 * distance / width**2) - torch.eye(5)
        wanted = wanted + 0.25 * kernel.sum() / 20 - 0.5 * torch.exp(-0.5 * (x - y).square().sum(1) / width**2).mean()
    score = adjacent_pairs_score(samples, observed, widths=(0.5, 2.0))
    torch.testing.assert_close(score[1, 2], wanted)


def test_the_score_of_adjacent_pairs_sees_correlation_in_time():
    rng = torch.Generator().manual_seed(0)
    whites = torch.randn(4000, 2, 1, generator=rng)
    shared = torch.randn(4000, 1, 1, generator=rng).expand(-1, 2, -1)  # the same values, wholly correlated in time
    right = adjacent_pairs_score(shared[:100].unsqueeze(1), shared[1000:]).mean()
    wrong = adjacent_pairs_score(whites[:100].unsqueeze(1), shared[1000:]).mean()
    assert right < wrong - 0.004
