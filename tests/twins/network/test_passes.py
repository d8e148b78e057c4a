"""Passes in segments, in recurrent graphs, under trained conditions, with ensembles and with measured layers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from twins import DeviceTwin, DeviceTwinSpec, Traces, TracesMismatch, TwinEnsemble
from twins.device.prepare import prepare_twin
from twins.network import (
    Architecture,
    DevicePort,
    LayerPlan,
    Levels,
    Measured,
    PhysicalNetwork,
    Wiring,
    WiringError,
    flat_features,
    load_wiring,
    random_wiring,
    save_wiring,
)

DT_S = 2e-4
STEPS, TRIALS = 12, 3


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make_twin(seed: int, *, biases: tuple[float, ...] = (), n_response: int = 1, **structure: Any) -> DeviceTwin:
    """Hardly fitted, but nothing in it is zero; float64."""
    rng = np.random.default_rng(seed)
    parts = []
    for bias in biases or (0.0,):
        drive, response = rng.uniform(-1, 1, (8, 60, 1)), np.zeros((8, 60, n_response))
        for k in range(59):
            pull = np.tanh(2 * drive[:, k] + bias) - response[:, k]
            response[:, k + 1] = response[:, k] + 0.2 * pull + 0.03 * rng.normal(size=(8, n_response))
        names = tuple(f"r{n}" for n in range(n_response))
        conditions = {"bias": bias} if biases else {}
        parts.append(
            Traces(
                drive, response, DT_S, ("d",), ("V",), names, ("V",) * n_response, n_prepare=10, conditions=conditions
            )
        )
    structure = {"response_delays": 1, "drive_delays": 1, "hidden": (6,), **structure}
    twin = DeviceTwin(DeviceTwinSpec.for_traces(parts, **structure))
    prepare_twin(twin, parts, generator=seeded(seed))
    with torch.no_grad():
        for parameter in twin.nets.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=seeded(seed)))
    return twin.double()


@pytest.fixture(scope="module")
def twins() -> dict[str, DeviceTwin]:
    return {"one": make_twin(1), "two": make_twin(2, response_delays=3)}


@pytest.fixture(scope="module")
def quiet() -> dict[str, DeviceTwin]:
    """Ordinary equations: every pass is the same, but for where it starts."""
    return {name: make_twin(seed, noise_diagonal=False) for name, seed in (("one", 1), ("two", 2))}


PORTS = tuple(DevicePort.from_range(name, -0.9, 0.9) for name in ("one", "two"))
FEED_FORWARD = Architecture(
    (("one", "two", "one"), ("two", "one")), 3, (0, 2), DT_S, input_taps=(0, 2), coupling_delays=(0, 2)
)
RECURRENT = Architecture(
    (
        LayerPlan(("one", "two"), sources=(0, 1), coupling_delays=(1, 2)),
        LayerPlan(("two",), sources=(0,), coupling_delays=(1,), input_taps=()),
    ),
    3,
    (0, 2),
    DT_S,
)


def network_of(architecture: Architecture, twins: Any, **options: Any) -> PhysicalNetwork:
    wiring = random_wiring(architecture, PORTS, np.random.default_rng(4))
    return PhysicalNetwork(wiring, twins, dtype=torch.float64, **options)


def inputs_of(network: PhysicalNetwork, seed: int = 0) -> torch.Tensor:
    return network.as_inputs(
        np.random.default_rng(seed).uniform(-1, 1, size=(TRIALS, STEPS, network.template.n_inputs))
    )


def gradients_of(network: PhysicalNetwork, features: torch.Tensor) -> list[torch.Tensor]:
    weight = torch.randn(features.shape, generator=seeded(9), dtype=torch.float64)
    used = [parameter for parameter in network.parameters() if parameter.numel()]
    found = torch.autograd.grad((features * weight).sum(), used, allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for g, p in zip(found, used, strict=True)]


def slope_error(network: PhysicalNetwork, loss: Any) -> float:
    """Largest relative error of the gradient against central differences along random directions."""
    used = [parameter for parameter in network.parameters() if parameter.numel()]
    gradients = torch.autograd.grad(loss(), used)
    worst = 0.0
    for parameter, gradient in zip(used, gradients, strict=True):
        direction = torch.randn(parameter.shape, generator=seeded(4), dtype=torch.float64)
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                parameter.add_(sign * 1e-6 * direction)
                values.append(float(loss().detach()))
                parameter.sub_(sign * 1e-6 * direction)
        slope, expected = (values[0] - values[1]) / 2e-6, float((gradient * direction).sum())
        worst = max(worst, abs(slope - expected) / (abs(expected) + 1e-6))
    return worst


@pytest.mark.parametrize("architecture", [FEED_FORWARD, RECURRENT], ids=["feed-forward", "recurrent"])
@pytest.mark.parametrize("steps", [1, 5, 12, 40])
def test_checkpointing_changes_nothing(architecture: Architecture, steps: int, quiet: Any) -> None:
    network = network_of(architecture, quiet)
    inputs = inputs_of(network)
    plain, kept = network(inputs, seeded(1), truncate_steps=1000), network(inputs, seeded(1), checkpoint_steps=steps)
    torch.testing.assert_close(plain, kept, rtol=1e-11, atol=1e-12)
    for ours, theirs in zip(gradients_of(network, kept), gradients_of(network, plain), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-10)


def test_a_checkpointed_pass_has_fresh_noise_and_the_gradient_of_that_noise(twins: Any) -> None:
    network = network_of(FEED_FORWARD, twins)
    inputs = inputs_of(network)
    generator = seeded(1)
    first, second = (network(inputs, generator, checkpoint_steps=4) for _ in range(2))
    assert not torch.equal(first, second)

    def loss() -> torch.Tensor:
        return network(inputs, seeded(3), checkpoint_steps=4).square().mean()

    assert slope_error(network, loss) < 1e-5


def test_truncation_cuts_the_gradient_and_nothing_else(quiet: Any) -> None:
    network = network_of(FEED_FORWARD, quiet)
    inputs = inputs_of(network)
    whole, cut = network(inputs, seeded(1), truncate_steps=STEPS), network(inputs, seeded(1), truncate_steps=4)
    torch.testing.assert_close(whole, cut, rtol=1e-11, atol=1e-12)
    late = cut[:, 4:8].sum()
    inputs.requires_grad_()
    cut = network(inputs, seeded(1), truncate_steps=4)
    reach = torch.autograd.grad(cut[:, 4:8].sum(), inputs)[0].abs().amax((0, 2))
    assert late.requires_grad and reach[:2].max() == 0.0, (
        "taps of 2 steps still reach back, states and couplings do not"
    )
    whole = network(inputs, seeded(1))
    reach = torch.autograd.grad(whole[:, 4:8].sum(), inputs)[0].abs().amax((0, 2))
    assert reach[:2].min() > 0.0


def test_a_recurrent_network_is_its_equations_step_by_step(quiet: Any) -> None:
    """The wiring's own numpy equations, closed around the twins one sample at a time."""
    network = network_of(RECURRENT, quiet)
    wiring, inputs = network.wiring(), inputs_of(network)
    assert wiring.recurrent
    with torch.no_grad():
        ours = network(inputs, seeded(1)).numpy()
    stack = network.stacks_of((0, 0))[0]
    state = stack.start(TRIALS, generator=seeded(1))  # type: ignore[attr-defined]
    features = [np.zeros((TRIALS, STEPS, wiring.n_senses(index), 2)) for index in range(2)]
    for step in range(STEPS):
        drives = [
            wiring.drive_at(index, node, step, inputs.numpy(), features)
            for index, layer in enumerate(wiring.layers)
            for node in range(layer.n_nodes)
        ]
        held = torch.as_tensor(np.concatenate(drives, axis=1).T)[..., None].expand(-1, -1, 3)
        response, state = stack.advance(state, held)  # type: ignore[attr-defined]
        for index, first in ((0, 0), (1, 2)):
            for node in range(wiring.layers[index].n_nodes):
                one = wiring.features_of(index, node, response[first + node].numpy()[..., None])
                features[index][:, step, node] = one[:, 0, 0]
    np.testing.assert_allclose(ours, flat_features(features), atol=1e-10)


@pytest.mark.parametrize("architecture", [FEED_FORWARD, RECURRENT], ids=["feed-forward", "recurrent"])
def test_gradients_through_twins_are_exact(architecture: Architecture, twins: Any) -> None:
    network = network_of(architecture, twins)
    inputs = inputs_of(network)
    assert slope_error(network, lambda: network(inputs, seeded(3)).square().mean()) < 1e-5


def test_a_delay_of_zero_in_a_recurrent_wiring_is_refused() -> None:
    with pytest.raises(WiringError, match="delay of 0 in a recurrent wiring"):
        random_wiring(
            Architecture((LayerPlan(("one",), sources=(0,), coupling_delays=(0,)),), 3, (0,), DT_S),
            PORTS,
            np.random.default_rng(0),
        )


def test_a_layer_may_listen_to_any_earlier_layers(quiet: Any) -> None:
    graph = Architecture(
        (("one",), ("two", "one"), LayerPlan(("one",), sources=(0, 1), coupling_delays=(0, 1))), 3, (0, 2), DT_S
    )
    network = network_of(graph, quiet)
    assert network.layer(2).W.shape == (1, 2, 3, 2)
    wiring, inputs = network.wiring(), inputs_of(network)
    with torch.no_grad():
        drives = network.drives(inputs, seeded(1))
        rows = network(inputs, seeded(1)).numpy()
    features = [rows[..., 0:2].reshape(TRIALS, STEPS, 1, 2), rows[..., 2:6].reshape(TRIALS, STEPS, 2, 2)]
    np.testing.assert_allclose(
        drives[2][0].numpy(), wiring.drive_for(2, 0, inputs.numpy(), features)[..., 0], atol=1e-12
    )


def test_what_a_mask_leaves_out_stays_zero_through_training(quiet: Any) -> None:
    sparse = Architecture(
        (("one",) * 4, LayerPlan(("two",) * 3, coupling_density=0.5, input_density=0.4)),
        3,
        (0, 2),
        DT_S,
        input_taps=(0, 1, 2),
    )
    network = network_of(sparse, quiet)
    mask = network.template.layers[1].mask
    assert mask is not None and 0 < mask.sum() < mask.size
    optimiser = torch.optim.Adam(network.parameters(), lr=0.1)
    for _ in range(3):
        optimiser.zero_grad()
        network(inputs_of(network), seeded(1)).square().mean().backward()
        optimiser.step()
    trained = network.wiring().layers[1]
    assert np.all(trained.W[~mask] == 0.0) and np.all(trained.W[mask] != network.template.layers[1].W[mask])


def test_drives_and_gains_take_levels_in_the_network_and_on_the_bench_alike(quiet: Any, tmp_path: Any) -> None:
    ports = tuple(
        DevicePort.from_range(name, -0.9, 0.9, levels=Levels.of_bits(4, -1.0, 1.0)) for name in ("one", "two")
    )
    plan = LayerPlan(("one", "two"), gain_levels=Levels(0.5, 2.0, 4))
    wiring = random_wiring(Architecture((plan, ("one",)), 3, (0, 2), DT_S), ports, np.random.default_rng(1))
    network = PhysicalNetwork(wiring, quiet, dtype=torch.float64)
    with torch.no_grad():
        network.layer(0).gain.copy_(torch.tensor([0.76, 1.6]))
        drives = network.drives(inputs_of(network), seeded(1))
    allowed = Levels.of_bits(4, -1.0, 1.0).nearest(np.linspace(-1, 1, 1000))
    assert set(np.round(np.unique(drives[0].numpy()), 9)) <= set(np.round(np.unique(allowed), 9))
    exported = network.wiring()
    np.testing.assert_allclose(exported.layers[0].gain, [1.0, 1.5])
    for node in range(2):
        ours = exported.drive_for(0, node, inputs_of(network).numpy())[..., 0]
        np.testing.assert_allclose(drives[0][node].numpy(), ours, atol=1e-12)
    assert all(g.abs().max() > 0 for g in gradients_of(network, network(inputs_of(network), seeded(1)))[:1])
    save_wiring(exported, tmp_path / "w")
    again = load_wiring(tmp_path / "w")
    assert again.ports == exported.ports and again.layers[0].gain_levels == Levels(0.5, 2.0, 4)


def test_conditions_are_trained_within_their_range() -> None:
    twins = {"one": make_twin(1, biases=(-0.4, 0.0, 0.4)), "two": make_twin(2)}
    wiring = random_wiring(FEED_FORWARD, PORTS, np.random.default_rng(4), conditions={"bias": 0.1, "field": 2.0})
    network = PhysicalNetwork(wiring, twins, conditions={"bias": (-0.3, 0.3)}, dtype=torch.float64)
    inputs = inputs_of(network)
    # where trials start follows the condition in jumps, and is no part of the gradient
    assert slope_error(network, lambda: network(inputs, seeded(3)).square().mean()) < 1e-4
    optimiser = torch.optim.Adam(network.parameters(), lr=1.0)
    for _ in range(6):
        optimiser.zero_grad()
        (-network(inputs, seeded(1)).mean()).backward()
        optimiser.step()
    trained = network.wiring().conditions
    assert trained["field"] == 2.0 and 0.1 < trained["bias"] <= 0.3
    held = PhysicalNetwork(network.wiring(), twins, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(held(inputs, seeded(5)), network(inputs, seeded(5)), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        ({"bias": (-0.6, 0.2)}, r"fitted over -0\.4\.\.0\.4"),
        ({"field": (0.0, 1.0)}, "cannot be trained"),
        ({"bias": (0.2, 0.2)}, "empty"),
        ({"bias": (0.2, 0.4)}, r"start at 0\.1"),
    ],
)
def test_conditions_that_cannot_be_trained_say_why(ranges: Any, message: str) -> None:
    twins = {"one": make_twin(1, biases=(-0.4, 0.0, 0.4)), "two": make_twin(2)}
    wiring = random_wiring(FEED_FORWARD, PORTS, np.random.default_rng(4), conditions={"bias": 0.1})
    with pytest.raises(WiringError, match=message):
        PhysicalNetwork(wiring, twins, conditions=ranges)


def test_every_pass_takes_a_member_of_an_ensemble_and_all_of_them_come() -> None:
    members = [make_twin(seed, noise_diagonal=False) for seed in (1, 2, 3)]
    network = network_of(FEED_FORWARD, {"one": TwinEnsemble(members), "two": members[0]})
    alone = [network_of(FEED_FORWARD, {"one": member, "two": members[0]}) for member in members]
    inputs, generator = inputs_of(network), seeded(2)
    seen = set()
    with torch.no_grad():
        for _ in range(20):
            choice = network.draw_members(torch.Generator().set_state(generator.get_state()))
            network(inputs, generator)
            seen.add(choice[0])
        assert seen == {0, 1, 2}
        for number, one in enumerate(alone):
            drawn = torch.Generator().manual_seed(0)
            while network.draw_members(torch.Generator().set_state(drawn.get_state()))[0] != number:
                torch.rand((), generator=drawn)
            after = torch.Generator().set_state(drawn.get_state())
            network.draw_members(after)
            torch.testing.assert_close(network(inputs, drawn), one(inputs, after))


def test_a_layer_of_measured_features_is_not_simulated(twins: Any) -> None:
    network = network_of(FEED_FORWARD, twins)
    inputs = inputs_of(network)
    features = np.random.default_rng(1).normal(size=(TRIALS, STEPS, 3, 2))
    rows = network(inputs, seeded(3), measured={0: Measured(features)})
    np.testing.assert_array_equal(rows[..., :6].detach().numpy(), flat_features([features]))
    gradients = dict(
        zip([n for n, p in network.named_parameters() if p.numel()], gradients_of(network, rows), strict=True)
    )
    assert gradients["layers.0.W_in"].abs().max() == 0.0 and gradients["layers.1.W"].abs().max() > 0.0


@pytest.mark.parametrize("architecture", [FEED_FORWARD, RECURRENT], ids=["feed-forward", "recurrent"])
def test_along_what_the_twins_themselves_did_measured_layers_have_the_gradient_of_a_free_pass(
    architecture: Architecture, quiet: Any
) -> None:
    network = network_of(architecture, quiet)
    inputs, wiring = inputs_of(network), network.template
    free = network(inputs, seeded(3), truncate_steps=1000)
    with torch.no_grad():
        played = dict(enumerate(responses_of(network, inputs, seeded(3))))
    measured = {
        index: Measured(measured_features(wiring, index, response), response) for index, response in played.items()
    }
    along = network(inputs, seeded(3), measured=measured)
    torch.testing.assert_close(along, free, rtol=1e-9, atol=1e-10)
    for ours, theirs in zip(gradients_of(network, along), gradients_of(network, free), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-8)


def responses_of(network: PhysicalNetwork, inputs: torch.Tensor, generator: torch.Generator) -> list[np.ndarray]:
    """All samples of every layer in a free pass, (sense, trial, time): by asking for every sample as a feature."""
    every = replace(
        network.template, sample_offsets=(0, 1, 2), layers=tuple(_spread(layer) for layer in network.template.layers)
    )
    twins = {device: members[0] for device, members in network._members.items()}
    rows = PhysicalNetwork(every, twins, dtype=torch.float64)(inputs, generator, truncate_steps=1000).numpy()
    found, at = [], 0
    for index in range(len(every.layers)):
        n = every.n_senses(index)
        part = rows[..., at : at + 3 * n].reshape(TRIALS, STEPS, n, 3)
        at += 3 * n
        found.append(np.moveaxis(part, 2, 0).reshape(n, TRIALS, STEPS * 3))
    return found


def _spread(layer: Any) -> Any:
    """Weights of the samples 0 and 2, with none for sample 1."""
    wide = np.zeros((*layer.W.shape[:-1], 3))
    wide[..., [0, 2]] = layer.W
    return replace(layer, W=wide)


def measured_features(wiring: Wiring, index: int, response: np.ndarray) -> np.ndarray:
    parts = [wiring.features_of(index, node, one[..., None]) for node, one in enumerate(response)]
    return np.concatenate(parts, axis=2)


def test_devices_of_several_responses_are_nodes_of_as_many_features() -> None:
    twins = {"array": make_twin(5, n_response=4), "one": make_twin(1)}
    ports = (DevicePort.from_ranges("array", [(-0.9, 0.9)], response_units=["V"] * 4), PORTS[0])
    wiring = random_wiring(
        Architecture((("array", "one"), ("array",)), 3, (0, 2), DT_S), ports, np.random.default_rng(2)
    )
    network = PhysicalNetwork(wiring, twins, dtype=torch.float64)
    assert wiring.n_features == (5 + 4) * 2 and network.layer(1).W.shape == (1, 1, 5, 2)
    inputs = inputs_of(network)
    assert network(inputs, seeded()).shape == (TRIALS, STEPS, 18)
    assert slope_error(network, lambda: network(inputs, seeded(3)).square().mean()) < 1e-5


def test_a_port_of_other_channels_than_its_twin_is_refused() -> None:
    wiring = random_wiring(Architecture((("one",),), 3, (0,), DT_S), PORTS, np.random.default_rng(0))
    with pytest.raises(WiringError, match="1 drives and 1 responses, its twin 1 and 4"):
        PhysicalNetwork(wiring, {"one": make_twin(5, n_response=4)})


def test_excursions_are_zero_inside_the_fitted_responses_and_grow_outside(quiet: Any) -> None:
    network = network_of(FEED_FORWARD, quiet)
    network.watch_excursion = True
    inputs = inputs_of(network)
    with torch.no_grad():
        for layer in range(2):
            for name in ("W_in", "W", "bias"):
                getattr(network.layer(layer), name).mul_(0.05)
        network(inputs, seeded(1))
        assert float(network.excursion) == 0.0
    for twin in quiet.values():
        twin.response_range.mul_(0.1)
    try:
        network = network_of(FEED_FORWARD, quiet)
        network.watch_excursion = True
        for options in ({}, {"checkpoint_steps": 4}, {"truncate_steps": 5}):
            network(inputs, seeded(1), **options)
            assert float(network.excursion) > 1.0
        plain = float(network.excursion)
        network(inputs, seeded(1), checkpoint_steps=3)
        assert float(network.excursion) == pytest.approx(plain, rel=1e-9)

        def excursion() -> torch.Tensor:
            network(inputs, seeded(1))
            return network.excursion

        used = network.layer(1).bias
        slope = torch.autograd.grad(excursion(), used)[0]
        with torch.no_grad():
            used[0] += 1e-6
            up = float(excursion())
            used[0] -= 2e-6
            down = float(excursion())
        assert float(slope[0]) == pytest.approx((up - down) / 2e-6, rel=1e-4)
    finally:
        for twin in quiet.values():
            twin.response_range.mul_(10.0)


def test_an_ensemble_that_is_stacked_itself_is_refused() -> None:
    from twins import StackedTwins

    with pytest.raises(TracesMismatch, match="stack the members"):
        StackedTwins([TwinEnsemble([make_twin(1)])])  # type: ignore[list-item]


def test_how_far_back_a_network_reaches_follows_from_its_taps_and_delays() -> None:
    assert FEED_FORWARD.reachable_taps() == (0, 2, 4)
    assert RECURRENT.reachable_taps(furthest=5) == (0, 1, 2, 3, 4, 5)


def test_an_excursion_is_the_mean_over_the_layers_that_are_simulated() -> None:
    architecture = Architecture((("one",), ("two", "two")), 3, (0, 2), DT_S)
    twins = {name: make_twin(seed, noise_diagonal=False) for name, seed in (("one", 1), ("two", 2))}
    twins["one"].response_range.mul_(100.0)  # so that only the second layer leaves its range
    twins["two"].response_range.mul_(0.1)
    network = network_of(architecture, twins)
    network.watch_excursion = True
    inputs, found = inputs_of(network), []
    response = np.zeros((1, TRIALS, STEPS * 3))
    features = measured_features(network.template, 0, response)
    for measured in (Measured(features, response), Measured(features)):
        network(inputs, seeded(1), measured={0: measured})
        found.append(float(network.excursion))
    assert found[0] > 0.0
    assert found[1] == pytest.approx(found[0] * 3 / 2, rel=1e-9)


@pytest.mark.parametrize("shape", [(0, STEPS), (TRIALS, 0)])
@pytest.mark.parametrize("options", [{}, {"checkpoint_steps": 4}, {"truncate_steps": 4}])
def test_a_pass_over_nothing_is_refused(quiet: Any, shape: tuple[int, int], options: Any) -> None:
    for architecture in (FEED_FORWARD, RECURRENT):
        network = network_of(architecture, quiet)
        with pytest.raises(WiringError, match="at least one trial of one step"):
            network(torch.zeros(*shape, network.template.n_inputs, dtype=torch.float64), seeded(1), **options)
