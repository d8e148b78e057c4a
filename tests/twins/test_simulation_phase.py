"""Phases on free runs: exact derivatives, less bias by measurement noise, noise as large as the error."""

import copy
import math

import numpy as np
import pytest
import torch

import twins
from twins.device.prepare import prepare_twin
from twins.errors import TracesInvalid
from twins.fitting.noise_matching import match_noise
from twins.fitting.options import RolloutOptions
from twins.fitting.rollouts import free_run, jacobian, rollouts
from twins.fitting.sensitivities import LinearWeights, normal_equations, squared_error


def oscillator(*, process=0.0, measurement=0.0, cubic=0.2, n_trials=24, n_samples=300, seed=0):
    """x'' with damping and a cubic spring as a map of two delays, seen through white noise. SIMULATED."""
    rng = np.random.default_rng(seed)
    drive = rng.normal(size=(n_trials, n_samples))
    x = np.zeros((n_trials, n_samples))
    for k in range(2, n_samples):
        noise = process * rng.normal(size=n_trials)
        x[:, k] = (
            1.5 * x[:, k - 1] - 0.8 * x[:, k - 2] - 0.05 * cubic * x[:, k - 1] ** 3 + 0.3 * drive[:, k - 1] + noise
        )
    seen = x + measurement * rng.normal(size=x.shape)
    return twins.Traces(
        drive=drive[:, 50:, None],
        response=seen[:, 50:, None],
        dt_s=1e-3,
        drive_names=("u",),
        drive_units=("V",),
        response_names=("x",),
        response_units=("V",),
    )


def twin_of(traces, **structure):
    options = {"response_delays": 1, "drive_delays": 0, "hidden": (4, 4)} | structure
    return twins.DeviceTwin(twins.DeviceTwinSpec.for_traces(traces, **options))


def prepared(traces, **structure):
    twin = twin_of(traces, **structure)
    prepare_twin(twin, [traces], generator=torch.Generator().manual_seed(0))
    return twin


def run(twin, traces, **options):
    generator, events = twins.fit(twin, traces, **options), []
    while True:
        try:
            events.append(next(generator))
        except StopIteration as stop:
            return events, stop.value


def with_trained_net(traces, **structure):
    twin = prepared(traces, **structure).double()
    with torch.no_grad():
        twin.nets.last_layers(torch.zeros(1, twin.spec.n_inputs).double())[0].weight.normal_(
            std=0.3, generator=torch.Generator().manual_seed(1)
        )
    return twin


def two_channels(traces):
    mixed = np.concatenate((traces.response, 0.5 * np.roll(traces.response, 1, axis=1) ** 2), axis=2)
    return twins.Traces(
        drive=traces.drive,
        response=mixed,
        dt_s=traces.dt_s,
        drive_names=("u",),
        drive_units=("V",),
        response_names=("x", "square"),
        response_units=("V", "V"),
    )


@pytest.mark.parametrize("channels", [1, 2])
def test_the_gradient_of_free_runs_is_exact(channels):
    traces = oscillator(n_trials=4, n_samples=100)
    traces = traces if channels == 1 else two_channels(traces)
    twin = with_trained_net(traces, backbone_order=2, drive_delays=1)
    windows = rollouts(twin, [traces], n_steps=12, n_windows=6, rng=np.random.default_rng(0))
    with torch.no_grad():
        weights = LinearWeights(twin)
        equations = normal_equations(weights, windows, burn_in=2)
        at = weights.vector()
        direction = 0.01 * torch.randn(len(at), generator=torch.Generator().manual_seed(2), dtype=torch.float64)
        errors = []
        for step in (1e-6, -1e-6):
            weights.assign(at + step * direction)
            errors.append(squared_error(weights, windows, burn_in=2))
    assert -2.0 * float(equations.gradient @ direction) == pytest.approx((errors[0] - errors[1]) / 2e-6, rel=1e-5)
    assert equations.error == pytest.approx(0.5 * sum(errors), rel=1e-6)


def test_the_jacobian_is_that_of_a_step():
    traces = oscillator(n_trials=4, n_samples=100)
    twin = with_trained_net(traces, backbone_order=3)
    rows = torch.randn(5, twin.spec.n_inputs, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    slopes = jacobian(twin, rows)
    for lag in range(2):
        change = torch.zeros(twin.spec.n_inputs, dtype=torch.float64)
        change[lag] = 1e-6
        ahead, behind = (twin.step_law(rows + sign * change).increment for sign in (1, -1))
        wanted = (ahead - behind)[:, 0] / 2e-6 + (lag == 0)
        torch.testing.assert_close(slopes[:, 0, lag], wanted.detach(), rtol=1e-6, atol=1e-8)


def test_free_runs_of_the_phases_are_the_twins_own():
    traces = oscillator(n_trials=2, n_samples=120)
    twin = with_trained_net(traces, noise_diagonal=False)
    windows = rollouts(twin, [traces], n_steps=20, n_windows=1, rng=np.random.default_rng(0))
    ran = free_run(twin, windows.start, windows.u)[:, 0, :1] * twin.response_scale + twin.response_centre
    for trial in range(2):
        for k in range(1, 61, 20):
            history = twins.device.histories_of(twin.spec, traces, [trial], at=k)
            own = twin.respond(torch.tensor(traces.drive[[trial], k : k + 21]), history=history, check_range=False)
            if torch.allclose(own[0, 0], ran[0]):
                torch.testing.assert_close(own[0].detach(), ran.detach(), rtol=1e-9, atol=1e-9)
                return
    pytest.fail("the window is none of the data's")


def test_free_runs_undo_the_bias_of_measurement_noise():
    noisy, clean = oscillator(measurement=0.1), oscillator(seed=1)
    twin = twin_of(noisy, backbone_order=3, observation=True, warm_up=5)
    biased = prepared(noisy, backbone_order=3)
    events, result = run(twin, [noisy], seed=0, phases=("simulation",))
    assert result.best_phase == "simulation" and events[-1].progress == 1.0
    error = [_long_run_error(one, clean) for one in (biased, twin)]
    assert error[1] < 0.3 * error[0]


def test_the_phase_stops_when_nothing_is_left_to_gain():
    traces = oscillator(n_trials=12, n_samples=200, cubic=0.0)
    events, _ = run(twin_of(traces), [traces], seed=0, phases=("simulation",))
    assert len(events) < 8 and events[-1].progress == 1.0


@pytest.mark.parametrize("measurement", [0.0, 0.15])
def test_noise_is_told_apart_and_its_level_found(measurement):
    traces = oscillator(process=0.1, measurement=measurement, cubic=0.0, n_trials=60, seed=2)
    twin = prepared(traces, observation=measurement > 0)
    _set_true_drift(twin)
    windows = rollouts(twin, [traces], n_steps=100, n_windows=200, rng=np.random.default_rng(0))
    assert match_noise(twin, windows)
    law = twin.step_law(torch.zeros(1, twin.spec.n_inputs))
    assert float(law.spread.detach() * twin.response_scale) == pytest.approx(0.1, rel=0.06)
    if measurement:
        found = float((twin.observation_log_std.exp() * twin.response_scale).detach())
        assert found == pytest.approx(measurement, rel=0.1)


def test_shared_noise_is_matched_too():
    traces = oscillator(process=0.1, cubic=0.0, n_trials=60, seed=2)
    twin = prepared(traces, noise_diagonal=False, noise_columns=1)
    _set_true_drift(twin)
    with torch.no_grad():
        twin.nets.last_layers(torch.zeros(1, twin.spec.n_inputs))[1].bias.mul_(5.0)
    assert match_noise(twin, rollouts(twin, [traces], n_steps=100, n_windows=200, rng=np.random.default_rng(0)))
    columns = twin.step_law(torch.zeros(1, twin.spec.n_inputs)).columns
    assert float(columns.detach().abs() * twin.response_scale) == pytest.approx(0.1, rel=0.06)


def test_a_twin_without_noise_or_with_coloured_noise_is_left_alone():
    traces = oscillator(n_trials=4, n_samples=100)
    for structure in ({"noise_diagonal": False}, {"auxiliaries": 1}):
        twin = prepared(traces, **structure)
        before = copy.deepcopy(twin.state_dict())
        windows = rollouts(twin, [traces], n_steps=20, n_windows=5, rng=np.random.default_rng(0))
        assert not match_noise(twin, windows)
        assert all(torch.equal(value, before[name]) for name, value in twin.state_dict().items())


def test_noise_is_not_matched_on_runs_that_drift_apart(ground_truth):
    traces = ground_truth.record("duffing", np.random.default_rng(3), n_inputs=12, n_samples=300)  # a double well
    twin = prepared(traces, backbone_order=3, response_delays=2)
    windows = rollouts(twin, [traces], n_steps=200, n_windows=12, rng=np.random.default_rng(0))
    assert not match_noise(twin, windows)


def test_short_free_runs_train_the_drift():
    traces = oscillator(measurement=0.1, n_trials=16, n_samples=200)
    settings = RolloutOptions(n_steps=12, n_windows=64, n_iterations=160, learning_rate=3e-3)
    twin = twin_of(traces)
    events, result = run(twin, [traces], seed=0, phases=("rollout",), phase_options={"rollout": settings})
    assert result.free_run_score < result.linear_free_run_score
    assert {event.phase for event in events} == {"linear", "rollout"}


def test_what_the_phase_cannot_do_is_refused():
    traces = oscillator(n_trials=4, n_samples=100)
    with pytest.raises(TracesInvalid, match="rollout"):
        run(twin_of(traces, scheme="heun"), [traces], seed=0, phases=("simulation",))
    many = twin_of(traces, backbone_order=2, response_delays=31, drive_delays=31)
    with pytest.raises(TracesInvalid, match="at most 2000 weights"):
        run(many, [traces], seed=0, phases=("simulation",))


def _set_true_drift(twin):
    """x' = 1.5 x - 0.8 x_before + 0.3 u in the twin's own units."""
    scale = float(twin.drive_scale / twin.response_scale)
    centre, drive_centre = float(twin.response_centre / twin.response_scale), float(twin.drive_centre)
    with torch.no_grad():
        twin.linear_weight.copy_(torch.tensor([[0.5], [-0.8], [0.3 * scale]]))
        twin.linear_bias.fill_(-0.3 * centre + 0.3 * drive_centre / float(twin.response_scale))


def _long_run_error(twin, traces):
    """RMSE of noiseless free runs in V."""
    windows = rollouts(twin, [traces], n_steps=200, n_windows=24, rng=np.random.default_rng(0))
    with torch.no_grad():
        rows = free_run(copy.deepcopy(twin).double(), windows.start, windows.u)
    error = (rows[1:, :, :1] - windows.observed) * twin.response_scale
    return math.sqrt(float(error.square().mean()))
