"""PhysicalNetwork: the same numbers as the bench would play, and exact gradients."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from twins.network import DevicePort, PhysicalNetwork, Wiring, WiringError, flat_features, measured_ports


def played_on_a_bench(wiring: Wiring, devices: Any, stack: Any, inputs: np.ndarray) -> list[np.ndarray]:
    """Node by node with numpy, as the bench does: drive, response, features."""
    features: list[np.ndarray] = []
    for index, layer in enumerate(wiring.layers):
        nodes = []
        for node, device in enumerate(layer.devices):
            drive = torch.as_tensor(wiring.drive_for(index, node, inputs, features)).permute(2, 0, 1)
            response = stack([devices[device]]).respond(drive, generator=torch.Generator()).permute(1, 2, 0)
            nodes.append(wiring.features_of(index, node, response.numpy()))
        features.append(np.concatenate(nodes, axis=2))
    return features


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_the_bench_and_the_network_compute_the_same(
    wiring: Wiring, silent_devices: Any, true_stack: Any, dtype: torch.dtype, tolerance: float
) -> None:
    inputs = np.random.default_rng(0).uniform(-1, 1, size=(3, 12, 2))
    network = PhysicalNetwork(wiring, silent_devices, stack=true_stack, dtype=dtype)
    with torch.no_grad():
        ours = network(network.as_inputs(inputs), torch.Generator()).double().numpy()
    bench = flat_features(played_on_a_bench(network.wiring(), silent_devices, true_stack, inputs))
    np.testing.assert_allclose(ours, bench, atol=tolerance)


def test_drives_are_equal_to_a_millionth_in_float32(wiring: Wiring, silent_devices: Any, true_stack: Any) -> None:
    inputs = np.random.default_rng(0).uniform(-1, 1, size=(3, 12, 2))
    network = PhysicalNetwork(wiring, silent_devices, stack=true_stack)
    with torch.no_grad():
        drives = network.drives(network.as_inputs(inputs), torch.Generator())
    exported = network.wiring()
    for node in range(3):
        np.testing.assert_allclose(drives[0][node].numpy(), exported.drive_for(0, node, inputs)[..., 0], atol=1e-6)


def test_parameters_come_back_as_they_went_in(wiring: Wiring, devices: Any, true_stack: Any) -> None:
    exported = PhysicalNetwork(wiring, devices, stack=true_stack, dtype=torch.float64).wiring()
    for ours, theirs in zip(exported.layers, wiring.layers, strict=True):
        for name in ("W_in", "W", "gain", "bias"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))


def test_every_pass_has_fresh_noise_and_a_seed_repeats_it(wiring: Wiring, devices: Any, true_stack: Any) -> None:
    network = PhysicalNetwork(wiring, devices, stack=true_stack)
    inputs = network.as_inputs(np.zeros((2, 6, 2)))
    generator = torch.Generator().manual_seed(1)
    first, second = network(inputs, generator), network(inputs, generator)
    assert not torch.equal(first, second)
    assert torch.equal(first, network(inputs, torch.Generator().manual_seed(1)))


def test_gradients_through_time_and_layers_are_exact(wiring: Wiring, devices: Any, true_stack: Any) -> None:
    network = PhysicalNetwork(wiring, devices, stack=true_stack, dtype=torch.float64)
    inputs = network.as_inputs(np.random.default_rng(2).uniform(-1, 1, size=(2, 8, 2)))

    def loss() -> torch.Tensor:
        return network(inputs, torch.Generator().manual_seed(3)).square().mean()

    parameters = [p for p in network.parameters() if p.numel()]
    gradients = torch.autograd.grad(loss(), parameters)
    generator = torch.Generator().manual_seed(4)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        direction = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                parameter.add_(sign * 1e-6 * direction)
                values.append(float(loss()))
                parameter.sub_(sign * 1e-6 * direction)
        slope = (values[0] - values[1]) / 2e-6
        assert slope == pytest.approx(float((gradient * direction).sum()), rel=1e-5, abs=1e-9)


def test_a_missing_twin_is_named(wiring: Wiring, devices: Any, true_stack: Any) -> None:
    with pytest.raises(WiringError, match=r"no twin for device\(s\) \['duffing'\]"):
        PhysicalNetwork(wiring, {"leaky": devices["leaky"]}, stack=true_stack)


def test_a_port_wider_than_the_twins_fitted_range_is_refused(wiring: Wiring, devices: Any, true_stack: Any) -> None:
    fitted = SimpleNamespace(drive_range=torch.tensor([[-1.0, 1.0]]))
    with pytest.raises(WiringError, match=r"fitted on -1\.\.1"):
        PhysicalNetwork(wiring, {**devices, "leaky": fitted}, stack=true_stack)


def test_measured_ports_normalise_what_the_device_answers(devices: Any, true_stack: Any) -> None:
    asked = [DevicePort.from_range("leaky", -2.0, 2.0), DevicePort.from_range("duffing", -0.3, 0.3)]
    leaky, duffing = measured_ports(
        asked,
        devices,
        samples_per_step=3,
        rng=np.random.default_rng(0),
        generator=torch.Generator().manual_seed(0),
        stack=true_stack,
    )
    assert abs(leaky.senses[0].centre) < 0.1 and 0.2 < leaky.senses[0].scale < 0.6
    assert 0.7 < duffing.senses[0].centre < 1.1, "it stays near the well that it was prepared in"
    assert leaky.drive_ranges == asked[0].drive_ranges


def test_measured_ports_are_driven_where_the_twins_are(devices: Any, ports: Any, true_stack: Any) -> None:
    seen = []

    class Elsewhere:
        device = torch.device("meta")

        def respond(self, drive: torch.Tensor, *, generator: torch.Generator) -> torch.Tensor:
            seen.append(drive.device.type)
            return torch.randn(drive.shape, generator=generator)

    measured_ports(
        ports,
        devices,
        samples_per_step=3,
        rng=np.random.default_rng(0),
        generator=torch.Generator(),
        stack=lambda _: Elsewhere(),
    )
    assert seen == ["meta"]
