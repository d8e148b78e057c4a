"""Facts about the parts of an amortised posterior: density, calibration, gaps, designs."""

import math

import numpy as np
import pytest
import torch

from twins.errors import EquationInvalid, SeriesInvalid
from twins.goku.amortised.calibration import LevelMap, calibrated_draws, coverage_of
from twins.goku.amortised.design import Design, Simulator
from twins.goku.amortised.features import filled_gaps, linear_prediction, log_spectrum
from twins.goku.amortised.mixture import LARGEST_FULL, Mixture, numbers_needed
from twins.goku.amortised.substeps import enough_substeps
from twins.goku.observation import KnownObservation
from twins.goku.series import Series
from twins.goku.system import System


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def mixture_of(n: int, components: int, generator: torch.Generator, traces: int = 4) -> Mixture:
    raw = torch.randn((traces, numbers_needed(n, components)), dtype=torch.float64, generator=generator)
    return Mixture.of(0.5 * raw, n, components)


def simulator_of(system: System, series: Series, noise: float = 0.1) -> Simulator:
    level = torch.full((series.n_channels,), noise, dtype=torch.float64)
    observation = KnownObservation(torch.eye(system.n_outputs))
    return Simulator(system, observation, Design.of(series, system), level, 2.0 * level, 2, None)


def even(n_samples: int, n_channels: int, *, step_s: float = 0.1, n_traces: int = 1, **more: object) -> Series:
    names = tuple(f"channel{i}" for i in range(n_channels))
    values = np.zeros((n_traces, n_samples, n_channels))
    return Series(values, step_s * np.arange(n_samples), names, ("V",) * n_channels, **more)  # type: ignore[arg-type]


def test_the_density_is_that_of_torchs_mixture_of_gaussians(generator: torch.Generator) -> None:
    mixture = mixture_of(3, 2, generator)
    x = torch.randn((4, 3), dtype=torch.float64, generator=generator)
    precision = mixture.factor.mT @ mixture.factor
    gaussians = torch.distributions.MultivariateNormal(mixture.means, precision_matrix=precision)
    expected = torch.logsumexp(mixture.log_weights + gaussians.log_prob(x.unsqueeze(1)), dim=-1)
    assert torch.allclose(mixture.log_density(x), expected)


def test_draws_have_the_means_and_covariances_of_the_mixture(generator: torch.Generator) -> None:
    mixture = mixture_of(3, 1, generator, traces=2)
    draws = mixture.draw(40_000, generator)
    covariance = torch.linalg.inv(mixture.factor.mT @ mixture.factor)[:, 0]
    found = torch.stack([torch.cov(trace.T) for trace in draws])
    assert torch.allclose(draws.mean(1), mixture.means[:, 0], atol=0.1)
    assert torch.allclose(found, covariance, rtol=0.1, atol=0.1)
    assert torch.allclose(mixture.marginal_sd()[:, 0].square(), torch.diagonal(covariance, dim1=-2, dim2=-1))


def test_the_marginal_level_of_draws_is_uniform(generator: torch.Generator) -> None:
    mixture = mixture_of(2, 3, generator, traces=1)
    levels = mixture.marginal_cdf(mixture.draw(20_000, generator))[0].sort(dim=0).values
    uniform = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000
    assert float((levels - uniform.unsqueeze(-1)).abs().max()) < 0.02  # Kolmogorov-Smirnov: 0.0138 at 0.1 %


def test_many_coordinates_have_diagonal_covariances(generator: torch.Generator) -> None:
    n = LARGEST_FULL + 1
    assert numbers_needed(n, 2) == 2 * (1 + 2 * n)
    mixture = mixture_of(n, 2, generator)
    assert torch.isfinite(mixture.log_density(torch.zeros((4, n), dtype=torch.float64))).all()


@pytest.mark.parametrize("true_sd", [0.5, 2.0])
def test_calibration_mends_intervals_that_are_too_narrow_or_too_wide(
    true_sd: float, generator: torch.Generator
) -> None:
    n = 4000
    claimed = Mixture.of(torch.zeros((n, numbers_needed(1, 1)), dtype=torch.float64), 1, 1)  # standard normal
    truth = true_sd * torch.randn((n, 1, 1), dtype=torch.float64, generator=generator)
    ranks = claimed.marginal_cdf(truth).squeeze(1)
    assert abs(coverage_of(ranks)[0] - 0.9) > 0.09
    fresh = true_sd * torch.randn((300, 1), dtype=torch.float64, generator=generator)
    few = Mixture(claimed.log_weights[:300], claimed.means[:300], claimed.factor[:300])
    draws = calibrated_draws(few, few.draw(500, generator), LevelMap.of(ranks))
    low, high = torch.quantile(draws[..., 0], torch.tensor([0.05, 0.95], dtype=torch.float64), dim=1)
    assert abs(float(((fresh[:, 0] > low) & (fresh[:, 0] < high)).double().mean()) - 0.9) < 0.06
    assert float((high - low).mean()) == pytest.approx(2 * 1.645 * true_sd, rel=0.08)


def test_calibration_keeps_the_order_of_draws(generator: torch.Generator) -> None:
    mixture = mixture_of(2, 3, generator)
    draws = mixture.draw(50, generator)
    ranks = torch.rand((1000, 2), dtype=torch.float64, generator=generator) ** 2
    moved = calibrated_draws(mixture, draws, LevelMap.of(ranks))
    assert torch.equal(moved.argsort(dim=1), draws.argsort(dim=1))
    assert bool((moved < draws).double().mean() > 0.9)  # truths lay below what the density said


def test_gaps_are_filled_by_straight_lines_in_time() -> None:
    nan = math.nan
    values = torch.tensor([[[nan], [1.0], [nan], [nan], [7.0], [nan]]], dtype=torch.float64)
    steps = torch.tensor([[1.0, 1.0, 4.0, 1.0, 1.0]], dtype=torch.float64)
    filled = filled_gaps(values, steps)[0, :, 0]
    assert filled.tolist() == pytest.approx([1.0, 1.0, 2.0, 6.0, 7.0, 7.0])


def test_simulations_of_a_linear_decay_are_exact_at_uneven_times(decay: System, generator: torch.Generator) -> None:
    times = np.cumsum(np.random.default_rng(1).uniform(0.02, 0.2, (2, 12)), axis=1)
    drive = np.zeros((2, 12, 1))
    series = Series(np.zeros((2, 12, 1)), times, ("a",), ("V",), drive, ("input",), ("V",))
    simulator = simulator_of(decay, series)
    coordinates = torch.randn((6, 3), dtype=torch.float64, generator=generator)
    rows = torch.tensor([0, 1, 0, 1, 0, 1])
    clean, kept = simulator.observed(coordinates, rows, generator, substeps=16, noisy=False)
    parameters, initial = simulator.process(coordinates)
    since = torch.from_numpy(times - times[:, :1])[rows]
    assert bool(kept.all())
    assert torch.allclose(clean[..., 0], initial * torch.exp(-parameters[:, :1] * since), atol=1e-6)


def test_gaps_of_simulations_are_those_of_the_design_or_as_many(pendulum: System, generator: torch.Generator) -> None:
    values = np.zeros((2, 200, 2))
    values[:, 50:100, 0] = np.nan
    design = simulator_of(pendulum, Series(values, 0.1 * np.arange(200), ("a", "b"), ("rad", "rad/s"))).design
    seen = design.gaps(torch.zeros(400, dtype=torch.int64), generator)
    own = (seen == design.seen[0]).all(-1).all(-1)
    assert 0.4 < float(own.double().mean()) < 0.6
    assert float(seen[~own, :, 0].double().mean()) == pytest.approx(0.75, abs=0.02)
    assert bool(seen[..., 1].all())


def test_the_solver_gets_the_steps_that_the_noise_asks_for(pendulum: System, generator: torch.Generator) -> None:
    series = even(20, 2, step_s=0.5)
    rough, fine = simulator_of(pendulum, series, noise=1.0), simulator_of(pendulum, series, noise=1e-5)
    assert enough_substeps(rough, generator) < enough_substeps(fine, generator)


def test_simulations_that_run_away_are_counted_and_left_out(explosion: System, generator: torch.Generator) -> None:
    drawn = simulator_of(explosion, even(40, 1)).draw(300, generator)
    assert drawn.diverged > 0
    assert len(drawn) == 300 - drawn.diverged
    assert bool(torch.isfinite(drawn.clean).all())


def test_nothing_but_simulations_that_run_away_is_refused(explosion: System, generator: torch.Generator) -> None:
    system = explosion.with_ranges({"level": (0.9, 1.0)})
    with pytest.raises(EquationInvalid, match="ran away; narrow the ranges"):
        simulator_of(system, even(40, 1)).draw(300, generator)


def test_a_drive_that_the_equation_does_not_have_is_refused(pendulum: System) -> None:
    series = even(5, 2, drive=np.zeros((1, 5, 1)), drive_names=("torque",), drive_units=("N m",))
    with pytest.raises(SeriesInvalid, match="its drives are none"):
        Design.of(series, pendulum)


def test_the_linear_prediction_of_an_oscillation_tells_its_frequency_and_its_noise(generator: torch.Generator) -> None:
    frequency, noise = 0.7, 1e-3
    angle = frequency * torch.arange(400, dtype=torch.float64) + 1.0
    trace = (torch.sin(angle) + noise * torch.randn(400, dtype=torch.float64, generator=generator)).reshape(1, -1, 1)
    found = linear_prediction(trace)[0]
    coefficients, rest = found[:8], found[-1]
    roots = np.roots([1.0, *(-coefficients).tolist()])
    assert np.abs(np.angle(roots) - frequency).min() < 1e-3
    assert math.exp(0.5 * float(rest)) == pytest.approx(noise, rel=0.5)


def test_the_spectrum_is_highest_at_the_frequency_of_an_oscillation() -> None:
    trace = torch.sin(2.0 * math.pi * 12.0 / 100.0 * torch.arange(100)).reshape(1, -1, 1)
    assert int(log_spectrum(trace)[0].argmax()) == 12
