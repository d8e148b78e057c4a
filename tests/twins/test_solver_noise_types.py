"""Scalar, additive and general noise, and the two readings of an equation, against known cases."""

import math

import numpy as np
import pytest
import torch

from twins.errors import SolverRefused
from twins.solver import as_ito, as_stratonovich, solve

F64 = torch.float64


def randn(*shape, seed=0):
    return torch.randn(shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


class Linear:
    """dx = A x dt + sum_k B_k x dW_k."""

    noise_type = "general"

    def __init__(self, sde_type, A, B):
        self.sde_type, self.A, self.B = sde_type, A, B

    def f(self, t, x):
        return x @ self.A.T

    def g(self, t, x):
        return torch.stack([x @ b.T for b in self.B], -1)


def rotation(angle):
    return torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]], dtype=F64)


# Diagonal matrices in a turned frame: they commute, so the solution is an exponential.
FRAME = rotation(0.4)
COMMUTING = [FRAME @ torch.diag(torch.tensor(d, dtype=F64)) @ FRAME.T for d in ([0.6, 0.2], [-0.3, 0.5])]
CLASHING = [torch.tensor(b, dtype=F64) for b in ([[0.0, 0.6], [0.0, 0.0]], [[0.0, 0.0], [0.6, 0.0]])]
DRIFT = FRAME @ torch.diag(torch.tensor([-0.5, -0.2], dtype=F64)) @ FRAME.T


def exact_commuting(sde_type, w):
    exponent = DRIFT + sum(b * value[:, None, None] for b, value in zip(COMMUTING, w.T, strict=True))
    if sde_type == "ito":
        exponent = exponent - 0.5 * sum(b @ b for b in COMMUTING)
    return torch.linalg.matrix_exp(exponent)


@pytest.mark.parametrize(
    ("sde_type", "method", "low", "high"),
    [
        ("ito", "euler", 0.4, 0.6),
        ("ito", "milstein", 0.9, 1.1),
        ("stratonovich", "milstein", 0.9, 1.1),
        ("stratonovich", "heun", 0.9, 1.1),
        ("stratonovich", "stochastic_rk4", 1.8, 2.2),  # as its drift commutes with the noise, too
    ],
)
def test_strong_order_with_general_noise_that_commutes(sde_type, method, low, high):
    n_fine, n_paths = 256, 1000
    z, x0 = randn(n_fine, n_paths, 2, seed=1), torch.ones(n_paths, 2, dtype=F64)
    exact = (exact_commuting(sde_type, z.sum(0) / n_fine**0.5) @ x0.unsqueeze(-1)).squeeze(-1)
    errors, steps = [], [8, 16, 32, 64, 128]
    for n in steps:
        coarse = z.reshape(n, n_fine // n, n_paths, 2).sum(1) / math.sqrt(n_fine / n)
        sde = Linear(sde_type, DRIFT, COMMUTING)
        end = solve(sde, x0, dt=1 / n, n_steps=n, noise=coarse, method=method)[-1]
        errors.append(float((end - exact).norm(dim=1).mean()))
    assert low <= -np.polyfit(np.log(steps), np.log(errors), 1)[0] <= high


def test_milstein_refuses_general_noise_that_does_not_commute():
    with pytest.raises(SolverRefused, match=r"columns do not commute.*heun.*log_ode"):
        solve(
            Linear("ito", DRIFT, CLASHING),
            torch.ones(2, dtype=F64),
            dt=0.1,
            n_steps=2,
            noise=randn(2, 2),
            method="milstein",
        )


def test_milstein_refuses_diagonal_noise_that_depends_on_other_states():
    class Crossed:
        sde_type, noise_type = "ito", "diagonal"

        def f(self, t, x):
            return -x

        def g(self, t, x):
            return 0.5 + 0.1 * x.flip(-1)

    with pytest.raises(SolverRefused, match="other states"):
        solve(Crossed(), randn(4, 3), dt=0.1, n_steps=2, noise=randn(2, 4, 3), method="milstein")


def test_scalar_noise_is_one_channel_for_all_states():
    class Scalar(Linear):
        noise_type = "scalar"

    z, x0 = randn(64, 500, 1, seed=3), torch.ones(500, 2, dtype=F64)
    sde = Scalar("ito", DRIFT, COMMUTING[:1])
    exponent = DRIFT - 0.5 * COMMUTING[0] @ COMMUTING[0] + COMMUTING[0] * (z.sum(0) / 8)[:, :, None]
    exact = (torch.linalg.matrix_exp(exponent) @ x0.unsqueeze(-1)).squeeze(-1)
    end = solve(sde, x0, dt=1 / 64, n_steps=64, noise=z, method="milstein")
    assert float((end[-1] - exact).norm(dim=1).mean()) < 5e-3
    reference = solve(sde, x0, dt=1 / 64, n_steps=64, noise=z, method="milstein", backend="torchsde")
    torch.testing.assert_close(end, reference, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("clashing", [False, True])
def test_an_equation_converted_to_the_other_reading_has_the_same_solutions(clashing):
    """Means of linear equations are known: d E[x] = A E[x] (Itô), (A + ½ Σ B²) E[x] (Stratonovich)."""
    B = CLASHING if clashing else COMMUTING
    converted = as_stratonovich(Linear("ito", DRIFT, B))
    x = randn(5, 2)
    torch.testing.assert_close(converted.f(0.0, x), x @ (DRIFT - 0.5 * sum(b @ b for b in B)).T)
    assert converted.sde_type == "stratonovich" and as_stratonovich(converted) is converted
    torch.testing.assert_close(as_ito(converted).f(0.0, x), x @ DRIFT.T)
    z = randn(32, 10000, 2, seed=5)
    z = torch.cat((z, -z), dim=1)
    end = solve(converted, torch.ones(20000, 2, dtype=F64), dt=1 / 32, n_steps=32, noise=z, method="heun")[-1]
    mean = torch.linalg.matrix_exp(DRIFT) @ torch.ones(2, dtype=F64)
    error = end.std(0) / math.sqrt(20000)
    assert bool(((end.mean(0) - mean).abs() < 4 * error + 4e-3).all())


def test_conversion_of_diagonal_noise_uses_own_slopes_only_and_keeps_delays():
    class Delayed:
        sde_type, noise_type, n_delays = "ito", "diagonal", 1

        def f_u(self, x, u):
            return u - x[..., 0, :]

        def g_u(self, x, u):
            return x[..., 0, :] ** 2 * x[..., 1, :] + x[..., 0, :].flip(-1)

    x, u = randn(4, 2, 3), randn(4, 3, seed=1)
    newest, older = x[:, 0], x[:, 1]
    slope = 2 * newest * older + torch.tensor([0.0, 1.0, 0.0], dtype=F64)  # the middle of a flipped triple is itself
    sde = Delayed()
    torch.testing.assert_close(as_stratonovich(sde).f_u(x, u), sde.f_u(x, u) - 0.5 * sde.g_u(x, u) * slope)


def test_levy_areas_make_the_log_ode_right_in_distribution_where_heun_is_not():
    """dx1 = dW1, dx2 = dW2, dx3 = (x1 dW2 - x2 dW1) / 2: x3 at time 1 is a Lévy area, of variance 1/4."""

    class Heisenberg:
        sde_type, noise_type = "stratonovich", "general"

        def f(self, t, x):
            return torch.zeros_like(x)

        def g(self, t, x):
            one, zero = torch.ones_like(x[..., 0]), torch.zeros_like(x[..., 0])
            rows = [torch.stack(row, -1) for row in ((one, zero), (zero, one), (-x[..., 1] / 2, x[..., 0] / 2))]
            return torch.stack(rows, -2)

    n = 20000
    arguments = {"dt": 1.0, "n_steps": 1, "noise": randn(1, n, 2, seed=7), "backend": "torchsde"}
    x0 = torch.zeros(n, 3, dtype=F64)
    generator = torch.Generator().manual_seed(8)
    area = solve(Heisenberg(), x0, method="log_ode", generator=generator, **arguments)[-1, :, 2]
    area = area.detach()
    assert float(area.var()) == pytest.approx(0.25, abs=4 * 0.25 * math.sqrt(5 / n))  # its kurtosis is 5
    assert float(solve(Heisenberg(), x0, method="heun", **arguments)[-1, :, 2].abs().max()) < 1e-12


@pytest.mark.parametrize("method", ["heun", "rk4", "stochastic_rk4"])
def test_additive_noise_may_be_read_either_way(method):
    class Additive(Linear):
        noise_type = "additive"

        def g(self, t, x):
            return torch.tensor([[0.3, 0.1, 0.0], [0.0, 0.2, 0.5]], dtype=F64).expand(*x.shape[:-1], 2, 3)

    z = randn(400, 4000, 3, seed=9)
    end = solve(
        Additive("ito", -torch.eye(2, dtype=F64), []),
        torch.zeros(4000, 2, dtype=F64),
        dt=0.02,
        n_steps=400,
        noise=z,
        method=method,
    )[-1]
    G = torch.tensor([[0.3, 0.1, 0.0], [0.0, 0.2, 0.5]], dtype=F64)
    torch.testing.assert_close(torch.cov(end.T), G @ G.T / 2, rtol=0.1, atol=0.004)
