"""States read off the channels: map, parameters, reconstruction and forecast of a simulated oscillator."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from twins.errors import EquationInvalid, SeriesInvalid
from twins.goku.direct.fit import DirectSettings, FittedDirect, fit_direct
from twins.goku.direct.map import MapSettings, Scores, StateMap, flow
from twins.goku.direct.parameters import LogitPrior, likeliest
from twins.goku.direct.principal import PrincipalComponents
from twins.goku.series import Series
from twins.goku.systems import system_named
from twins.goku.systems.stuart_landau_network import StuartLandauNetwork
from twins.goku.trajectories import solve_system

STEP_S = 0.05
MODEL = StuartLandauNetwork(n_oscillators=1)


def traces(seed: int, n_traces: int, n_samples: int) -> tuple[Series, np.ndarray]:
    """(series of 7 channels through a fixed linear map, parameters) of one noisy oscillator that keeps on turning."""
    generator = torch.Generator().manual_seed(seed)
    system = StuartLandauNetwork(n_oscillators=1, noise_strength=0.02, ranges="data").with_ranges(
        {"growth": (0.05, 0.2)}
    )
    parameters = system.draw_parameters(n_traces, generator)
    states = solve_system(
        system, system.draw_states(n_traces, generator), parameters,
        step_s=STEP_S, n_steps=n_samples - 1, noisy=True, generator=generator,
    )  # fmt: skip
    through = np.random.default_rng(0).standard_normal((2, 7))
    values = states.transpose(0, 1).numpy() @ through + 1.0
    names = tuple(f"c{i}" for i in range(7))
    return Series(values, STEP_S * np.arange(n_samples), names, ("V",) * 7), parameters.numpy()


@pytest.fixture(scope="module")
def fitted() -> FittedDirect:
    few = MapSettings(n_starts=2, n_kept=1, first_updates=60, kept_updates=80, last_updates=250, last_rows=1_500)
    fitting = fit_direct(MODEL, traces(1, 20, 80)[0], seed=2, settings=DirectSettings(map=few))
    while True:
        try:
            next(fitting)
        except StopIteration as stop:
            result: FittedDirect = stop.value
            return result


def error(guess: np.ndarray, truth: np.ndarray) -> float:
    return float(np.sqrt(np.square(guess - truth).mean()))


def test_reconstruction_and_forecast_are_close_to_what_noise_leaves(fitted: FittedDirect) -> None:
    whole, _ = traces(3, 30, 66)
    shown, coming = whole.span(0, 46), whole.values[:, 46:]
    spread = float(whole.values.std())
    assert fitted.unexplained < 1e-9
    as_seen, as_fitted = (fitted.reconstruct(shown, fit_starts=fit) for fit in (False, True))
    assert error(as_seen, shown.values) < 0.15 * spread
    assert error(as_fitted, shown.values) < 0.8 * error(as_seen, shown.values)
    np.testing.assert_allclose(as_seen[:, 9], shown.values[:, 9], atol=1e-6)  # a window begins as it is seen
    assert error(fitted.forecast(shown, n_samples=20), coming) < 0.35 * spread


def test_parameters_are_recovered_with_their_intervals(fitted: FittedDirect) -> None:
    series, truth = traces(4, 60, 100)
    posterior = fitted.infer(series, n_draws=400, generator=torch.Generator().manual_seed(1))
    frequency = posterior.parameter_names.index("angular_frequency[0]")
    found, true = posterior.mean()[:, frequency], truth[:, frequency]
    assert error(found, true) < 0.02
    assert posterior.trusted.all()
    assert bool((posterior.noise_sd > 0.0).all())
    covered = posterior.covers(truth)[:, frequency].mean()
    assert 0.75 < covered < 1.0


def test_a_missing_sample_is_bridged_by_the_equation(fitted: FittedDirect) -> None:
    series, _ = traces(5, 4, 40)
    values = series.values.copy()
    values[:, 20:23, 3] = np.nan
    gappy = Series(values, series.times_s, series.names, series.units)
    whole = fitted.reconstruct(series)
    assert error(fitted.reconstruct(gappy), whole) < 0.1 * float(series.values.std())
    values[:, 0] = np.nan
    with pytest.raises(SeriesInvalid, match="first sample"):
        fitted.reconstruct(Series(values, series.times_s, series.names, series.units))


def test_likeliest_parameters_lie_where_no_nudge_is_likelier() -> None:
    series, _ = traces(6, 5, 60)
    components = PrincipalComponents.of(series, largest=2)
    data = Scores.of(series, components)
    through = np.random.default_rng(0).standard_normal((2, 7))
    weight = torch.tensor(np.linalg.inv(through @ components.components).T)
    offset = torch.tensor(np.linalg.lstsq(through.T, components.offset - 1.0, rcond=None)[0])
    truth = StateMap(weight, offset, torch.full((2,), -5.0, dtype=torch.float64))
    prior = LogitPrior.of_ranges(MODEL)
    found = likeliest(MODEL, data, truth, prior).mean
    states = truth.states(data.scores)

    def cost(logits: torch.Tensor) -> torch.Tensor:
        moved = flow(MODEL, states[:, :-1], logits, data.steps_s, None, substeps=1)
        misfit = ((moved - states[:, 1:]) * np.exp(5.0)).square().sum((1, 2))
        total: torch.Tensor = 0.5 * (misfit + (logits / prior.sd).square().sum(1))
        return total

    least = cost(found)
    for nudge in 0.02 * torch.cat((torch.eye(3), -torch.eye(3))).double():
        assert bool((cost(found + nudge) >= least).all())


def test_states_that_are_not_all_seen_are_refused() -> None:
    series, _ = traces(1, 3, 30)
    one = Series(series.values[..., :1], series.times_s, ("c0",), ("V",))
    with pytest.raises(EquationInvalid, match="independent directions"):
        next(fit_direct(MODEL, one, seed=1))
    macrospin = system_named("macrospin")
    if macrospin.outputs:
        with pytest.raises(EquationInvalid):
            next(fit_direct(macrospin, series, seed=1))


def test_a_driven_system_with_uneven_times_is_fitted_too() -> None:
    system = system_named("duffing") if system_named("duffing").drives else system_named("driven_pendulum")
    rng = np.random.default_rng(1)
    times = np.cumsum(rng.uniform(0.02, 0.06, (4, 40)), axis=1)
    generator = torch.Generator().manual_seed(1)
    drive = torch.tensor(rng.standard_normal((4, 40, len(system.drives))))
    states = solve_system(
        system, system.draw_states(4, generator), system.draw_parameters(4, generator),
        step_s=torch.tensor(np.diff(times, axis=1)).mT, n_steps=39, drive=drive[:, :-1].transpose(0, 1), noisy=False,
    )  # fmt: skip
    series = Series(
        states.transpose(0, 1).numpy() @ rng.standard_normal((system.n_states, system.n_states)), times,
        tuple(f"c{i}" for i in range(system.n_states)), ("V",) * system.n_states, drive=drive.numpy(),
        drive_names=tuple(quantity.name for quantity in system.drives), drive_units=("V",) * len(system.drives),
    )  # fmt: skip
    tiny = MapSettings(n_starts=1, n_kept=1, first_updates=3, kept_updates=3, last_updates=3)
    fitting = fit_direct(system, series, seed=1, settings=DirectSettings(map=tiny))
    try:
        while True:
            next(fitting)
    except StopIteration as stop:
        fit: FittedDirect = stop.value
    quiet = fit.forecast(series, n_samples=5, drive=np.zeros((4, 5, len(system.drives))))
    loud = fit.forecast(series, n_samples=5, drive=np.ones((4, 5, len(system.drives))))
    assert quiet.shape == loud.shape == series.values[:, :5].shape
    assert fit.reconstruct(series).shape == series.values.shape
    assert error(quiet, loud) > 0.0


def test_a_posterior_is_not_trusted_where_the_channels_hold_much_else(fitted: FittedDirect) -> None:
    series, _ = traces(7, 3, 30)
    doubtful = dataclasses.replace(fitted, unexplained=0.2)
    posterior = doubtful.infer(series, n_draws=5, generator=torch.Generator().manual_seed(1))
    assert not posterior.trusted.any()
    assert "20.0%" in posterior.why[0]


def test_its_observation_takes_states_back_to_the_channels(fitted: FittedDirect) -> None:
    series, _ = traces(8, 2, 20)
    states = fitted.map.states(Scores.of(series, fitted.components).scores)
    np.testing.assert_allclose(fitted.observation(states).numpy(), series.values, atol=1e-9)
