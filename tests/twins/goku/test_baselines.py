"""Forecasters that know no equation: each learns what it can express, takes a drive, and bridges gaps."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
import pytest
import torch

from twins.errors import SeriesInvalid
from twins.goku.baselines import (
    AutoregressionSettings,
    BaselineFitSettings,
    FittedSequence,
    TemporalMean,
    fit_autoregression,
    fit_latent_ode,
    fit_lstm,
)
from twins.goku.direct.principal import PrincipalComponents
from twins.goku.network.schedule import PlateauCosine
from twins.goku.series import Series

N_AHEAD = 5
FAST = BaselineFitSettings(
    window_samples=10, batch_windows=8, max_updates=90, updates_a_check=30, schedule=PlateauCosine(warm_up_batches=15)
)


def rotations(seed: int, n_traces: int, n_samples: int = 28, n_channels: int = 5) -> Series:
    """Turning at one speed from any angle, seen through a fixed linear map."""
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0.0, 2.0 * np.pi, (n_traces, 1)) + 0.4 * np.arange(n_samples)
    seen_through = np.random.default_rng(0).standard_normal((2, n_channels))
    values = np.stack((np.cos(angle), np.sin(angle)), axis=-1) @ seen_through + 3.0
    return series_of(values)


def series_of(values: np.ndarray, drive: np.ndarray | None = None) -> Series:
    names = tuple(f"c{i}" for i in range(values.shape[-1]))
    options: dict[str, Any] = {}
    if drive is not None:
        n = drive.shape[-1]
        options = {"drive": drive, "drive_names": tuple(f"u{i}" for i in range(n)), "drive_units": ("V",) * n}
    return Series(values, 0.1 * np.arange(values.shape[1]), names, ("V",) * len(names), **options)


def driven(seed: int, n_traces: int, n_samples: int, n_memory: int = 2) -> Series:
    """x[t+1] = 0.6 x[t] - 0.2 x[t-1] + 0.5 u[t] + 0.1, exactly."""
    rng = np.random.default_rng(seed)
    drive = rng.standard_normal((n_traces, n_samples, 1))
    values = rng.standard_normal((n_traces, n_samples, 1))
    for t in range(1, n_samples - 1):
        values[:, t + 1] = 0.6 * values[:, t] - 0.2 * values[:, t - 1] + 0.5 * drive[:, t] + 0.1
    return series_of(values, drive)


def ended(fitting: Generator[Any, None, FittedSequence]) -> FittedSequence:
    while True:
        try:
            next(fitting)
        except StopIteration as stop:
            result: FittedSequence = stop.value
            return result


def error(guess: np.ndarray, truth: np.ndarray) -> float:
    return float(np.sqrt(np.square(guess - truth).mean()))


@pytest.fixture(scope="module")
def fits() -> dict[str, FittedSequence]:
    training, validation = rotations(1, 40), rotations(2, 3, 16)
    return {
        "lstm": ended(fit_lstm(training, validation, seed=3, settings=FAST)),
        "latent_ode": ended(fit_latent_ode(training, validation, seed=3, settings=FAST)),
    }


@pytest.mark.parametrize("name", ["lstm", "latent_ode"])
def test_networks_give_new_traces_back_and_go_on_with_them(fits: dict[str, FittedSequence], name: str) -> None:
    whole = rotations(4, 12, 12 + N_AHEAD)
    shown, coming = whole.span(0, 12), whole.values[:, 12:]
    naive = TemporalMean()
    reconstruction = fits[name].reconstruct(shown)
    assert error(reconstruction, shown.values) < 0.2 * error(naive.reconstruct(shown), shown.values)
    forecast = fits[name].forecast(shown, n_samples=N_AHEAD)
    assert error(forecast, coming) < 0.5 * error(naive.forecast(shown, n_samples=N_AHEAD), coming)


@pytest.mark.parametrize("name", ["lstm", "latent_ode"])
def test_gaps_are_bridged(fits: dict[str, FittedSequence], name: str) -> None:
    shown = rotations(4, 12).span(0, 12)
    values = shown.values.copy()
    values[:, 5:7] = np.nan
    with_gaps = fits[name].reconstruct(series_of(values))
    assert np.isfinite(with_gaps).all()
    assert error(with_gaps, shown.values) < 2.0 * error(fits[name].reconstruct(shown), shown.values) + 0.1


def test_values_that_are_missing_are_not_trained_on() -> None:
    values = rotations(1, 6).values.copy()
    values[:, ::2, 0] = np.nan
    spoilt = series_of(values)
    fitted = ended(fit_lstm(spoilt, seed=1, settings=BaselineFitSettings(max_updates=2, updates_a_check=1)))
    assert np.isfinite(fitted.validation_error)


def test_the_same_seed_gives_the_same_network_and_leaves_the_global_generator_alone() -> None:
    short = BaselineFitSettings(max_updates=2)
    before = torch.get_rng_state()
    one, other = (ended(fit_latent_ode(rotations(1, 8), seed=5, settings=short)) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    shown = rotations(2, 2)
    np.testing.assert_array_equal(one.reconstruct(shown), other.reconstruct(shown))


@pytest.mark.parametrize("fit", [fit_lstm, fit_latent_ode])
def test_the_drive_of_the_forecast_is_heard(fit: Any) -> None:
    training = driven(1, 8, 24)
    settings = BaselineFitSettings(window_samples=12, horizon_samples=4, max_updates=3)
    fitted = ended(fit(training, seed=1, settings=settings))
    quiet = fitted.forecast(training, n_samples=4, drive=np.zeros((8, 4, 1)))
    assert quiet.shape == (8, 4, 1)
    assert error(fitted.forecast(training, n_samples=4, drive=np.ones((8, 4, 1))), quiet) > 0.0
    with pytest.raises(SeriesInvalid, match="hand over the drive"):
        fitted.forecast(training, n_samples=4)


def test_an_autoregression_finds_a_driven_recurrence_exactly() -> None:
    training, whole = driven(1, 6, 80), driven(2, 3, 60)
    model = fit_autoregression(training, driven(3, 2, 80))
    shown = whole.span(1, 40)  # the first sample follows no rule
    assert whole.drive is not None
    forecast = model.forecast(shown, n_samples=20, drive=whole.drive[:, 40:60])
    assert model.order >= 2
    np.testing.assert_allclose(forecast, whole.values[:, 40:60], atol=1e-4)
    np.testing.assert_allclose(model.reconstruct(shown), shown.values, atol=1e-4)


def test_an_autoregression_works_on_as_many_components_as_the_channels_hold() -> None:
    model = fit_autoregression(rotations(1, 20, 60, 40), settings=AutoregressionSettings(context_samples=10))
    whole = rotations(2, 5, 30, 40)
    assert model.components.n_components == 2
    assert model.order <= 10
    np.testing.assert_allclose(model.forecast(whole.span(0, 10), n_samples=20), whole.values[:, 10:], atol=1e-3)
    with pytest.raises(SeriesInvalid, match="too short"):
        fit_autoregression(rotations(1, 20, 20))


def test_the_naive_forecast_is_the_mean_of_what_was_seen() -> None:
    values = np.array([[[1.0], [np.nan], [3.0]]])
    np.testing.assert_array_equal(TemporalMean().forecast(series_of(values), n_samples=2), [[[2.0], [2.0]]])


def test_principal_components_of_few_directions_lose_nothing() -> None:
    series = rotations(1, 10)
    principal = PrincipalComponents.of(series)
    assert principal.n_components == 2
    np.testing.assert_allclose(principal.values(principal.series(series).values), series.values, atol=1e-9)
    np.testing.assert_allclose(principal.components.T @ principal.components, np.eye(2), atol=1e-12)
    with pytest.raises(SeriesInvalid, match="no channel varies"):
        PrincipalComponents.of(series_of(np.ones((2, 5, 3))))


def test_a_fit_ends_where_nothing_is_gained_any_more() -> None:
    impatient = PlateauCosine(warm_up_batches=0, threshold=1.0, stop_patience=2)  # no gain is ever large enough
    settings = BaselineFitSettings(max_updates=50, updates_a_check=1, schedule=impatient)
    assert ended(fit_lstm(rotations(1, 8), seed=1, settings=settings)).n_updates < 10
