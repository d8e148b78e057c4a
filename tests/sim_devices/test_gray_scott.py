"""The reaction cell: its equation, its noise, and what is injected."""

import numpy as np
import pytest

from sim_devices.bench_file import BenchFileError, parse_bench
from sim_devices.physics import GrayScott, Imaged
from sim_devices.physics.gray_scott import PATTERNS, laplacian

RATES = {"feed": 0.0367, "kill": 0.0649}


def run(cell, n_steps, *, seed=0, step_s=1.0, **rates):
    ports = {name: np.full(n_steps, rate) for name, rate in {**RATES, **rates}.items()}
    cell.advance(ports, step_s=step_s, generator=np.random.default_rng(seed))
    return cell.image()


def test_the_laplacian_has_a_waves_eigenvalue():
    y, x = np.mgrid[:16, :24]
    wave = np.cos(2 * np.pi * (y / 16 + 3 * x / 24))
    factor = (1 + np.cos(2 * np.pi / 16)) * (1 + np.cos(2 * np.pi * 3 / 24)) - 4
    np.testing.assert_allclose(laplacian(wave[None])[0], factor * wave, atol=1e-12)


def test_a_uniform_cell_follows_the_reaction_alone():
    cell = GrayScott(rows=8, columns=8, initial="uniform")
    u, v = 0.5, 0.5
    for _ in range(50):
        rate = u * v * v
        u, v = u - rate + 0.0367 * (1 - u), v + rate - (0.0649 + 0.0367) * v
    image = run(cell, 50)
    np.testing.assert_allclose(image[0], u, rtol=1e-12)
    np.testing.assert_allclose(image[1], v, rtol=1e-12)


def test_halving_the_step_changes_little_and_a_pattern_grows():
    coarse, fine = (GrayScott(rows=48, columns=48, initial_seed=2) for _ in range(2))
    first, second = run(coarse, 200), run(fine, 400, step_s=0.5)
    assert np.abs(first - second).max() < 0.05
    grown = run(coarse, 2000)
    assert 0.05 < grown[1].std() < 0.2


def test_reaction_noise_moves_matter_from_one_species_to_the_other_and_makes_none():
    cell = GrayScott(rows=16, columns=16, initial="noise", noise_scale=0.1, diffusion_u=0.1, diffusion_v=0.1)
    before = cell.image().sum()
    one = run(cell, 20, feed=0.0, kill=0.0)
    assert one.sum() == pytest.approx(before, rel=1e-12)
    quiet = run(GrayScott(rows=16, columns=16, initial="noise", diffusion_v=0.1), 20, feed=0.0, kill=0.0)
    assert np.abs(one - quiet).max() > 1e-3
    again = run(
        GrayScott(rows=16, columns=16, initial="noise", noise_scale=0.1, diffusion_v=0.1), 20, feed=0.0, kill=0.0
    )
    np.testing.assert_array_equal(one, again)


@pytest.mark.parametrize("pattern", [name for name in PATTERNS if name != "hole"])
def test_the_seed_alone_says_what_is_injected(pattern):
    first, second = GrayScott(), GrayScott(initial="noise", initial_seed=9)
    run(second, 5)
    for cell in (first, second):
        cell.inject(pattern, 3)
    np.testing.assert_array_equal(first.image(), second.image())
    second.inject(pattern, 4)
    assert pattern == "uniform" or (first.image() != second.image()).any()


def test_a_hole_leaves_the_rest_as_it_is():
    cell = GrayScott(initial="noise")
    before = cell.image()
    cell.inject("hole", 1)
    washed = cell.image()[1] == 0.0
    assert 20 < washed.sum() < 64 * 64 / 8
    np.testing.assert_array_equal(cell.image()[:, ~washed], before[:, ~washed])


def test_what_cannot_be_is_refused_by_the_bench_file():
    assert isinstance(GrayScott(), Imaged)
    tables = {"name": "b", "devices": {"cell": {"kind": "gray_scott", "diffusion_u": 0.6}}}
    camera = {"instruments": {"camera": {"model": "simoptics_so2c", "sees": "cell"}}}
    with pytest.raises(BenchFileError, match=r"at most 0\.4"):
        parse_bench({**tables, **camera})
    tables["devices"] = {"cell": {"kind": "leaky_integrator"}}
    with pytest.raises(BenchFileError, match="devices that can be seen are none"):
        parse_bench({**tables, **camera})
    tables["devices"] = {"cell": {"kind": "gray_scott"}}
    camera["instruments"]["camera"]["optics"] = {"bits": 20}
    with pytest.raises(BenchFileError, match=r"\[instruments.camera.optics\]: bits must be 8 to 16"):
        parse_bench({**tables, **camera})
