"""Sine-square and waveform synthesis against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest

from twins.network import SineSquare, WaveformSynthesis, linear_on_taps


def test_without_noise_a_period_is_a_sine_or_a_square_as_its_label_says() -> None:
    data = SineSquare(period=8, noise=0.0, washout=0).sample(40, 64, np.random.default_rng(0))
    signal, square = data.inputs[..., 0], data.targets[..., 1] == 1.0
    assert np.all(np.isin(np.abs(signal[square]), 1.0))
    levels = np.sort(np.unique(np.abs(signal[~square]).round(12)))
    np.testing.assert_allclose(levels, [math.sin(math.pi / 8), math.sin(3 * math.pi / 8)], atol=1e-9)
    assert 0.4 < square.mean() < 0.6


def test_waves_change_at_the_end_of_a_period_only() -> None:
    data = SineSquare(period=8, noise=0.0, washout=0).sample(200, 64, np.random.default_rng(1))
    square = data.targets[..., 1]
    changes = [np.flatnonzero(np.diff(one)) + 1 for one in square]
    for trial, where in zip(data.inputs[..., 0], changes, strict=True):
        assert np.all(np.diff(where) % 8 == 0)
        assert np.all((trial[where] > 0) & (trial[where - 1] < 0)), (
            "a period begins where the wave begins to be positive"
        )
    begins = {int(where[0]) % 8 for where in changes if where.size}
    assert begins == set(range(8)), "trials begin anywhere in a period"


def test_noise_has_the_width_that_was_asked_for() -> None:
    loud = SineSquare(noise=0.4, washout=0).sample(400, 64, np.random.default_rng(2))
    square = loud.targets[..., 1] == 1.0
    from_level = np.abs(loud.inputs[..., 0][square]) - 0.6
    assert -0.4 <= from_level.min() < -0.39 and 0.39 < from_level.max() <= 0.4


def test_no_linear_model_of_one_step_sees_the_wave() -> None:
    rng = np.random.default_rng(3)
    training, heldout = (SineSquare().sample(60, 60, rng) for _ in range(2))
    one_step = linear_on_taps("cross_entropy", training, heldout, taps=[0])
    assert one_step.value == pytest.approx(math.log(2), abs=0.01)


def test_what_a_linear_model_misses_of_a_waveform_is_what_its_fourier_series_says() -> None:
    missed = {
        "second harmonic": 1.0,
        "third harmonic": 1.0,
        "sawtooth": math.sqrt(1 - 6 / math.pi**2),
        "triangle": math.sqrt(1 - 96 / math.pi**4),
        "square": math.sqrt(1 - 8 / math.pi**2),
    }
    rng = np.random.default_rng(4)
    for name, nrmse in missed.items():
        task = WaveformSynthesis(waveforms=(name,))
        training, heldout = (task.sample(100, 60, rng) for _ in range(2))
        found = linear_on_taps("nrmse", training, heldout, taps=range(10)).value
        assert found == pytest.approx(nrmse, abs=0.02), name


def test_outputs_have_the_phase_of_the_input() -> None:
    data = WaveformSynthesis(waveforms=("third harmonic", "square")).sample(30, 60, np.random.default_rng(5))
    sine = data.inputs[..., 0]
    np.testing.assert_allclose(data.targets[..., 0], 3 * sine - 4 * sine**3, atol=1e-12)
    np.testing.assert_array_equal(data.targets[..., 1], np.where(sine >= 0, 1.0, -1.0))
