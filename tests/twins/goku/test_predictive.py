"""What a posterior says of the course of a trace: reconstruction and forecast with bands that hold what they promise."""

import numpy as np
import pytest
import torch

from twins.errors import SeriesInvalid
from twins.goku.inference.predictive import extended, predict_course
from twins.goku.posterior import Posterior
from twins.goku.quantity import Quantity, Values
from twins.goku.series import Series
from twins.goku.system import System


class Decay(System):
    states = (Quantity("x", "V", -2.0, 2.0),)
    parameters = (Quantity("rate", "1/s", 0.1, 3.0),)

    def drift(self, z: Values, p: Values, u: Values) -> object:
        return (-p.rate * z.x,)


class Follower(System):
    states = (Quantity("x", "V", -2.0, 2.0),)
    parameters = (Quantity("rate", "1/s", 0.1, 3.0),)
    drives = (Quantity("u", "V", -1.0, 1.0),)
    noise = "additive"

    def drift(self, z: Values, p: Values, u: Values) -> object:
        return (p.rate * (u.u - z.x),)

    def diffusion(self, z: Values, p: Values, u: Values) -> object:
        return (0.3,)


def exactly(rate: np.ndarray, initial: np.ndarray, noise_sd: float, n_draws: int = 5) -> Posterior:
    n = len(rate)
    parameters = np.repeat(rate[:, None, None], n_draws, axis=1)
    states = np.repeat(initial[:, None, None], n_draws, axis=1)
    weights = np.full((n, n_draws), 1.0 / n_draws)
    noise = np.full((n, n_draws, 1), noise_sd)
    return Posterior(("rate",), ("1/s",), parameters, states, noise, weights, "known", np.ones(n, dtype=bool))


def test_an_ordinary_equation_is_solved_on_from_its_initial_state() -> None:
    rate, initial = np.array([0.5, 1.0, 2.0]), np.array([1.0, -1.0, 0.5])
    times = 0.1 * np.arange(20)
    series = Series(np.zeros((3, 20, 1)), times, ("x",), ("V",))
    predicted = predict_course(
        Decay(), None, series, exactly(rate, initial, 0.1), n_forecast=10, n_draws=1000,
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    expected = initial[:, None] * np.exp(-rate[:, None] * predicted.times_s)
    np.testing.assert_allclose(predicted.mean()[..., 0], expected, atol=1e-5)
    assert predicted.n_seen == 20
    low, high = predicted.band()
    np.testing.assert_allclose((high - low).mean(), 2 * 1.6449 * 0.1, rtol=0.03)


def test_what_an_equation_with_noise_is_forecast_to_do_happens_as_often_as_promised() -> None:
    generator = torch.Generator().manual_seed(3)
    rng = np.random.default_rng(0)
    n_traces, n_seen, n_forecast, dt = 300, 15, 10, 0.1
    drive = np.repeat(rng.uniform(-1, 1, (n_traces, 5, 1)), 5, axis=1)
    fine = 10
    x = np.zeros((n_traces, n_seen + n_forecast))
    state = rng.uniform(-1, 1, n_traces)
    for k in range(n_seen + n_forecast):
        x[:, k] = state
        for _ in range(fine):
            noise = 0.3 * np.sqrt(dt / fine) * rng.standard_normal(n_traces)
            state = state + (drive[:, k, 0] - state) * dt / fine + noise
    measured = x + 0.05 * rng.standard_normal(x.shape)
    values = measured[:, :n_seen, None].copy()
    values[:, 5:8] = np.nan
    series = Series(values, dt * np.arange(n_seen), ("x",), ("V",), drive[:, :n_seen], ("u",), ("V",))
    predicted = predict_course(
        Follower(), None, series, exactly(np.ones(n_traces), x[:, 0], 0.05), n_forecast=n_forecast,
        drive=drive[:, n_seen:], n_draws=150, generator=generator,
    )  # fmt: skip
    low, high = predicted.part(n_seen, n_seen + n_forecast).band()
    inside = (low[..., 0] <= measured[:, n_seen:]) & (measured[:, n_seen:] <= high[..., 0])
    assert abs(inside.mean() - 0.9) < 0.03
    white = (values[:, 1:, 0] - predicted.ahead_mean[:, 1:n_seen, 0]) / predicted.ahead_sd[:, 1:n_seen, 0]
    assert abs(np.nanstd(white) - 1.0) < 0.04
    assert abs(np.nanmean(white[:, 1:] * white[:, :-1])) < 0.05
    assert np.abs(predicted.mean()[:, 4, 0] - x[:, 4]).std() < 0.05 < np.abs(predicted.mean()[:, 7, 0] - x[:, 7]).std()


def test_a_forecast_of_driven_traces_needs_their_drive() -> None:
    series = Series(np.zeros((1, 4, 1)), np.arange(4.0), ("x",), ("V",), np.zeros((1, 4, 1)), ("u",), ("V",))
    with pytest.raises(SeriesInvalid, match="needs the drive"):
        extended(series, 3)


def test_draws_that_run_away_count_for_nothing_and_are_told() -> None:
    class Explosive(Decay):
        def drift(self, z: Values, p: Values, u: Values) -> object:
            return (p.rate * z.x * z.x,)

    posterior = exactly(np.array([1.0, 1.0]), np.array([0.1, 2.0]), 0.1)
    series = Series(np.zeros((2, 20, 1)), 0.1 * np.arange(20), ("x",), ("V",))
    predicted = predict_course(Explosive(), None, series, posterior, generator=torch.Generator().manual_seed(0))
    assert not predicted.diverged[:, 0].any()
    assert predicted.diverged[:, 1].all()
    assert np.isfinite(predicted.mean()[0]).all()
    assert np.isnan(predicted.mean()[1]).all()
