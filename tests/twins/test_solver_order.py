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
    ("sde_type", "method", "low", "high"),
    [
        ("ito", "euler", 0.45, 0.6),
        ("ito", "rk4", 0.45, 0.6),
        ("ito", "milstein", 0.9, 1.1),
        ("stratonovich", "milstein", 0.9, 1.1),
        ("stratonovich", "heun", 0.9, 1.1),
        ("stratonovich", "stochastic_rk4", 1.8, 2.2),  # as drift and diffusion commute
    ],
)
def test_strong_order_with_multiplicative_noise(z, sde_type, method, low, high):
    sde, x0 = GeometricBrownian(sde_type), torch.ones(N_PATHS, 1, dtype=torch.float64)
    exact = sde.at_one(z.sum(0) / math.sqrt(N_FINE))
    assert low <= strong_order(sde, method, z, exact, x0) <= high


def test_euler_is_of_strong_order_one_with_additive_noise(z):
    sde, x0 = OrnsteinUhlenbeck(), torch.ones(N_PATHS, 1, dtype=torch.float64)
    exact = solve(sde, x0, dt=1.0 / N_FINE, n_steps=N_FINE, noise=z)[-1]
    assert 0.9 <= strong_order(sde, "euler", z, exact, x0) <= 1.1


@pytest.mark.parametrize(
    ("method", "order"),
    [("euler", 1), ("milstein", 1), ("heun", 2), ("rk4", 4), ("stochastic_rk4", 4), ("nado_rk4", 4)],
)
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


@pytest.mark.parametrize("sde_type", ["ito", "stratonovich"])
def test_weak_order_is_one_where_the_noise_depends_on_the_state(sde_type):
    """The mean of geometric Brownian motion, its errors known by recursion: E[x] grows by a factor a step."""
    sde, method = GeometricBrownian(sde_type), {"ito": "milstein", "stratonovich": "heun"}[sde_type]
    exact = math.exp(sde.mu + (0.5 * sde.sigma**2 if sde_type == "stratonovich" else 0.0))
    nodes, weights = (torch.from_numpy(part) for part in np.polynomial.hermite_e.hermegauss(12))
    errors, steps = [], [8, 16, 32, 64]
    for n in steps:  # Gauss–Hermite in the step's increment: no sampling error
        ends = solve(
            sde,
            torch.ones(12, 1, dtype=torch.float64),
            dt=1 / n,
            n_steps=1,
            noise=nodes.reshape(1, 12, 1),
            method=method,
        )
        growth = float((weights * ends[-1, :, 0]).sum() / weights.sum())
        errors.append(abs(growth**n - exact))
    assert -np.polyfit(np.log(steps), np.log(errors), 1)[0] >= 0.9


@pytest.mark.parametrize(
    ("method", "weight"), [("heun", 0.5), ("stochastic_rk4", 0.5), ("nado_rk4", (1 + 2 * 2**0.5) / 6)]
)
def test_each_scheme_converges_to_the_reading_it_names(method, weight):
    """dx = x dW: the mean grows as exp(weight), 0 for Itô, 1/2 for Stratonovich, NADO's published RK4 neither."""

    class Growth(GeometricBrownian):
        def f(self, t, x):
            return torch.zeros_like(x)

        def g(self, t, x):
            return x

    nodes, weights = (torch.from_numpy(part) for part in np.polynomial.hermite_e.hermegauss(12))
    n, start = 4000, torch.ones(12, 1, dtype=torch.float64)
    ends = solve(Growth("stratonovich"), start, dt=1 / n, n_steps=1, noise=nodes.reshape(1, 12, 1), method=method)
    growth = float((weights * ends[-1, :, 0]).sum() / weights.sum())
    assert n * math.log(growth) == pytest.approx(weight, abs=1e-3)


def test_substeps_are_finer_steps(z):
    sde, x0 = GeometricBrownian("ito"), torch.ones(N_PATHS, 1, dtype=torch.float64)
    fine = solve(sde, x0, dt=0.125, n_steps=16, noise=z[:16])
    coarse = solve(sde, x0, dt=0.5, n_steps=4, substeps=4, noise=z[:16])
    torch.testing.assert_close(coarse, fine[::4], rtol=1e-12, atol=0)
