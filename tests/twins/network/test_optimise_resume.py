"""A run that was stopped goes on from its state file exactly as if it had not been, and no other run does."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from twins.network import (
    Architecture,
    DelayedParity,
    DevicePort,
    Lorenz,
    Narma10,
    OptimiserSettings,
    PhysicalNetwork,
    Task,
    optimise_run,
    random_wiring,
)
from twins.network.optimise import Iteration, OptimiseStateError, Resumed, Validation, optimise

PARITY = DelayedParity(order=2, delay=1)
SHORT = OptimiserSettings(
    n_iterations=10, n_trials=16, n_steps=14, validate_every=3, n_validation_trials=16, n_readout_draws=2
)


@pytest.fixture
def begin(ports: tuple[DevicePort, ...], devices: Any, true_stack: Any) -> Callable[..., PhysicalNetwork]:
    def make(seed: int = 0, nodes: int = 2, **changed: Any) -> PhysicalNetwork:
        layer = ("leaky",) * nodes + ("duffing",)
        wiring = random_wiring(Architecture((layer, layer), 3, (0, 2), 2e-4), ports, np.random.default_rng(seed))
        return PhysicalNetwork(wiring, devices | changed, stack=true_stack)

    return make


def stopped(run: Any, n_validations: int) -> list[Any]:
    """Run up to so many validations, and close the generator two events later."""
    events: list[Any] = []
    while sum(isinstance(event, Validation) for event in events) < n_validations:
        events.append(next(run))
    events += [next(run), next(run)]
    run.close()
    return events


def losses(events: list[Any]) -> dict[int, float]:
    return {event.iteration: event.loss for event in events if isinstance(event, Iteration)}


def assert_same(found: SimpleNamespace, whole: SimpleNamespace, n_before: int) -> None:
    assert found.result.losses == whole.result.losses
    assert found.result.validation == whole.result.validation
    assert found.result.initial_validation == whole.result.initial_validation
    for mine, other in ((found.result.wiring, whole.result.wiring), (found.result.initial, whole.result.initial)):
        for layer, same in zip(mine.layers, other.layers, strict=True):
            for name in ("W_in", "W", "gain", "bias"):
                np.testing.assert_array_equal(getattr(layer, name), getattr(same, name))
        np.testing.assert_array_equal(mine.readout.weights, other.readout.weights)
        assert mine.readout.regularisation == other.readout.regularisation
    assert {k: v for k, v in losses(whole.events).items() if k > n_before} == losses(found.events)


@pytest.mark.parametrize("task", [PARITY, Narma10(washout=10)])
@pytest.mark.parametrize("n_validations", [1, 3, 5])
def test_a_stopped_run_goes_on_as_if_it_had_not_been(
    begin: Any, drain: Any, tmp_path: Path, task: Task, n_validations: int
) -> None:
    whole_network, state = begin(), tmp_path / "run.safetensors"
    whole = drain(optimise(whole_network, task, seed=1, settings=SHORT))
    stopped(optimise(begin(), task, seed=1, settings=SHORT, state=state), n_validations)
    network = begin()
    found = drain(optimise(network, task, seed=1, settings=SHORT, state=state))
    resumed = [event for event in found.events if isinstance(event, Resumed)]
    assert [event.iteration for event in resumed] == [(0, 3, 6, 9, 10)[n_validations - 1]]
    assert_same(found, whole, resumed[0].iteration)
    for name, tensor in whole_network.state_dict().items():
        assert torch.equal(network.state_dict()[name], tensor)


def test_a_run_may_be_stopped_again_and_again_and_asked_when_it_is_done(begin: Any, drain: Any, tmp_path: Path) -> None:
    state = tmp_path / "deep" / "run.safetensors"
    whole = drain(optimise(begin(), PARITY, seed=1, settings=SHORT))
    for _ in range(4):
        stopped(optimise(begin(), PARITY, seed=1, settings=SHORT, state=state), 1)
    for _ in range(2):
        found = drain(optimise(begin(), PARITY, seed=1, settings=SHORT, state=state))
        assert found.result.losses == whole.result.losses
        np.testing.assert_array_equal(found.result.wiring.readout.weights, whole.result.wiring.readout.weights)
    assert not losses(found.events), "a run that is done iterates no more"
    assert [path.name for path in state.parent.iterdir()] == ["run.safetensors"]


def test_a_budget_of_seconds_counts_those_before(
    begin: Any, drain: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.count()  # a second passes whenever somebody looks
    monkeypatch.setattr(optimise_run, "time", SimpleNamespace(monotonic=lambda: float(next(clock))))
    settings = replace(SHORT, n_iterations=100_000, budget_seconds=60.0)
    state = tmp_path / "run.safetensors"
    before = stopped(optimise(begin(), PARITY, seed=1, settings=settings, state=state), 3)
    spent = [event.seconds for event in before if isinstance(event, Validation)][-1]
    found = drain(optimise(begin(), PARITY, seed=1, settings=settings, state=state))
    first = next(event for event in found.events if isinstance(event, Iteration))
    assert first.seconds >= spent > 10
    assert first.learning_rate < next(e for e in before if isinstance(e, Iteration)).learning_rate
    assert first.iteration == 7
    assert 8 < found.result.n_iterations < 60


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"settings": replace(SHORT, clip=2.0)}, r"clip: 1\.0 then, 2\.0 now"),
        ({"seed": 2}, "seed: 1 then, 2 now"),
        ({"task": DelayedParity(order=3, delay=1)}, "order: 2 then, 3 now"),
        ({"task": Narma10(washout=10)}, "name: 'delayed_parity' then, 'narma10' now"),
    ],
)
def test_another_run_is_refused(begin: Any, drain: Any, tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    state = tmp_path / "run.safetensors"
    same: dict[str, Any] = {"task": PARITY, "seed": 1, "settings": SHORT}
    stopped(optimise(begin(), **same, state=state), 1)
    with pytest.raises(OptimiseStateError, match=message):
        drain(optimise(begin(), **(same | changes), state=state))


def test_a_task_that_differs_in_a_list_is_another(begin: Any, drain: Any, tmp_path: Path) -> None:
    state, task = tmp_path / "run.safetensors", Lorenz(washout=5)
    stopped(optimise(begin(), task, seed=1, settings=SHORT, state=state), 1)
    with pytest.raises(OptimiseStateError, match=r"forecast: \['x'\] then, \['y'\] now"):
        drain(optimise(begin(), replace(task, forecast=("y",)), seed=1, settings=SHORT, state=state))
    assert len(drain(optimise(begin(), task, seed=1, settings=SHORT, state=state)).result.losses) == 10


def test_other_shapes_ports_or_devices_are_refused(begin: Any, drain: Any, tmp_path: Path, devices: Any) -> None:
    state = tmp_path / "run.safetensors"
    stopped(optimise(begin(), PARITY, seed=1, settings=SHORT, state=state), 1)
    with pytest.raises(OptimiseStateError, match=r"of another network: .*W_in: 'torch.float32 \(3, 1, 1\)' then"):
        drain(optimise(begin(nodes=3), PARITY, seed=1, settings=SHORT, state=state))
    with pytest.raises(OptimiseStateError, match=r"its start scored .* then and scores .* now"):
        drain(optimise(begin(leaky=replace(devices["leaky"], noise=0.3)), PARITY, seed=1, settings=SHORT, state=state))


def test_damaged_and_foreign_files_are_refused(begin: Any, drain: Any, tmp_path: Path) -> None:
    state = tmp_path / "run.safetensors"
    stopped(optimise(begin(), PARITY, seed=1, settings=SHORT, state=state), 2)

    def refused(message: str) -> None:
        with pytest.raises(OptimiseStateError, match=message):
            drain(optimise(begin(), PARITY, seed=1, settings=SHORT, state=state))

    whole = state.read_bytes()
    state.write_bytes(whole[:-100])
    refused("cannot be read")
    save_file({"a": torch.zeros(2)}, state)
    refused("not the state of an optimisation")
    state.write_bytes(whole.replace(b'\\"uinteger\\":', b'\\"uintegre\\":'))
    refused("uintegre")
    state.write_bytes(whole)
    tensors = load_file(state)
    assert torch.equal(tensors["initial/layers.0.W_in"], begin().state_dict()["layers.0.W_in"])
    assert len(tensors["losses"]) == 3
