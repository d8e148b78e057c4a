"""Memory capacity: what is known of it without a device."""

from __future__ import annotations

import numpy as np
import pytest

from twins.network import MemoryCapacity, linear_on_taps, score
from twins.network.scores import Score, mean_details
from twins.network.tasks.memory_capacity import capacity_by_delay


def test_targets_are_the_inputs_of_earlier_steps() -> None:
    data = MemoryCapacity(longest=4).sample(3, 20, np.random.default_rng(0))
    for delay in range(1, 5):
        np.testing.assert_array_equal(data.targets[:, delay:, delay - 1], data.inputs[:, :-delay, 0])


def test_a_perfect_delay_line_has_the_capacity_of_its_length() -> None:
    data = MemoryCapacity(longest=7).sample(5, 60, np.random.default_rng(1))
    perfect = score("nrmse", data.targets, data)
    assert perfect.value == 0.0
    assert perfect.details["memory capacity"] == pytest.approx(7.0)
    assert score("nrmse", -3.0 * data.targets + 1.0, data).details["memory capacity"] == pytest.approx(7.0)


def test_no_memory_has_no_capacity() -> None:
    rng = np.random.default_rng(2)
    data = MemoryCapacity(longest=5).sample(50, 60, rng)
    assert score("nrmse", np.zeros_like(data.targets), data).details["memory capacity"] == 0.0
    noise = score("nrmse", rng.normal(size=data.targets.shape), data).details["memory capacity"]
    assert 0.0 < noise < 5 * 10 / (50 * 55), "five squared correlations of chance, each about 1 over the rows"


def test_half_noise_has_half_the_capacity() -> None:
    rng = np.random.default_rng(3)
    data = MemoryCapacity(longest=6).sample(200, 60, rng)
    noisy = data.targets + rng.normal(size=data.targets.shape) / np.sqrt(3)  # the variance of uniform -1..1 is 1/3
    assert score("nrmse", noisy, data).details["memory capacity"] == pytest.approx(3.0, abs=0.1)


def test_a_linear_model_remembers_its_taps_and_no_more() -> None:
    rng = np.random.default_rng(4)
    training, heldout = (MemoryCapacity(longest=10).sample(40, 60, rng) for _ in range(2))
    four = linear_on_taps("nrmse", training, heldout, taps=range(5))
    assert four.details["memory capacity"] == pytest.approx(4.0, abs=0.05)
    assert four.value == pytest.approx(0.6, abs=0.02)


def test_capacities_come_by_delay() -> None:
    targets = np.random.default_rng(5).normal(size=(500, 3))
    outputs = np.stack([targets[:, 0], np.ones(500), -targets[:, 2]], axis=-1)
    np.testing.assert_allclose(capacity_by_delay(outputs, targets), [1.0, 0.0, 1.0], atol=1e-12)


def test_further_figures_are_averaged_over_those_who_have_them() -> None:
    scores = [
        Score("nrmse", 0.5, details={"memory capacity": 3.0}),
        Score("nrmse", 0.5, details={"memory capacity": 5.0}),
    ]
    assert mean_details([*scores, Score("nrmse", 0.1)]) == {"memory capacity": 4.0}
    assert mean_details([Score("nrmse", 0.1)]) == {}
