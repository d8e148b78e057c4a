"""Tasks and scores against slow, plain formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest

from twins.network import DelayedParity, Narma10, Task, TaskData, TaskError, linear_on_taps, score


def test_narma_follows_its_recursion() -> None:
    data = Narma10(washout=10).sample(3, 60, np.random.default_rng(0))
    v, y = (data.inputs[..., 0] + 1) / 4, data.targets[..., 0]
    for n in range(10, 60):
        last_ten = y[:, n - 10 : n].sum(axis=1)
        expected = 0.3 * y[:, n - 1] + 0.05 * y[:, n - 1] * last_ten + 1.5 * v[:, n - 9] * v[:, n] + 0.1
        np.testing.assert_allclose(y[:, n], expected, rtol=1e-12)


def test_narma_stays_bounded_and_its_input_fills_the_range() -> None:
    data = Narma10().sample(2000, 100, np.random.default_rng(1))
    assert np.all(data.targets < 1.0)
    assert -1 <= data.inputs.min() < -0.99 and 0.99 < data.inputs.max() <= 1
    assert not data.scored[:, :20].any() and data.scored[:, 20:].all()


def test_parity_is_the_parity_of_the_delayed_bits() -> None:
    data = DelayedParity(order=3, delay=2).sample(50, 10, np.random.default_rng(2))
    bits = data.inputs[..., 0] > 0
    for step in range(4, 10):
        odd = bits[:, step - 2] ^ bits[:, step - 3] ^ bits[:, step - 4]
        np.testing.assert_array_equal(np.argmax(data.targets[:, step], axis=-1), odd)
    assert not data.scored[:, :4].any() and data.scored[:, 4:].all()


def test_parity_can_score_the_last_steps_only() -> None:
    data = DelayedParity(order=2, delay=0, n_scored=3).sample(5, 9, np.random.default_rng(3))
    assert data.scored.sum(axis=1).tolist() == [3] * 5


@pytest.mark.parametrize("task", [Narma10(), DelayedParity()])
def test_a_seed_repeats_the_examples(task: Task) -> None:
    assert isinstance(task, Task)
    one, two = (task.sample(4, 40, np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(one.inputs, two.inputs)
    np.testing.assert_array_equal(one.targets, two.targets)


@pytest.mark.parametrize("task", [Narma10(), DelayedParity()])
def test_trials_too_short_to_score_are_refused(task: Task) -> None:
    with pytest.raises(TaskError, match="washout"):
        task.sample(4, task.washout, np.random.default_rng(0))


def test_scores_have_their_defined_zero_points() -> None:
    rng = np.random.default_rng(4)
    narma = Narma10().sample(5, 60, rng)
    mean = np.full_like(narma.targets, narma.targets[narma.scored].mean())
    assert score("nrmse", mean, narma).value == pytest.approx(1.0)
    assert score("nrmse", narma.targets, narma).value == 0.0
    parity = DelayedParity().sample(5, 10, rng)
    guess = score("cross_entropy", np.full_like(parity.targets, 0.5), parity)
    assert guess.value == pytest.approx(math.log(2))
    sure = score("cross_entropy", parity.targets, parity)
    assert sure.value == 0.0 and sure.accuracy == 1.0
    wrong = score("cross_entropy", 1 - parity.targets, parity)
    assert math.isfinite(wrong.value) and wrong.accuracy == 0.0


def test_constant_targets_have_no_nrmse() -> None:
    data = TaskData(np.zeros((1, 4, 1)), np.ones((1, 4, 1)), np.ones((1, 4), dtype=bool))
    with pytest.raises(TaskError, match="constant"):
        score("nrmse", np.zeros((1, 4, 1)), data)


def test_linear_baselines_are_what_the_literature_and_arithmetic_say() -> None:
    rng = np.random.default_rng(5)
    training, heldout = (Narma10().sample(30, 120, rng) for _ in range(2))
    assert linear_on_taps("nrmse", training, heldout, taps=range(10)).value == pytest.approx(0.59, abs=0.04)
    assert linear_on_taps("nrmse", training, heldout, taps=range(20)).value == pytest.approx(0.40, abs=0.04)
    training, heldout = (DelayedParity().sample(400, 10, rng) for _ in range(2))
    parity = linear_on_taps("cross_entropy", training, heldout, taps=range(6))
    assert parity.value == pytest.approx(math.log(2), abs=0.01), "no linear model sees a parity"
