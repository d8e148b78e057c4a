"""Refinement of single traces: exact posteriors, pooling, bounds, starts that run away."""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import Any, TypeVar

import numpy as np
import pytest
import torch

from twins.errors import SeriesInvalid
from twins.goku.inference.cramer_rao import cramer_rao_bound
from twins.goku.inference.refine import refine
from twins.goku.inference.refine_settings import Refined, RefineEvent, RefineSettings
from twins.goku.observation import KnownObservation
from twins.goku.posterior import Guess, Posterior
from twins.goku.quantity import Quantity, Values
from twins.goku.series import Series
from twins.goku.system import System
from twins.goku.trajectories import solve_system

_Result = TypeVar("_Result")
N_SAMPLES = 25
TIMES_S = 0.1 * np.arange(N_SAMPLES)


class Ramp(System):
    """x = x(0) + rate t: linear in all it is asked for."""

    states = (Quantity("x", "V", -50.0, 50.0),)
    parameters = (Quantity("rate", "V/s", -50.0, 50.0),)

    def drift(self, z: Values, p: Any, u: Values) -> object:
        return (p.rate,)


class Decay(System):
    """dx = -rate x dt, with noise where its strength is asked for."""

    states = (Quantity("x", "V", 0.5, 2.0),)
    parameters = (Quantity("rate", "1/s", 0.2, 3.0),)

    def drift(self, z: Values, p: Any, u: Values) -> object:
        return (-p.rate * z.x,)


class NoisyDecay(Decay):
    """An Ornstein–Uhlenbeck process."""

    parameters = (Quantity("rate", "1/s", 0.2, 3.0), Quantity("strength", "V/s^0.5", 0.1, 1.0, scale="log"))
    noise = "additive"

    def diffusion(self, z: Values, p: Any, u: Values) -> object:
        return (p.strength,)


class Growth(System):
    """dx = rate x² dt reaches infinity at 1 / (rate x(0))."""

    states = (Quantity("x", "", 0.1, 1.0),)
    parameters = (Quantity("rate", "1/s", 0.05, 2.0, scale="log"),)

    def drift(self, z: Values, p: Any, u: Values) -> object:
        return (p.rate * z.x**2,)


class Bent(System):
    """Only the product of two parameters is told: a thin, bent ridge."""

    states = (Quantity("x", "V", -0.1, 0.1),)
    parameters = (Quantity("gain", "", 0.5, 2.0), Quantity("speed", "V/s", 0.5, 2.0))

    def drift(self, z: Values, p: Any, u: Values) -> object:
        return (p.gain * p.speed,)


def finished(work: Generator[RefineEvent, None, _Result]) -> _Result:
    while True:
        try:
            next(work)
        except StopIteration as stop:
            result: _Result = stop.value
            return result


def measured(clean: np.ndarray, noise_sd: np.ndarray, rng: np.random.Generator, **more: Any) -> Series:
    values = clean + noise_sd[:, None] * rng.standard_normal(clean.shape)
    return Series(values[:, :, None], TIMES_S, ("x",), ("V",), **more)


def drawn(system: System, n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.random.Generator]:
    """(parameters, initial, noise sd, rng) from the prior, with noise 0.02 to 0.2."""
    generator, rng = torch.Generator().manual_seed(seed), np.random.default_rng(seed)
    noise_sd = 0.02 * 10.0 ** rng.random(n)
    return system.draw_parameters(n, generator).numpy(), system.draw_states(n, generator).numpy(), noise_sd, rng


def decays(n: int, seed: int) -> tuple[Series, np.ndarray, np.ndarray, np.ndarray]:
    parameters, initial, noise_sd, rng = drawn(Decay(), n, seed)
    series = measured(initial * np.exp(-parameters * TIMES_S), noise_sd, rng)
    return series, parameters, initial, noise_sd[:, None]


def noisy_decays(n: int, seed: int) -> tuple[Series, np.ndarray, Guess]:
    """Exact steps of the Ornstein–Uhlenbeck process."""
    parameters, initial, noise_sd, rng = drawn(NoisyDecay(), n, seed)
    rate, strength = parameters.T
    path = [initial[:, 0]]
    for _ in range(N_SAMPLES - 1):
        sd = strength * np.sqrt(-np.expm1(-2.0 * rate * 0.1) / (2.0 * rate))
        path.append(path[-1] * np.exp(-rate * 0.1) + sd * rng.standard_normal(n))
    guess = Guess(np.tile([1.0, 0.3], (n, 1)), initial, np.full((n, 1), 0.06))
    return measured(np.stack(path, axis=1), noise_sd, rng), parameters, guess


SETTINGS = RefineSettings(noise_sd_range=(0.02, 0.2), substeps=1)


@pytest.fixture(scope="module")
def refined_decays() -> tuple[Refined, Series, np.ndarray, np.ndarray, np.ndarray]:
    series, parameters, initial, noise_sd = decays(200, 1)
    guess = Guess(np.full_like(parameters, 1.0), np.full_like(initial, 1.2), np.full_like(noise_sd, 0.06))
    settings = RefineSettings(noise_sd_range=(0.02, 0.2), substeps=1, n_starts=2, n_spans=1)
    refined = finished(refine(Decay(), None, series, guess, seed=3, settings=settings))
    return refined, series, parameters, initial, noise_sd


def test_the_posterior_of_a_linear_equation_is_the_exact_gaussian() -> None:
    """With the noise all but known, rate and start are jointly Gaussian with the least-squares covariance."""
    rng = np.random.default_rng(0)
    series = measured(np.array([[1.0]]) + np.array([[2.0]]) * TIMES_S, np.array([0.1]), rng)
    settings = RefineSettings(noise_sd_range=(0.09999, 0.10001), n_draws=1500)
    posterior = finished(refine(Ramp(), None, series, seed=0, settings=settings)).posterior
    design = np.stack([TIMES_S, np.ones(N_SAMPLES)], axis=1)
    covariance = 0.01 * np.linalg.inv(design.T @ design)
    mean = covariance @ design.T @ series.values[0, :, 0] / 0.01
    sd = math.sqrt(covariance[0, 0])
    assert posterior.mean()[0, 0] == pytest.approx(mean[0], abs=0.15 * sd)
    assert posterior.sd()[0, 0] == pytest.approx(sd, rel=0.1)
    low, high = posterior.interval(0.9)
    assert (high - low)[0, 0] == pytest.approx(2 * 1.645 * sd, rel=0.12)


def test_nine_in_ten_intervals_of_an_ordinary_equation_hold_the_truth(
    refined_decays: tuple[Refined, Series, np.ndarray, np.ndarray, np.ndarray],
) -> None:
    refined, _, parameters, _, _ = refined_decays
    assert refined.posterior.trusted.mean() > 0.95
    assert abs(refined.posterior.covers(parameters).mean() - 0.9) < 3 * math.sqrt(0.09 / 200)


def test_the_error_reaches_the_cramer_rao_bound(
    refined_decays: tuple[Refined, Series, np.ndarray, np.ndarray, np.ndarray],
) -> None:
    refined, series, parameters, initial, noise_sd = refined_decays
    bound = cramer_rao_bound(Decay(), None, series, parameters, initial, noise_sd)
    told = bound < 0.2
    ratio = (refined.posterior.median() - parameters)[told] / bound[told]
    assert told.sum() > 100
    assert math.sqrt(np.mean(ratio**2)) == pytest.approx(1.0, abs=4.0 / math.sqrt(2.0 * told.sum()))


@pytest.mark.slow
def test_nine_in_ten_intervals_of_a_noisy_equation_hold_the_truth() -> None:
    series, parameters, guess = noisy_decays(120, 2)
    posterior = finished(refine(NoisyDecay(), None, series, guess, seed=4, settings=SETTINGS)).posterior
    covered = posterior.covers(parameters).mean(axis=0)
    assert np.abs(covered - 0.9).max() < 3 * math.sqrt(0.09 / 120)


def test_a_noisy_equation_is_refined_from_a_guess() -> None:
    series, parameters, guess = noisy_decays(6, 3)
    settings = RefineSettings(
        noise_sd_range=(0.02, 0.2), substeps=1, n_starts=1, n_spans=1, n_draws=300, sampler="none"
    )
    refined = finished(refine(NoisyDecay(), None, series, guess, seed=4, settings=settings))
    assert refined.converged.all()
    assert (np.abs(refined.posterior.mean() - parameters) < 4.0 * refined.posterior.sd()).all()


def test_traces_of_one_group_pool_what_they_tell() -> None:
    _, _, initial, _ = decays(1, 5)
    rng = np.random.default_rng(6)
    clean = np.repeat(initial * np.exp(-0.8 * TIMES_S), 9, axis=0)
    together = measured(clean, np.full(9, 0.05), rng, group=np.zeros(9, dtype=np.int64))
    alone = Series(together.values, together.times_s, together.names, together.units)
    pooled = finished(refine(Decay(), None, together, seed=0, settings=SETTINGS))
    single = finished(refine(Decay(), None, alone, seed=0, settings=SETTINGS))
    assert np.ptp(pooled.posterior.mean()) == 0.0
    assert np.ptp(pooled.estimate.initial) > 0.0
    shrunk = pooled.posterior.sd()[0, 0] / np.median(single.posterior.sd())
    assert shrunk == pytest.approx(1.0 / 3.0, rel=0.25)
    bounds = [
        cramer_rao_bound(Decay(), None, one, np.full((9, 1), 0.8), np.repeat(initial, 9, axis=0), np.full((9, 1), 0.05))
        for one in (together, alone)
    ]
    assert np.allclose(bounds[0] * 3.0, bounds[1])


def test_a_start_that_runs_away_is_told_and_others_take_over() -> None:
    clean = 1.0 / (1.0 / 0.5 - 0.1 * TIMES_S)
    series = measured(clean[None], np.array([0.01]), np.random.default_rng(0))
    guess = Guess(np.array([[1.9]]), np.array([[0.95]]), np.array([[0.03]]))  # infinite after 0.55 s
    refined = finished(refine(Growth(), None, series, guess, seed=0, settings=SETTINGS))
    assert refined.n_diverged_starts[0] >= 1
    assert not refined.diverged[0]
    assert refined.converged[0]
    assert refined.estimate.parameters[0, 0] == pytest.approx(0.1, abs=0.05)


def test_a_bent_ridge_keeps_its_whole_length() -> None:
    """gain · speed = 1 is told within a per cent, their ratio not at all: ln(gain) is then near uniform on ±ln 2."""
    series = measured(TIMES_S[None], np.array([0.02]), np.random.default_rng(1))
    posterior = finished(refine(Bent(), None, series, seed=0, settings=SETTINGS)).posterior
    assert posterior.trusted[0]
    gain, speed = posterior.parameters[0].T
    assert np.std(gain * speed) < 0.02
    low, high = posterior.quantiles([0.05, 0.95])[:, 0, 0]
    # along the ridge the prior's share is d(gain) d(speed) / d(product) = d ln(gain), with product 1
    assert math.log(low) == pytest.approx(-0.9 * math.log(2.0), abs=0.12)
    assert math.log(high) == pytest.approx(0.9 * math.log(2.0), abs=0.12)


@pytest.mark.parametrize("sampler", ["chains", pytest.param("emcee", marks=pytest.mark.slow)])
def test_samplers_agree_with_importance_draws(sampler: str) -> None:
    if sampler == "emcee":
        pytest.importorskip("emcee")
    series, _, _, _ = decays(1, 9)
    weighed = finished(refine(Decay(), None, series, seed=0, settings=SETTINGS)).posterior
    settings = RefineSettings(
        noise_sd_range=(0.02, 0.2),
        substeps=1,
        sampler=sampler,
        always_sample=True,
        n_sweeps=600,
        n_draws=1000,
        n_starts=2,
    )
    sampled = finished(refine(Decay(), None, series, seed=0, settings=settings)).posterior
    assert sampled.how == sampler
    assert sampled.trusted.all()
    assert np.allclose(sampled.mean(), weighed.mean(), atol=0.25 * weighed.sd().min())
    assert np.allclose(sampled.sd(), weighed.sd(), rtol=0.2)


def test_a_guess_of_another_shape_is_refused() -> None:
    series, parameters, initial, noise_sd = decays(2, 0)
    with pytest.raises(SeriesInvalid, match="a guess needs"):
        next(refine(Decay(), None, series, Guess(parameters[:1], initial, noise_sd), seed=0))


def test_a_parameter_that_is_not_told_has_no_bound() -> None:
    series = measured(TIMES_S[None], np.array([0.02]), np.random.default_rng(1))
    bound = cramer_rao_bound(Bent(), None, series, np.ones((1, 2)), np.zeros((1, 1)), np.full((1, 1), 0.02))
    assert np.isinf(bound).all()


def test_draws_of_a_posterior_lead_to_a_top_that_its_mean_does_not(pendulum):
    """The mean of two frequencies is neither; draws of one of them begin at the right top."""
    generator = torch.Generator().manual_seed(3)
    truth = pendulum.draw_parameters(4, generator).numpy()
    initial = np.tile([[1.0, 0.0]], (4, 1))
    times_s = 0.1 * np.arange(80)
    states = solve_system(
        pendulum, torch.tensor(initial), torch.tensor(truth), step_s=0.1, n_steps=79, substeps=4
    ).numpy()
    values = states.transpose(1, 0, 2)[..., :1] + 0.02 * np.random.default_rng(1).normal(size=(4, 80, 1))
    series = Series(values, times_s, ("angle",), ("rad",))
    observation = KnownObservation.of_outputs(pendulum, ["angle"])
    wrong = np.where(truth < 1.5, truth + 1.2, truth - 0.9)
    draws = np.stack([truth, wrong], axis=1).repeat(20, axis=1)
    posterior = Posterior(
        ("length",), ("m",), draws, initial[:, None].repeat(40, 1), np.full((4, 40, 1), 0.02), np.full((4, 40), 1 / 40),
        "amortised", np.ones(4, dtype=bool),
    )  # fmt: skip
    settings = RefineSettings(n_starts=4, n_spans=1, n_draws=300)
    refined = finished(refine(pendulum, observation, series, posterior, seed=1, settings=settings))
    assert refined.posterior.median() == pytest.approx(truth, rel=0.02)
