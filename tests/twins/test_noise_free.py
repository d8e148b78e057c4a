"""The rivals that know less of a twin's noise: the same drift, and noise of one size or none."""

import dataclasses

import numpy as np
import pytest
import torch

import twins
from twins.device.prepare import prepare_twin, step_rows
from twins.device.stacked_weights import kernel_expresses
from twins.errors import TracesMismatch, TwinNotFitted
from twins.noise_free import constant_noise_twin, ode_twin

KEEPS, PULL, SIGMA = 0.8, 0.3, 0.05


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def ar1(seed, *, n_channels=1, mixing=None, measured=0.0, n_trials=20, n_samples=300):
    """x' = 0.8 x + 0.3 u + e, seen with measurement noise; e has the covariance mixing mixingᵀ (default 0.05² I)."""
    rng = np.random.default_rng(seed)
    mixing = SIGMA * np.eye(n_channels) if mixing is None else mixing
    drive = rng.uniform(-1.0, 1.0, (n_trials, n_samples, 1))
    state = np.zeros((n_trials, n_samples, n_channels))
    for k in range(n_samples - 1):
        state[:, k + 1] = KEEPS * state[:, k] + PULL * drive[:, k] + rng.normal(size=(n_trials, n_channels)) @ mixing.T
    response = state + measured * rng.normal(size=state.shape)
    names, units = tuple(f"r{i}" for i in range(n_channels)), ("V",) * n_channels
    traces = twins.Traces(drive, response, 1e-3, ("u",), ("V",), names, units, n_prepare=20)
    return traces, state


def prepared(traces, *, seed=0, **structure):
    """A twin that is its linear backbone, but for nets that are not silent where `loud`."""
    loud = structure.pop("loud", False)
    structure = {"response_delays": 0, "drive_delays": 0, "hidden": (6, 6)} | structure
    twin = twins.DeviceTwin(twins.DeviceTwinSpec.for_traces(traces, **structure))
    prepare_twin(twin, [traces], generator=seeded(seed))
    if loud:
        with torch.no_grad():
            for parameter in twin.nets.parameters():
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=seeded(seed + 1)))
    return twin


def spread_of(twin, traces):
    """Standard deviation of a step's own noise in response units, (row, response)."""
    rows, _ = step_rows(twin, traces)
    return twin.step_law(rows).spread.detach().double() * twin.response_scale


def test_the_constant_noise_of_a_known_autoregression_is_found():
    traces, _ = ar1(1)
    spread = spread_of(constant_noise_twin(prepared(traces), [traces]), traces)
    assert float(spread.std()) < 1e-6 * SIGMA
    n_steps = 20 * 299
    assert float(spread.mean()) == pytest.approx(SIGMA, rel=4.0 / np.sqrt(2 * n_steps))


def test_the_constant_noise_is_the_root_mean_square_of_what_the_drift_misses(leaky_twin, leaky_traces):
    rows, increments = step_rows(leaky_twin, leaky_traces)
    with torch.no_grad():
        missed = (increments - leaky_twin.step_law(rows).increment).double() * leaky_twin.response_scale
    spread = spread_of(constant_noise_twin(leaky_twin, [leaky_traces]), leaky_traces)
    assert float(spread.mean()) == pytest.approx(float(missed.square().mean().sqrt()), rel=1e-4)
    assert float(spread.std() / spread.mean()) < 1e-4
    assert float(spread_of(leaky_twin, leaky_traces).std() / spread.mean()) > 0.2, (
        "the twin's own noise is not constant"
    )


def test_both_rivals_have_the_drift_of_their_twin(leaky_twin, leaky_traces):
    rows, _ = step_rows(leaky_twin, leaky_traces)
    for rival in (ode_twin(leaky_twin), constant_noise_twin(leaky_twin, [leaky_traces])):
        torch.testing.assert_close(rival.step_law(rows).increment, leaky_twin.step_law(rows).increment)
        assert torch.equal(rival.drive_range, leaky_twin.drive_range)
        assert torch.equal(rival.bank_response, leaky_twin.bank_response)


@pytest.mark.parametrize(
    "structure",
    [
        {"response_delays": 3, "drive_delays": 2},
        {"diffusion_hidden": (4, 9)},
        {"backbone_order": 2, "scheme": "rk4"},
        {"auxiliaries": 2, "noise_columns": 1},
        {"noise_diagonal": False},
    ],
)
def test_the_drift_is_the_same_whatever_the_structure(structure):
    traces, _ = ar1(2)
    twin = prepared(traces, loud=True, **structure)
    rows, _ = step_rows(twin, traces)
    for rival in (ode_twin(twin), constant_noise_twin(twin, [traces])):
        torch.testing.assert_close(rival.step_law(rows).increment, twin.step_law(rows).increment)
        assert rival.spec.auxiliaries == 0
        assert rival.spec.response_delays == twin.spec.response_delays


def test_without_noise_every_answer_from_one_start_is_the_same(leaky_twin):
    rival = ode_twin(leaky_twin)
    drive = torch.linspace(-1.0, 1.0, 50, dtype=torch.float64).expand(4, 50).unsqueeze(-1)
    start = rival.histories([0, 0, 0, 0])
    with torch.no_grad():
        answers = [rival.respond(drive, history=start, generator=seeded(seed)) for seed in (1, 2)]
    assert torch.equal(*answers)
    assert float(answers[0].std(0).max()) == 0.0
    silent = leaky_twin.respond(drive, history=start, noise=torch.zeros(49, 4, 1))
    torch.testing.assert_close(answers[0], silent, rtol=1e-5, atol=1e-6)


def test_both_stay_in_the_fast_kernel_and_answer_there_as_alone(leaky_twin, leaky_traces):
    rivals = [ode_twin(leaky_twin), constant_noise_twin(leaky_twin, [leaky_traces])]
    assert all(kernel_expresses(rival) for rival in rivals)
    stacked = twins.StackedTwins(rivals)
    drive = torch.rand(2, 3, 30, generator=seeded(3), dtype=torch.float64)
    history = stacked.histories(3, generator=seeded(4))
    noise = torch.randn(29, 2, 3, generator=seeded(5))
    together = stacked.respond(drive, history=history, noise=noise)
    without = stacked.respond(drive, history=history, noise=torch.zeros_like(noise))
    torch.testing.assert_close(together[0], without[0])
    louder = (together[1] - without[1])[:, 1] / (noise[0, 1] * leaky_twin.response_scale)
    first = spread_of(rivals[1], leaky_traces)[0] / leaky_twin.response_scale
    torch.testing.assert_close(louder, first.expand(3).to(louder), rtol=1e-3, atol=1e-6)


def test_a_twin_of_separate_nets_has_rivals_in_the_fast_kernel():
    traces, _ = ar1(3)
    twin = prepared(traces, loud=True, diffusion_hidden=(4, 9))
    assert not kernel_expresses(twin)
    assert kernel_expresses(ode_twin(twin))
    assert kernel_expresses(constant_noise_twin(twin, [traces]))


def test_measurement_noise_is_kept_and_not_counted_as_process_noise():
    measured = 0.1
    traces, state = ar1(4, measured=measured, n_trials=40)
    twin = prepared(traces, observation=True, warm_up=8)
    with torch.no_grad():
        give_drift_of(prepared(ar1(4, n_trials=40)[0]), twin)
        twin.observation_log_std.copy_((measured / twin.response_scale).log())
    rival = constant_noise_twin(twin, [traces])
    assert rival.spec.observation
    assert torch.equal(rival.observation_log_std, twin.observation_log_std)
    assert float(spread_of(rival, traces).mean()) == pytest.approx(SIGMA, rel=0.15)
    # while single steps alone would have it at the root of σ² + r² (1 + 0.8²)
    rows, increments = step_rows(twin, traces)
    missed = (increments - twin.step_law(rows).increment).detach().std() * twin.response_scale
    assert float(missed) > 2.0 * SIGMA
    starts = ode_twin(rival).bank_response[:, 0, 0].numpy()  # by the filter of a twin whose noise is right
    true, seen = state[:, 20, 0], traces.response[:, 20, 0]
    assert np.std(starts - true) < 0.7 * np.std(seen - true)


def give_drift_of(clean, twin):
    """What a filter would find, from data without what hides the state."""
    ratio = (twin.response_scale / clean.response_scale).float()
    shift = ((twin.response_centre - clean.response_centre) / clean.response_scale).float()
    twin.linear_bias.copy_((clean.linear_bias + shift @ clean.linear_weight[:1]) / ratio)
    twin.linear_weight.copy_(torch.cat((clean.linear_weight[:1], clean.linear_weight[1:] / ratio)))


def test_offsets_of_trials_are_kept_and_not_counted_as_process_noise():
    clean, _ = ar1(10, n_trials=40)
    offset = 0.5 * np.random.default_rng(0).normal(size=(40, 1, 1))
    traces = dataclasses.replace(clean, response=clean.response + offset)
    twin = prepared(traces, trial_drift=True, warm_up=40)
    with torch.no_grad():
        give_drift_of(prepared(clean), twin)
        twin.trial_offsets.copy_(0.5 / twin.response_scale)
    rows, increments = step_rows(twin, traces)
    missed = (increments - twin.step_law(rows).increment).detach().std() * twin.response_scale
    assert float(missed) > 1.7 * SIGMA
    rival = constant_noise_twin(twin, [traces])
    assert torch.equal(rival.trial_offsets, twin.trial_offsets)
    assert float(spread_of(rival, traces).mean()) == pytest.approx(SIGMA, rel=0.15)
    assert not ode_twin(twin).spec.trial_drift


def test_an_ordinary_equation_has_neither_head_nor_offsets_nor_warm_up():
    traces, _ = ar1(5, measured=0.02)
    rival = ode_twin(prepared(traces, observation=True, warm_up=8, response_delays=1))
    assert rival.noise_type == "none"
    assert not (rival.spec.observation or rival.spec.hidden_state or rival.spec.warm_up)
    assert rival.bank_response.shape[1] == 2


def test_noise_that_channels_share_stays_shared():
    mixing = np.array([[0.05, 0.0], [0.04, 0.03]])
    traces, _ = ar1(6, n_channels=2, mixing=mixing)
    rival = constant_noise_twin(prepared(traces, noise_diagonal=False, noise_columns=2), [traces])
    rows, _ = step_rows(rival, traces)
    columns = rival.step_law(rows[:5]).columns.detach().double() * rival.response_scale.unsqueeze(-1)
    for one in columns @ columns.mT:
        np.testing.assert_allclose(one.numpy(), mixing @ mixing.T, rtol=0.1)


def test_channels_without_process_noise_have_none():
    traces, _ = ar1(7, n_channels=2)
    rival = constant_noise_twin(prepared(traces, noise_mask=(True, False)), [traces])
    spread = spread_of(rival, traces)
    assert float(spread[:, 0].mean()) == pytest.approx(SIGMA, rel=0.05)
    assert float(spread[:, 1].abs().max()) == 0.0


def test_rivals_are_saved_and_loaded_like_any_twin(leaky_twin, leaky_traces, tmp_path):
    for name, rival in (("ode", ode_twin(leaky_twin)), ("constant", constant_noise_twin(leaky_twin, [leaky_traces]))):
        twins.save_twin(rival, tmp_path / name, provenance={})
        back = twins.load_twin(tmp_path / name)
        assert back.spec == rival.spec
        assert all(torch.equal(value, back.state_dict()[key]) for key, value in rival.state_dict().items())


def test_of_an_ensemble_every_member_has_its_rival():
    traces, _ = ar1(8)
    members = [prepared(traces, seed=seed, loud=True) for seed in (1, 2)]
    rows, _ = step_rows(members[0], traces)
    for rival in (ode_twin(twins.TwinEnsemble(members)), constant_noise_twin(twins.TwinEnsemble(members), [traces])):
        assert len(rival) == 2
        for own, member in zip(rival.members, members, strict=True):
            torch.testing.assert_close(own.step_law(rows).increment, member.step_law(rows).increment)


def test_twins_in_double_precision_have_rivals_in_double_precision():
    traces, _ = ar1(8)
    twin = prepared(traces, loud=True).double()
    assert ode_twin(twin).linear_weight.dtype == torch.float64


def test_what_cannot_be_done_is_refused(leaky_traces):
    traces, _ = ar1(9)
    with pytest.raises(TwinNotFitted):
        ode_twin(twins.DeviceTwin(twins.DeviceTwinSpec.for_traces(traces)))
    with pytest.raises(TracesMismatch, match="sampled every"):
        constant_noise_twin(prepared(traces), [leaky_traces])
    still = dataclasses.replace(traces, drive=np.zeros_like(traces.drive), response=np.zeros_like(traces.response))
    with pytest.raises(TracesMismatch, match="exactly"):
        constant_noise_twin(prepared(still), [still])
