"""What simulate hands out, and where simulations begin."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from twins.errors import EquationInvalid, SolverRefused
from twins.nca.metrics import pattern_sd, wavelength
from twins.nca.pde import (
    INITIAL_CONDITIONS,
    LIFE_PATTERNS,
    MAZE,
    NOISE_SHARES,
    PDES,
    SWEEP,
    Heat,
    blocks,
    initial_named,
    life_pattern,
    noise,
    random_blocks,
    random_values,
    simulate,
    simulate_family,
    smooth_noise,
    spots,
    with_noise,
)

LIFE = PDES["game_of_life"]


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_first_frame_is_the_initial_state_and_every_frame_follows_after_its_steps() -> None:
    start = random_blocks(MAZE, 2, size=(16, 20), generator=draws())
    frames = simulate(MAZE, start, n_frames=4, steps_per_frame=5, dt=0.5)
    assert frames.values.shape == (2, 4, 16, 20, 2) and frames.simulated
    assert (frames.dt_s, frames.names, frames.units, frames.time_unit) == (2.5, ("A", "B"), ("1", "1"), "1")
    state = start
    for step in range(16):
        if step % 5 == 0:
            np.testing.assert_array_equal(frames.values[:, step // 5], state.permute(0, 2, 3, 1).float().numpy())
        state = MAZE.step(state, dt=0.5)


def test_discarded_steps_come_before_the_first_frame() -> None:
    start = blocks(MAZE, which=[1], size=24)
    every = simulate(MAZE, start, n_frames=12, steps_per_frame=1)
    late = simulate(MAZE, start.numpy(), n_frames=3, steps_per_frame=2, discard=7)
    np.testing.assert_array_equal(late.values, every.values[:, 7::2])


def test_turning_or_moving_the_start_turns_or_moves_the_whole_run() -> None:
    start = blocks(MAZE, which=[3], size=32)
    plain = simulate(MAZE, start, n_frames=2, steps_per_frame=100).values
    turned = simulate(MAZE, start.rot90(1, (2, 3)), n_frames=2, steps_per_frame=100).values
    moved = simulate(MAZE, start.roll((5, -9), (2, 3)), n_frames=2, steps_per_frame=100).values
    np.testing.assert_allclose(turned, np.rot90(plain, 1, (2, 3)), atol=1e-6)
    np.testing.assert_allclose(moved, np.roll(plain, (5, -9), (2, 3)), atol=1e-6)


def test_chosen_parameters_are_the_conditions_of_every_trial() -> None:
    frames = simulate(MAZE, blocks(MAZE, size=16), n_frames=1, steps_per_frame=1, conditions=("gamma", "alpha"))
    assert frames.condition_names == ("gamma", "alpha")
    np.testing.assert_allclose(frames.condition_values, [[0.06258, 0.0623]] * 4, rtol=1e-6)
    with pytest.raises(EquationInvalid, match="no parameter 'kill'"):
        simulate(MAZE, blocks(MAZE), n_frames=1, steps_per_frame=1, conditions=("kill",))


def test_a_family_holds_every_start_under_every_set_of_parameters() -> None:
    start = blocks(MAZE, which=[0, 3], size=24)
    family = simulate_family(MAZE, SWEEP, start, n_frames=3, steps_per_frame=20)
    assert family.n_trials == 2 * len(SWEEP) == 18 and family.condition_names == ("alpha", "gamma")
    np.testing.assert_allclose(family.condition_values[5], [SWEEP[2]["alpha"], SWEEP[2]["gamma"]], rtol=1e-6)
    alone = simulate(MAZE.with_parameters(**SWEEP[2]), start, n_frames=3, steps_per_frame=20)
    np.testing.assert_array_equal(family.values[4:6], alone.values)
    with pytest.raises(EquationInvalid, match="same parameters"):
        simulate_family(MAZE, [{"alpha": 0.1}, {"gamma": 0.1}], start, n_frames=1, steps_per_frame=1)


def test_white_noise_spreads_a_resting_field_as_the_root_of_time() -> None:
    still = torch.zeros(1, 1, 64, 64, dtype=torch.float64)
    frames = simulate(
        Heat(0.0), still, n_frames=3, steps_per_frame=50, dt=0.2, noise_sd=0.3, generator=draws()
    ).values[0, :, :, :, 0]  # fmt: skip
    assert pattern_sd(frames) == pytest.approx(0.3 * np.sqrt([0, 10, 20]), rel=0.05)
    with pytest.raises(EquationInvalid, match="generator"):
        simulate(Heat(), still, n_frames=1, steps_per_frame=1, noise_sd=0.3)


def test_frames_go_over_into_uniform_noise_of_their_own_range() -> None:
    frames = simulate(MAZE, blocks(MAZE, size=32), n_frames=5, steps_per_frame=20)
    mixed = {share: with_noise(frames, share, generator=draws()).values for share in (0.0, 0.4, 1.0)}
    np.testing.assert_array_equal(mixed[0.0], frames.values)
    assert abs(np.corrcoef(mixed[1.0].ravel(), frames.values.ravel())[0, 1]) < 0.02
    assert mixed[1.0].mean() == pytest.approx(0.5, abs=0.01) and mixed[1.0].std() == pytest.approx(12**-0.5, abs=0.01)
    np.testing.assert_allclose(mixed[0.4], 0.6 * frames.values + 0.4 * mixed[1.0], atol=1e-6)
    assert NOISE_SHARES[0] == 0.0 and NOISE_SHARES[-1] == 1.0 and len(NOISE_SHARES) == 10
    with pytest.raises(EquationInvalid, match=r"0\.\.1"):
        with_noise(frames, 1.5, generator=draws())


def test_the_blocks_of_the_publication_lie_where_they_lay_in_any_size() -> None:
    start = blocks(MAZE)
    assert start.shape == (4, 2, 64, 64) and torch.equal(start[:, 0], 1 - start[:, 1])
    assert start[:, 1].sum(dim=(1, 2)).tolist() == [256.0, 2 * 64 + 2 * 400, 4 * 64 + 16 + 64, 160 + 80 + 64 + 64]
    large = blocks(MAZE, size=128)
    assert torch.equal(large[:, :, ::2, ::2], start) and torch.equal(large[:, :, 1::2, 1::2], start)


@pytest.mark.parametrize("name", INITIAL_CONDITIONS)
def test_a_drawn_start_repeats_with_its_generator_and_fits_every_size(name: str) -> None:
    first, again, other = (
        initial_named(name, MAZE, 3, size=(20, 33), generator=draws(seed)) for seed in (1, 1, 2)
    )  # fmt: skip
    assert torch.equal(first, again) and not torch.equal(first, other) and first.shape == (3, 2, 20, 33)
    assert first.dtype == torch.float64 and not torch.equal(first[0], first[1])


def test_spots_are_discs_that_wrap_around_the_edges() -> None:
    start = spots(MAZE, 40, size=32, generator=draws(), n_spots=(1, 1), radius=(5.0, 5.0))[:, 1]
    areas = start.sum(dim=(1, 2))
    assert areas.numpy() == pytest.approx(np.pi * 25, rel=0.1)
    assert bool((start[:, 0].sum(dim=1) * start[:, -1].sum(dim=1) > 0).any())


def test_noise_lies_about_the_rest_state_or_what_one_says() -> None:
    pde = PDES["brusselator"]
    drawn = noise(pde, 4, generator=draws(), sd=0.1)
    assert drawn.mean(dim=(0, 2, 3)).tolist() == pytest.approx(pde.rest(), abs=0.01)
    assert noise(pde, 4, generator=draws(), about=(7.0, 8.0)).mean(dim=(0, 2, 3)).tolist() == pytest.approx(
        [7, 8], abs=0.01
    )
    drawn = random_values(MAZE, 4, generator=draws())
    assert float(drawn.min()) >= 0.0 and float(drawn.max()) <= 1.0


@pytest.mark.parametrize("name", PDES)
def test_every_equation_does_something_from_its_usual_start(name: str) -> None:
    pde = PDES[name]
    start = initial_named(pde.start, pde, 2, size=24, generator=draws())
    values = simulate(pde, start, n_frames=2, steps_per_frame=10).values
    assert np.abs(values[:, 1] - values[:, 0]).max() > 1e-3


def test_smooth_noise_varies_over_its_length_as_strongly_as_one_says() -> None:
    drawn = smooth_noise(MAZE, 4, size=96, generator=draws(), sd=0.3, length=6.0).numpy()
    assert pattern_sd(drawn) == pytest.approx(0.3) and drawn.mean() == pytest.approx(0.5, abs=0.05)
    # of a power exp(-(k·length)²/2) the mean frequency is sqrt(π/2)/(2π·length)
    assert wavelength(drawn) == pytest.approx(2 * np.pi * 6.0 / np.sqrt(np.pi / 2), rel=0.15)


def test_life_patterns_repeat_with_their_periods() -> None:
    for name, period in (("block", 1), ("blinker", 2), ("toad", 2), ("beacon", 2)):
        played = simulate(LIFE, life_pattern(name, size=8), n_frames=period + 1, steps_per_frame=1).values
        np.testing.assert_array_equal(played[:, period], played[:, 0])
        assert period == 1 or not np.array_equal(played[:, 1], played[:, 0])
    glider = simulate(LIFE, life_pattern("glider", size=20, at=(1, 1)), n_frames=11, steps_per_frame=4).values
    np.testing.assert_array_equal(glider[0, 10], np.roll(glider[0, 0], (10, 10), axis=(0, 1)))
    ship = simulate(LIFE, life_pattern("lightweight_spaceship", size=20), n_frames=6, steps_per_frame=4).values
    np.testing.assert_array_equal(ship[0, 5], np.roll(ship[0, 0], -10, axis=1))
    assert set(LIFE_PATTERNS) >= {"r_pentomino", "acorn"}


def test_starts_that_do_not_fit_are_refused() -> None:
    with pytest.raises(EquationInvalid, match="0 or 1"):
        simulate(LIFE, 0.5 * life_pattern("block"), n_frames=1, steps_per_frame=1)
    with pytest.raises(SolverRefused, match="step to step"):
        simulate(LIFE, life_pattern("block"), n_frames=1, steps_per_frame=1, dt=0.5)
    with pytest.raises(EquationInvalid, match="whole numbers"):
        simulate(LIFE, life_pattern("block"), n_frames=1, steps_per_frame=1, noise_sd=0.1, generator=draws())
    with pytest.raises(EquationInvalid, match="does not fit"):
        life_pattern("acorn", size=6)
    with pytest.raises(EquationInvalid, match="there are glider"):
        life_pattern("gosper")
    with pytest.raises(EquationInvalid, match="not finite"):
        simulate(MAZE, blocks(MAZE) * np.nan, n_frames=1, steps_per_frame=1)
    with pytest.raises(EquationInvalid, match="fields A, B"):
        simulate(MAZE, blocks(Heat()), n_frames=1, steps_per_frame=1)
    with pytest.raises(EquationInvalid, match="blocks, random_blocks"):
        initial_named("stars", MAZE, 1, generator=draws())
    with pytest.raises(EquationInvalid, match=r"0\.\.3"):
        blocks(MAZE, which=[4])
    for wrong in ({"n_frames": 0}, {"steps_per_frame": 0}, {"discard": -1}):
        with pytest.raises(EquationInvalid, match="at least"):
            simulate(MAZE, blocks(MAZE), **{"n_frames": 1, "steps_per_frame": 1, **wrong})


def test_a_family_can_draw_the_start_of_each_of_its_sets() -> None:
    generator, again = (torch.Generator().manual_seed(1) for _ in range(2))
    drawn = simulate_family(
        MAZE, SWEEP, lambda pde: random_blocks(pde, 2, size=16, generator=generator), n_frames=2, steps_per_frame=3
    )
    starts = [random_blocks(MAZE, 2, size=16, generator=again) for _ in SWEEP]
    for place, (one, start) in enumerate(zip(SWEEP, starts, strict=True)):
        alone = simulate(MAZE.with_parameters(**one), start, n_frames=2, steps_per_frame=3)
        np.testing.assert_array_equal(drawn.values[2 * place : 2 * place + 2], alone.values)
