"""Cascade learning: one layer is trained behind measured ones, and nothing else moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from twins import DeviceTwin, DeviceTwinSpec, Traces
from twins.device.prepare import prepare_twin
from twins.network import (
    Architecture,
    DevicePort,
    Iteration,
    LayerPlan,
    Measured,
    Narma10,
    OptimiserSettings,
    PhysicalNetwork,
    TaskData,
    TaskError,
    Wiring,
    WiringError,
    flat_features,
    random_wiring,
)
from twins.network.cascade import (
    CascadeNetwork,
    MeasuredExamples,
    MeasuredTask,
    first_layers,
    train_layer,
    with_first_layers,
)
from twins.network.judging import FixedJudge
from twins.network.multi_start import optimise_from_many

DT_S = 2e-4
STEPS = 16
TASK = Narma10(washout=6)
PORTS = tuple(DevicePort.from_range(name, -0.9, 0.9) for name in ("one", "two"))
THREE = Architecture(
    (("one", "two"), ("two", "one"), LayerPlan(("one",), sources=(0, 1), coupling_delays=(0, 2))),
    3,
    (0, 2),
    DT_S,
    input_taps=(0, 1),
    coupling_delays=(0, 2),
    washout=6,
)
SHORT = OptimiserSettings(n_iterations=4, n_trials=5, validate_every=2, n_readout_trials=6, n_readout_draws=1)


def small_twin(seed: int) -> DeviceTwin:
    """Hardly fitted, but it has memory, noise, and nothing in it is zero."""
    rng = np.random.default_rng(seed)
    drive, response = rng.uniform(-1, 1, (8, 60, 1)), np.zeros((8, 60, 1))
    for k in range(59):
        response[:, k + 1] = response[:, k] + 0.3 * (np.tanh(2 * drive[:, k]) - response[:, k])
        response[:, k + 1] += 0.03 * rng.normal(size=(8, 1))
    traces = Traces(drive, response, DT_S, ("d",), ("V",), ("r",), ("V",), n_prepare=10)
    twin = DeviceTwin(DeviceTwinSpec.for_traces(traces, response_delays=1, drive_delays=1, hidden=(6,)))
    generator = torch.Generator().manual_seed(seed)
    prepare_twin(twin, [traces], generator=generator)
    with torch.no_grad():
        for parameter in twin.nets.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return twin


@pytest.fixture(scope="module")
def twins() -> dict[str, DeviceTwin]:
    return {"one": small_twin(1), "two": small_twin(2)}


def draw(n_layers: int) -> Callable[[np.random.Generator], Wiring]:
    return lambda rng: first_layers(random_wiring(THREE, PORTS, rng), n_layers)


def measured(n_layers: int, *, n_trials: int, seed: int) -> MeasuredExamples:
    """Any numbers will do for what a bench says: the layers have to take it as it comes."""
    rng = np.random.default_rng(seed)
    wiring = draw(max(n_layers, 1))(rng)
    shapes = [(n_trials, STEPS, wiring.n_senses(index), 2) for index in range(n_layers)]
    return MeasuredExamples(TASK.sample(n_trials, STEPS, rng), tuple(rng.normal(size=shape) for shape in shapes))


def trained(n_layers: int, twins: Any, drain: Any, **options: Any) -> Any:
    options = {"settings": SHORT, "n_drawn": 2, "seed": 3, "make_wiring": draw(n_layers), **options}
    make_wiring = options.pop("make_wiring")
    training, validation = (measured(n_layers - 1, n_trials=n, seed=n) for n in (8, 5))
    return drain(train_layer(make_wiring, twins, TASK, training, validation, **options))


def test_the_first_layers_and_the_others_make_the_wiring_again() -> None:
    whole = random_wiring(THREE, PORTS, np.random.default_rng(0))
    other = random_wiring(THREE, PORTS, np.random.default_rng(1))
    for n_layers in (1, 2, 3):
        first = first_layers(whole, n_layers)
        assert len(first.layers) == n_layers and first.readout is None
        mixed = with_first_layers(other, first)
        for index, layer in enumerate(mixed.layers):
            source = whole if index < n_layers else other
            assert layer is source.layers[index]


def test_first_layers_of_other_devices_or_too_many_are_refused() -> None:
    whole = random_wiring(THREE, PORTS, np.random.default_rng(0))
    with pytest.raises(WiringError, match="the first 4 layers asked for; the wiring has 3"):
        first_layers(whole, 4)
    swapped = replace(THREE, layers=(("two", "one"), *THREE.layers[1:]))
    foreign = first_layers(random_wiring(swapped, PORTS, np.random.default_rng(0)), 1)
    with pytest.raises(WiringError, match=r"layer 0 of the first layers is of \('two', 'one'\)"):
        with_first_layers(whole, foreign)
    moved = (DevicePort.from_range("one", -0.5, 0.5), PORTS[1])
    with pytest.raises(WiringError, match="other ports"):
        with_first_layers(whole, first_layers(random_wiring(THREE, moved, np.random.default_rng(0)), 1))


def test_a_recurrent_wiring_is_refused(twins: Any) -> None:
    recurrent = Architecture((LayerPlan(("one",), sources=(0,), coupling_delays=(1,)), ("two",)), 3, (0, 2), DT_S)
    recurrent = replace(recurrent, coupling_delays=(1,))
    wiring = random_wiring(recurrent, PORTS, np.random.default_rng(0))
    with pytest.raises(WiringError, match="recurrent wiring cannot be taken layer by layer"):
        first_layers(wiring, 1)
    with pytest.raises(WiringError, match="optimise it end to end"):
        CascadeNetwork(wiring, twins)


def test_measured_features_are_used_as_they_are_and_only_the_last_layer_is_noisy(twins: Any) -> None:
    examples = measured(2, n_trials=4, seed=0)
    wiring = draw(3)(np.random.default_rng(5))
    network = CascadeNetwork(wiring, twins)
    inputs = network.as_inputs(examples.joined().inputs)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        first, second = network(inputs, generator).numpy(), network(inputs, generator).numpy()
    given = flat_features(examples.features)
    n_given = given.shape[-1]
    np.testing.assert_array_equal(first[..., :n_given], given.astype(np.float32))
    np.testing.assert_array_equal(first[..., :n_given], second[..., :n_given])
    assert np.all(first[:, 1:, n_given:] != second[:, 1:, n_given:])
    known = {index: Measured(one) for index, one in enumerate(examples.features)}
    plain = PhysicalNetwork(wiring, twins)
    with torch.no_grad():
        rows = plain(plain.as_inputs(examples.data.inputs), torch.Generator().manual_seed(0), measured=known)
    np.testing.assert_array_equal(first, rows.numpy())


@pytest.mark.parametrize("readout_of", ["all", "own"])
def test_gradients_reach_the_trained_layer_alone(twins: Any, drain: Any, readout_of: Any) -> None:
    network = CascadeNetwork(draw(3)(np.random.default_rng(5)), twins, readout_of=readout_of)
    features = network(network.as_inputs(measured(2, n_trials=4, seed=0).joined().inputs), torch.Generator())
    features.square().mean().backward()
    for name, parameter in network.named_parameters():
        moved = parameter.grad is not None and bool(parameter.grad.abs().max() > 0) if parameter.numel() else False
        assert moved == name.startswith("layers.2"), name
    run = trained(3, twins, drain, readout_of=readout_of, n_drawn=1)
    start, end = run.result.initial.layers, run.result.wiring.layers
    for index in range(3):
        for name in ("W_in", "W", "gain", "bias"):
            same = np.array_equal(getattr(start[index], name), getattr(end[index], name))
            assert same == (index < 2) or run.result.validation == run.result.initial_validation
    losses = [event.loss for event in run.events if isinstance(event, Iteration)]
    assert len(losses) == 4 and np.all(np.isfinite(losses))


def test_training_a_layer_lowers_its_loss(twins: Any, drain: Any) -> None:
    longer = replace(SHORT, n_iterations=30, learning_rate=0.05, n_trials=8)
    run = trained(2, twins, drain, settings=longer, n_drawn=1)
    assert np.mean(run.result.losses[-5:]) < 0.95 * np.mean(run.result.losses[:5])
    changed = np.abs(run.result.wiring.layers[1].W - run.result.initial.layers[1].W).max()
    assert changed > 0.01


def test_a_cascade_of_one_layer_is_plain_optimisation(twins: Any, drain: Any) -> None:
    cascaded = trained(1, twins, drain)
    training, validation = (measured(0, n_trials=n, seed=n) for n in (8, 5))
    judging, run = np.random.SeedSequence(3).spawn(2)
    use = replace(SHORT, n_steps=STEPS)
    judge = FixedJudge.of_examples(
        TASK.metric, training.data, validation.data, n_draws=use.n_validation_draws, seed=judging
    )
    plain = drain(
        optimise_from_many(
            lambda rng: PhysicalNetwork(draw(1)(rng), twins),
            MeasuredTask.of(TASK, training),
            seed=int(run.generate_state(1, np.uint64)[0] >> np.uint64(1)),
            settings=use,
            n_drawn=2,
            n_started=1,
            judge=judge,
        )
    )
    np.testing.assert_allclose(cascaded.result.losses, plain.result.losses, rtol=1e-5)
    assert cascaded.result.validation.value == pytest.approx(plain.result.validation.value, rel=1e-5)


def test_a_readout_of_the_layer_alone_has_no_weight_on_the_others(twins: Any, drain: Any) -> None:
    wiring = trained(2, twins, drain, readout_of="own").result.wiring
    assert wiring.readout.n_features == wiring.n_features == 8
    assert not wiring.readout.weights[:, :4].any()
    assert wiring.readout.weights[:, 4:].all()


def test_minibatches_are_whole_trials_of_the_measured_set_and_none_twice() -> None:
    examples = measured(1, n_trials=6, seed=0)
    task = MeasuredTask.of(TASK, examples)
    data = task.sample(4, STEPS, np.random.default_rng(0))
    known = {one.tobytes(): number for number, one in enumerate(examples.joined().inputs)}
    chosen = [known[one.tobytes()] for one in data.inputs]
    assert len(set(chosen)) == 4
    np.testing.assert_array_equal(data.targets, examples.data.targets[chosen])
    assert len(task.sample(99, STEPS, np.random.default_rng(0)).inputs) == 6
    with pytest.raises(TaskError, match="those that were measured have 16"):
        task.sample(2, STEPS + 1, np.random.default_rng(0))
    again = MeasuredExamples(examples.data, (examples.features[0] + 1e-9,))
    assert MeasuredTask.of(TASK, again).digest != task.digest


def test_features_that_do_not_belong_to_the_examples_are_refused(twins: Any, drain: Any) -> None:
    data = TASK.sample(3, STEPS, np.random.default_rng(0))
    with pytest.raises(TaskError, match="measured features of layer 0 have shape"):
        MeasuredExamples(data, (np.zeros((2, STEPS, 1, 1)),))
    with pytest.raises(TaskError, match="NaN"):
        MeasuredExamples(data, (np.full((3, STEPS, 1, 1), np.nan),))
    with pytest.raises(WiringError, match="0 layers were measured, so layer 0 is to be trained; the wiring has 2"):
        trained(1, twins, drain, make_wiring=draw(2))
    network = CascadeNetwork(draw(2)(np.random.default_rng(0)), twins)
    with pytest.raises(WiringError, match="1 input channels; expected 1 of the task and 4 measured"):
        network(network.as_inputs(data.inputs), torch.Generator())


def test_a_stopped_layer_goes_on_as_if_it_had_not_been(twins: Any, drain: Any, tmp_path: Path) -> None:
    whole = trained(2, twins, drain).result
    state = tmp_path / "layer.json"
    training, validation = (measured(1, n_trials=n, seed=n) for n in (8, 5))
    begun = train_layer(draw(2), twins, TASK, training, validation, seed=3, settings=SHORT, n_drawn=2, state=state)
    for event in begun:
        if isinstance(event, Iteration) and event.iteration == 3:
            break
    begun.close()
    gone_on = trained(2, twins, drain, state=state)
    assert gone_on.result.losses == whole.losses
    np.testing.assert_array_equal(gone_on.result.wiring.layers[1].W, whole.wiring.layers[1].W)
    assert sum(isinstance(event, Iteration) for event in gone_on.events) < 4


def test_data_without_features_are_the_tasks_own() -> None:
    data = TASK.sample(3, STEPS, np.random.default_rng(0))
    joined = MeasuredExamples(data).joined()
    assert isinstance(joined, TaskData)
    np.testing.assert_array_equal(joined.inputs, data.inputs)
