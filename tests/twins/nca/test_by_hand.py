"""Automata set by hand do exactly what they were set to."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from twins.errors import AutomatonInvalid
from twins.nca import Frames, NcaModel, Scaling
from twins.nca.by_hand import heat_automaton, life_automaton, linear_automaton
from twins.nca.pde import PDES, Heat, blocks, life_pattern, random_values, simulate, soup

LIFE = PDES["game_of_life"]


def draws(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def lives(automaton: torch.nn.Module, start: torch.Tensor, n_steps: int) -> np.ndarray:
    """(trial, time, y, x) of the living channel."""
    state = automaton.initial_state(start.float(), torch.ones_like(start).float())  # type: ignore[operator]
    frames = [state, *automaton.trajectory(state, n_steps)]  # type: ignore[operator]
    return torch.stack([frame[:, 0] for frame in frames], dim=1).numpy()


@pytest.mark.parametrize("padding", ["periodic", "zero", "symmetric"])
def test_an_automaton_set_to_the_heat_equation_solves_it_with_every_padding(padding: str) -> None:
    start = random_values(Heat(), 2, size=(13, 17), generator=draws(0))
    automaton = heat_automaton(0.33, padding=padding, dtype=torch.float64)  # type: ignore[arg-type]
    solved = simulate(Heat(0.33), start, n_frames=11, steps_per_frame=20, padding=padding)  # type: ignore[arg-type]
    for frame, state in enumerate(automaton.trajectory(start, 200, every=20), start=1):
        np.testing.assert_allclose(state[:, 0].numpy(), solved.values[:, frame, :, :, 0], atol=1e-7)  # frames: float32
    direct = start
    for _ in range(200):
        direct = Heat(0.33).step(direct, padding=padding)  # type: ignore[arg-type]
    torch.testing.assert_close(automaton.unroll(start, 200).state, direct, atol=1e-13, rtol=0)


def test_a_wave_of_heat_decays_in_the_automaton_as_its_eigenvalue_says() -> None:
    x = torch.arange(32, dtype=torch.float64)
    wave = torch.cos(2 * torch.pi * 3 * x / 32)[None, None, None].expand(1, 1, 24, 32)
    eigenvalue = 2 * (np.cos(2 * np.pi * 3 / 32) - 1)
    after = heat_automaton(0.2, dtype=torch.float64).unroll(wave, 50).state
    torch.testing.assert_close(after, (1 + 0.2 * eigenvalue) ** 50 * wave, atol=1e-13, rtol=0)


def test_a_model_set_by_hand_runs_frames_like_the_equation() -> None:
    solved = simulate(Heat(), blocks(Heat()), n_frames=5, steps_per_frame=8)
    model = NcaModel(
        heat_automaton(), Scaling((-1.0,), (3.0,)), 8, 8.0, solved.names, solved.units, time_unit=solved.time_unit
    )
    np.testing.assert_allclose(model.run(solved, 4).values, solved.values, atol=2e-6)


def test_linear_reaction_and_diffusion_follow_the_same_euler_steps() -> None:
    reaction, diffusion, feed, dt = [[-0.3, 0.5], [-0.4, 0.1]], [0.1, 0.3], [0.02, -0.01], 0.5
    automaton = linear_automaton(diffusion, reaction=reaction, feed=feed, dt=dt, dtype=torch.float64)
    state = torch.rand(2, 2, 9, 8, generator=draws(1), dtype=torch.float64)
    expected = state
    near, exactly = Heat().neighbourhood(), partial(torch.tensor, dtype=torch.float64)
    for _ in range(30):
        spread = near.laplacian(expected) * exactly(diffusion)[:, None, None]
        mixed = torch.einsum("ij,bjyx->biyx", exactly(reaction), expected)
        expected = expected + dt * (spread + mixed + exactly(feed)[:, None, None])
    torch.testing.assert_close(automaton.unroll(state, 30).state, expected, atol=1e-12, rtol=0)
    with pytest.raises(AutomatonInvalid, match="feed"):
        linear_automaton(diffusion, feed=[1.0])


@pytest.mark.parametrize("padding", ["periodic", "zero", "symmetric"])
def test_the_game_of_life_is_played_exactly_over_many_steps(padding: str) -> None:
    start = soup(LIFE, 3, size=(24, 31), generator=draws(2))
    played = simulate(LIFE, start, n_frames=201, steps_per_frame=1, padding=padding).values[..., 0]  # type: ignore[arg-type]
    found = lives(life_automaton(padding=padding), start, 200)  # type: ignore[arg-type]
    assert np.array_equal(found, played)
    assert 0.0 < played[:, -1].mean() < played[:, 0].mean()


def test_every_neighbourhood_of_the_game_of_life_has_its_outcome() -> None:
    codes = torch.arange(512)[:, None] >> torch.arange(9) & 1
    cells = codes.double().reshape(512, 1, 3, 3)
    middle = cells[:, 0, 1, 1]
    neighbours = cells.sum(dim=(1, 2, 3)) - middle
    expected = (neighbours == 3) | ((neighbours == 2) & (middle == 1))
    assert np.array_equal(lives(life_automaton(padding="zero"), cells, 1)[:, 1, 1, 1], expected.float().numpy())


def test_a_glider_moves_one_cell_down_and_right_in_four_steps_and_comes_back_around() -> None:
    start = life_pattern("glider", size=12, at=(2, 3))
    found = lives(life_automaton(), start, 48)
    for turn in range(13):
        np.testing.assert_array_equal(found[0, 4 * turn], np.roll(start[0, 0].numpy(), (turn, turn), axis=(0, 1)))


def test_the_game_of_life_plays_as_a_model_with_its_ones_as_environment() -> None:
    start = soup(LIFE, 2, size=16, generator=draws(3))
    played = simulate(LIFE, start, n_frames=31, steps_per_frame=1)
    known = Frames(
        played.values, played.dt_s, played.names, played.units, played.time_unit, environment=np.ones((2, 16, 16, 1))
    )
    model = NcaModel(life_automaton(), Scaling((0.0,), (1.0,)), 1, 1.0, known.names, known.units, known.time_unit)
    assert np.array_equal(model.run(known, 30).values, played.values)
