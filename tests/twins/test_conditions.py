"""Structures of a twin beyond one device in one condition: conditions, equations without noise, shared noise."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

import twins
from twins.device.history import histories_of
from twins.fitting import RolloutOptions

TEMPERATURES_K = (280.0, 300.0, 330.0, 350.0)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def fitted(twin, traces, **options):
    for _ in twins.fit(twin, traces, **({"seed": 0} | options)):
        pass
    return twin


# Conditions


def leaky_at(ground_truth, temperature_K, rng, **options):
    """A leaky integrator whose time constant falls as it warms, by a factor of two over the range."""
    tau = 2.0 ** ((300.0 - temperature_K) / 70.0)
    traces = ground_truth.record("leaky", rng, n_samples=120, dt=0.2 / tau, **options)
    return twins.Traces(
        traces.drive, traces.response, traces.dt_s, traces.drive_names, traces.drive_units, traces.response_names,
        traces.response_units, 20, traces.input_id, {"temperature_K": temperature_K, "pressure_Pa": 1e5},
    )  # fmt: skip


@pytest.fixture(scope="module")
def recordings(ground_truth):
    rng = np.random.default_rng(8)
    return [leaky_at(ground_truth, temperature, rng, n_inputs=12) for temperature in TEMPERATURES_K]


@pytest.fixture(scope="module")
def conditioned(recordings):
    spec = twins.DeviceTwinSpec.for_traces(recordings, response_delays=1, drive_delays=0, hidden=(16, 16))
    return fitted(twins.DeviceTwin(spec), recordings, max_epochs=40)


def foreseen_error(twin, traces):
    """Root mean square of (mean of 40 draws - mean over repeats), over the device's own spread about its mean."""
    repeats = traces.select(traces.inputs == traces.inputs[0])
    start = 20
    starts = histories_of(twin.spec, repeats)
    turn = torch.arange(40) % repeats.n_trials
    drive = torch.tensor(repeats.drive[:, start:])[turn].float()
    history = twins.Histories(starts.response[turn], starts.drive[turn])
    draws = twin.respond(drive, history=history, conditions=traces.conditions, generator=seeded())
    error = draws.mean(0).detach().numpy() - repeats.response[:, start:].mean(0)
    return float(np.sqrt((error**2).mean()) / repeats.response[:, start:].std(0).mean())


def test_only_what_differs_becomes_an_input(conditioned):
    assert conditioned.spec.condition_names == ("temperature_K",)


def test_a_twin_foresees_an_unseen_condition(ground_truth, recordings, conditioned):
    rng = np.random.default_rng(9)
    between = leaky_at(ground_truth, 315.0, rng, n_inputs=1, n_repeats=40)
    assert foreseen_error(conditioned, between) < 0.5
    blind = twins.DeviceTwinSpec.for_traces(recordings[:1], response_delays=1, drive_delays=0, hidden=(16, 16))
    blind = fitted(twins.DeviceTwin(blind), recordings[:1], max_epochs=15)  # of 280 K, and nothing else
    assert foreseen_error(blind, between) > 2 * foreseen_error(conditioned, between)


def test_calibration_holds_between_the_conditions(ground_truth, conditioned):
    held_out = leaky_at(ground_truth, 315.0, np.random.default_rng(10), n_inputs=4, n_repeats=40)
    figures = twins.calibrate(conditioned, held_out, n_draws=100, generator=seeded())
    assert 0.8 < figures.std_ratio < 1.2 and 0.84 < figures.coverage_90 < 0.95


def test_a_twin_with_conditions_must_be_told_them(conditioned):
    drive = torch.zeros(2, 5, 1)
    with pytest.raises(twins.TracesInvalid, match="temperature_K"):
        conditioned.respond(drive, generator=seeded())
    with pytest.raises(twins.TracesInvalid, match="temperature_K"):
        conditioned.respond(drive, generator=seeded(), conditions={"pressure_Pa": 1e5})
    by_name = conditioned.respond(drive, generator=seeded(), conditions={"temperature_K": 300.0})
    by_value = conditioned.respond(drive, generator=seeded(), conditions=torch.tensor([300.0]))
    assert torch.equal(by_name, by_value)


def test_each_trial_may_have_its_own_condition(conditioned):
    drive = torch.ones(2, 30, 1)
    history = conditioned.histories([0, 0])
    noise = torch.zeros(29, 2, 1)
    together = conditioned.respond(drive, history=history, noise=noise, conditions=torch.tensor([[280.0], [350.0]]))
    together = together.detach()
    for number, temperature in enumerate((280.0, 350.0)):
        alone = conditioned.respond(
            drive[:1], history=conditioned.histories([0]), noise=noise[:, :1], conditions={"temperature_K": temperature}
        )
        torch.testing.assert_close(together[number], alone[0].detach())
    assert float((together[0, 3] - together[1, 3]).abs()) > 1e-2  # warm is faster


def test_a_condition_outside_the_range_is_refused(conditioned):
    drive = torch.zeros(1, 5, 1)
    with pytest.raises(twins.OutsideFittedRange, match=r"temperature_K: 400 .*280\.\.350"):
        conditioned.respond(drive, generator=seeded(), conditions={"temperature_K": 400.0})
    wider = conditioned.respond(drive, generator=seeded(), conditions={"temperature_K": 400.0}, check_range=False)
    assert torch.isfinite(wider).all()
    with pytest.raises(twins.TracesInvalid, match="finite"):
        conditioned.respond(drive, generator=seeded(), conditions={"temperature_K": float("nan")}, check_range=False)


def test_starts_come_from_the_nearest_condition(conditioned):
    bank = conditioned.bank
    drive = torch.zeros(200, 2, 1)
    for asked, nearest in ((281.0, 280.0), (312.0, 300.0), (345.0, 350.0)):
        response = conditioned.respond(drive, generator=seeded(), conditions={"temperature_K": asked})
        allowed = bank.response[bank.conditions[:, 0] == nearest][:, 0]
        assert torch.isclose(response[:, None, 0], allowed[None], atol=1e-6).all(-1).any(1).all()
        assert len(torch.unique(response[:, 0])) > 3
    mixed = conditioned.histories(2, generator=seeded(), conditions=torch.tensor([[280.0], [350.0]]))
    for start, value in zip(mixed.response, (280.0, 350.0), strict=True):
        assert (bank.response[bank.conditions[:, 0] == value] == start).flatten(1).all(1).any()


def test_conditions_survive_saving_and_going_on(tmp_path, recordings, conditioned):
    twins.save_twin(conditioned, tmp_path / "twin.safetensors", provenance={})
    loaded = twins.load_twin(tmp_path / "twin.safetensors")
    drive, at = torch.zeros(2, 6, 1), {"temperature_K": 290.0}
    assert torch.equal(
        loaded.respond(drive, generator=seeded(), conditions=at),
        conditioned.respond(drive, generator=seeded(), conditions=at),
    )
    fitted(loaded, recordings[1:3], max_epochs=1, warm_start=True)  # of a narrower range
    assert loaded.condition_range.tolist() == [[280.0, 350.0]]


def test_data_without_the_condition_are_refused(recordings, conditioned):
    with pytest.raises(twins.TracesMismatch, match="needs the conditions temperature_K"):
        bare = twins.Traces(
            recordings[0].drive, recordings[0].response, recordings[0].dt_s, ("leaky_drive",), ("V",),
            ("leaky_response",), ("V",),
        )  # fmt: skip
        conditioned.spec.check_traces(bare)


# Equations without noise


def linear_ode(scheme, dt, n_samples, *, rate=1.5, frequency=4.0):
    """A twin whose drift is exactly x' = [[-rate, frequency], [-frequency, -rate]] x, stepped by dt."""
    spec = twins.DeviceTwinSpec(
        dt_s=dt, drive_names=("u",), drive_units=("V",), response_names=("p", "q"), response_units=("V", "V"),
        response_delays=0, drive_delays=0, hidden=(4,), scheme=scheme, noise_diagonal=False,
    )  # fmt: skip
    twin = twins.DeviceTwin(spec).double()
    with torch.no_grad():
        matrix = torch.tensor([[-rate, frequency], [-frequency, -rate]], dtype=torch.float64)
        twin.linear_weight[:2] = matrix.T * dt
        twin.fitted.fill_(True)
    start = twins.Histories(torch.tensor([[[1.0, 0.5]]], dtype=torch.float64), torch.zeros(1, 0, 1))
    drive = torch.zeros(1, n_samples + 1, 1, dtype=torch.float64)
    return twin.respond(drive, history=start, check_range=False)[0, -1].detach()


@pytest.mark.parametrize(("scheme", "order"), [("euler", 1), ("heun", 2), ("rk4", 4)])
def test_the_drift_is_integrated_with_the_order_of_its_scheme(scheme, order):
    turn, decay = 4.0, math.exp(-1.5)
    rotation = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    exact = torch.tensor(decay * rotation @ np.array([1.0, 0.5]))
    errors = [float((linear_ode(scheme, 1.0 / n, n) - exact).norm()) for n in (40, 80, 160)]
    measured = [math.log2(coarse / fine) for coarse, fine in pairwise(errors)]
    assert measured[-1] == pytest.approx(order, abs=0.12)


@pytest.mark.parametrize("diffusion_hidden", [None, (3, 7)])
def test_the_stages_see_the_same_drift_as_the_step(diffusion_hidden):
    spec = twins.DeviceTwinSpec(
        dt_s=0.1, drive_names=("u",), drive_units=("V",), response_names=("x",), response_units=("V",),
        hidden=(5, 4), diffusion_hidden=diffusion_hidden, noise_columns=2,
    )  # fmt: skip
    nets, rows = twins.DeviceTwin(spec).nets, torch.randn(6, spec.n_inputs, generator=seeded())
    with torch.no_grad():
        for number, parameter in enumerate(nets.parameters()):
            parameter.copy_(torch.randn(parameter.shape, generator=seeded(number)))
    torch.testing.assert_close(nets.drift(rows), nets(rows)[0])


def test_delayed_states_are_interpolated_within_a_step():
    # x' = -x(t - dt): the stages see the delayed state half-way between two samples
    spec = twins.DeviceTwinSpec(
        dt_s=0.1, drive_names=("u",), drive_units=("V",), response_names=("x",), response_units=("V",),
        response_delays=1, drive_delays=0, hidden=(4,), scheme="rk4", noise_diagonal=False,
    )  # fmt: skip
    twin = twins.DeviceTwin(spec).double()
    with torch.no_grad():
        twin.linear_weight[1] = -0.1
        twin.fitted.fill_(True)
    start = twins.Histories(torch.tensor([[[3.0], [1.0]]], dtype=torch.float64), torch.zeros(1, 0, 1))
    step = twin.respond(torch.zeros(1, 2, 1, dtype=torch.float64), history=start, check_range=False)
    assert float(step[0, 1, 0].detach()) == pytest.approx(3.0 - 0.1 * (1.0 + 3.0) / 2)


def test_a_twin_without_noise_answers_the_same_every_time(ground_truth):
    traces = ground_truth.record("leaky", np.random.default_rng(5), n_inputs=16, n_samples=100, s=0.002)
    spec = twins.DeviceTwinSpec.for_traces(
        traces, response_delays=0, drive_delays=0, hidden=(12,), noise_diagonal=False, scheme="heun"
    )
    settings = {"rollout": RolloutOptions(n_iterations=120, n_windows=32, n_steps=6, learning_rate=1e-2)}
    events = list(
        twins.fit(twin := twins.DeviceTwin(spec), [traces], seed=0, phases=("rollout",), phase_options=settings)
    )
    assert events[-1].free_run_score < 0.5 * events[0].free_run_score
    assert not spec.noisy and twin.noise_type == "none" and spec.n_noise == 0
    drive = torch.tensor(traces.drive[:3, traces.n_prepare :], dtype=torch.float32)
    history = histories_of(spec, traces, range(3))
    first, second = (twin.respond(drive, history=history, generator=seeded(seed)).detach() for seed in (0, 1))
    assert torch.equal(first, second)
    observed = traces.response[:3, traces.n_prepare :]
    assert float(np.sqrt(np.mean((first.numpy() - observed) ** 2))) < 0.12 * observed.std()
    with pytest.raises(twins.TwinNotFitted, match="ordinary differential equation"):
        twin.diffusion(torch.zeros(1, 1), torch.zeros(1, 1))


# Shared noise


def test_noise_columns_give_their_covariance():
    spec = twins.DeviceTwinSpec(
        dt_s=1.0, drive_names=("u",), drive_units=("V",), response_names=("a", "b", "c"), response_units=("V",) * 3,
        response_delays=0, drive_delays=0, hidden=(4,), noise_diagonal=False, noise_columns=2,
    )  # fmt: skip
    twin = twins.DeviceTwin(spec)
    matrix = torch.tensor([[1.0, 0.5], [0.0, 2.0], [-1.0, 0.3]])
    with torch.no_grad():
        twin.nets.biases[-1][..., 1 if len(twin.nets.biases[-1]) == 1 else 0, :].zero_()
        twin.nets.biases[-1][1, 0, :6] = matrix.flatten()
        twin.increment_scale.copy_(torch.tensor([1.0, 0.5, 2.0]))
        twin.fitted.fill_(True)
    n = 100_000
    start = twins.Histories(torch.zeros(n, 1, 3), torch.zeros(n, 0, 1))
    step = twin.respond(torch.zeros(n, 2, 1), history=start, generator=seeded(), check_range=False)[:, 1].detach()
    scaled = matrix * torch.tensor([[1.0], [0.5], [2.0]])
    torch.testing.assert_close(torch.cov(step.T).float(), scaled @ scaled.T, rtol=0.02, atol=0.03)
    assert int((torch.linalg.eigvalsh(torch.cov(step.T)) > 1e-4).sum()) == 2
    g = twin.diffusion(torch.zeros(1, 3), torch.zeros(1, 1))[0].detach()
    torch.testing.assert_close(g, scaled)


def many_channels(n_trials, n_samples, *, n=60, rank=8, seed=0):
    """Sixty channels that forget at the same rate, with noise that reaches them through eight patterns."""
    patterns = np.linalg.qr(np.random.default_rng(1).standard_normal((n, rank)))[0] * np.linspace(0.6, 0.3, rank)
    rng = np.random.default_rng(seed)
    drive = np.repeat(rng.uniform(-1, 1, (n_trials, n_samples // 5 + 1)), 5, axis=1)[:, :n_samples]
    gain, response = np.linspace(-0.3, 0.3, n), np.zeros((n_trials, n_samples, n))
    for k in range(n_samples - 1):
        kick = rng.standard_normal((n_trials, rank)) @ patterns.T + 0.01 * rng.standard_normal((n_trials, n))
        response[:, k + 1] = 0.7 * response[:, k] + np.tanh(drive[:, k, None]) * gain + kick
    names = tuple(f"channel_{i}" for i in range(n))
    return twins.Traces(drive[..., None], response, 0.1, ("field",), ("mT",), names, ("dB",) * n), patterns


def test_sixty_channels_keep_the_rank_of_their_noise():
    traces, patterns = many_channels(40, 60)
    spec = twins.DeviceTwinSpec.for_traces(traces, response_delays=0, drive_delays=0, hidden=(16,), noise_columns=8)
    twin = fitted(twins.DeviceTwin(spec), [traces], phases=("likelihood",), max_epochs=5, learning_rate=3e-3)
    n = 4000
    history = twin.histories([0]).reshape(1)
    start = twins.Histories(history.response.expand(n, -1, -1), history.drive.expand(n, -1, -1))
    step = twin.respond(torch.zeros(n, 2, 1), history=start, generator=seeded())[:, 1].detach().numpy()
    correlation = np.corrcoef((step - step.mean(0)).T)
    strongest = np.sort(np.linalg.eigvalsh(correlation))[::-1]
    truth = patterns @ patterns.T + 1e-4 * np.eye(60)
    spread = np.sqrt(np.diag(truth))
    assert strongest[:8].sum() > 0.97 * 60 and strongest[8] < 0.1 * strongest[7]
    assert np.abs(correlation - truth / np.outer(spread, spread)).mean() < 0.1
    assert step.std(0).mean() == pytest.approx(spread.mean(), rel=0.1)
