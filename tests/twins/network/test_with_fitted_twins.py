"""Networks on real DeviceTwins: the default stack, its gradient, and the range that a twin was fitted on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from twins import DeviceTwin, DeviceTwinSpec, Traces
from twins.fitting import fit
from twins.network import (
    Architecture,
    DelayedParity,
    DevicePort,
    OptimiserSettings,
    PhysicalNetwork,
    WiringError,
    measured_ports,
    random_wiring,
)
from twins.network.optimise import OptimiseStateError, optimise

N_PREPARE = 10


@pytest.fixture(scope="module")
def small_twins() -> dict[str, DeviceTwin]:
    """Hardly trained, but real: two devices with different delays, so that stacking pads."""
    return {"leaky": hardly_fitted(0.8, 2.0, delays=1), "duffing": hardly_fitted(0.9, 0.4, delays=3)}


def hardly_fitted(memory: float, reach: float, *, delays: int) -> DeviceTwin:
    rng = np.random.default_rng(0)
    drive = np.repeat(rng.uniform(-reach, reach, size=(30, 20, 1)), 3, axis=1)
    drive[:, :N_PREPARE] = 0.0
    response = np.zeros_like(drive)
    for k in range(drive.shape[1] - 1):
        pull = (1 - memory) * np.tanh(drive[:, k])
        response[:, k + 1] = memory * response[:, k] + pull + 0.02 * rng.normal(size=(30, 1))
    traces = Traces(drive, response, 2e-4, ("drive",), ("V",), ("response",), ("V",), n_prepare=N_PREPARE)
    twin = DeviceTwin(DeviceTwinSpec.for_traces(traces, response_delays=delays, hidden=(8,)))
    for _ in fit(twin, [traces], seed=0, max_epochs=2):
        pass
    return twin


def test_a_network_of_twins_is_normalised_and_optimised(small_twins: dict[str, DeviceTwin], drain: Any) -> None:
    edges = {name: float(twin.drive_range[0].abs().min()) for name, twin in small_twins.items()}
    ports = measured_ports(
        [DevicePort.from_range(name, -edge, edge) for name, edge in edges.items()],
        small_twins,
        samples_per_step=3,
        rng=np.random.default_rng(1),
        generator=torch.Generator().manual_seed(1),
    )
    layer = ("leaky", "duffing", "leaky")
    architecture = Architecture((layer, layer), 3, (0, 2), 2e-4)
    network = PhysicalNetwork(random_wiring(architecture, ports, np.random.default_rng(2)), small_twins)
    before = {
        name: {key: tensor.clone() for key, tensor in twin.state_dict().items()} for name, twin in small_twins.items()
    }
    settings = OptimiserSettings(n_iterations=15, n_trials=32, n_steps=8, n_readout_draws=2)
    run = drain(optimise(network, DelayedParity(order=2, delay=0), seed=0, settings=settings))
    assert run.result.validation.value < run.result.initial_validation.value
    for name, twin in small_twins.items():
        for key, tensor in twin.state_dict().items():
            assert torch.equal(tensor, before[name][key]), "twins stay frozen"


def test_a_drive_range_beyond_what_a_twin_has_seen_is_refused(small_twins: dict[str, DeviceTwin]) -> None:
    ports = [DevicePort.from_range("leaky", -5.0, 5.0)]
    wiring = random_wiring(Architecture((("leaky",),), 3, (2,), 2e-4), ports, np.random.default_rng(0))
    with pytest.raises(WiringError, match=r"-5\.\.5"):
        PhysicalNetwork(wiring, small_twins)


def biased_twin() -> DeviceTwin:
    """Prepared, not fitted, at two values of the condition `bias`."""
    from twins.device.prepare import prepare_twin

    parts = []
    for bias in (0.0, 0.5):
        rng = np.random.default_rng(3)
        drive, response = rng.uniform(-1.0, 1.0, (10, 60, 1)), np.zeros((10, 60, 1))
        for k in range(59):
            response[:, k + 1] = 0.5 * response[:, k] + 0.5 * (drive[:, k] + bias) + 0.01 * rng.normal(size=(10, 1))
        names = ("drive",), ("V",), ("response",), ("V",)
        parts.append(Traces(drive, response, 2e-4, *names, n_prepare=N_PREPARE, conditions={"bias": bias}))
    twin = DeviceTwin(DeviceTwinSpec.for_traces(parts, response_delays=0, drive_delays=0, hidden=(4,)))
    prepare_twin(twin, parts, generator=torch.Generator().manual_seed(0))
    return twin


def test_twins_of_several_conditions_play_under_the_ones_that_are_given() -> None:
    from twins import TracesInvalid
    from twins.network.network import stack_under

    twin = biased_twin()
    ports = [DevicePort.from_range("one", -0.9, 0.9)]
    centres = [
        measured_ports(
            ports, {"one": twin}, samples_per_step=3, rng=np.random.default_rng(1),
            generator=torch.Generator().manual_seed(1), stack=stack_under({"bias": bias, "other": 1.0}),
        )[0].senses[0].centre
        for bias in (0.0, 0.5)
    ]  # fmt: skip
    assert centres[1] - centres[0] == pytest.approx(0.5, abs=0.03)
    wiring = random_wiring(Architecture((("one", "one"),), 3, (0, 2), 2e-4), ports, np.random.default_rng(2))
    network = PhysicalNetwork(wiring, {"one": twin}, stack=stack_under({"bias": 0.5}))
    assert network(torch.zeros(2, 5, 1), torch.Generator().manual_seed(0)).shape[:2] == (2, 5)
    with pytest.raises(TracesInvalid, match=r"node 0: .* several values of bias"):
        PhysicalNetwork(wiring, {"one": twin})


def test_a_run_does_not_go_on_over_another_range_of_a_trained_condition(tmp_path: Path, drain: Any) -> None:
    twin, ports = biased_twin(), [DevicePort.from_range("one", -0.9, 0.9)]
    shape = Architecture((("one",),), 3, (0, 2), 2e-4)
    wiring = random_wiring(shape, ports, np.random.default_rng(2), conditions={"bias": 0.2})
    quick = OptimiserSettings(n_iterations=2, n_trials=4, n_steps=8, validate_every=1, n_validation_trials=4)

    def run(low: float, high: float) -> Any:
        network = PhysicalNetwork(wiring, {"one": twin}, conditions={"bias": (low, high)})
        return optimise(network, DelayedParity(order=2, delay=1), seed=1, settings=quick, state=tmp_path / "run.state")

    drain(run(0.0, 0.4))
    drain(run(0.0, 0.4))
    # the same start, in the middle of either range
    with pytest.raises(OptimiseStateError, match=r"range of bias: \[0\.0, 0\.4\] then, \[0\.1, 0\.3\] now"):
        drain(run(0.1, 0.3))
