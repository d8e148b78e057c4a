"""NARMA against its recurrence written out."""

from __future__ import annotations

import numpy as np
import pytest

from twins.network import Narma30, linear_on_taps
from twins.network.tasks.narma import narma_series


def test_narma30_follows_its_published_recurrence() -> None:
    data = Narma30().sample(3, 90, np.random.default_rng(0))
    v, y = (data.inputs[..., 0] + 1) / 4, data.targets[..., 0]
    for n in range(30, 90):
        last_thirty = sum(y[:, n - i] for i in range(1, 31))
        expected = 0.2 * y[:, n - 1] + 0.04 * y[:, n - 1] * last_thirty + 1.5 * v[:, n - 29] * v[:, n] + 0.001
        np.testing.assert_allclose(y[:, n], expected, rtol=1e-12)


def test_narma30_by_hand_from_rest() -> None:
    y = narma_series(np.full((1, 31), 0.5), Narma30.recurrence)[0]
    assert y[1] == pytest.approx(0.001)
    assert y[2] == pytest.approx(0.2 * 0.001 + 0.04 * 0.001 * 0.001 + 0.001)
    assert y[29] < 0.01, "no product of inputs before both of them are there"
    assert y[30] > 1.5 * 0.25


def test_draws_that_diverge_are_drawn_again() -> None:
    loudest = narma_series(np.full((1, 400), 0.5), Narma30.recurrence)
    assert not np.all(loudest < 1.0), "there are inputs from which it diverges"
    data = Narma30().sample(2000, 300, np.random.default_rng(1))
    assert np.all(data.targets < 1.0)


def test_taps_that_miss_the_product_leave_most_of_narma30() -> None:
    rng = np.random.default_rng(5)
    training, heldout = (Narma30().sample(40, 120, rng) for _ in range(2))
    few, all_of_them = (linear_on_taps("nrmse", training, heldout, taps=range(n)).value for n in (10, 30))
    assert all_of_them < 0.5 < 0.7 < few
