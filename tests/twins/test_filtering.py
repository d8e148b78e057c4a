"""The filter: exact where it can be, gradients against finite differences, starts drawn from what it leaves open."""

import dataclasses

import numpy as np
import pytest
import torch

import twins
from twins.device.filtering import KalmanFilter, draw_start, filtered, stationary_covariance
from twins.device.history import Histories, histories_of
from twins.errors import TracesInvalid
from twins.objectives.filter import Recordings, filter_nll

METHODS = ("sigma_points", "extended")


def linear_twin(n_response=1, **options):
    """A twin whose nets are silent: x' = x + linear model + noise of constant covariance, in float64."""
    names = tuple(f"x{i}" for i in range(n_response))
    spec = twins.DeviceTwinSpec(
        dt_s=0.1, drive_names=("u",), drive_units=("V",), response_names=names, response_units=("V",) * n_response,
        **({"observation": True, "hidden": (5, 5), "response_delays": 1, "drive_delays": 1} | options),
    )  # fmt: skip
    twin, generator = twins.DeviceTwin(spec).double(), torch.Generator().manual_seed(0)
    with torch.no_grad():
        twin.increment_scale.fill_(0.3)
        levels = 0.5 + 0.3 * torch.rand(spec.n_diffusion, generator=generator, dtype=torch.float64)
        twin.nets.initialise(generator, diffusion_bias=levels)
        twin.linear_weight.copy_(0.15 * torch.randn(twin.linear_weight.shape, generator=generator, dtype=torch.float64))
        twin.linear_weight[:n_response] -= 0.3 * torch.eye(n_response)
        twin.auxiliary_coupling.copy_(torch.randn(twin.auxiliary_coupling.shape, generator=generator))
        twin.auxiliary_rate.copy_(torch.linspace(-1.5, -0.5, spec.auxiliaries))
        twin.observation_log_std.copy_(torch.linspace(-1.6, -1.2, n_response * spec.observation))
        twin.observation_patterns.copy_(0.2 * torch.randn(twin.observation_patterns.shape, generator=generator))
        if spec.trial_drift:
            twin.trial_offsets.copy_(0.4 * torch.eye(n_response))
        twin.fitted.fill_(True)
    return twin


def dense_moments(twin, u, n_samples):
    """Mean and covariance of all measured samples of one recording, the first `delays + 1` states having a flat prior.

    By brute force: every state, measurement and offset as a linear function of independent standard normal numbers.
    """
    spec = twin.spec
    n, n_aux, first = spec.n_response, spec.auxiliaries, spec.response_delays + 1
    law = twin.step_law(torch.zeros(1, spec.n_inputs, dtype=torch.float64))
    parts = [torch.diag(law.spread[0])] if law.spread is not None else []
    parts += [law.columns[0]] if law.columns is not None else []
    noise = torch.cat(parts, dim=1)
    rho = twin.auxiliary_correlation
    kick = (1 - rho**2).sqrt()
    n_free, n_offset = first * n, n * spec.trial_drift
    start = n_free + n_offset
    size = start + n_aux + (n_samples - first) * noise.shape[1]
    weight, bias = twin.linear_weight.T, twin.linear_bias
    x = [torch.zeros(n, size, dtype=torch.float64) for _ in range(n_samples)]
    mean = [torch.zeros(n, dtype=torch.float64) for _ in range(n_samples)]
    for k in range(first):
        x[k][:, k * n : (k + 1) * n] = torch.eye(n)
    a = torch.zeros(n_aux, size, dtype=torch.float64)
    if n_aux:
        a[:, start : start + n_aux] = torch.linalg.cholesky(
            stationary_covariance(twin, torch.zeros(1, spec.n_inputs).double())[0]
        )
    for k in range(first - 1, n_samples - 1):
        rows = torch.cat([x[k - d] for d in range(first)])
        means = torch.cat([mean[k - d] for d in range(first)] + [u[k]])
        own = torch.zeros(noise.shape[1], size, dtype=torch.float64)
        place = start + n_aux + (k + 1 - first) * noise.shape[1]
        own[:, place : place + noise.shape[1]] = torch.eye(noise.shape[1])
        force = (twin.increment_scale[:, None] * twin.auxiliary_coupling) @ a
        x[k + 1] = x[k] + weight[:, : first * n] @ rows + force + noise[:n] @ own
        mean[k + 1] = mean[k] + bias + weight @ means
        a = rho[:, None] * a + kick[:, None] * (noise[n:] @ own)
    offset = torch.zeros(n, size, dtype=torch.float64)
    if n_offset:
        offset[:, n_free:start] = twin.trial_offsets
    seen = torch.cat([part + offset for part in x])
    return torch.cat(mean), seen[:, n_free:], seen[:, :n_free]


def exact_log_density(twin, observed, u):
    """Log density of the samples after the first ones, given these, by one dense Gaussian."""
    n, first = twin.spec.n_response, twin.spec.response_delays + 1
    mean, random, free = dense_moments(twin, u, len(observed))
    flat = 1e4  # a prior this wide is flat, and rounding still small
    measured = torch.kron(torch.eye(len(observed)).double(), twin.observation_covariance().detach())
    covariance = random @ random.T + flat**2 * free @ free.T + measured
    y, known = observed.flatten(), first * n

    def log_density(size):
        error = (y - mean)[:size]
        root = torch.linalg.cholesky(covariance[:size, :size])
        return -0.5 * torch.cholesky_solve(error[:, None], root).flatten() @ error - root.diagonal().log().sum()

    missing = (len(observed) - first) * n
    return log_density(len(y)) - log_density(known) - 0.5 * missing * np.log(2 * np.pi)


STRUCTURES = [
    {"response_delays": 0},
    {"response_delays": 2},
    {"n_response": 3, "noise_columns": 2, "observation_columns": 1},
    {"auxiliaries": 2},
    {"auxiliaries": 1, "noise_diagonal": False, "noise_columns": 2, "n_response": 2},
    {"n_response": 2, "noise_mask": (True, False), "auxiliaries": 1},
    {"trial_drift": True, "n_response": 2, "auxiliaries": 1},
]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("structure", STRUCTURES, ids=str)
def test_of_a_linear_device_the_filter_has_the_exact_likelihood(structure, method):
    twin, generator = linear_twin(**structure), torch.Generator().manual_seed(1)
    n = twin.spec.n_response
    observed = torch.randn(2, 9, n, generator=generator, dtype=torch.float64)
    u = torch.randn(2, 9, 2, generator=generator, dtype=torch.float64)
    nll = filter_nll(twin, observed, u, method=method)
    n_scored = 9 - twin.spec.response_delays - 1
    exact = torch.stack([exact_log_density(twin, y, drive) for y, drive in zip(observed, u, strict=True)])
    unit = 0.5 * np.log(2 * np.pi) + np.log(0.3)
    torch.testing.assert_close(nll, -exact.mean() / (n * n_scored) - unit, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("structure", [{}, {"n_response": 2, "auxiliaries": 1, "noise_columns": 1, "scheme": "heun"}])
def test_gradients_of_the_likelihood_against_finite_differences(structure, method):
    twin, generator = linear_twin(**structure), torch.Generator().manual_seed(2)
    with torch.no_grad():
        for weight in twin.nets.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=generator, dtype=torch.float64))
    observed = torch.randn(3, 7, twin.spec.n_response, generator=generator, dtype=torch.float64)
    u = torch.randn(3, 7, 2, generator=generator, dtype=torch.float64)
    parameters = [p for p in twin.parameters() if p.numel()]
    gradients = torch.autograd.grad(filter_nll(twin, observed, u, method=method), parameters, materialize_grads=True)
    step = 1e-6
    for parameter, gradient in zip(parameters, gradients, strict=True):
        direction = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                parameter.add_(sign * step * direction)
                values.append(float(filter_nll(twin, observed, u, method=method)))
                parameter.sub_(sign * step * direction)
        difference = (values[0] - values[1]) / (2 * step)
        assert float((gradient * direction).sum()) == pytest.approx(difference, rel=1e-5, abs=1e-8)


def test_both_filters_agree_on_the_leaky_integrator(leaky_twin, leaky_traces):
    twin = hidden_version(leaky_twin)
    windows = Recordings.of(twin, [leaky_traces]).windows(64, 40, np.random.default_rng(0))
    with torch.no_grad():
        sigma, extended = (float(filter_nll(twin, *windows, burn_in=5, method=method)) for method in METHODS)
    assert sigma == pytest.approx(extended, abs=0.02)


def hidden_version(fitted):
    """The same twin, seen through measurement noise."""
    twin = twins.DeviceTwin(dataclasses.replace(fitted.spec, observation=True, warm_up=5))
    own = twin.state_dict()
    with torch.no_grad():
        for name, value in fitted.state_dict().items():
            if name in own and own[name].shape == value.shape:
                own[name].copy_(value)
        twin.observation_log_std.fill_(-3.0)
    return twin


@pytest.mark.parametrize("structure", [{"drive_delays": 0}, {"drive_delays": 3, "auxiliaries": 1}], ids=str)
def test_a_start_is_drawn_from_what_the_filter_leaves_open(structure):
    twin = linear_twin(warm_up=4, response_delays=2, **structure)
    spec, generator = twin.spec, torch.Generator().manual_seed(3)
    observed = torch.randn(1, 7, 1, generator=generator, dtype=torch.float64)  # oldest first
    drive = torch.randn(1, 4 + spec.drive_delays, 1, generator=generator, dtype=torch.float64)
    history = Histories(observed.flip(1), drive.flip(1))
    u = torch.zeros(1, 7, spec.drive_delays + 1, dtype=torch.float64)
    for k in range(4):  # the first step of the filter is from sample 2 to sample 3
        u[0, 2 + k] = drive[0, k : k + spec.drive_delays + 1, 0].flip(0)
    belief = filtered(twin, observed, u)
    x0, auxiliaries = draw_start(twin, history, torch.zeros(20000, 0), (20000,), generator)
    state = torch.cat((x0.flatten(1), auxiliaries), dim=1)
    spread = belief.covariance[0].diagonal().sqrt()
    assert (state.mean(0) - belief.mean[0]).abs().div(spread).max() < 0.05
    assert (torch.cov(state.T) - belief.covariance[0]).div(torch.outer(spread, spread)).abs().max() < 0.05


def test_a_start_without_history_has_stationary_auxiliaries_and_the_measured_response():
    twin, generator = linear_twin(auxiliaries=2, observation=False), torch.Generator().manual_seed(0)
    history = Histories(torch.zeros(2, 1, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64))
    x0, auxiliaries = draw_start(twin, history, torch.zeros(20000, 0), (20000,), generator)
    assert float(x0.std()) < 0.01 * float(twin.increment_scale)
    wanted = stationary_covariance(twin, torch.zeros(1, twin.spec.n_inputs, dtype=torch.float64))[0]
    torch.testing.assert_close(torch.cov(auxiliaries.T), wanted, rtol=0.06, atol=0.03)


def test_filtering_a_history_tells_more_than_its_last_samples(leaky_twin, leaky_traces):
    """The truth is the response itself, here measured almost without noise; the twin is given a noisy copy of it."""
    twin = hidden_version(leaky_twin)
    history = histories_of(twin.spec, leaky_traces)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(history.response.shape, generator=generator) * twin.response_scale * 0.2
    with torch.no_grad():
        twin.observation_log_std.fill_(float(np.log(0.2)))
        noisy = Histories(history.response + noise, history.drive)
        batch = (50, leaky_traces.n_trials)
        x0, _ = draw_start(twin, noisy, torch.zeros(*batch, 0), batch, generator)
    truth = (history.response[:, 0] - twin.response_centre) / twin.response_scale
    assert (x0.mean(0)[:, 0] - truth).square().mean().sqrt() < 0.6 * 0.2


@pytest.mark.slow
def test_the_filter_phase_finds_the_measurement_noise(ground_truth):
    traces = ground_truth.record("leaky", np.random.default_rng(5), n_inputs=60, n_samples=150, observation_noise=0.03)
    spec = twins.DeviceTwinSpec.for_traces(
        traces, response_delays=0, drive_delays=0, hidden=(8, 8), observation=True, warm_up=8
    )
    twin = twins.DeviceTwin(spec)
    for _ in twins.fit(twin, [traces], seed=0, phases=("likelihood", "filter"), max_epochs=15):
        pass
    assert float((twin.observation_log_std.exp() * twin.response_scale).detach()) == pytest.approx(0.03, rel=0.15)


def test_every_structure_of_noise_goes_through_the_phases_and_responds(leaky_traces):
    twice = np.concatenate((leaky_traces.response, 0.5 * leaky_traces.response), axis=2)
    twice = twice + 0.02 * np.random.default_rng(0).standard_normal((*twice.shape[:2], 1))  # noise that both share
    traces = dataclasses.replace(leaky_traces, response=twice, response_names=("x", "half"), response_units=("V", "V"))
    spec = twins.DeviceTwinSpec.for_traces(
        traces, response_delays=1, drive_delays=0, hidden=(4,), observation=True, observation_columns=1,
        auxiliaries=1, noise_columns=1, trial_drift=True, noise_mask=(True, False), warm_up=6,
    )  # fmt: skip
    twin = twins.DeviceTwin(spec)
    before = None
    for event in twins.fit(twin, [traces], seed=0, phases=("likelihood", "filter", "windows"), max_epochs=1):
        if event.phase == "filter":
            before = float(twin.observation_patterns.detach().abs().sum())
    assert before is not None and before > 0.0  # patterns have a gradient even where they start
    response = twin.respond(torch.zeros(3, 4, 9, 1), generator=torch.Generator().manual_seed(0))
    assert response.shape == (3, 4, 9, 2) and torch.isfinite(response).all()


def test_a_method_that_is_not_there_is_named():
    with pytest.raises(TracesInvalid, match="sigma_points, extended"):
        KalmanFilter(linear_twin(), method="particle")
