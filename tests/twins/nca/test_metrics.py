"""Pattern metrics against images whose wavelength, mass and differences are known."""

from __future__ import annotations

import numpy as np
import pytest

from twins.errors import FramesInvalid
from twins.nca import Frames, Scaling
from twins.nca.metrics import (
    compare,
    mass,
    pattern_sd,
    radial_spectrum,
    sd_ratio,
    stability,
    stable,
    structure_function,
    wavelength,
    wavelengths,
)

Y, X = np.mgrid[0:48, 0:64].astype(float)


def frames(*images: np.ndarray, n_frames: int = 2, names: tuple[str, ...] = ("a",)) -> Frames:
    """One trial an image (y, x), every channel alike."""
    values = np.stack(images)[:, None, :, :, None].repeat(n_frames, axis=1).repeat(len(names), axis=4)
    return Frames(values, 1.0, names, ("1",) * len(names))


def wave(length_x: float, length_y: float = np.inf, phase: float = 0.0) -> np.ndarray:
    return np.asarray(0.5 + 0.4 * np.sin(2 * np.pi * (X / length_x + Y / length_y) + phase))


@pytest.mark.parametrize(("length_x", "length_y"), [(8, np.inf), (np.inf, 12), (16, 12), (64, 48)])
def test_the_wavelength_of_a_wave_is_its_own_in_every_direction(length_x: float, length_y: float) -> None:
    own = 1.0 / np.hypot(1 / length_x, 1 / length_y)
    assert wavelength(wave(length_x, length_y, 0.7)) == pytest.approx(own, rel=1e-12)


def test_the_wavelength_of_two_waves_weighs_their_frequencies_by_their_power() -> None:
    image = 3.0 * np.sin(2 * np.pi * X / 16) + 1.0 * np.sin(2 * np.pi * X / 4)
    assert wavelength(image) == pytest.approx(10.0 / (9 / 16 + 1 / 4))


def test_a_wave_cut_off_at_the_edges_needs_the_window() -> None:
    cut = wave(9.8, phase=np.pi / 2)
    bare, windowed = (abs(float(wavelength(cut, window=window)) / 9.8 - 1) for window in (False, True))
    assert windowed < 0.03 < bare


def test_an_offset_and_a_factor_change_no_wavelength_and_a_uniform_image_has_none() -> None:
    assert wavelength(1e3 + 1e-2 * wave(16)) == pytest.approx(16.0)
    assert np.isnan(wavelength(np.full((8, 8), 0.3, dtype=np.float32)))
    assert wavelengths(frames(wave(8), wave(16), names=("a", "b"))).shape == (2, 2, 2)


def test_the_power_of_the_rings_is_the_variance_and_lies_at_the_waves_frequency() -> None:
    noisy = np.random.default_rng(0).normal(size=(3, 48, 64))
    assert radial_spectrum(noisy).power.sum(axis=-1) == pytest.approx(noisy.var(axis=(1, 2)))
    spectrum = radial_spectrum(wave(8))
    assert spectrum.frequencies[spectrum.power.argmax()] == pytest.approx(1 / 8)
    assert spectrum.power.max() == pytest.approx(0.4**2 / 2)


def test_the_structure_function_of_stripes_is_known_along_them_and_across() -> None:
    stripes = np.where(X % 8 < 4, 1.0, -1.0)
    found = structure_function(stripes, largest=1).values[0]
    # the eight neighbours round to one cell: six of them one column away, where one pair in four differs by two
    assert found == pytest.approx(4.0 * (1 / 4) * (6 / 8))


@pytest.mark.parametrize("periodic", [True, False])
def test_the_structure_function_agrees_with_counting_pairs(periodic: bool) -> None:
    image = np.random.default_rng(1).normal(size=(7, 6))
    sums, counts = np.zeros(4), np.zeros(4)
    reach = (3, 3) if periodic else (6, 5)
    for dy in range(-reach[0], reach[0] + 1):
        for dx in range(-reach[1], reach[1] + 1 - (periodic and 1)):  # an even side has one farthest shift
            r = round(np.hypot(dy, dx))
            if not 1 <= r <= 3:
                continue
            moved = np.roll(image, (-dy, -dx), axis=(0, 1))
            pairs = np.ones((7, 6), dtype=bool)
            if not periodic:
                y, x = np.mgrid[0:7, 0:6]
                pairs = (y + dy >= 0) & (y + dy < 7) & (x + dx >= 0) & (x + dx < 6)
            sums[r] += ((moved - image)[pairs] ** 2).sum()
            counts[r] += pairs.sum()
    found = structure_function(image, periodic=periodic)
    np.testing.assert_allclose(found.values, sums[1:] / counts[1:], rtol=1e-10)


def test_far_apart_in_noise_the_structure_function_is_twice_the_variance() -> None:
    noise = np.random.default_rng(2).normal(size=(128, 128))
    assert structure_function(noise).values[10:] == pytest.approx(2 * float(pattern_sd(noise)) ** 2, rel=0.02)


def test_a_run_like_the_data_is_stable_and_one_that_fades_grows_strays_or_breaks_is_not() -> None:
    data = frames(wave(8), wave(16))
    flat, strong = (0.5 + factor * (data.values - 0.5) for factor in (0.4, 1.6))
    assert stable(data, data) and stable(frames(wave(8, phase=1.0), wave(12)), data)
    assert stability(data, data).sd_ratios == pytest.approx((1.0, 1.0))
    astray = data.values.copy()
    astray[1, 0, 0, 0] = 2.0  # in the first frame only
    broken = data.values.copy()
    broken[0, 1, 3, 3] = np.nan
    for run, good in (
        (flat, (False, False)),
        (strong, (False, False)),
        (astray, (True, False)),
        (broken, (False, True)),
    ):
        found = stability(run, data)
        assert found.stable_trials == good and not found.stable
    assert not stability(broken, data).finite and stability(astray, data).highest > 1.5
    assert stability(flat, data).sd_ratios == pytest.approx((0.4, 0.4), rel=1e-5)


def test_where_the_data_has_no_pattern_a_stable_run_has_none() -> None:
    begins_patterned = np.stack([wave(8), np.full_like(X, 0.5)])[None, ..., None]
    assert stable(begins_patterned, begins_patterned)
    assert not stable(begins_patterned[:, :1].repeat(2, axis=1), begins_patterned)


def test_beyond_the_data_a_pattern_may_grow_or_fade_within_the_limits() -> None:
    data = np.stack([wave(8), wave(8)])[None, ..., None]
    unit = Scaling((0.0,), (1.0,))
    assert stable(np.concatenate((data, np.full_like(data, 0.5)), axis=1), data, scaling=unit)
    assert not stable(np.concatenate((data, np.full_like(data, 1.6)), axis=1), data, scaling=unit)


def test_a_channel_that_is_constant_in_the_data_counts_where_the_run_fills_it() -> None:
    unit, still = Scaling((0.0, 0.0), (1.0, 1.0)), np.full_like(X, 0.5)
    data = np.stack([wave(8), still], axis=-1)[None, None]
    for size, good in ((0.0, True), (0.1, True), (0.2, False)):
        other = 0.5 + size * (wave(8) - 0.5)
        assert stable(np.stack([wave(8), other], axis=-1)[None, None], data, scaling=unit) is good
    constant = np.stack([still, still], axis=-1)[None, None]
    assert stable(constant, constant, scaling=unit) and not stable(data, constant, scaling=unit)


def test_a_weak_channel_that_has_died_is_not_hidden_by_a_strong_one() -> None:
    unit = Scaling((0.0, 0.0), (1.0, 1.0))
    data, dim, dead = (
        np.stack([wave(8), 0.5 + size * (wave(8) - 0.5)], axis=-1)[None, None] for size in (0.4, 0.18, 0.0)
    )
    assert stable(data, data, scaling=unit)
    assert stability(dim, data, scaling=unit).sd_ratios == pytest.approx((0.45,)) and not stable(
        dim, data, scaling=unit
    )
    assert not stable(dead, data, scaling=unit)


def test_what_may_have_become_of_the_datas_pattern_since_counts_as_like_it() -> None:
    theirs = np.array([[0.2, 0.2]])
    for ours, fading, growing in (
        (0.2, 1.0, 1.0),
        (0.15, 1.0, 0.75),
        (0.05, 0.5, 0.25),
        (0.3, 1.5, 1.0),
        (0.6, 3.0, 1.5),
    ):
        here = np.array([[ours, 0.2]])
        assert sd_ratio(here, theirs, growth=np.log(0.5)) == pytest.approx(fading)
        assert sd_ratio(here, theirs, growth=np.log(2.0)) == pytest.approx(growing)


def test_errors_are_relative_and_stand_beside_the_datas_own_spread() -> None:
    data, run = frames(wave(8), wave(16)), frames(1.1 * wave(16), 1.1 * wave(16))
    found = compare(run, data)
    assert found.wavelength_error == pytest.approx(16 / 12 - 1) and found.mass_error == pytest.approx(0.1)
    assert found.wavelength_spread == pytest.approx(np.std([8, 16], ddof=1) / 12)
    assert found.mass_spread == pytest.approx(0.0, abs=1e-6)
    assert found.spectrum_distance == pytest.approx(0.5)
    assert compare(data, data).spectrum_distance == 0.0
    assert compare(frames(wave(8)), frames(wave(8))).wavelength_spread is None


def test_the_mass_is_the_mean() -> None:
    assert mass(np.arange(12.0).reshape(3, 4)) == pytest.approx(5.5)


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(FramesInvalid, match="finite"):
        wavelength(np.full((4, 4), np.inf))
    with pytest.raises(FramesInvalid, match="2 × 2"):
        wavelength(np.zeros(4))
    with pytest.raises(FramesInvalid, match="shows"):
        compare(frames(wave(8)), frames(wave(8), names=("b",)))
    with pytest.raises(FramesInvalid, match="same trials"):
        stability(frames(wave(8)), frames(wave(8), wave(8)))
