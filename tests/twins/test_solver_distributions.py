"""Distributions of long runs against closed forms, and the order of the input."""

import math

import numpy as np
import pytest
import torch

from twins.solver import bind, solve

F64 = torch.float64
RATE, SPREAD = 2.0, 0.7


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


class OrnsteinUhlenbeck:
    """dx = (u - 2 x) dt + 0.7 dW."""

    sde_type, noise_type = "ito", "diagonal"

    def f_u(self, x, u):
        return u - RATE * x

    def g_u(self, x, u):
        return torch.full_like(x, SPREAD)


@pytest.mark.parametrize(("method", "dt"), [("euler", 0.005), ("rk4", 0.05), ("stochastic_rk4", 0.05)])
def test_ornstein_uhlenbeck_has_its_stationary_mean_variance_and_autocorrelation(method, dt):
    sde, n_paths, n_steps = OrnsteinUhlenbeck(), 4000, round(5 / dt)
    sde.sde_type = "stratonovich" if method == "stochastic_rk4" else "ito"
    u = torch.full((n_steps, 1, 1), 1.0, dtype=F64)
    x0 = torch.zeros(n_paths, 1, dtype=F64)
    path = solve(sde, x0, u, dt=dt, n_steps=n_steps, method=method, generator=generator(1))[..., 0]
    lag = round(0.4 / dt)
    late, earlier = path[-1], path[-1 - lag]
    variance = SPREAD**2 / (2 * RATE)
    assert float(late.mean()) == pytest.approx(1 / RATE, abs=4 * math.sqrt(variance / n_paths))
    # rk4 adds a step's whole noise at its end: the variance is right to the first order of rate · dt
    slack = RATE * dt if method == "rk4" else 2 * RATE * dt * dt + 0.5 * RATE * dt * (method == "euler")
    assert float(late.var()) == pytest.approx(variance, rel=4 * math.sqrt(2 / n_paths) + slack)
    correlation = float(torch.corrcoef(torch.stack((earlier, late)))[0, 1])
    assert correlation == pytest.approx(math.exp(-RATE * 0.4), abs=4 / math.sqrt(n_paths) + 0.01)


@pytest.mark.parametrize(("sde_type", "method"), [("ito", "milstein"), ("stratonovich", "heun")])
def test_geometric_brownian_motion_is_lognormal(sde_type, method):
    mu, sigma, n_paths = 0.3, 0.5, 10000

    class Geometric:
        noise_type = "diagonal"

        def f(self, t, x):
            return mu * x

        def g(self, t, x):
            return sigma * x

    sde = Geometric()
    sde.sde_type = sde_type
    x0 = torch.ones(n_paths, 1, dtype=F64)
    end = solve(sde, x0, dt=1 / 100, n_steps=100, method=method, generator=generator(2))[-1, :, 0]
    centre = mu - 0.5 * sigma**2 if sde_type == "ito" else mu
    standard = np.sort(((end.log() - centre) / sigma).numpy())
    expected = 0.5 * (1 + torch.erf(torch.from_numpy(standard) / math.sqrt(2))).numpy()
    ks = np.abs(expected - (np.arange(n_paths) + 0.5) / n_paths).max()
    assert ks < 1.95 / math.sqrt(n_paths)  # Kolmogorov–Smirnov, one in a thousand


@pytest.mark.parametrize(
    ("method", "drive", "order"), [("rk4", "interpolated", 2), ("rk4", "held", 1), ("heun", "held", 1)]
)
def test_an_interpolated_input_gains_an_order_over_a_held_one(method, drive, order):
    """dx = sin(3 t) - 2 x, the input sampled at the steps: held it lags by half a step."""
    sde = OrnsteinUhlenbeck()
    sde.noise_type = "none"
    w = 3.0
    exact = (RATE * math.sin(w) - w * math.cos(w) + w * math.exp(-RATE)) / (RATE**2 + w**2)
    errors, steps = [], [20, 40, 80, 160]
    for n in steps:
        times = torch.arange(n + (drive == "interpolated"), dtype=F64) / n
        u = torch.sin(w * times).reshape(-1, 1)
        end = solve(sde, torch.zeros(1, dtype=F64), u, dt=1 / n, n_steps=n, method=method, drive=drive)[-1]
        errors.append(abs(float(end) - exact))
    assert -np.polyfit(np.log(steps), np.log(errors), 1)[0] == pytest.approx(order, abs=0.1)


def test_a_pulse_that_is_interpolated_rises_over_the_step_before_it():
    sde = OrnsteinUhlenbeck()
    sde.noise_type = "none"
    sde.f_u = lambda x, u: u
    u = torch.zeros(11, 1, dtype=F64)
    u[4] = 1.0
    path = solve(sde, torch.zeros(1, dtype=F64), u, dt=0.1, n_steps=10, method="rk4", drive="interpolated")
    expected = torch.zeros(11, dtype=F64)
    expected[4], expected[5:] = 0.05, 0.1
    torch.testing.assert_close(path[:, 0], expected)


def test_a_bound_equation_interpolates_its_input_if_asked():
    u = torch.arange(11, dtype=F64).reshape(-1, 1, 1) ** 2
    sde = OrnsteinUhlenbeck()
    x = torch.zeros(1, 1, dtype=F64)
    held, interpolated = bind(sde, u, 0.1), bind(sde, u, 0.1, drive="interpolated")
    for time, before, between in ((0.3, 9.0, 9.0), (0.35, 9.0, 12.5), (0.75, 49.0, 56.5)):
        t = torch.tensor(time, dtype=F64)
        assert float(held.f(t, x)) == pytest.approx(before)
        assert float(interpolated.f(t, x)) == pytest.approx(between)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["euler", "milstein", "heun"])
def test_a_gpu_takes_the_same_path_through_the_same_noise(method):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    sde = OrnsteinUhlenbeck()
    sde.sde_type = "stratonovich" if method == "heun" else "ito"
    sde.g_u = lambda x, u: 0.1 + 0.3 * torch.sigmoid(x)
    x0, u = torch.zeros(64, 2, dtype=F64), torch.randn(50, 1, 2, dtype=F64, generator=generator(1))
    weights = [torch.ones(1, dtype=F64, device=device, requires_grad=True) for device in ("cpu", "cuda")]
    paths = []
    for weight in weights:
        moved = (value.to(weight.device) for value in (x0, u))
        path = solve(
            sde, next(moved) * weight, next(moved) * weight, dt=0.05, n_steps=50, method=method, generator=generator(3)
        )
        path.square().mean().backward()
        paths.append(path.detach().cpu())
    torch.testing.assert_close(paths[0], paths[1], rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(weights[0].grad, weights[1].grad.cpu(), rtol=1e-8, atol=1e-10)
