"""StackedTwins: the same responses and gradients as its twins one by one."""

import numpy as np
import pytest
import torch

import twins
from twins.device.history import Histories
from twins.device.prepare import prepare_twin


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def make(seed, *, response_delays, drive_delays, hidden, activation="tanh", dt_s=2e-4):
    rng = np.random.default_rng(seed)
    drive, response = rng.uniform(-2, 2, (8, 60, 1)), np.zeros((8, 60, 1))
    for k in range(59):
        noise = 0.05 * rng.normal(size=(8, 1))
        response[:, k + 1] = response[:, k] + 0.2 * (np.tanh(drive[:, k]) - response[:, k]) + noise
    traces = twins.Traces(drive, response, dt_s, ("d",), ("V",), ("r",), ("V",), n_prepare=10)
    spec = twins.DeviceTwinSpec.for_traces(
        traces, response_delays=response_delays, drive_delays=drive_delays, hidden=hidden, activation=activation
    )
    twin = twins.DeviceTwin(spec)
    prepare_twin(twin, [traces], generator=seeded(seed))
    with torch.no_grad():  # not fitted, but nothing at zero
        for parameter in twin.nets.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=seeded(seed)))
    return twin.double()


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_every_node_answers_as_its_twin_alone_with_the_same_gradient(activation, depth):
    a = make(1, response_delays=3, drive_delays=1, hidden=(12,) * depth, activation=activation)
    b = make(2, response_delays=0, drive_delays=0, hidden=(7,) * depth, activation=activation)
    c = make(3, response_delays=1, drive_delays=2, hidden=tuple(range(12, 12 - depth, -1)), activation=activation)
    stacked = twins.StackedTwins([a, b, c, b])
    drive = (torch.rand(4, 6, 25, generator=seeded(4), dtype=torch.float64) * 3 - 1.5).requires_grad_()
    history = stacked.histories(6, generator=seeded(5))
    noise = torch.randn(24, 4, 6, generator=seeded(6), dtype=torch.float64)
    one_by_one = []
    for node, twin in enumerate(stacked.twins):
        n_state, n_drive = twin.spec.response_delays + 1, twin.spec.drive_delays
        start = Histories(history.response[node, :, :n_state, None], history.drive[node, :, :n_drive, None])
        one_by_one.append(twin.respond(drive[node, ..., None], history=start, noise=noise[:, node, :, None])[..., 0])
    together, expected = stacked.respond(drive, history=history, noise=noise), torch.stack(one_by_one)
    torch.testing.assert_close(together, expected, rtol=1e-10, atol=1e-12)
    weight = torch.randn(together.shape, generator=seeded(7), dtype=torch.float64)
    gradients = [torch.autograd.grad((response * weight).sum(), drive)[0] for response in (together, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-12)


def test_gradients_stop_at_the_drive(leaky_twin):
    stacked = twins.StackedTwins([leaky_twin, leaky_twin])
    drive = torch.zeros(2, 3, 20, requires_grad=True)
    stacked.respond(drive, generator=seeded()).sum().backward()
    assert list(stacked.parameters()) == []
    assert all(parameter.grad is None for parameter in leaky_twin.parameters())
    assert drive.grad.abs().sum() > 0


def test_two_nodes_of_one_device_have_their_own_noise_and_one_seed_gives_one_response(leaky_twin):
    stacked = twins.StackedTwins([leaky_twin, leaky_twin])
    drive = torch.ones(2, 4, 50)
    first, second = (stacked.respond(drive, generator=seeded(3)) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.allclose(first[0], first[1], atol=1e-3)


def test_outside_the_range_names_the_channel(leaky_twin):
    stacked = twins.StackedTwins([leaky_twin, leaky_twin])
    drive = torch.zeros(2, 3, 20)
    drive[1, 2, 5] = -3.0
    with pytest.raises(twins.OutsideFittedRange, match="leaky_drive: -3 V"):
        stacked.respond(drive, generator=seeded())
    assert stacked.respond(drive, generator=seeded(), check_range=False).shape == (2, 3, 20)
    drive[1, 2, 5] = float("nan")
    with pytest.raises((twins.OutsideFittedRange, twins.TracesInvalid)):
        stacked.respond(drive, generator=seeded())


def test_twins_that_cannot_be_stacked_say_why():
    a = make(1, response_delays=1, drive_delays=0, hidden=(6, 6))
    with pytest.raises(twins.TracesMismatch, match="they must agree"):
        twins.StackedTwins([a, make(2, response_delays=1, drive_delays=0, hidden=(6, 6), dt_s=1e-3)])
    with pytest.raises(twins.TracesMismatch, match="no twins"):
        twins.StackedTwins([])


def test_a_batch_of_nothing_is_refused(leaky_twin):
    stack = twins.StackedTwins([leaky_twin] * 2)
    with pytest.raises(twins.TracesInvalid, match=r"batch >= 1"):
        stack.respond(torch.zeros(2, 0, 10), generator=seeded())
    with pytest.raises(twins.TracesInvalid, match="at least one trial"):
        stack.start(0, generator=seeded())
