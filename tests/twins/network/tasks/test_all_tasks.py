"""What holds for every task."""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from twins.network.tasks import TASKS, Task, TaskError, options_of, task_named

NAMES = tuple(TASKS)


def test_every_task_that_was_promised_is_there() -> None:
    assert set(NAMES) == {
        "narma10",
        "narma30",
        "mackey_glass",
        "lorenz",
        "memory_capacity",
        "delayed_parity",
        "sine_square",
        "spoken_digits",
        "waveform_synthesis",
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_task_has_the_members_of_the_protocol_and_examples_of_its_shapes(name: str) -> None:
    task = task_named(name)
    assert isinstance(task, Task)
    assert task.name == name
    data = task.sample(5, 60, np.random.default_rng(0))
    assert data.inputs.shape == (5, 60, task.n_inputs)
    assert data.targets.shape == (5, 60, task.n_outputs)
    assert data.inputs.dtype == data.targets.dtype == np.float64
    assert np.all(np.isfinite(data.inputs)) and np.all(np.isfinite(data.targets))


@pytest.mark.parametrize("name", NAMES)
def test_inputs_stay_within_their_range_and_use_it(name: str) -> None:
    data = task_named(name).sample(300, 60, np.random.default_rng(1))
    assert data.inputs.min() >= -1.0 and data.inputs.max() <= 1.0
    assert np.ptp(data.inputs) > 1.2


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_repeats_the_examples_and_another_does_not(name: str) -> None:
    task = task_named(name)
    one, two, other = (task.sample(4, 60, np.random.default_rng(seed)) for seed in (7, 7, 8))
    for what in ("inputs", "targets", "scored"):
        np.testing.assert_array_equal(getattr(one, what), getattr(two, what))
    assert not np.array_equal(one.inputs, other.inputs)


@pytest.mark.parametrize("name", NAMES)
def test_no_step_of_the_washout_is_scored_and_the_last_of_the_others_is(name: str) -> None:
    task = task_named(name)
    data = task.sample(6, task.washout + 40, np.random.default_rng(2))
    assert not data.scored[:, : task.washout].any()
    assert data.scored[:, task.washout].all()
    if name != "spoken_digits":
        assert data.scored[:, task.washout :].all()


@pytest.mark.parametrize("name", NAMES)
def test_trials_too_short_to_score_are_refused(name: str) -> None:
    task = task_named(name)
    with pytest.raises(TaskError, match=f"washout of {task.washout}"):
        task.sample(4, task.washout, np.random.default_rng(0))
    with pytest.raises(TaskError, match="0 trials"):
        task.sample(0, 60, np.random.default_rng(0))


@pytest.mark.parametrize("name", NAMES)
def test_classes_are_one_hot_and_all_occur(name: str) -> None:
    task = task_named(name)
    data = task.sample(200, 60, np.random.default_rng(3))
    if task.metric == "cross_entropy":
        rows = data.targets[data.scored]
        assert set(np.unique(rows)) == {0.0, 1.0}
        assert np.all(rows.sum(axis=-1) == 1.0)
        assert np.all(rows.mean(axis=0) > 0.5 / task.n_outputs)
    else:
        assert np.all(data.targets[data.scored].std(axis=0) > 0.05)


@pytest.mark.parametrize("name", NAMES)
def test_a_task_is_made_again_from_its_options_and_travels_to_a_worker(name: str) -> None:
    task = task_named(name)
    assert task_named(name, **options_of(task)) == task
    assert pickle.loads(pickle.dumps(task)) == task  # noqa: S301 - made in this line


@pytest.mark.parametrize("name", NAMES)
def test_some_trials_of_the_data_are_scored_as_the_whole_is(name: str) -> None:
    data = task_named(name).sample(6, 60, np.random.default_rng(4))
    part = data.take(slice(2, 4))
    np.testing.assert_array_equal(part.inputs, data.inputs[2:4])
    assert part.details is data.details


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("narma", {}, "'narma' is unknown; there are narma10, narma30"),
        ("lorenz", {"tau": 3}, r"no option tau; it has horizon = 5, seen = \('x',\)"),
        ("lorenz", {"horizon": "far"}, "cannot be made"),
        ("lorenz", {"seen": ("w",)}, "choose some of x, y, z"),
        ("lorenz", {"horizon": -1}, "horizon >= 0"),
        ("mackey_glass", {"horizon": 0}, "horizon >= 1"),
        ("mackey_glass", {"step_time": 0.25}, "whole number of grid steps of 0.1"),
        ("mackey_glass", {"delay": 0.2}, "raise grid_per_time"),
        ("memory_capacity", {"longest": 0}, "longest >= 1"),
        ("sine_square", {"noise": 1.0}, "0 <= noise < 1"),
        ("spoken_digits", {"n_channels": 1}, "n_channels >= 2"),
        ("waveform_synthesis", {"waveforms": ("circle",)}, r"\['circle'\]: choose from second harmonic"),
        ("waveform_synthesis", {"waveforms": ()}, "none"),
        ("waveform_synthesis", {"period": 2.0}, "period > 2"),
        ("narma10", {"run_in": -1}, "run_in"),
        ("delayed_parity", {"order": 0}, "order >= 1"),
    ],
)
def test_what_a_task_cannot_be_is_told(name: str, options: dict[str, Any], told: str) -> None:
    with pytest.raises(TaskError, match=told):
        task_named(name, **options)


def test_tasks_are_sampled_without_torch() -> None:
    program = "import sys, twins.network.tasks; from twins.network.scores import score; print('torch' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"
