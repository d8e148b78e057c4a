"""The likelihood of traces: closed forms, missing samples, derivatives."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from twins.errors import SeriesInvalid
from twins.goku.inference.likelihood import TraceLikelihood
from twins.goku.observation import KnownObservation
from twins.goku.quantity import Quantity, Values
from twins.goku.series import Series
from twins.goku.system import System
from twins.goku.trajectories import solve_system

F64 = torch.float64


class Decay(System):
    """dx = -rate x dt: x(t) = x(0) exp(-rate t)."""

    states = (Quantity("x", "V", 0.5, 2.0),)
    parameters = (Quantity("rate", "1/s", 0.2, 2.0),)

    def drift(self, z: Values, p: Any, u: Values) -> object:
        return (-p.rate * z.x,)


class Coupled(System):
    """A linear equation with additive noise, two states, the second driven by the first, one observed."""

    states = (Quantity("x", "V", -1.0, 1.0), Quantity("y", "V", -1.0, 1.0))
    parameters = (Quantity("rate", "1/s", 0.2, 2.0), Quantity("noise", "V", 0.1, 1.0, scale="log"))
    noise = "additive"

    def drift(self, z: Values, p: Any, u: Values) -> object:
        return -p.rate * z.x, z.x - 0.5 * z.y

    def diffusion(self, z: Values, p: Any, u: Values) -> object:
        return p.noise, 0.3 * p.noise


class Kicked(System):
    """Noise that depends on the state, in Stratonovich's reading: x = x(0) exp(rate t + strength W)."""

    states = (Quantity("x", "V", 0.5, 2.0),)
    parameters = (Quantity("rate", "1/s", -1.0, 1.0), Quantity("strength", "", 0.05, 0.5))
    noise = "diagonal"
    sde_type = "stratonovich"

    def drift(self, z: Values, p: Any, u: Values) -> object:
        return (p.rate * z.x,)

    def diffusion(self, z: Values, p: Any, u: Values) -> object:
        return (p.strength * z.x,)


def noisy_series(system: System, *, n_samples: int = 12, missing: bool = True, seed: int = 0) -> tuple[Series, Tensor]:
    """Three traces at times of their own, with holes; and the unknowns they were drawn from."""
    generator = torch.Generator().manual_seed(seed)
    parameters, initial = system.draw_parameters(3, generator), system.draw_states(3, generator)
    steps = 0.1 + 0.2 * torch.rand((n_samples - 1, 3), dtype=F64, generator=generator)
    states = solve_system(
        system, initial, parameters, step_s=steps, n_steps=n_samples - 1, noisy=True, generator=generator, substeps=8
    )
    values = states + 0.1 * torch.randn(states.shape, dtype=F64, generator=generator)
    if missing:
        values[torch.rand(values.shape, dtype=F64, generator=generator) < 0.2] = torch.nan
    times = torch.cat((torch.zeros(1, 3, dtype=F64), steps.cumsum(0))).T
    names = tuple(quantity.name for quantity in system.flat_outputs)
    series = Series(values.swapaxes(0, 1).numpy(), times.numpy(), names, ("V",) * len(names))
    return series, torch.cat((parameters, initial, torch.full((3, len(names)), 0.1, dtype=F64)), dim=-1)


def apart(system: System, unknowns: Tensor) -> tuple[Tensor, ...]:
    n = [system.n_parameters, system.n_states, unknowns.shape[-1] - system.n_parameters - system.n_states]
    return torch.split(unknowns, n, dim=-1)


def normal(error: np.ndarray, covariance: np.ndarray) -> float:
    """Logarithm of a Gaussian density."""
    _, determinant = np.linalg.slogdet(covariance)
    whole = error @ np.linalg.solve(covariance, error) + determinant + len(error) * math.log(2 * math.pi)
    return float(-0.5 * whole)


def test_the_likelihood_of_an_ordinary_equation_is_the_one_written_by_hand() -> None:
    series, unknowns = noisy_series(Decay())
    found = TraceLikelihood(Decay(), None, series, substeps=4).log_likelihood(*apart(Decay(), unknowns))
    for trace in range(3):
        rate, start, noise = unknowns[trace].tolist()
        expected = start * np.exp(-rate * series.times_s[trace])
        error = (series.values[trace, :, 0] - expected)[series.seen[trace, :, 0]]
        assert float(found[trace]) == pytest.approx(normal(error, noise**2 * np.eye(len(error))), abs=1e-5)


def test_the_filter_gives_the_exact_likelihood_of_a_linear_noisy_equation() -> None:
    """All samples of a linear equation are jointly Gaussian: the density is written down at once, without a filter."""
    from scipy.linalg import expm

    series, unknowns = noisy_series(Coupled())
    found = TraceLikelihood(Coupled(), None, series, substeps=16).log_likelihood(*apart(Coupled(), unknowns))
    for trace in range(3):
        rate, strength, *rest = unknowns[trace].tolist()
        A = np.array([[-rate, 0.0], [1.0, -0.5]])
        Q = np.diag([strength**2, 0.09 * strength**2])
        n = series.n_samples
        mean, covariance = [np.array(rest[:2])], np.zeros((n, 2, n, 2))
        for k, step in enumerate(np.diff(series.times_s[trace])):
            block = expm(np.block([[-A, Q], [np.zeros((2, 2)), A.T]]) * step)  # Van Loan 1978
            F = block[2:, 2:].T
            mean.append(F @ mean[-1])
            covariance[k + 1] = np.einsum("ij,jnm->inm", F, covariance[k])
            covariance[:, :, k + 1] = np.einsum("nmj,ij->nmi", covariance[:, :, k], F)
            covariance[k + 1, :, k + 1] = F @ covariance[k, :, k] @ F.T + F @ block[:2, 2:]
        seen = series.seen[trace].ravel()
        whole = covariance.reshape(2 * n, 2 * n) + np.diag(np.tile(np.square(rest[2:]), n))
        error = (series.values[trace] - np.stack(mean)).ravel()[seen]
        assert float(found[trace]) == pytest.approx(normal(error, whole[np.ix_(seen, seen)]), abs=2e-3)


def test_noise_that_depends_on_the_state_follows_the_moments_of_its_equation() -> None:
    """Geometric Brownian motion, Stratonovich: E x = x0 exp((r + s²/2) t), var x = E² (exp(s² t) - 1)."""
    step, rate, strength = 0.2, 0.3, 0.2
    series = Series(np.array([[[1.0], [1.1]]]), np.array([0.0, step]), ("x",), ("V",))
    unknowns = torch.tensor([[rate, strength, 1.0, 0.01]], dtype=F64)
    seen = TraceLikelihood(Kicked(), None, series, substeps=4).predict(*apart(Kicked(), unknowns))
    mean = math.exp((rate + 0.5 * strength**2) * step)
    assert seen.covariance is not None
    assert float(seen.mean[1, 0, 0]) == pytest.approx(mean, abs=1e-5)
    variance = mean**2 * math.expm1(strength**2 * step) + 1e-4
    assert float(seen.covariance[1, 0, 0, 0]) == pytest.approx(variance, rel=1e-3)


@pytest.mark.parametrize("system", [Decay(), Coupled()])
def test_a_sample_that_is_missing_counts_for_nothing(system: System) -> None:
    series, unknowns = noisy_series(system, missing=False)
    kept = [0, 1, 2, 4, 5, 8, 11]
    holes = series.values.copy()
    holes[:, [k for k in range(12) if k not in kept]] = np.nan
    parts = apart(system, unknowns)
    with_holes = TraceLikelihood(
        system, None, Series(holes, series.times_s, series.names, series.units), substeps=16
    ).log_likelihood(*parts)
    left_away = TraceLikelihood(
        system, None, Series(series.values[:, kept], series.times_s[:, kept], series.names, series.units), substeps=16
    ).log_likelihood(*parts)
    assert torch.allclose(with_holes, left_away, atol=2e-3)


@pytest.mark.parametrize("system", [Decay(), Coupled(), Kicked()])
def test_the_gradient_is_that_of_finite_differences(system: System) -> None:
    series, unknowns = noisy_series(system)
    likelihood = TraceLikelihood(system, None, series, substeps=2)
    found = likelihood.derivatives(*apart(system, unknowns), exact=True)
    quick = likelihood.derivatives(*apart(system, unknowns))
    assert torch.allclose(quick.gradient, found.gradient, rtol=1e-6, atol=1e-6)
    assert torch.allclose(quick.information, found.information, rtol=1e-6, atol=1e-6)
    assert torch.allclose(found.value, likelihood.log_likelihood(*apart(system, unknowns)))
    for place in range(unknowns.shape[-1]):
        moved = torch.zeros_like(unknowns)
        moved[:, place] = 1e-5
        ahead, behind = (likelihood.log_likelihood(*apart(system, unknowns + sign * moved)) for sign in (1, -1))
        assert torch.allclose(found.gradient[:, place], (ahead - behind) / 2e-5, rtol=1e-4, atol=1e-4)


def test_the_information_is_the_spread_of_the_gradient() -> None:
    """Over many traces of one truth, the gradient there has mean 0 and the information as its covariance."""
    generator = torch.Generator().manual_seed(4)
    n, system = 3000, Coupled()
    parameters = torch.tensor([[0.8, 0.4]], dtype=F64).expand(n, -1)
    initial = torch.tensor([[0.5, -0.5]], dtype=F64).expand(n, -1)
    states = solve_system(
        system, initial, parameters, step_s=0.25, n_steps=10, noisy=True, generator=generator, substeps=10
    )
    values = states + 0.1 * torch.randn(states.shape, dtype=F64, generator=generator)
    series = Series(values.swapaxes(0, 1).numpy(), 0.25 * np.arange(11), ("x", "y"), ("V", "V"))
    found = TraceLikelihood(system, None, series, substeps=2).derivatives(
        parameters, initial, torch.full((n, 2), 0.1, dtype=F64)
    )
    information = found.information.mean(0)
    white = torch.linalg.solve_triangular(torch.linalg.cholesky(information), found.gradient.T, upper=False)
    spread = white @ white.T / n
    assert (white.mean(1) * n**0.5).abs().max() < 4.0
    assert (spread - torch.eye(6)).abs().max() < 0.2


def test_a_trace_that_runs_away_is_told_and_harms_no_other() -> None:
    class Blow(Decay):
        def drift(self, z: Values, p: Any, u: Values) -> object:
            return (p.rate * z.x**3,)

    series = Series(np.ones((2, 40, 1)), 0.1 * np.arange(40), ("x",), ("V",))
    parts = (
        torch.tensor([[2.0], [0.2]], dtype=F64),
        torch.tensor([[2.0], [0.5]], dtype=F64),
        torch.ones(2, 1, dtype=F64),
    )
    likelihood = TraceLikelihood(Blow(), None, series)
    assert likelihood.log_likelihood(*parts).isinf().tolist() == [True, False]
    found = likelihood.derivatives(*parts)
    assert found.diverged.tolist() == [True, False]
    assert bool(torch.isfinite(found.gradient).all())


def test_series_that_do_not_fit_the_equation_are_refused() -> None:
    series, _ = noisy_series(Coupled())
    with pytest.raises(SeriesInvalid, match="the observation gives 1 channels"):
        TraceLikelihood(Coupled(), KnownObservation.of_outputs(Coupled(), ["x"]), series)
    driven = Series(np.ones((1, 3, 2)), np.arange(3.0), ("x", "y"), ("V", "V"), np.ones((1, 3, 1)), ("force",), ("N",))
    with pytest.raises(SeriesInvalid, match="takes no drive"):
        TraceLikelihood(Coupled(), None, driven)
