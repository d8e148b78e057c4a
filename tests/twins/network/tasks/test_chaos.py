"""Mackey-Glass and Lorenz: closed forms, fixed points, orders of convergence, ranges."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from twins.network import Lorenz, MackeyGlass
from twins.network.tasks import TaskError
from twins.network.tasks.lorenz import trajectory


def constant_history(task: MackeyGlass, value: float) -> np.ndarray:
    return np.full((1, round(task.delay * task.grid_per_time) + 1), value)


def test_within_the_first_delay_a_constant_history_relaxes_exponentially() -> None:
    task = MackeyGlass()
    x = task.series(constant_history(task, 1.2), 171)[0]
    t = np.arange(171) / 10
    settled = 0.2 * 1.2 / (1 + 1.2**10) / 0.1
    np.testing.assert_allclose(x, settled + (1.2 - settled) * np.exp(-0.1 * t), rtol=1e-12)


def test_the_fixed_point_stays() -> None:
    task = MackeyGlass(power=5.0)
    fixed = (task.feedback / task.decay - 1.0) ** (1 / task.power)
    np.testing.assert_allclose(task.series(constant_history(task, fixed), 500), fixed, rtol=1e-12)


def test_without_delayed_feedback_worth_the_name_it_decays_to_nothing() -> None:
    task = MackeyGlass(feedback=1e-12)
    x = task.series(constant_history(task, 1.0), 400)[0]
    np.testing.assert_allclose(x, np.exp(-0.1 * np.arange(400) / 10), atol=1e-10)


def test_halving_the_grid_divides_the_error_by_sixteen() -> None:
    ends = []
    for grid in (5, 10, 20, 40):
        task = MackeyGlass(grid_per_time=grid)
        ends.append(task.series(constant_history(task, 0.5), 100 * grid + 1)[0, -1])
    errors = np.abs(np.diff(ends))
    assert errors[1] < 1e-6, "the grid that is used is accurate"
    orders = np.log2(errors[:-1] / errors[1:])
    np.testing.assert_allclose(orders, 4.0, atol=0.5)


def test_it_agrees_with_euler_of_tiny_steps() -> None:
    task = MackeyGlass()
    ours = task.series(constant_history(task, 0.9), 601)[0, -1]
    h = 1 / 1000
    x = np.full(17_001 + 60_000, 0.9)
    for k in range(17_000, len(x) - 1):
        past = x[k - 17_000]
        x[k + 1] = x[k] + h * (0.2 * past / (1 + past**10) - 0.1 * x[k])
    assert ours == pytest.approx(x[-1], abs=2e-3)


def test_the_forecast_is_the_same_series_later() -> None:
    data = MackeyGlass(horizon=4).sample(3, 50, np.random.default_rng(0))
    np.testing.assert_array_equal(data.targets[:, :-4], data.inputs[:, 4:])


def test_steps_of_a_trial_are_steps_of_the_equation() -> None:
    fine, coarse = (
        MackeyGlass(step_time=time, horizon=1).sample(2, n, np.random.default_rng(0)).inputs[..., 0]
        for time, n in ((1.0, 61), (3.0, 21))
    )
    np.testing.assert_allclose(fine[:, ::3], coarse, atol=1e-12)


def test_trials_of_mackey_glass_are_not_in_phase() -> None:
    inputs = MackeyGlass().sample(400, 30, np.random.default_rng(1)).inputs[..., 0]
    spread_over_trials = inputs.std(axis=0)
    assert spread_over_trials.min() > 0.7 * inputs.std()


def test_a_history_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(TaskError, match=r"\(trial, 171\)"):
        MackeyGlass().series(np.ones((1, 10)), 5)


def test_lorenz_converges_with_order_four() -> None:
    start = np.array([[1.0, 2.0, 20.0]])
    ends = [trajectory(start, 7, 0.05, substeps)[0, -1] for substeps in (5, 10, 20, 40, 80)]
    errors = [float(np.abs(a - b).max()) for a, b in itertools.pairwise(ends)]
    assert errors[0] < 1e-3, "the steps that are used are accurate"
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    np.testing.assert_allclose(orders, 4.0, atol=0.2)


def test_lorenz_stays_at_its_fixed_points() -> None:
    reach = math.sqrt(8 / 3 * 27)
    fixed = np.array([[reach, reach, 27.0], [-reach, -reach, 27.0], [0.0, 0.0, 0.0]])
    states = trajectory(fixed, 5, 0.05, 5)
    np.testing.assert_allclose(states, np.repeat(fixed[:, None], 5, axis=1), atol=1e-9)


def test_on_its_z_axis_lorenz_decays_exponentially() -> None:
    z = trajectory(np.array([[0.0, 0.0, 10.0]]), 21, 0.05, 5)[0, :, 2]
    np.testing.assert_allclose(z, 10.0 * np.exp(-8 / 3 * 0.05 * np.arange(21)), rtol=1e-7)


def test_all_components_of_lorenz_fit_into_their_reach() -> None:
    task = Lorenz(seen=("x", "y", "z"), horizon=0)
    data = task.sample(1000, 200, np.random.default_rng(2))
    assert np.abs(data.inputs).max() <= 1.0
    assert np.all(np.ptp(data.inputs, axis=(0, 1)) > 1.6)


def test_chosen_components_are_forecast() -> None:
    task = Lorenz(seen=("x", "z"), forecast=("z", "y"), horizon=3)
    assert (task.n_inputs, task.n_outputs) == (2, 2)
    data = task.sample(2, 40, np.random.default_rng(3))
    np.testing.assert_array_equal(data.targets[:, :-3, 0], data.inputs[:, 3:, 1])
