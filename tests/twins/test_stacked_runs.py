"""Stacks that go on from a state, follow a measured path, are given conditions, or hold twins of many channels."""

import numpy as np
import pytest
import torch

import twins
from twins.device.history import Histories
from twins.device.prepare import prepare_twin

BATCH = 4


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def make(seed=1, biases=(), n_drive=1, n_response=1, **structure):
    """Hardly fitted, but nothing in it is zero."""
    rng = np.random.default_rng(seed)
    parts = []
    for bias in biases or (0.0,):
        drive, response = rng.uniform(-2, 2, (8, 60, n_drive)), np.zeros((8, 60, n_response))
        mix = rng.normal(size=(n_drive, n_response))
        for k in range(59):
            pull = np.tanh(drive[:, k] @ mix + bias) - response[:, k]
            response[:, k + 1] = response[:, k] + 0.2 * pull + 0.05 * rng.normal(size=(8, n_response))
        names = [[f"{side}{n}" for n in range(count)] for side, count in (("d", n_drive), ("r", n_response))]
        units = [["V"] * count for count in (n_drive, n_response)]
        conditions = {"bias": bias} if biases else {}
        parts.append(
            twins.Traces(
                drive, response, 2e-4, tuple(names[0]), tuple(units[0]), tuple(names[1]), tuple(units[1]),
                n_prepare=10, conditions=conditions,
            )
        )  # fmt: skip
    structure = {"response_delays": 2, "drive_delays": 1, "hidden": (6,), **structure}
    twin = twins.DeviceTwin(twins.DeviceTwinSpec.for_traces(parts, **structure))
    prepare_twin(twin, parts, generator=seeded(seed))
    with torch.no_grad():
        for parameter in twin.nets.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=seeded(seed)))
    return twin.double()


KINDS = {"kernel": {}, "one by one": {"scheme": "heun"}, "no delays": {"response_delays": 0, "drive_delays": 0}}


def random_drive(stack, n_time, seed=4):
    return torch.rand(stack.n_lines, BATCH, n_time, generator=seeded(seed), dtype=torch.float64) * 3 - 1.5


@pytest.mark.parametrize("structure", KINDS.values(), ids=KINDS.keys())
def test_a_run_in_parts_is_the_run_in_one_also_for_gradients(structure):
    stack = twins.StackedTwins([make(1, noise_diagonal=False, **structure), make(2, noise_diagonal=False)])
    drive = random_drive(stack, 21).requires_grad_()
    state = stack.start(BATCH, generator=seeded(5))
    whole, _ = stack.advance(state, drive, generator=seeded(6))
    parts, at = [], state
    for first, last in ((0, 1), (1, 8), (8, 9), (9, 21)):
        part, at = stack.advance(at, drive[..., first:last], generator=seeded(7))
        parts.append(part)
    together = torch.cat(parts, -1)
    torch.testing.assert_close(together, whole, rtol=1e-11, atol=1e-12)
    weight = torch.randn(whole.shape, generator=seeded(8), dtype=torch.float64)
    gradients = [torch.autograd.grad((one * weight).sum(), drive)[0] for one in (together, whole)]
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-12)
    answered = stack.respond(drive, generator=seeded(5))
    torch.testing.assert_close(answered, whole, rtol=1e-11, atol=1e-12)


def test_a_detached_state_ends_the_gradient():
    stack = twins.StackedTwins([make(1)])
    drive = random_drive(stack, 6).requires_grad_()
    _, state = stack.advance(stack.start(BATCH, generator=seeded()), drive[..., :3], generator=seeded(1))
    later, _ = stack.advance(state.detached(), drive[..., 3:], generator=seeded(2))
    gradient = torch.autograd.grad(later.sum(), drive)[0]
    assert gradient[..., :3].abs().max() == 0.0
    assert gradient[..., 3:5].abs().min() > 0.0


@pytest.mark.parametrize("structure", KINDS.values(), ids=KINDS.keys())
def test_conditions_given_with_a_run_are_those_held_and_have_the_right_gradient(structure):
    twin, other = make(1, biases=(-0.4, 0.0, 0.4), **structure), make(3)
    stack = twins.StackedTwins([twin, other, twin], conditions=[{"bias": 0.0}, None, {"bias": 0.0}])
    held = twins.StackedTwins([twin, other, twin], conditions=[{"bias": 0.3}, None, {"bias": 0.3}])
    drive = random_drive(stack, 12)
    bias = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)

    def answer(value):
        history = held.histories(BATCH, generator=seeded(5))
        return stack.respond(drive, history=history, generator=seeded(6), conditions={"bias": value})

    history = held.histories(BATCH, generator=seeded(5))
    torch.testing.assert_close(answer(bias), held.respond(drive, history=history, generator=seeded(6)))
    slope = torch.autograd.grad(answer(bias).square().sum(), bias)[0]
    up, down = (answer(bias.detach() + step).square().sum() for step in (1e-6, -1e-6))
    assert float(slope) == pytest.approx(float(up - down) / 2e-6, rel=1e-5)
    near = stack.histories(200, generator=seeded(), conditions={"bias": torch.tensor(0.35)}).response[0, :, 0]
    known = twin.bank_response[twin.bank_conditions[:, 0] > 0.3][:, 0, 0]
    assert set(near.tolist()) <= set(known.tolist())


def test_nodes_of_several_drives_and_responses_answer_as_their_twins_alone():
    wide, plain, array = make(1, n_drive=2), make(2), make(3, n_response=3, noise_columns=2)
    stack = twins.StackedTwins([wide, plain, array, wide])
    assert (stack.n_lines, stack.n_senses) == (6, 6)
    quiet = twins.StackedTwins(
        [make(1, n_drive=2, noise_diagonal=False), plain, make(3, n_response=3, noise_diagonal=False)]
    )
    drive = random_drive(quiet, 15).requires_grad_()
    history = quiet.histories(BATCH, generator=seeded(5))
    together = quiet.respond(drive, history=history, generator=seeded(6))
    for node, lines, senses in ((0, [0, 1], [0]), (2, [3], [1 + 1, 3, 4])):
        twin = quiet.twins[node]
        start = Histories(history.response[senses].permute(1, 2, 0), history.drive[lines].permute(1, 2, 0))
        start = Histories(start.response[:, :3], start.drive[:, :1])
        alone = twin.respond(drive[lines].permute(1, 2, 0), history=start)
        torch.testing.assert_close(together[senses].permute(1, 2, 0), alone, rtol=1e-10, atol=1e-12)
    assert torch.autograd.grad(together.sum(), drive)[0].abs().amin((1, 2)).shape == (4,)
    assert stack.respond(random_drive(stack, 9), generator=seeded()).shape == (6, BATCH, 9)


def test_twins_of_other_depth_and_activation_stand_beside_each_other():
    a, b, c = make(1, hidden=(6, 5)), make(2, hidden=(7,)), make(3, hidden=(4,), activation="relu")
    stack = twins.StackedTwins([a, b, c, a])
    drive = random_drive(stack, 10)
    history = stack.histories(BATCH, generator=seeded(5))
    noise = torch.randn(9, 4, BATCH, generator=seeded(6), dtype=torch.float64)
    together = stack.respond(drive, history=history, noise=noise)
    for node, twin in enumerate(stack.twins):
        start = Histories(history.response[node][:, :, None], history.drive[node][:, :, None])
        alone = twin.respond(drive[node][..., None], history=start, noise=noise[:, node, :, None])[..., 0]
        torch.testing.assert_close(together[node], alone, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("structure", [{}, {"scheme": "heun"}], ids=["kernel", "one by one"])
def test_along_a_path_of_its_own_a_twin_has_the_gradient_of_a_free_run(structure):
    stack = twins.StackedTwins([make(1, noise_diagonal=False, **structure), make(2, noise_diagonal=False, **structure)])
    drive = random_drive(stack, 14).requires_grad_()
    state = stack.start(BATCH, generator=seeded(5))
    free, _ = stack.advance(state, drive)
    path, _ = stack.advance(state, drive, measured=free.detach())
    torch.testing.assert_close(path, free.detach(), rtol=1e-11, atol=1e-12)
    weight = torch.randn(free.shape, generator=seeded(8), dtype=torch.float64)
    gradients = [torch.autograd.grad((one * weight).sum(), drive)[0] for one in (free, path)]
    torch.testing.assert_close(*gradients, rtol=1e-8, atol=1e-12)


def test_along_a_noisy_path_of_its_own_a_twin_finds_the_noise_that_made_it():
    """Where no draw was beyond the bound, the gradient holds the noise's part as well."""
    stack = twins.StackedTwins([make(1)])
    drive = random_drive(stack, 14).requires_grad_()
    history = stack.histories(BATCH, generator=seeded(5))
    noise = torch.randn(13, 1, BATCH, generator=seeded(9), dtype=torch.float64).clamp(-2.5, 2.5)
    free = stack.respond(drive, history=history, noise=noise)
    state = stack.start(BATCH, generator=seeded(5))
    path, _ = stack.advance(state, drive, measured=free.detach())
    weight = torch.randn(free.shape, generator=seeded(8), dtype=torch.float64)
    gradients = [torch.autograd.grad((one * weight).sum(), drive)[0] for one in (free, path)]
    torch.testing.assert_close(gradients[1][..., :-1], gradients[0][..., :-1], rtol=1e-8, atol=1e-12)


def test_a_measured_path_of_another_device_keeps_its_values():
    stack = twins.StackedTwins([make(1), make(2, scheme="heun")])
    drive = random_drive(stack, 14).requires_grad_()
    measured = 0.3 * torch.randn(2, BATCH, 14, generator=seeded(3), dtype=torch.float64)
    path, _ = stack.advance(stack.start(BATCH, generator=seeded(5)), drive, measured=measured)
    torch.testing.assert_close(path, measured, rtol=1e-10, atol=1e-12)
    gradient = torch.autograd.grad(path[..., -1].sum(), drive)[0]
    assert torch.isfinite(gradient).all() and gradient[..., -2].abs().min() > 0.0


def test_offsets_and_measured_starts_stay_with_a_trial_that_goes_on():
    twin = make(2, trial_drift=True, noise_diagonal=False)
    twin.trial_offsets.fill_(0.7)
    stack = twins.StackedTwins([twin])
    drive = torch.zeros(1, 300, 12, dtype=torch.float64)
    state = stack.start(300, generator=seeded(3))
    seen, states = [], []
    for observed, found in ((True, seen), (False, states)):
        at = state
        for first in (0, 5):
            part, at = stack.advance(at, drive[..., first : first + 6], generator=seeded(4), observed=observed)
            found.append(part)
    offsets = (torch.cat(seen, -1) - torch.cat(states, -1))[0, :, 1:]
    assert float(offsets.std(1).max()) < 1e-9
    assert float(offsets[:, 0].std()) == pytest.approx(0.7 * float(twin.response_scale), rel=0.15)
