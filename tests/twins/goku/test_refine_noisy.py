"""What noisy equations ask of a refinement: a noise level that may be 0, a filter that may be wrong, an end in time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from twins.errors import SeriesInvalid
from twins.goku.inference.adapted import draw_adapted, fitted
from twins.goku.inference.coordinates import FreeCoordinates
from twins.goku.inference.deadline import Deadline
from twins.goku.inference.funnel import Funnel
from twins.goku.inference.group_density import GroupDensity
from twins.goku.inference.importance import weighted
from twins.goku.inference.innovations import filter_doubts
from twins.goku.inference.likelihood import TraceLikelihood
from twins.goku.inference.refine import refine
from twins.goku.inference.refine_settings import Refined, RefineSettings
from twins.goku.posterior import Guess
from twins.goku.quantity import Quantity, Values
from twins.goku.series import Series
from twins.goku.system import System

N_SAMPLES = 80
STEP_S = 0.05


class Geometric(System):
    """dx = growth x dt + strength x dW."""

    states = (Quantity("x", "V", 0.5, 2.0),)
    parameters = (Quantity("growth", "1/s", -0.3, 0.5), Quantity("strength", "1/s^0.5", 0.05, 0.5, scale="log"))
    noise = "diagonal"

    def drift(self, z: Values, p: Any, u: Values) -> object:
        return (p.growth * z.x,)

    def diffusion(self, z: Values, p: Any, u: Values) -> object:
        return (p.strength * z.x,)


class TwoWells(System):
    """dx = (x - x³) dt + strength dW."""

    states = (Quantity("x", "V", -1.5, 1.5),)
    parameters = (Quantity("strength", "V/s^0.5", 0.2, 1.2, scale="log"),)
    noise = "additive"

    def drift(self, z: Values, p: Any, u: Values) -> object:
        return (z.x - z.x**3,)

    def diffusion(self, z: Values, p: Any, u: Values) -> object:
        return (p.strength,)


def series_of(values: np.ndarray, step_s: float = STEP_S) -> Series:
    return Series(values[:, :, None], step_s * np.arange(values.shape[1]), ("x",), ("V",))


def geometric(n: int, seed: int) -> tuple[Series, np.ndarray]:
    """Exact steps, noise of observation far below what the equation's own noise hides. (series, parameters)."""
    rng = np.random.default_rng(seed)
    growth, strength = rng.uniform(-0.3, 0.5, n), 0.05 * 10.0 ** rng.random(n)
    start = rng.uniform(0.5, 2.0, (n, 1))
    steps = (growth - 0.5 * strength**2)[:, None] * STEP_S
    steps = steps + strength[:, None] * math.sqrt(STEP_S) * rng.standard_normal((n, N_SAMPLES - 1))
    path = start * np.exp(np.concatenate((np.zeros((n, 1)), np.cumsum(steps, axis=1)), axis=1))
    return series_of(path + 1e-3 * rng.standard_normal(path.shape)), np.stack((growth, strength), axis=1)


def finished(work: Any) -> Refined:
    while True:
        try:
            next(work)
        except StopIteration as stop:
            refined: Refined = stop.value
            return refined


def density_of(system: System, series: Series) -> GroupDensity:
    coordinates = FreeCoordinates(system, (np.array([1e-4]), np.array([1.0])))
    members = torch.arange(series.n_traces).unsqueeze(1)
    return GroupDensity(TraceLikelihood(system, None, series), coordinates, members)


def test_geometric_brownian_motion_needs_no_chains_where_the_noise_of_observation_may_be_nil() -> None:
    series, parameters = geometric(20, 1)
    guess = Guess(np.tile([0.1, 0.15], (20, 1)), series.values[:, 0], np.full((20, 1), 0.01))
    settings = RefineSettings(sampler="none", substeps=1, n_starts=2, n_spans=1)
    refined = finished(refine(Geometric(), None, series, guess, seed=0, settings=settings))
    assert refined.posterior.trusted.mean() > 0.95
    covered = refined.posterior.covers(parameters).mean()
    assert abs(covered - 0.9) < 3.0 * math.sqrt(0.09 / 40)


def test_the_funnels_map_has_an_inverse_and_the_determinant_that_it_says() -> None:
    series, _ = geometric(2, 2)
    density = density_of(Geometric(), series)
    generator = torch.Generator().manual_seed(0)
    top = 0.3 * torch.randn((2, density.size), dtype=torch.float64, generator=generator)
    funnel, groups = Funnel(density, top), torch.arange(2)
    w = torch.randn((3, 2, density.size), dtype=torch.float64, generator=generator)
    x, log_slope = funnel.out(w, groups)
    back, same = funnel.into(x, groups)
    assert torch.allclose(back, w, atol=1e-9)
    assert torch.allclose(same, log_slope)
    for copy in range(3):
        jacobian = torch.func.jacrev(lambda one: funnel.out(one[None], groups)[0][0])(w[copy])
        for row in range(2):
            assert torch.linalg.slogdet(jacobian[row, :, row])[1].item() == pytest.approx(float(log_slope[copy, row]))


class _Ring:
    """A density along an arc, with its exact normalisation: r normal around 3, the angle over half a turn."""

    def value(self, x: torch.Tensor, groups: torch.Tensor) -> torch.Tensor:
        radius, angle = x.norm(dim=-1), torch.atan2(x[..., 1], x[..., 0])
        level = -0.5 * ((radius - 3.0) / 0.2).square() - radius.log()
        return torch.where(angle > 0.0, level, -torch.inf)


def test_draws_from_fitted_proposals_follow_an_arc_and_know_its_mass() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.tensor([0.0, 3.0]) + 1.5 * torch.randn((600, 1, 2), dtype=torch.float64, generator=generator)
    ring, groups = _Ring(), torch.arange(1)
    start = weighted(x, ring.value(x, groups) + 0.5 * ((x - torch.tensor([0.0, 3.0])) / 1.5).square().sum(-1))
    drawing = draw_adapted(ring, groups, start, n_draws=600, limits=(0.5, 400.0), generator=generator)  # type: ignore[arg-type]
    while True:
        try:
            next(drawing)
        except StopIteration as stop:
            draws, _ = stop.value
            break
    assert bool(draws.good(0.5, 400.0))
    mass = 0.2 * math.sqrt(2.0 * math.pi) * math.pi
    assert draws.log_evidence.item() == pytest.approx(math.log(mass), abs=0.12)
    angle = torch.atan2(draws.x[:, 0, 1], draws.x[:, 0, 0])
    assert float((draws.weights[:, 0] * angle).sum()) == pytest.approx(math.pi / 2.0, abs=0.15)
    assert float((draws.weights[:, 0] * (angle < 0.25 * math.pi)).sum()) == pytest.approx(0.25, abs=0.07)


def test_a_mixture_fitted_to_two_heaps_has_both() -> None:
    generator = torch.Generator().manual_seed(1)
    x = 0.3 * torch.randn((400, 1, 2), dtype=torch.float64, generator=generator)
    x[:100, :, 0] += 8.0
    mixture = fitted(x, torch.full((400, 1), 1.0 / 400, dtype=torch.float64), 2)
    order = mixture.centre[0, :2, 0].argsort()
    assert mixture.centre[0, order, 0].tolist() == pytest.approx([0.0, 8.0], abs=0.4)
    assert mixture.share[0, order].tolist() == pytest.approx([0.675, 0.225], abs=0.03)


def test_a_filter_that_the_samples_contradict_is_told_and_one_that_is_right_is_not() -> None:
    rng = np.random.default_rng(0)
    coarse, fine = [], []
    x = rng.uniform(-1.0, 1.0, 4)
    for number in range(6000):
        x = x + 0.02 * (x - x**3) + 0.45 * math.sqrt(0.02) * rng.standard_normal(4)
        coarse.append(x) if number % 100 == 0 else None
        fine.append(x) if number % 5 == 0 else None
    for path, step_s, substeps, wrong in ((fine[:200], 0.1, 2, False), (fine, 0.1, 2, False), (coarse, 2.0, 40, True)):
        series = series_of(np.stack(path, axis=1) + 0.02 * rng.standard_normal((4, len(path))), step_s)
        likelihood = TraceLikelihood(TwoWells(), None, series, substeps=substeps)
        start = torch.from_numpy(series.values[:, :1, 0].copy())
        doubts = filter_doubts(likelihood, torch.full((4, 1), 0.45).double(), start, torch.full((4, 1), 0.02).double())
        assert any(doubts) == wrong
        if wrong:
            assert "contradict the filter" in max(doubts, key=len)


def test_out_of_time_gives_the_best_there_is_and_says_so() -> None:
    series, parameters = geometric(3, 3)
    guess = Guess(parameters, series.values[:, 0], np.full((3, 1), 0.01))
    settings = RefineSettings(max_seconds=1e-9, substeps=1)
    refined = finished(refine(Geometric(), None, series, guess, seed=0, settings=settings))
    assert not refined.converged.any()
    assert not refined.posterior.trusted.any()
    assert all("out of time" in refined.posterior.why[trace] for trace in range(3))
    assert np.isfinite(refined.posterior.parameters).all()


def test_a_deadline_without_seconds_never_comes() -> None:
    assert not Deadline(None)()
    assert Deadline(0.0)()
    with pytest.raises(SeriesInvalid, match="max_seconds"):
        RefineSettings(max_seconds=0.0)
