"""StackedTwins of twins with measurement noise, hidden states, conditions, and of those the kernel cannot express."""

import numpy as np
import pytest
import torch

import twins
from twins.device.history import Histories
from twins.device.prepare import prepare_twin

OTHERS = {
    "heun": {"scheme": "heun"},
    "rk4": {"scheme": "rk4"},
    "quadratic": {"backbone_order": 2},
    "separate nets": {"diffusion_hidden": (5,)},
    "one column": {"noise_diagonal": False, "noise_columns": 1},
    "ordinary": {"noise_diagonal": False},
    "ordinary, rk4": {"noise_diagonal": False, "scheme": "rk4"},
    "quiet channel": {"noise_mask": (False,)},
}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def traces_of(seed, conditions=None, observation_noise=0.0):
    rng = np.random.default_rng(seed)
    drive, response = rng.uniform(-2, 2, (8, 60, 1)), np.zeros((8, 60, 1))
    bias = sum((conditions or {}).values())
    for k in range(59):
        noise = 0.05 * rng.normal(size=(8, 1))
        response[:, k + 1] = response[:, k] + 0.2 * (np.tanh(drive[:, k] + bias) - response[:, k]) + noise
    response = response + observation_noise * rng.normal(size=response.shape)
    return twins.Traces(
        drive, response, 2e-4, ("d",), ("V",), ("r",), ("V",), n_prepare=10, conditions=conditions or {}
    )


def make(seed=1, biases=(), observation_noise=0.0, **structure):
    parts = [traces_of(seed + n, {"bias": bias}, observation_noise) for n, bias in enumerate(biases)]
    parts = parts or [traces_of(seed, None, observation_noise)]
    structure = {"response_delays": 2, "drive_delays": 1, "hidden": (6,), **structure}
    twin = twins.DeviceTwin(twins.DeviceTwinSpec.for_traces(parts, **structure))
    prepare_twin(twin, parts, generator=seeded(seed))
    with torch.no_grad():  # not fitted, but nothing at zero
        for parameter in twin.nets.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=seeded(seed)))
    return twin.double()


def one_by_one(stacked, drive, history, noise, conditions=None):
    found = []
    for node, twin in enumerate(stacked.twins):
        n_state, n_drive = twin.spec.response_delays + 1, twin.spec.drive_delays
        start = Histories(history.response[node, :, :n_state, None], history.drive[node, :, :n_drive, None])
        kicks = noise[:, node, :, None] if twin.spec.noisy else None
        held = conditions[node] if conditions else None
        found.append(
            twin.respond(drive[node, ..., None], history=start, noise=kicks, conditions=held, observed=False)[..., 0]
        )
    return torch.stack(found)


def assert_same(stacked, conditions=None, n_batch=5, n_time=20):
    drive = torch.rand(stacked.n_nodes, n_batch, n_time, generator=seeded(4), dtype=torch.float64) * 3 - 1.5
    drive.requires_grad_()
    history = stacked.histories(n_batch, generator=seeded(5))
    noise = torch.randn(n_time - 1, stacked.n_nodes, n_batch, generator=seeded(6), dtype=torch.float64)
    together = stacked.respond(drive, history=history, noise=noise, observed=False)
    expected = one_by_one(stacked, drive, history, noise, conditions)
    torch.testing.assert_close(together, expected, rtol=1e-10, atol=1e-12)
    weight = torch.randn(together.shape, generator=seeded(7), dtype=torch.float64)
    gradients = [torch.autograd.grad((response * weight).sum(), drive)[0] for response in (together, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("structure", OTHERS.values(), ids=OTHERS.keys())
def test_twins_of_any_structure_answer_as_alone_beside_those_of_the_kernel(structure):
    other, plain = make(2, **structure), make(3, response_delays=0)
    assert_same(twins.StackedTwins([other, plain, other]))


def test_only_other_twins_and_no_gradient_stays_in_their_weights():
    twin = make(2, scheme="heun")
    stacked = twins.StackedTwins([twin, twin])
    assert_same(stacked)
    drive = torch.zeros(2, 3, 9, requires_grad=True)
    stacked.respond(drive, generator=seeded()).sum().backward()
    assert list(stacked.parameters()) == []
    assert all(parameter.grad is None for parameter in twin.parameters())
    assert drive.grad.abs().sum() > 0


def test_a_twin_at_several_nodes_runs_once(monkeypatch):
    import twins.device.stacked_slow as module

    calls, original = [], module.advance_all
    monkeypatch.setattr(module, "advance_all", lambda *args, **options: calls.append(1) or original(*args, **options))
    a, b = make(2, auxiliaries=1), make(3, noise_columns=1)
    stacked = twins.StackedTwins([a, b, a, a, b])
    response = stacked.respond(torch.zeros(5, 4, 12), generator=seeded())
    assert len(calls) == 2
    assert not torch.allclose(response[0], response[2])  # each node has noise of its own
    assert torch.equal(response, stacked.respond(torch.zeros(5, 4, 12), generator=seeded()))


def test_conditions_are_fixed_when_stacking_and_decide_where_a_node_starts():
    fast, slow = make(2, biases=(0.0, 0.4)), make(5, biases=(0.0, 0.4), scheme="heun")
    conditions = [{"bias": 0.0}, {"bias": 0.4}, {"bias": 0.4}, {"bias": 0.1}]
    stacked = twins.StackedTwins([fast, fast, slow, slow], conditions=conditions)
    assert_same(stacked, conditions)
    drawn = stacked.histories(200, generator=seeded()).response[1, :, 0]
    known = fast.bank_response[fast.bank_conditions[:, 0] > 0.2][:, 0, 0]
    assert set(drawn.tolist()) <= set(known.tolist())
    with pytest.raises(twins.TracesInvalid, match="node 1: this twin was fitted at several values of bias"):
        twins.StackedTwins([fast, fast], conditions=[{"bias": 0.0}, None])
    with pytest.raises(twins.OutsideFittedRange, match=r"bias: 0\.9"):
        twins.StackedTwins([fast], conditions=[{"bias": 0.9}])
    with pytest.raises(twins.TracesInvalid, match="1 conditions for 2 twins"):
        twins.StackedTwins([fast, fast], conditions=[{"bias": 0.0}])


def test_what_a_node_says_is_measured_and_what_it_does_is_not():
    loud, quiet = make(2, observation=True, warm_up=6, observation_columns=1), make(3)
    with torch.no_grad():
        loud.observation_log_std.fill_(np.log(0.3))
        loud.observation_patterns.fill_(0.4)
    stacked = twins.StackedTwins([loud, quiet])
    drive = torch.zeros(2, 400, 30, dtype=torch.float64)
    states, seen = (stacked.respond(drive, generator=seeded(3), observed=which) for which in (False, True))
    added = (seen - states)[:, :, 1:]
    assert float(added[0].std()) == pytest.approx(0.5 * float(loud.response_scale), rel=0.03)
    assert float((added[0, :, 1:] * added[0, :, :-1]).mean()) == pytest.approx(
        0.0, abs=0.01 * float(added[0].var()) * 3
    )
    assert added[1].abs().max() == 0.0


def test_a_trials_offset_is_constant_in_it_and_differs_between_batch_elements():
    twin = make(2, trial_drift=True, noise_diagonal=False)
    twin.trial_offsets.fill_(0.7)
    stacked = twins.StackedTwins([twin])
    drive = torch.zeros(1, 500, 12, dtype=torch.float64)
    states, seen = (stacked.respond(drive, generator=seeded(3), observed=which) for which in (False, True))
    offsets = (seen - states)[0, :, 1:]
    assert float(offsets.std(1).max()) < 1e-9
    assert float(offsets[:, 0].std()) == pytest.approx(0.7 * float(twin.response_scale), rel=0.1)


@pytest.mark.parametrize("structure", [{}, {"auxiliaries": 1}], ids=["kernel", "one by one"])
def test_hidden_states_start_from_filtered_draws_as_the_twins_own_do(structure):
    twin = make(2, observation=True, warm_up=12, observation_noise=0.3, **structure)
    stacked = twins.StackedTwins([twin, twin])
    drive = torch.full((2, 3000, 8), 0.5, dtype=torch.float64)
    alone = twin.respond(drive[0, ..., None], generator=seeded(1), observed=False)[..., 0]
    together = stacked.respond(drive, generator=seeded(2), observed=False)
    for k in (0, 1, 7):
        spread = float(alone[:, k].std())
        assert float(together[1, :, k].std()) == pytest.approx(spread, rel=0.08)
        assert float(together[1, :, k].mean()) == pytest.approx(float(alone[:, k].mean()), abs=0.1 * spread)
    raw = torch.tensor([entry[0, 0] for entry in twin.bank_response])
    seen = stacked.respond(drive, generator=seeded(2))[0, :, 0]
    assert torch.isin(seen, raw.to(seen)).all()  # the first sample is the measured one


def test_given_histories_are_filtered_and_noise_for_twins_of_several_is_refused():
    hidden = make(2, observation=True, warm_up=5)
    stacked = twins.StackedTwins([hidden, make(3)])
    history = stacked.histories(6, generator=seeded())
    given = twins.StackedHistories(history.response, history.drive)
    drive = torch.zeros(2, 6, 9, dtype=torch.float64)
    first, second = (stacked.respond(drive, history=given, generator=seeded(4)) for _ in range(2))
    assert torch.equal(first, second)
    noise = torch.zeros(8, 2, 6, dtype=torch.float64)
    coloured = twins.StackedTwins([make(2, auxiliaries=1), make(3)])
    with pytest.raises(twins.TracesInvalid, match="has 2 noises"):
        coloured.respond(drive, noise=noise, generator=seeded())


def test_an_ensemble_is_no_node():
    with pytest.raises(twins.TracesMismatch, match="stack the members"):
        twins.StackedTwins([twins.TwinEnsemble([make(1)])])


MANY = {"kernel": {}, "one by one": {"scheme": "heun"}, "hidden": {"auxiliaries": 1, "warm_up": 6}}


def test_a_stack_takes_all_that_it_holds_to_another_type_and_leaves_the_twins():
    given = [make(2 + n, biases=(0.0, 0.4), **structure) for n, structure in enumerate(MANY.values())]
    stacked = twins.StackedTwins(given, conditions=[{"bias": 0.1}] * 3)
    exact = stacked.start(5, generator=seeded()).tensors()
    stacked.float()
    state = stacked.start(5, generator=seeded())
    assert {one.dtype for one in state.tensors()} == {torch.float32}
    for ours, theirs in zip(state.tensors(), exact, strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-4, atol=1e-5)
    response, _ = stacked.advance(state, torch.zeros(3, 5, 9), generator=seeded())
    assert response.dtype == torch.float32
    history = stacked.histories(5, generator=seeded())
    assert history.response.dtype == torch.float32
    assert {tensor.dtype for twin in given for tensor in twin.state_dict().values() if tensor.is_floating_point()} == {
        torch.float64
    }


def test_a_stack_on_another_device_has_everything_there():
    given = [make(2), make(3, scheme="heun")]
    stacked = twins.StackedTwins(given).to("meta")
    assert stacked.device.type == "meta"
    history = stacked.histories(4, generator=seeded())  # lots of a generator of the CPU
    assert {history.response.device.type, history.drive.device.type, history.entries.device.type} == {"meta"}
    begun = stacked.start(4, generator=seeded())
    assert {one.device.type for one in begun.tensors()} == {"meta"}
    assert all(tensor.device.type == "cpu" for twin in given for tensor in twin.state_dict().values())
    alone = twins.StackedTwins([given[0]] * 2).to(
        "meta"
    )  # the solver of the others looks at values, which meta has not
    drive = torch.zeros(2, 4, 9, device="meta", requires_grad=True)
    response = alone.respond(drive, generator=seeded(), check_range=False)
    assert response.device.type == "meta" and response.shape == (2, 4, 9)
    response.sum().backward()
    assert drive.grad is not None and drive.grad.device.type == "meta"
