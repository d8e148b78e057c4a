"""Equations against their closed forms: decay, growth, thresholds, fronts, conservation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch.nn.functional import conv2d, pad

from twins.errors import EquationInvalid, SolverRefused
from twins.nca.kernels import kernel
from twins.nca.metrics import pattern_sd, wavelength
from twins.nca.pde import (
    LABYRINTH,
    MAZE,
    MITOSIS,
    PDES,
    SPIRALS,
    AdvectionDiffusion,
    Brusselator,
    CahnHilliard,
    FitzHughNagumo,
    Heat,
    Neighbourhood,
    Pde,
    blocks,
    noise,
    pde_named,
    random_values,
    simulate,
    smooth_noise,
)


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def wave(kx: int, ky: int, n: int = 24) -> torch.Tensor:
    """cos(2π(kx·x + ky·y)/n), as one trial of one field."""
    y, x = torch.meshgrid(torch.arange(n).double(), torch.arange(n).double(), indexing="ij")
    return torch.cos(2 * torch.pi * (kx * x + ky * y) / n)[None, None]


def eigenvalue(kx: int, ky: int, n: int = 24) -> float:
    """Of the laplacian's stencil."""
    return float((1 + np.cos(2 * np.pi * kx / n)) * (1 + np.cos(2 * np.pi * ky / n)) - 4)


@pytest.mark.parametrize(
    ("padding", "mode"), [("periodic", "circular"), ("zero", "constant"), ("symmetric", "replicate")]
)
def test_neighbours_are_seen_through_the_stencils_of_the_automata(padding: str, mode: str) -> None:
    field = torch.rand(2, 3, 7, 9, generator=draws(), dtype=torch.float64)
    near = Neighbourhood(padding)  # type: ignore[arg-type]
    seen = {"LAP": near.laplacian, "DX": near.slope_x, "DY": near.slope_y, "MOORE": near.neighbour_sum}
    for name, function in seen.items():
        weight = kernel(name, like=field).expand(3, 1, 3, 3)
        torch.testing.assert_close(function(field), conv2d(pad(field, (1, 1, 1, 1), mode=mode), weight, groups=3))


@pytest.mark.parametrize(("kx", "ky"), [(1, 0), (3, 5), (12, 0), (12, 12)])
def test_a_wave_of_heat_decays_step_by_step_as_the_stencils_eigenvalue_says(kx: int, ky: int) -> None:
    frames = simulate(Heat(0.33), wave(kx, ky), n_frames=3, steps_per_frame=7)
    for frame in range(3):
        expected = (1 + 0.33 * eigenvalue(kx, ky)) ** (7 * frame) * wave(kx, ky)
        np.testing.assert_allclose(frames.values[0, frame, :, :, 0], expected[0, 0], atol=1e-6)


def test_runge_kutta_follows_a_decay_to_fourth_order() -> None:
    rate = 0.33 * eigenvalue(3, 5)
    for dt, largest in ((1.0, 0.02), (0.5, 0.02 / 14)):
        state = wave(3, 5)
        for _ in range(round(4 / dt)):
            state = Heat(0.33).step(state, dt=dt, method="rk4")
        assert abs(float(state[0, 0, 0, 0]) / np.exp(4 * rate) - 1) < largest


@pytest.mark.parametrize("method", ["euler", "rk4"])
def test_a_time_step_is_refused_just_where_it_would_blow_up(method: str) -> None:
    heat = Heat(0.4)
    largest = heat.largest_dt(wave(12, 0), method)  # type: ignore[arg-type]
    assert largest == pytest.approx({"euler": 2.0, "rk4": 2.785}[method] / (4 * 0.4))
    sizes = []
    for dt in (0.99 * largest, 1.01 * largest):
        state = wave(12, 0) + wave(12, 12)
        for _ in range(600):
            state = heat.step(state, dt=dt, method=method)  # type: ignore[arg-type]
        sizes.append(float(state.abs().max()))
    assert sizes[0] < 1.0 < 100.0 < sizes[1]
    with pytest.raises(SolverRefused, match=r"up to dt = "):
        simulate(heat, wave(1, 0), n_frames=2, steps_per_frame=1, dt=1.01 * largest, method=method)  # type: ignore[arg-type]


def test_no_equation_has_an_unstable_usual_time_step_or_moves_from_its_rest() -> None:
    for name, pde in PDES.items():
        start = blocks(pde, size=16)
        pde.check_dt(start, pde.dt)
        assert pde.rate(start).isfinite().all()
        rest = torch.tensor(pde.rest(), dtype=torch.float64)[None, :, None, None].expand(1, -1, 5, 5)
        assert float(pde.rate(rest).abs().max()) < 1e-12, name


@dataclass(frozen=True)
class _Own(Pde):
    strength: float = 0.3

    name = "own"
    fields = ("u", "v")

    def change(self, state: torch.Tensor, near: Neighbourhood) -> torch.Tensor:
        u, v = state.unbind(1)
        return torch.stack((self.strength * near.laplacian(u) + v, -0.1 * near.biharmonic(v) - v), dim=1)


def test_an_equation_of_ones_own_needs_its_rate_alone_and_its_stiffness_is_found() -> None:
    state = torch.rand(1, 2, 8, 8, generator=draws(), dtype=torch.float64)
    assert _Own().stiffness(state) == pytest.approx(max(4 * 0.3, 0.1 * 16 + 1), rel=1e-6)
    assert simulate(_Own(), state, n_frames=2, steps_per_frame=3, dt=0.5).names == ("u", "v")
    assert Pde.stiffness(Heat(0.33), wave(1, 1)) == pytest.approx(Heat(0.33).stiffness(wave(1, 1)))


def test_what_is_carried_along_moves_at_its_velocity_and_drifts_apart_below_diffusion() -> None:
    pde = AdvectionDiffusion(diffusion=0.1, velocity_x=0.25, velocity_y=-0.125)
    y, x = torch.meshgrid(torch.arange(48.0).double(), torch.arange(48.0).double(), indexing="ij")
    hump = torch.exp(-((x - 16) ** 2 + (y - 24) ** 2) / 18)[None, None]
    last = simulate(pde, hump, n_frames=2, steps_per_frame=64).values[0, 1, :, :, 0]
    centre = [float((last * axis.numpy()).sum() / last.sum()) for axis in (x, y)]
    assert centre == pytest.approx([16 + 0.25 * 64, 24 - 0.125 * 64], abs=0.05)
    with pytest.raises(SolverRefused, match="unstable"):
        simulate(AdvectionDiffusion(diffusion=0.01, velocity_x=0.5), hump, n_frames=2, steps_per_frame=1)


@pytest.mark.parametrize("padding", ["periodic", "symmetric"])
def test_cahn_hilliard_parts_and_conserves_its_mass(padding: str) -> None:
    pde = CahnHilliard()
    start = noise(pde, 1, size=32, generator=draws(1), sd=0.1)
    frames = simulate(pde, start, n_frames=2, steps_per_frame=2000, padding=padding)  # type: ignore[arg-type]
    assert frames.values[0].astype(float).mean(axis=(1, 2, 3)) == pytest.approx(float(start.mean()), abs=1e-6)
    assert frames.values[0, 1].max() > 0.9 and frames.values[0, 1].min() < -0.9


def test_ripples_in_cahn_hilliard_grow_at_their_rates_and_the_predicted_ones_fastest() -> None:
    pde, n_steps, n = CahnHilliard(), 40, 48
    rates = {}
    for k in range(1, 13):
        ripple = 0.1 + 1e-6 * wave(k, 0, n)
        last = ripple
        for _ in range(n_steps):
            last = pde.step(last)
        rates[k] = float(((last - 0.1) * wave(k, 0, n)).mean() / (1e-6 * wave(k, 0, n).square().mean()))
        assert rates[k] == pytest.approx((1 + pde.growth_rate(eigenvalue(k, 0, n), mean=0.1)) ** n_steps, rel=1e-4)
    fastest = max(rates, key=rates.__getitem__)
    wanted = -(1 - 3 * 0.1**2) / (2 * pde.kappa)
    assert fastest == min(range(1, 13), key=lambda k: abs(eigenvalue(k, 0, n) - wanted))


def test_young_cahn_hilliard_patterns_have_the_wavelength_that_grows_fastest() -> None:
    pde = CahnHilliard()
    start = noise(pde, 1, size=96, generator=draws(2), sd=1e-4)
    image = simulate(pde, start, n_frames=2, steps_per_frame=600).values[0, 1, :, :, 0]
    predicted = 2 * np.pi / np.arccos(1 - 1 / (4 * pde.kappa))  # stripes with -∇² = 1/(2·kappa)
    assert float(wavelength(image)) == pytest.approx(predicted, rel=0.1)


@pytest.mark.parametrize(("factor", "grows"), [(0.97, False), (1.03, True)])
def test_the_brusselator_turns_into_a_pattern_just_above_turings_threshold(factor: float, grows: bool) -> None:
    wanted = 2.0 / np.sqrt(8.0)  # a / sqrt(D_u·D_v): -∇² of the ripples that grow first
    k = min(range(1, 40), key=lambda k: abs(eigenvalue(k, 0, 80) + wanted))
    pde = Brusselator(b=factor * Brusselator().turing_threshold)
    rest = torch.tensor(pde.rest(), dtype=torch.float64)[:, None, None]
    ripple = (rest + 1e-5 * wave(k, 0, 80)[0] * torch.tensor([1.0, -0.5])[:, None, None])[None, :, :3]
    frames = simulate(pde, ripple, n_frames=3, steps_per_frame=1200)  # rows alike: three of them are enough
    early, late = (float(np.ptp(frames.values[0, frame, :, :, 0])) for frame in (1, 2))
    assert (late > early) is grows


@pytest.mark.parametrize(("factor", "grows"), [(0.97, False), (1.03, True)])
def test_the_brusselator_oscillates_just_above_hopfs_threshold(factor: float, grows: bool) -> None:
    pde = Brusselator(a=1.0, b=factor * 2.0)
    assert Brusselator(a=1.0).hopf_threshold == 2.0
    start = (torch.tensor(pde.rest(), dtype=torch.float64) + 1e-3)[None, :, None, None].expand(1, 2, 3, 3)
    frames = simulate(pde, start, n_frames=1201, steps_per_frame=1, dt=0.05, method="rk4").values[0, :, 0, 0, 0] - 1.0
    assert bool(np.abs(frames[-200:]).max() > np.abs(frames[:200]).max()) is grows


def test_a_front_of_fitzhugh_nagumo_without_recovery_has_the_speed_of_its_cubic() -> None:
    v = 0.25
    u = np.sort(np.roots((-1 / 3, 0, 1, -v)).real)
    expected = np.sqrt(3.0 / 6.0) * (u[0] + u[2] - 2 * u[1])  # sqrt(D/6)·(u1 + u3 - 2·u2), D = 3: Nagumo's front
    pde = FitzHughNagumo(epsilon=0.0, diffusion_u=3.0)
    start = torch.full((1, 2, 3, 160), v, dtype=torch.float64)
    start[:, 0] = torch.where(torch.arange(160) < 80, u[2] if expected > 0 else u[0], u[0] if expected > 0 else u[2])
    values = simulate(pde, start, n_frames=3, steps_per_frame=200, padding="symmetric").values[0, :, 1, :, 0]
    # the area of what the front has passed, over its height
    passed = (values[2].sum() - values[1].sum()) / abs(u[2] - u[0])
    assert abs(passed) / (200 * pde.dt) == pytest.approx(abs(expected), rel=0.03)


def test_an_excited_pulse_runs_through_fitzhugh_nagumo_once_and_leaves_it_at_rest() -> None:
    pde = FitzHughNagumo()
    start = torch.tensor(pde.rest(), dtype=torch.float64)[None, :, None, None].repeat(1, 1, 3, 60)
    start[:, 0, :, :6] = 1.5
    frames = simulate(pde, start, n_frames=151, steps_per_frame=20, padding="symmetric").values[0, :, 1, :, 0]
    reached = (frames > 0.0).argmax(axis=0)[10:]
    assert (frames.max(axis=0) > 1.0).all() and (np.diff(reached) >= 0).all() and reached[-1] > reached[0]
    np.testing.assert_allclose(frames[-1], pde.rest()[0], atol=0.05)


def test_spirals_go_on_and_a_labyrinth_comes_to_stand() -> None:
    spirals = simulate(
        SPIRALS, smooth_noise(SPIRALS, 1, size=48, generator=draws(3), length=5.0), n_frames=5, steps_per_frame=1000
    ).values[0, 2:, :, :, 0]  # fmt: skip
    assert (pattern_sd(spirals) > 0.8).all() and (pattern_sd(np.diff(spirals, axis=0)) > 0.8).all()
    labyrinth = simulate(LABYRINTH, noise(LABYRINTH, 1, size=32, generator=draws()), n_frames=3, steps_per_frame=1500)
    standing = labyrinth.values[0, 1:, :, :, 0]
    assert (pattern_sd(standing) > 0.6).all() and pattern_sd(standing[1] - standing[0]) < 0.1


def test_predicting_no_change_costs_what_was_measured_for_the_maze() -> None:
    values = simulate(MAZE, blocks(MAZE), n_frames=1025, steps_per_frame=1).values
    unit = (values - values.min()) / (values.max() - values.min())
    for t, cost in ((1, 0.047), (2, 0.094), (4, 0.188), (8, 0.375), (16, 0.747), (32, 1.478), (64, 2.884)):
        change = np.diff(unit[:, ::t], axis=1)
        assert np.sqrt((change**2).sum(axis=(2, 3, 4))).mean() == pytest.approx(cost, abs=6e-4)
    about_mean = unit[:, -1] - unit[:, -1].mean(axis=(1, 2), keepdims=True)
    assert np.sqrt((about_mean**2).sum(axis=(1, 2, 3))).mean() == pytest.approx(16.7, abs=0.05)


def test_spots_of_the_mitosis_preset_multiply() -> None:
    start = blocks(MITOSIS, which=[0], size=64)
    frames = simulate(MITOSIS, start, n_frames=3, steps_per_frame=1000).values[0, :, :, :, 1]
    covered = (frames > 0.2).mean(axis=(1, 2))
    assert 1.5 * covered[1] < covered[2]


def test_parameters_and_names_that_do_not_exist_are_refused_with_what_there_is() -> None:
    assert pde_named("gray_scott", alpha=0.03).parameters["alpha"] == 0.03
    with pytest.raises(EquationInvalid, match="there are gray_scott"):
        pde_named("schrodinger")
    with pytest.raises(EquationInvalid, match="it has alpha, gamma"):
        pde_named("gray_scott", beta=1.0)
    with pytest.raises(EquationInvalid, match="finite number"):
        pde_named("gray_scott", alpha=float("nan"))
    with pytest.raises(EquationInvalid, match="fields A, B"):
        MAZE.rate(wave(1, 1))
    with pytest.raises(EquationInvalid, match="padding"):
        MAZE.rate(blocks(MAZE), padding="wrap")  # type: ignore[arg-type]


def test_values_that_run_away_are_refused_with_what_to_do() -> None:
    with pytest.raises(SolverRefused, match="smaller dt"):
        simulate(
            Heat(0.1), 1e308 * random_values(Heat(), 1, size=5, generator=draws()) * 1.7, n_frames=2, steps_per_frame=1
        )


@pytest.mark.slow
def test_old_mazes_agree_in_wavelength_and_mass_whatever_they_began_as() -> None:
    last = simulate(MAZE, blocks(MAZE, size=128), n_frames=2, steps_per_frame=12_000).values[:, 1]
    images = np.moveaxis(last, -1, 1)
    for values, typical in ((wavelength(images), (9.78, 9.13)), (images.mean(axis=(2, 3)), (0.607, 0.196))):
        assert values.mean(axis=0) == pytest.approx(typical, rel=0.01)
        assert (values.std(axis=0, ddof=1) < 0.07 * values.mean(axis=0)).all()
