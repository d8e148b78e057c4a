"""Does the solver have the orders, gradients and distributions that theory promises?

    python benchmarks/solver_order.py --json solver_order.json [--quick]

Strong orders: the slope of the mean error of paths against the step, all steps through the same Brownian motion on a
grid of 2^12, with an interval from batches of paths. Weak orders: the slope of the error of a mean, computed by
quadrature in the increment (no sampling). Order without noise; gradients against directional differences in float64;
distributions of simulated ensembles against closed forms, as a z or a Kolmogorov–Smirnov statistic. `passed` compares
each with the range beside it.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import measuring
import numpy as np
import torch
from torch import Tensor

from twins.solver import METHODS, solve
from twins.solver.schemes import SOLVES

F64 = torch.float64
N_FINE, STRONG_STEPS = 2**12, [2**k for k in range(4, 9)]
MU, SIGMA, RATE, SPREAD = 0.5, 0.8, 2.0, 0.7


@dataclass
class Equation:
    """dx = f(x) dt + g(x) dW, diagonal noise."""

    drift: Callable[[Tensor], Tensor]
    spread: Callable[[Tensor], Tensor]
    sde_type: str = "ito"
    noise_type: str = "diagonal"

    def f(self, _t: float, x: Tensor) -> Tensor:
        """Drift."""
        return self.drift(x)

    def g(self, _t: float, x: Tensor) -> Tensor:
        """Diffusion."""
        return self.spread(x)


def geometric(sde_type: str) -> Equation:
    """Geometric Brownian motion."""
    return Equation(lambda x: MU * x, lambda x: SIGMA * x, sde_type)


def ornstein_uhlenbeck(sde_type: str = "ito") -> Equation:
    """Additive noise."""
    return Equation(lambda x: -RATE * x, lambda x: torch.full_like(x, SPREAD), sde_type)


def slope(steps: list[int], errors: list[float] | np.ndarray) -> float:
    """Order from errors at several numbers of steps."""
    return float(-np.polyfit(np.log(steps), np.log(errors), 1)[0])


def strong_order(sde: Equation, method: str, exact: Tensor, z: Tensor) -> tuple[float, float]:
    """(order, half width of a 95 % interval): the spread over 10 batches of paths."""
    n_paths = z.shape[1]
    errors = []
    for n in STRONG_STEPS:
        coarse = z.reshape(n, N_FINE // n, n_paths, 1).sum(1) / math.sqrt(N_FINE / n)
        end = solve(sde, torch.ones(n_paths, 1, dtype=F64), dt=1 / n, n_steps=n, noise=coarse, method=method)[-1]
        errors.append((end - exact).abs().reshape(10, -1).mean(1).numpy())
    batches = np.stack(errors, 1)
    orders = [slope(STRONG_STEPS, row) for row in batches]
    return slope(STRONG_STEPS, batches.mean(0)), 2.26 * float(np.std(orders, ddof=1)) / math.sqrt(10)


def strong_orders(seed: int, n_paths: int) -> dict[str, Any]:
    """The list of solver.md and the schemes beside it."""
    z = torch.randn(N_FINE, n_paths, 1, dtype=F64, generator=torch.Generator().manual_seed(seed))
    w = z.sum(0) / math.sqrt(N_FINE)
    lognormal = {"ito": torch.exp(MU - 0.5 * SIGMA**2 + SIGMA * w), "stratonovich": torch.exp(MU + SIGMA * w)}
    half, one = (0.45, 0.6), (0.9, 1.1)
    cases = {
        "geometric Brownian motion, euler": (geometric("ito"), "euler", half),
        "geometric Brownian motion, milstein": (geometric("ito"), "milstein", one),
        "geometric Brownian motion, rk4": (geometric("ito"), "rk4", half),
        "geometric Brownian motion, Stratonovich milstein": (geometric("stratonovich"), "milstein", one),
        "geometric Brownian motion, Stratonovich heun": (geometric("stratonovich"), "heun", one),
        "geometric Brownian motion, Stratonovich stochastic_rk4 (drift commutes: 2)": (
            geometric("stratonovich"), "stochastic_rk4", (1.8, 2.2),
        ),
        "Ornstein-Uhlenbeck, euler": (ornstein_uhlenbeck(), "euler", one),
    }  # fmt: skip
    # Of the linear equation with additive noise the exact solution through this path, but for a quadrature's error
    # far below all others: each fine increment decays over half its step and what follows.
    ages = 1.0 - (torch.arange(N_FINE, dtype=F64) + 0.5) / N_FINE
    steady = math.exp(-RATE) + SPREAD * (torch.exp(-RATE * ages)[:, None, None] * z).sum(0) / math.sqrt(N_FINE)
    figures = {}
    for name, (sde, method, accepted) in cases.items():
        exact = steady if name.startswith("Ornstein") else lognormal[sde.sde_type]
        order, half_width = strong_order(sde, method, exact, z)
        figures[name] = judged(order, *accepted) | {"half_width_95": half_width}
    return figures


def judged(value: float, low: float, high: float) -> dict[str, Any]:
    """A figure with the range it should lie in."""
    return {"value": value, "low": low, "high": high, "passed": low <= value <= high}


def weak_orders() -> dict[str, Any]:
    """Of the mean and the second moment of geometric Brownian motion, by Gauss–Hermite quadrature in the increment."""
    nodes, weights = (torch.from_numpy(part) for part in np.polynomial.hermite_e.hermegauss(16))
    steps, figures = [8, 16, 32, 64], {}
    for method in ("euler", "milstein", "heun", "stochastic_rk4"):
        sde = geometric(SOLVES[method][0])
        for power in (1, 2):
            rate = power * MU + 0.5 * power * (power - (sde.sde_type == "ito")) * SIGMA**2
            errors = []
            for n in steps:
                noise = nodes.reshape(1, -1, 1)
                end = solve(sde, torch.ones(16, 1, dtype=F64), dt=1 / n, n_steps=1, noise=noise, method=method)[
                    -1, :, 0
                ]
                errors.append(abs(float((weights * end**power).sum() / weights.sum()) ** n - math.exp(rate)))
            promised = 2.0 if method == "stochastic_rk4" else 1.0
            figures[f"{method}, moment {power}"] = judged(slope(steps, errors), 0.85 * promised, 1.2 * promised)
    return figures


def orders_without_noise() -> dict[str, Any]:
    """A pendulum."""
    sde = Equation(lambda x: torch.stack((x[..., 1], -torch.sin(x[..., 0])), -1), torch.zeros_like, noise_type="none")
    x0, steps = torch.tensor([1.0, 0.0], dtype=F64), [20, 40, 80]
    exact = solve(sde, x0, dt=1e-3, n_steps=2000, method="rk4")[-1]
    figures = {}
    for method, order in {"euler": 1, "milstein": 1, "heun": 2, "rk4": 4, "stochastic_rk4": 4, "nado_rk4": 4}.items():
        errors = [float((solve(sde, x0, dt=2 / n, n_steps=n, method=method)[-1] - exact).norm()) for n in steps]
        figures[method] = judged(slope(steps, errors), order - 0.15, order + 0.15)
    return figures


def gradient_errors(seed: int) -> dict[str, Any]:
    """Relative differences from directional differences, float64, of start and a parameter."""
    generator = torch.Generator().manual_seed(seed)
    x0, z, direction = (torch.randn(s, dtype=F64, generator=generator) for s in ((50, 3), (40, 50, 3), (50, 3)))
    figures = {}
    for method in METHODS:
        for sde_type in SOLVES[method]:

            def loss(x0: Tensor, weight: Tensor, *, sde_type: str = sde_type, method: str = method) -> Tensor:
                sde = Equation(
                    lambda x: torch.sin(x) - weight * x, lambda x: 0.2 + weight * torch.tanh(x) ** 2, sde_type
                )
                return solve(sde, x0, dt=0.1, n_steps=20, substeps=2, noise=z, method=method)[5:].square().mean()

            weight = torch.tensor(0.7, dtype=F64, requires_grad=True)
            start = x0.clone().requires_grad_()
            to_start, to_weight = torch.autograd.grad(loss(start, weight), (start, weight))
            with torch.no_grad():
                ends = [float(loss(x0 + s * 1e-6 * direction, weight + s * 1e-6)) for s in (1.0, -1.0)]
            numerical = (ends[0] - ends[1]) / 2e-6
            error = abs(float((to_start * direction).sum() + to_weight) - numerical) / abs(numerical)
            figures[f"{method}, {sde_type}"] = judged(error, 0.0, 1e-5)
    return figures


def distributions(seed: int, n_paths: int) -> dict[str, Any]:
    """Stationary mean, variance and autocorrelation of Ornstein–Uhlenbeck (z), lognormal ends (KS · sqrt(n))."""
    generator, figures = torch.Generator().manual_seed(seed), {}
    dt, n_steps, lag = 0.01, 400, 40
    path = solve(
        ornstein_uhlenbeck("stratonovich"), torch.zeros(n_paths, 1, dtype=F64), dt=dt, n_steps=n_steps,
        method="stochastic_rk4", generator=generator,
    )[..., 0]  # fmt: skip
    late, earlier, variance = path[-1], path[-1 - lag], SPREAD**2 / (2 * RATE)
    expected = math.exp(-RATE * lag * dt)
    found = float(torch.corrcoef(torch.stack((earlier, late)))[0, 1])
    scale = math.sqrt(n_paths)
    figures["OU mean (z)"] = judged(float(late.mean()) / math.sqrt(variance) * scale, -4, 4)
    figures["OU variance (z)"] = judged((float(late.var()) / variance - 1) * scale / math.sqrt(2), -4, 4)
    figures["OU autocorrelation (z)"] = judged((found - expected) / (1 - expected**2) * scale, -4, 4)
    for sde_type, method in (("ito", "milstein"), ("stratonovich", "heun"), ("stratonovich", "milstein")):
        end = solve(
            geometric(sde_type), torch.ones(n_paths, 1, dtype=F64), dt=1 / 200, n_steps=200, method=method,
            generator=generator,
        )[-1, :, 0]  # fmt: skip
        centre = MU - 0.5 * SIGMA**2 if sde_type == "ito" else MU
        standard = ((end.log() - centre) / SIGMA).sort().values
        normal = 0.5 * (1 + torch.erf(standard / math.sqrt(2)))
        distance = float((normal - (torch.arange(n_paths) + 0.5) / n_paths).abs().max())
        figures[f"lognormal, {sde_type} {method} (KS)"] = judged(distance * scale, 0.0, 1.95)
    return figures


def increments(seed: int) -> dict[str, Any]:
    """Largest z over all steps of the variance of the increment: noise is there at EVERY step."""
    sde = Equation(torch.zeros_like, torch.ones_like)
    path = solve(sde, torch.zeros(20000, 1), dt=0.37, n_steps=100, generator=torch.Generator().manual_seed(seed))
    z = ((path.diff(dim=0).var(1) / 0.37 - 1) * math.sqrt(10000)).abs().max()
    return {"variance at every step (largest z of 100)": judged(float(z), 0.0, 5.0)}


def main() -> int:
    """Measure all, print a table, write the file."""
    options: argparse.Namespace = measuring.read_options(__doc__)
    n_paths = 2000 if options.quick else 8000
    figures = {
        "strong_order": strong_orders(options.seed, n_paths),
        "weak_order": weak_orders(),
        "order_without_noise": orders_without_noise(),
        "gradient_error": gradient_errors(options.seed),
        "distributions": distributions(options.seed, n_paths * 5),
        "increments": increments(options.seed),
    }
    for group, entries in figures.items():
        print(group)
        for name, entry in entries.items():
            spread = f" ± {entry['half_width_95']:.3f}" if "half_width_95" in entry else ""
            accepted = f"{entry['low']:g} to {entry['high']:g}"
            print(f"  {name:78s} {entry['value']:9.3g}{spread}  {'ok' if entry['passed'] else 'OUTSIDE'} ({accepted})")
    passed = all(entry["passed"] for entries in figures.values() for entry in entries.values())
    print("all as promised" if passed else "NOT all as promised")
    measuring.write_results(options, {**figures, "passed": passed})
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
