"""Optimising, the reservoir baseline, and promises, on the true equations of the demo's devices."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from twins.network import (
    Architecture,
    DelayedParity,
    DevicePort,
    Iteration,
    Metric,
    Narma10,
    OptimiserSettings,
    PhysicalNetwork,
    Task,
    TaskData,
    TaskError,
    Validation,
    Wiring,
    WiringError,
    promise,
    random_wiring,
    search_reservoir,
)
from twins.network.optimise import optimise

QUICK = OptimiserSettings(n_iterations=12, n_trials=24, n_steps=8, validate_every=6, n_readout_draws=2)


@dataclass(frozen=True)
class Memory:
    """A user's own task: what was the input one step ago?"""

    name = "memory"
    metric: ClassVar[Metric] = "nrmse"
    n_inputs = 1
    n_outputs = 1
    washout = 1

    def sample(self, n_trials: int, n_steps: int, rng: np.random.Generator) -> TaskData:
        inputs = rng.uniform(-1, 1, size=(n_trials, n_steps, 1))
        scored = np.broadcast_to(np.arange(n_steps) >= 1, (n_trials, n_steps))
        return TaskData(inputs, np.roll(inputs, 1, axis=1), scored)


@pytest.fixture
def begin(
    ports: tuple[DevicePort, ...], devices: Any, true_stack: Any, twelve: Callable[..., Architecture]
) -> Callable[..., PhysicalNetwork]:
    def make(seed: int = 0, taps: Any = (0,)) -> PhysicalNetwork:
        wiring = random_wiring(twelve(taps, 4), ports, np.random.default_rng(seed))
        return PhysicalNetwork(wiring, devices, stack=true_stack)

    return make


@pytest.mark.parametrize("task", [Memory(), DelayedParity(order=2, delay=1)])
def test_optimising_helps(begin: Any, drain: Any, task: Task) -> None:
    run = drain(optimise(begin(), task, seed=1, settings=QUICK))
    assert isinstance(task, Task)
    assert run.result.validation.value < 0.9 * run.result.initial_validation.value
    losses = [event.loss for event in run.events if isinstance(event, Iteration)]
    assert len(losses) == 12 == run.result.n_iterations


def test_the_best_validation_is_kept_and_lies_within_the_ranges(begin: Any, drain: Any, devices: Any) -> None:
    network = begin()
    run = drain(optimise(network, Memory(), seed=1, settings=QUICK))
    validations = [event for event in run.events if isinstance(event, Validation)]
    assert run.result.validation.value == min(event.score for event in validations)
    assert [event.iteration for event in validations] == [0, 6, 12]
    best, kept = run.result.wiring, network.wiring()
    np.testing.assert_array_equal(best.layers[1].W, kept.layers[1].W)
    inputs = Memory().sample(5, 30, np.random.default_rng(0)).inputs
    for node, device in enumerate(best.layers[0].devices):
        drive = best.drive_for(0, node, inputs)
        low, high = best.port(device).drive_ranges[0]
        assert low <= drive.min() and drive.max() <= high


def test_a_seed_repeats_a_run_and_events_are_plain_data(begin: Any, drain: Any) -> None:
    first, second = (drain(optimise(begin(), Memory(), seed=3, settings=QUICK)) for _ in range(2))
    losses = [[event.loss for event in run.events if isinstance(event, Iteration)] for run in (first, second)]
    assert losses[0] == losses[1]
    assert json.loads(json.dumps([asdict(event) for event in first.events]))


def test_a_budget_ends_a_run_and_closing_it_is_safe(begin: Any, drain: Any) -> None:
    settings = OptimiserSettings(n_iterations=100_000, n_trials=8, n_steps=6, budget_seconds=0.5, n_readout_draws=1)
    run = drain(optimise(begin(), Memory(), seed=0, settings=settings))
    assert 1 <= run.result.n_iterations < 1000
    rates = [event.learning_rate for event in run.events if isinstance(event, Iteration)]
    assert rates == sorted(rates, reverse=True)
    stopped = optimise(begin(), Memory(), seed=0, settings=settings)
    next(stopped)
    stopped.close()


def test_settings_that_mean_nothing_are_refused() -> None:
    with pytest.raises(TaskError, match="n_trials"):
        OptimiserSettings(n_trials=0)
    with pytest.raises(TaskError, match="learning_rate"):
        OptimiserSettings(learning_rate=-1.0)


def test_a_reservoir_of_few_draws_is_refused(
    ports: Any, devices: Any, true_stack: Any, twelve: Any, drain: Any
) -> None:
    search = search_reservoir(
        twelve((0,), 4), ports, devices, Memory(), seed=0, n_steps=8, n_draws=19, stack=true_stack
    )
    with pytest.raises(TaskError, match="n_draws >= 20"):
        drain(search)


def test_the_reservoir_is_the_best_of_its_draws(
    ports: Any, devices: Any, true_stack: Any, twelve: Any, drain: Any
) -> None:
    run = drain(
        search_reservoir(
            twelve((0,), 4),
            ports,
            devices,
            DelayedParity(delay=1),
            seed=0,
            n_steps=8,
            n_trials=60,
            n_draws=20,
            stack=true_stack,
        )
    )
    assert len(run.result.scores) == 20
    assert run.result.wiring.readout is not None
    assert run.result.validation.value < np.median(run.result.scores)


def test_a_promise_uses_the_wirings_own_readout_on_the_same_examples(
    begin: Any, drain: Any, devices: Any, true_stack: Any
) -> None:
    task = Memory()
    wiring: Wiring = drain(optimise(begin(), task, seed=1, settings=QUICK)).result.wiring
    data = task.sample(40, 12, np.random.default_rng(9))
    run = drain(
        promise(wiring, devices, task.metric, data, generator=torch.Generator().manual_seed(0), stack=true_stack)
    )
    assert len(run.result.scores) == 20 == len(run.events)
    assert 0 < run.result.std < 0.2 * run.result.mean and run.result.accuracy is None
    with pytest.raises(WiringError, match="no read-out"):
        drain(promise(wiring.with_readout(None), devices, task.metric, data, generator=torch.Generator()))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "taps", "n_trials", "n_steps"),
    [(Narma10(washout=16), range(10), 48, 40), (DelayedParity(order=3, delay=2), (0,), 96, 10)],
)
def test_an_optimised_network_beats_the_best_reservoir_of_forty(
    begin: Any,
    ports: Any,
    devices: Any,
    true_stack: Any,
    twelve: Any,
    drain: Any,
    task: Any,
    taps: Any,
    n_trials: int,
    n_steps: int,
) -> None:
    settings = OptimiserSettings(n_iterations=150, n_trials=n_trials, n_steps=n_steps, n_readout_trials=200)
    best = drain(optimise(begin(0, taps), task, seed=0, settings=settings)).result.wiring
    search = search_reservoir(
        twelve(taps, 4), ports, devices, task, seed=0, n_steps=n_steps, n_trials=200, stack=true_stack
    )
    reservoir = drain(search).result.wiring
    heldout = task.sample(100, n_steps, np.random.default_rng(11))

    def promised(wiring: Wiring) -> float:
        generator = torch.Generator().manual_seed(1)
        run = drain(promise(wiring, devices, task.metric, heldout, generator=generator, n_draws=4, stack=true_stack))
        return float(run.result.mean)

    assert promised(best) < 0.7 * promised(reservoir)
