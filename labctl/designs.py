"""The usual designs of an excitation. Each takes its random generator and gives an `Excitation` of one channel.

Levels are in the channel's unit, `low` to `high`. Join channels with `combine`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from labctl.errors import ExcitationError
from labctl.excitation import Excitation


def random_steps(
    channel: str,
    *,
    low: float,
    high: float,
    hold_s: Sequence[float],
    duration_s: float,
    n_trials: int,
    dt_s: float,
    generator: np.random.Generator,
) -> Excitation:
    """Piecewise-constant drive, levels uniform in low..high; trial i holds each level for hold_s[i mod len].

    Several hold times show a twin both the transients and the settled device.
    """
    _check_range(low, high)
    n_samples = _samples(duration_s, dt_s, "duration_s")
    holds = [_samples(hold, dt_s, "hold_s") for hold in hold_s]
    if not holds:
        raise ExcitationError("random_steps needs at least one hold time")
    drive = np.empty((n_trials, n_samples))
    for trial in range(n_trials):
        hold = holds[trial % len(holds)]
        levels = generator.uniform(low, high, size=-(-n_samples // hold))
        drive[trial] = np.repeat(levels, hold)[:n_samples]
    description = {"design": "random_steps", "low": low, "high": high, "hold_s": [hold * dt_s for hold in holds]}
    return Excitation.from_channels({channel: drive}, dt_s=dt_s, description=description)


def multisine(
    channel: str,
    *,
    low: float,
    high: float,
    lowest_Hz: float,
    highest_Hz: float,
    duration_s: float,
    n_trials: int,
    dt_s: float,
    generator: np.random.Generator,
    odd_only: bool = False,
) -> Excitation:
    """Equal sines of random phase on the harmonics of 1/duration_s between two frequencies, filling low..high."""
    _check_range(low, high)
    n_samples = _samples(duration_s, dt_s, "duration_s")
    base_Hz = 1.0 / (n_samples * dt_s)
    harmonics = np.arange(
        max(1, int(np.ceil(lowest_Hz / base_Hz - 1e-9))), int(np.floor(highest_Hz / base_Hz + 1e-9)) + 1
    )
    if odd_only:
        harmonics = harmonics[harmonics % 2 == 1]
    if harmonics.size == 0 or harmonics[-1] >= n_samples / 2:
        raise ExcitationError(
            f"no usable harmonics: {lowest_Hz:g}..{highest_Hz:g} Hz must hold multiples of {base_Hz:g} Hz "
            f"and stay below half the sample rate, {0.5 / dt_s:g} Hz"
        )
    spectrum = np.zeros((n_trials, n_samples // 2 + 1), dtype=np.complex128)
    spectrum[:, harmonics] = np.exp(2j * np.pi * generator.random((n_trials, harmonics.size)))
    wave = np.fft.irfft(spectrum, n=n_samples, axis=1)
    wave /= np.abs(wave).max(axis=1, keepdims=True)
    description = {
        "design": "multisine",
        "low": low,
        "high": high,
        "band_Hz": [lowest_Hz, highest_Hz],
        "odd_only": odd_only,
    }
    return Excitation.from_channels({channel: _scaled(wave, low, high)}, dt_s=dt_s, description=description)


def prbs(
    channel: str,
    *,
    low: float,
    high: float,
    hold_s: float,
    duration_s: float,
    n_trials: int,
    dt_s: float,
    generator: np.random.Generator,
) -> Excitation:
    """Pseudo-random binary sequence: low or high with equal chance, each bit held for hold_s."""
    _check_range(low, high)
    n_samples = _samples(duration_s, dt_s, "duration_s")
    hold = _samples(hold_s, dt_s, "hold_s")
    bits = generator.integers(0, 2, size=(n_trials, -(-n_samples // hold)))
    drive = np.where(np.repeat(bits, hold, axis=1)[:, :n_samples] == 1, high, low)
    description = {"design": "prbs", "low": low, "high": high, "hold_s": hold * dt_s}
    return Excitation.from_channels({channel: drive}, dt_s=dt_s, description=description)


def chirp(
    channel: str, *, low: float, high: float, start_Hz: float, end_Hz: float, duration_s: float, dt_s: float
) -> Excitation:
    """One trial of a sine whose frequency grows linearly from start_Hz to end_Hz, between low and high."""
    _check_range(low, high)
    n_samples = _samples(duration_s, dt_s, "duration_s")
    if min(start_Hz, end_Hz) < 0.0 or max(start_Hz, end_Hz) >= 0.5 / dt_s:
        raise ExcitationError(
            f"chirp: {start_Hz:g}..{end_Hz:g} Hz must lie in 0..{0.5 / dt_s:g} Hz (half the sample rate)"
        )
    time_s = np.arange(n_samples) * dt_s
    rate_Hz_per_s = (end_Hz - start_Hz) / (n_samples * dt_s)
    wave = np.sin(2.0 * np.pi * (start_Hz + 0.5 * rate_Hz_per_s * time_s) * time_s)
    description = {"design": "chirp", "low": low, "high": high, "start_Hz": start_Hz, "end_Hz": end_Hz}
    return Excitation.from_channels({channel: _scaled(wave, low, high)}, dt_s=dt_s, description=description)


def noise(
    channel: str,
    *,
    low: float,
    high: float,
    cutoff_Hz: float,
    duration_s: float,
    n_trials: int,
    dt_s: float,
    generator: np.random.Generator,
) -> Excitation:
    """Gaussian noise below cutoff_Hz, each trial scaled to fill low..high (scaled, never clipped)."""
    _check_range(low, high)
    n_samples = _samples(duration_s, dt_s, "duration_s")
    if not 0.0 < cutoff_Hz <= 0.5 / dt_s:
        raise ExcitationError(f"noise: cutoff_Hz {cutoff_Hz:g} must lie in 0..{0.5 / dt_s:g} Hz (half the sample rate)")
    spectrum = np.fft.rfft(generator.standard_normal((n_trials, n_samples)), axis=1)
    spectrum[:, np.fft.rfftfreq(n_samples, dt_s) > cutoff_Hz] = 0.0
    wave = np.fft.irfft(spectrum, n=n_samples, axis=1)
    wave -= 0.5 * (wave.max(axis=1, keepdims=True) + wave.min(axis=1, keepdims=True))
    largest = np.abs(wave).max(axis=1, keepdims=True)
    if not (largest > 0.0).all():
        raise ExcitationError(f"noise: no frequency below {cutoff_Hz:g} Hz fits into {duration_s:g} s")
    description = {"design": "noise", "low": low, "high": high, "cutoff_Hz": cutoff_Hz}
    return Excitation.from_channels({channel: _scaled(wave / largest, low, high)}, dt_s=dt_s, description=description)


def pulse(
    channel: str, *, rest: float, level: float, start_s: float, width_s: float, duration_s: float, dt_s: float
) -> Excitation:
    """One trial: rest, then `level` for width_s from start_s on, then rest again."""
    n_samples = _samples(duration_s, dt_s, "duration_s")
    first = round(start_s / dt_s)
    last = first + _samples(width_s, dt_s, "width_s")
    if first < 0 or last > n_samples:
        raise ExcitationError(f"pulse: {start_s:g} s + {width_s:g} s does not fit into {duration_s:g} s")
    drive = np.full(n_samples, rest, dtype=np.float64)
    drive[first:last] = level
    description = {"design": "pulse", "rest": rest, "level": level, "start_s": start_s, "width_s": width_s}
    return Excitation.from_channels({channel: drive}, dt_s=dt_s, description=description)


def combine(*excitations: Excitation) -> Excitation:
    """Several excitations of different channels played at the same time: equal trials, length and sampling time."""
    if len(excitations) == 1:
        return excitations[0]
    values = {name: other.values(name) for other in excitations for name in other.channels}
    if len(values) != sum(len(other.channels) for other in excitations):
        raise ExcitationError("combine: a channel is driven twice")
    if len({other.dt_s for other in excitations}) != 1:
        raise ExcitationError(f"combine: sampling times differ: {sorted({other.dt_s for other in excitations})} s")
    pairs = np.stack([other.input_id for other in excitations if other.n_trials == excitations[0].n_trials])
    _, ids = np.unique(pairs, axis=1, return_inverse=True)
    description = {"design": "combine", "of": [dict(other.description) for other in excitations]}
    return Excitation.from_channels(values, dt_s=excitations[0].dt_s, input_id=ids.reshape(-1), description=description)


def _samples(duration_s: float, dt_s: float, name: str) -> int:
    """A duration as a whole number of samples, at least one; a duration that is no such multiple is refused."""
    if not dt_s > 0.0:
        raise ExcitationError(f"dt_s must be a positive number of seconds, not {dt_s!r}")
    count = round(duration_s / dt_s)
    if count < 1 or abs(duration_s - count * dt_s) > 1e-6 * dt_s * max(count, 1):
        raise ExcitationError(f"{name} = {duration_s:g} s is not a whole number of samples of {dt_s:g} s")
    return count


def _check_range(low: float, high: float) -> None:
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise ExcitationError(f"low..high must be two finite numbers with low < high, not {low!r}..{high!r}")


def _scaled(wave: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """A wave in -1..1 moved to low..high; rounding at the very ends may not leave the range."""
    scaled = 0.5 * (low + high) + 0.5 * (high - low) * wave
    return np.minimum(np.maximum(scaled, low), high)
