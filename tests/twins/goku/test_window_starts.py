"""Initial states of windows: fitted where asked for, never for the worse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from twins.errors import SeriesInvalid
from twins.goku.network.model import GokuNet
from twins.goku.network.window_starts import fitted_starts, reconstruct_fitted
from twins.goku.series import Series


def untrained(examples: Any, system: Any, **changes: Any) -> GokuNet:
    return GokuNet(system, examples.small(**changes), n_channels=1, generator=torch.Generator().manual_seed(0))


def test_a_curved_misfit_is_brought_to_its_least() -> None:
    truth = torch.tensor([[0.4, -1.2], [1.5, 0.3]], dtype=torch.float64)

    def seen(states: torch.Tensor) -> torch.Tensor:
        return torch.stack((states[..., 0].exp(), states[..., 0] * states[..., 1], states[..., 1]), dim=-1)

    begin = torch.zeros(2, 2, dtype=torch.float64)
    found = fitted_starts(lambda states: seen(states) - seen(truth), begin, nudge=1e-6, n_iterations=20)
    np.testing.assert_allclose(found, truth, atol=1e-6)


def test_a_window_that_would_get_worse_or_run_away_stays_as_it_is() -> None:
    begin = torch.tensor([[1.0], [2.0]], dtype=torch.float64)

    def residuals(states: torch.Tensor) -> torch.Tensor:
        return torch.where((states - begin).abs() < 1e-3, states, torch.inf)  # everywhere else it runs away

    np.testing.assert_array_equal(fitted_starts(residuals, begin, nudge=1e-6, n_iterations=2), begin)


@pytest.mark.parametrize("window_samples", [None, 10, 8])
def test_fitted_windows_are_closer_to_the_trace_than_what_an_encoder_guesses(
    examples: Any, window_samples: int | None
) -> None:
    series, _ = examples.swings(6)
    values = series.values.copy()
    values[1, 3:6] = np.nan
    gappy = Series(values, series.times_s, series.names, series.units)
    net = untrained(examples, examples.Swing(), window_samples=window_samples)
    net.adopt(gappy)
    guessed, fitted = net.reconstruct(gappy), reconstruct_fitted(net, gappy)
    assert fitted.shape == series.values.shape
    assert np.isfinite(fitted).all()
    errors = [np.nanmean(np.square(one - values), axis=(1, 2)) for one in (guessed, fitted)]
    assert bool((errors[1] < errors[0]).all())


def test_a_driven_system_at_uneven_times_and_one_that_runs_away_are_fitted_too(examples: Any) -> None:
    series = examples.driven()
    net = untrained(examples, examples.Relaxer(), window_samples=5)
    net.adopt(series)
    assert reconstruct_fitted(net, series).shape == series.values.shape
    with pytest.raises(SeriesInvalid, match="channels"):
        reconstruct_fitted(net, Series(np.zeros((1, 4, 2)), 0.1 * np.arange(4), ("a", "b"), ("V", "V")))
    calm = Series(np.ones((3, 11, 1)), 0.1 * np.arange(11), ("x",), ("",))
    explosive = untrained(examples, examples.Explosive(), substeps=30, window_samples=None)
    explosive.adopt(calm)
    with torch.no_grad():
        explosive.latents.state_out.bias.fill_(50.0)
        explosive.latents.parameter_out.bias.fill_(5.0)
    assert np.isfinite(reconstruct_fitted(explosive, calm)).all()
