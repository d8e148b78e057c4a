"""One step of the optimiser: truncation, checkpoints, the penalty outside the fitted range, members of ensembles."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from twins import DeviceTwin, DeviceTwinSpec, Traces, TwinEnsemble
from twins.device.prepare import prepare_twin
from twins.network import (
    Architecture,
    DelayedParity,
    DevicePort,
    Narma10,
    OptimiserSettings,
    PhysicalNetwork,
    TaskError,
    promise,
    random_wiring,
)
from twins.network.optimise import Descent, Validation, optimise

DT_S = 2e-4
PORTS = (DevicePort.from_range("lag", -0.9, 0.9),)
PARITY = DelayedParity(order=2, delay=1)
USE = OptimiserSettings(
    n_iterations=8, n_trials=12, n_steps=9, validate_every=4, n_validation_trials=12, n_readout_draws=2
)


def make_twin(seed: int, *, strength: float = 1.0, **structure: Any) -> DeviceTwin:
    """Hardly fitted, but nothing in it is zero; float64."""
    rng = np.random.default_rng(seed)
    drive, response = rng.uniform(-1, 1, (8, 60, 1)), np.zeros((8, 60, 1))
    for k in range(59):
        pull = strength * np.tanh(2 * drive[:, k]) - response[:, k]
        response[:, k + 1] = response[:, k] + 0.2 * pull + 0.03 * rng.normal(size=(8, 1))
    traces = Traces(drive, response, DT_S, ("d",), ("V",), ("r",), ("V",), n_prepare=10)
    twin = DeviceTwin(DeviceTwinSpec.for_traces(traces, response_delays=1, drive_delays=1, hidden=(6,), **structure))
    prepare_twin(twin, [traces], generator=torch.Generator().manual_seed(seed))
    return twin.double()


@pytest.fixture
def quiet() -> DeviceTwin:
    """An ordinary equation: a pass is told by where it starts."""
    return make_twin(1, noise_diagonal=False)


def network_of(twin: Any, seed: int = 4) -> PhysicalNetwork:
    architecture = Architecture((("lag", "lag"), ("lag", "lag")), 3, (0, 2), DT_S, coupling_delays=(0, 1))
    wiring = random_wiring(architecture, PORTS, np.random.default_rng(seed))
    return PhysicalNetwork(wiring, {"lag": twin}, dtype=torch.float64)


def losses_of(network: PhysicalNetwork, **changes: Any) -> tuple[Tensor, Tensor | None]:
    descent = Descent(network, PARITY.metric, replace(USE, **changes), torch.Generator().manual_seed(0))
    return descent.losses(PARITY.sample(12, 9, np.random.default_rng(0)))


def gradient_of(network: PhysicalNetwork, loss: Tensor) -> Tensor:
    used = [parameter for parameter in network.parameters() if parameter.numel()]
    return torch.cat([part.reshape(-1) for part in torch.autograd.grad(loss, used)])


@pytest.mark.parametrize("changes", [{"truncate_steps": 9}, {"truncate_steps": 50}, {"checkpoint_steps": 4}])
def test_truncation_beyond_the_trial_and_checkpoints_leave_the_gradient_as_it_is(
    quiet: DeviceTwin, changes: dict[str, int]
) -> None:
    network = network_of(quiet)
    plain, other = (gradient_of(network, losses_of(network, **one)[0]) for one in ({}, changes))
    assert plain.abs().max() > 1e-4
    torch.testing.assert_close(other, plain, rtol=1e-9, atol=1e-12)


def test_truncation_within_the_trial_changes_the_gradient_and_not_the_loss(quiet: DeviceTwin) -> None:
    network = network_of(quiet)
    (plain, _), (cut, _) = losses_of(network), losses_of(network, truncate_steps=2)
    assert float(cut.detach()) == pytest.approx(float(plain.detach()), rel=1e-12)
    assert (gradient_of(network, cut) - gradient_of(network, plain)).norm() > 1e-3 * gradient_of(
        network, losses_of(network)[0]
    ).norm()


def narrowed(twin: DeviceTwin) -> DeviceTwin:
    """As if only the middle half of its responses had been seen."""
    twin.response_range.mul_(0.5)
    return twin


def test_the_penalty_has_the_gradient_of_the_excursion(quiet: DeviceTwin) -> None:
    network = network_of(narrowed(quiet))

    def penalty() -> Tensor:
        found = losses_of(network, penalty_outside=3.0)[1]
        assert found is not None
        return found

    gradient = gradient_of(network, penalty())
    used = [parameter for parameter in network.parameters() if parameter.numel()]
    along = torch.randn(gradient.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    parts = [part.view_as(p) for part, p in zip(torch.split(along, [p.numel() for p in used]), used, strict=True)]

    def moved(by: float) -> float:
        with torch.no_grad():
            for parameter, part in zip(used, parts, strict=True):
                parameter.add_(part, alpha=by)
            value = float(penalty())
            for parameter, part in zip(used, parts, strict=True):
                parameter.sub_(part, alpha=by)
        return value

    slope = (moved(1e-5) - moved(-1e-5)) / 2e-5
    assert abs(slope) > 1e-4
    assert float(gradient @ along) == pytest.approx(slope, rel=1e-5)


def test_a_penalty_keeps_the_responses_where_the_twins_were_fitted(quiet: DeviceTwin, drain: Any) -> None:
    excursions = []
    for weight in (1e-9, 30.0):
        network = network_of(narrowed(make_twin(1, noise_diagonal=False)))
        drain(optimise(network, PARITY, seed=0, settings=replace(USE, n_iterations=30, penalty_outside=weight)))
        with torch.no_grad():
            inputs = network.as_inputs(PARITY.sample(50, 9, np.random.default_rng(1)).inputs)
            network(inputs, torch.Generator().manual_seed(3))
        excursions.append(float(network.excursion))
    assert excursions[1] < 0.5 * excursions[0]


def test_a_penalty_is_refused_where_no_twin_knows_its_range(
    ports: tuple[DevicePort, ...], devices: Any, true_stack: Any
) -> None:
    wiring = random_wiring(Architecture((("leaky",),), 3, (2,), DT_S), ports, np.random.default_rng(0))
    network = PhysicalNetwork(wiring, devices, stack=true_stack)
    with pytest.raises(TaskError, match="penalty_outside"):
        losses_of(network, penalty_outside=1.0)


def test_settings_reach_the_pass_and_a_fixed_penalty_the_readout(quiet: DeviceTwin, drain: Any) -> None:
    asked = replace(USE, truncate_steps=3, checkpoint_steps=5, penalty_outside=0.1, readout_regularisation=0.02)
    network = network_of(quiet)
    seen: list[dict[str, Any]] = []
    network.register_forward_pre_hook(lambda _module, _args, options: seen.append(options), with_kwargs=True)
    found = drain(optimise(network, PARITY, seed=0, settings=asked)).result
    trained = [one for one in seen if one.get("truncate_steps")]
    assert len(trained) == 8 and all(one["checkpoint_steps"] == 5 for one in trained)
    assert found.wiring.readout.regularisation == 0.02 == found.initial.readout.regularisation
    chosen = drain(optimise(network_of(quiet), Narma10(washout=10), seed=0, settings=replace(USE, n_steps=16))).result
    assert chosen.wiring.readout.regularisation != 0.02, "otherwise it is chosen among the candidates"


def test_a_promise_of_an_ensemble_holds_what_its_members_do_not_agree_on(drain: Any) -> None:
    members = [make_twin(1), make_twin(2, strength=0.6)]
    ensemble = TwinEnsemble(members)
    task = Narma10(washout=10)
    settings = replace(USE, n_steps=20, n_iterations=4, readout_regularisation=1e-3)
    runs = [drain(optimise(network_of(ensemble), task, seed=0, settings=settings)) for _ in range(2)]
    scores = [[event.score for event in run.events if isinstance(event, Validation)] for run in runs]
    assert scores[0] == scores[1], "a validation takes the same members every time"
    wiring, data = runs[0].result.wiring, task.sample(24, 20, np.random.default_rng(5))
    spreads = []
    for twin in (ensemble, *members):
        promised = promise(
            wiring, {"lag": twin}, task.metric, data, generator=torch.Generator().manual_seed(0), n_draws=12
        )
        spreads.append(drain(promised).result.std)
    assert spreads[0] > 2 * max(spreads[1:])
