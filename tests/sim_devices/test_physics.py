"""Devices against what is known in closed form."""

import math

import numpy as np
import pytest

from sim_devices.physics import Duffing, LeakyIntegrator
from sim_devices.physics.duffing import coloured_step


def constant(device, volts, n):
    return {port: np.full(n, volts if port == "drive" else 0.0) for port in device.ports}


def test_a_quiet_leaky_integrator_relaxes_exactly_to_tanh_of_its_drive():
    device = LeakyIntegrator(tau_s=2e-3, noise_scale=0.0)
    seen = device.advance(constant(device, 0.7, 100), step_s=1e-4, generator=np.random.default_rng(0))["response"]
    time_s = 1e-4 * np.arange(1, 101)
    assert np.allclose(seen, math.tanh(0.7) * (1 - np.exp(-time_s / 2e-3)), atol=1e-12)


def test_noise_of_the_undriven_leaky_integrator_has_the_variance_and_memory_of_its_equation():
    # at u = 0 the noise is 0.1 s + O(x): for tiny s an Ornstein–Uhlenbeck process of variance (0.1 s)² / 2
    scale, n = 1e-3, 400_000
    device = LeakyIntegrator(noise_scale=scale)
    x = device.advance(constant(device, 0.0, n), step_s=1e-4, generator=np.random.default_rng(1))["response"][1000:]
    independent = n * (1 - math.exp(-0.2)) / (1 + math.exp(-0.2))
    assert x.var() == pytest.approx((0.1 * scale) ** 2 / 2, rel=5 * math.sqrt(2 / independent))
    assert np.corrcoef(x[:-1], x[1:])[0, 1] == pytest.approx(math.exp(-0.1), abs=5e-3)


def test_noise_of_a_driven_leaky_integrator_grows_with_drive_and_state():
    device, n = LeakyIntegrator(noise_scale=0.01), 400_000
    x = device.advance(constant(device, 2.0, n), step_s=1e-4, generator=np.random.default_rng(2))["response"][1000:]
    amplitude = 0.01 * math.hypot(math.tanh(4.0) + 0.1, math.tanh(3 * math.tanh(2.0)))
    assert x.mean() == pytest.approx(math.tanh(2.0), abs=2e-4)
    assert x.std() == pytest.approx(amplitude / math.sqrt(2), rel=0.01)


@pytest.mark.parametrize("start", [-1.7, -0.2, 0.2, 0.6, 1.4])
def test_a_quiet_duffing_comes_to_rest_in_a_well(start):
    device = Duffing(noise_scale=0.0, initial_position=start)
    seen = device.advance(constant(device, 0.0, 4000), step_s=2.5e-5, generator=np.random.default_rng(0))["response"]
    assert abs(seen[-1]) == pytest.approx(1.0, abs=1e-6)


def test_a_small_oscillation_in_a_well_has_the_frequency_of_the_equation():
    device = Duffing(noise_scale=0.0, damping=0.0, initial_position=1.001)
    step_s = 1.0 / device.steps_per_s
    q = device.advance(constant(device, 0.0, 4000), step_s=step_s, generator=np.random.default_rng(0))["response"] - 1.0
    rising = np.flatnonzero((q[:-1] < 0) & (q[1:] >= 0))
    crossings = rising - q[rising] / (q[rising + 1] - q[rising])
    period = np.diff(crossings).mean() * step_s / device.time_unit_s
    assert period == pytest.approx(2 * math.pi / math.sqrt(2), rel=1e-3)


def test_a_force_beyond_the_barrier_takes_the_duffing_to_the_other_well():
    device = Duffing(noise_scale=0.0, initial_position=-1.0)
    device.advance(constant(device, 1.0, 400), step_s=2.5e-5, generator=np.random.default_rng(0))
    device.advance(constant(device, 0.0, 2000), step_s=2.5e-5, generator=np.random.default_rng(0))
    assert device.observe()["response"] == pytest.approx(1.0, abs=1e-3)


def test_bias_and_drive_add_up_to_the_force():
    seen = []
    for drive, bias in ((0.1, 0.05), (0.15, 0.0)):
        device = Duffing()
        ports = {"drive": np.full(100, drive), "bias": np.full(100, bias)}
        seen.append(device.advance(ports, step_s=2.5e-5, generator=np.random.default_rng(0))["response"])
    assert np.allclose(seen[0], seen[1], atol=1e-12)


def test_the_coloured_noise_and_its_integral_have_the_exact_joint_law():
    # two half steps must give the same law as one step
    h, tau = 0.3, 0.2
    r, pull, new, kick, extra = coloured_step(h, tau, 1.0)
    r2, pull2, new2, kick2, extra2 = coloured_step(h / 2, tau, 1.0)
    assert r == pytest.approx(r2 * r2)
    assert pull == pytest.approx(pull2 + pull2 * r2)
    assert new**2 == pytest.approx((r2 * new2) ** 2 + new2**2)
    first, second = np.array([kick2 + pull2 * new2, extra2]), np.array([kick2, extra2])
    assert kick**2 + extra**2 == pytest.approx(first @ first + second @ second)
    assert new * kick == pytest.approx(r2 * new2 * first[0] + new2 * second[0])


def test_the_response_to_weak_coloured_noise_has_the_variance_of_linear_theory():
    # near a well q = 1 + y with y'' + δ y' + 2 y = c a; its stationary variance follows from the Lyapunov equation
    delta, c, tau_n = 0.3, 0.005, 0.2
    drift = np.array([[0.0, 1.0, 0.0], [-2.0, -delta, c], [0.0, 0.0, -1.0 / tau_n]])
    noise = np.zeros((3, 3))
    noise[2, 2] = 1.0 / tau_n**2
    lyapunov = np.kron(drift, np.eye(3)) + np.kron(np.eye(3), drift)
    expected = np.linalg.solve(lyapunov, -noise.reshape(-1)).reshape(3, 3)[0, 0]
    device = Duffing(noise_scale=c, initial_position=1.0)
    n = 1_500_000
    q = device.advance(constant(device, 0.0, n), step_s=2.5e-5, generator=np.random.default_rng(5))["response"][20_000:]
    # correlation time 2 / delta in time units, 16 steps each
    independent = n / (16 * 2 / delta)
    assert q.var() == pytest.approx(expected, rel=5 * math.sqrt(2 / independent))


@pytest.mark.parametrize("wrong", [{"tau_s": 0.0}, {"noise_scale": -1.0}])
def test_impossible_parameters_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        LeakyIntegrator(**wrong)
