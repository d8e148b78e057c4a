"""Convergence orders against theory, on problems with closed forms."""

import math

import numpy as np
import pytest
import torch

from twins.solver import solve

N_FINE, N_PATHS = 2**12, 2000


class GeometricBrownian:
    noise_type = "diagonal"

    def __init__(self, sde_type: str) -> None:
        self.sde_type, self.mu, self.sigma = sde_type, 0.5, 0.8

    def f(self, t, x):
        return self.mu * x

    def g(self, t, x):
        return self.sigma * x

    def at_one(self, w):
        drift = self.mu - 0.5 * self.sigma**2 if self.sde_type == "ito" else self.mu
        return torch.exp(drift + self.sigma * w)


class OrnsteinUhlenbeck:
    sde_type, noise_type = "ito", "diagonal"

    def f(self, t, x):
        return -2.0 * x

    def g(self, t, x):
        return torch.full_like(x, 0.7)


def strong_order(sde, method, z, exact, x0):
    errors, steps = [], [2**k for k in range(4, 9)]
    for n in steps:
        coarse = z.reshape(n, N_FINE // n, N_PATHS, 1).sum(1) / math.sqrt(N_FINE / n)
        end = solve(sde, x0, dt=1.0 / n, n_steps=n, noise=coarse, method=method)[-1]
        errors.append(float((end - exact).abs().mean()))
    return -np.polyfit(np.log(steps), np.log(errors), 1)[0]


@pytest.fixture(scope="module")
def z():
    return torch.randn(N_FINE, N_PATHS, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("sde_type", "method", "low", "high"), [("ito", "euler", 0.45, 0.6), ("stratonovich", "heun", 0.9, 1.1)]
)
def test_strong_order_with_multiplicative_noise(z, sde_type, method, low, high):
    sde, x0 = GeometricBrownian(sde_type), torch.ones(N_PATHS, 1, dtype=torch.float64)
    exact = sde.at_one(z.sum(0) / math.sqrt(N_FINE))
    assert low <= strong_order(sde, method, z, exact, x0) <= high


def test_euler_is_of_strong_order_one_with_additive_noise(z):
    sde, x0 = OrnsteinUhlenbeck(), torch.ones(N_PATHS, 1, dtype=torch.float64)
    exact = solve(sde, x0, dt=1.0 / N_FINE, n_steps=N_FINE, noise=z)[-1]
    assert 0.9 <= strong_order(sde, "euler", z, exact, x0) <= 1.1


@pytest.mark.parametrize(("method", "order"), [("euler", 1), ("heun", 2), ("rk4", 4)])
def test_order_without_noise(method, order):
    class Pendulum:
        sde_type, noise_type = "ito", "none"

        def f(self, t, x):
            return torch.stack((x[..., 1], -torch.sin(x[..., 0])), -1)

    x0 = torch.tensor([1.0, 0.0], dtype=torch.float64)
    exact = solve(Pendulum(), x0, dt=1e-3, n_steps=2000, method="rk4")[-1]
    steps = [20, 40, 80]
    errors = [float((solve(Pendulum(), x0, dt=2 / n, n_steps=n, method=method)[-1] - exact).norm()) for n in steps]
    assert -np.polyfit(np.log(steps), np.log(errors), 1)[0] == pytest.approx(order, abs=0.15)


def test_substeps_are_finer_steps(z):
    sde, x0 = GeometricBrownian("ito"), torch.ones(N_PATHS, 1, dtype=torch.float64)
    fine = solve(sde, x0, dt=0.125, n_steps=16, noise=z[:16])
    coarse = solve(sde, x0, dt=0.5, n_steps=4, substeps=4, noise=z[:16])
    torch.testing.assert_close(coarse, fine[::4], rtol=1e-12, atol=0)
