"""Simulated devices whose noise is known, vectorised over trials.

Leaky integrator: dx = (-x + tanh u) dt + sqrt((0.2 tanh|2u| + 0.02)² + (0.2 tanh|3x|)²) dW, sampled every 0.1.
Double-well Duffing: q'' = -0.3 q' + q - q³ + F + 0.05 a, da = -(a/0.2) dt + (1/0.2) dW, only q is seen, sampled every
0.09 periods of the drive F = amplitude · sin(1.2 t).
Correlated channels: an instantaneous response to the drive, with white noise that neighbours share.
"""

from __future__ import annotations

import numpy as np

from twins.traces import Traces

LEAKY_DT, DUFFING_DT = 0.1, 0.09 * 2 * np.pi / 1.2


def steps(rng, n_trials, n_samples, amplitude, holds):
    """Piecewise constant uniform levels (trial, time); trial i holds each for holds[i mod len] samples."""
    drive = np.empty((n_trials, n_samples))
    for trial in range(n_trials):
        hold = holds[trial % len(holds)]
        levels = rng.uniform(-amplitude, amplitude, n_samples // hold + 1)
        drive[trial] = np.repeat(levels, hold)[:n_samples]
    return drive


def leaky(drive, rng):
    h, x = LEAKY_DT / 10, np.zeros(len(drive))
    response = np.empty_like(drive)
    for k in range(drive.shape[1]):
        response[:, k], u = x, drive[:, k]
        for _ in range(10):
            spread = np.sqrt((0.2 * np.tanh(np.abs(2 * u)) + 0.02) ** 2 + (0.2 * np.tanh(np.abs(3 * x))) ** 2)
            x = x + (np.tanh(u) - x) * h + spread * np.sqrt(h) * rng.standard_normal(len(x))
    return response


def leaky_step_noise(drive, response):
    """Root mean square of what a sample's step adds, for noise that is constant within the step."""
    variance = (0.2 * np.tanh(np.abs(2 * drive)) + 0.02) ** 2 + (0.2 * np.tanh(np.abs(3 * response))) ** 2
    return float(np.sqrt(variance.mean() * (1 - np.exp(-2 * LEAKY_DT)) / 2))


def duffing(amplitude, rng, *, well=None):
    """(position, drive), both (trial, time). well: -1 or 1 to start there, None: each trial at random."""
    n, n_time = amplitude.shape
    n_sub, tau = 20, 0.2
    h = DUFFING_DT / n_sub
    q, v = (rng.choice([-1.0, 1.0], n) if well is None else np.full(n, float(well))), np.zeros(n)
    a = rng.standard_normal(n) * np.sqrt(1 / (2 * tau))
    keep, kick = np.exp(-h / tau), np.sqrt((1 - np.exp(-2 * h / tau)) / (2 * tau))
    response = np.empty_like(amplitude)
    drive = amplitude * np.sin(1.2 * DUFFING_DT * np.arange(n_time))
    for k in range(n_time):
        response[:, k] = q
        for _ in range(n_sub):
            v = v + (-0.3 * v + q - q**3 + drive[:, k] + 0.05 * a) * h
            q = q + v * h
            a = keep * a + kick * rng.standard_normal(n)
    return response, drive


def autoregressive(n, correlation, std, rng, n_channels=1):
    """A slow drift over n trials, (trial, channel)."""
    path = rng.standard_normal((n, n_channels))
    for k in range(1, n):
        path[k] = correlation * path[k - 1] + np.sqrt(1 - correlation**2) * path[k]
    return std * path


def correlated_channels(rng, *, n_repeats=234, n_samples=60, n_channels=60):
    """Like spin-vortex ice measured: white in time, 8 components carry 90 %, drift is 5.7 % of the variance."""
    place = np.arange(n_channels)
    root = np.linalg.cholesky(np.exp(-0.5 * (place[:, None] - place) ** 2 / 4.5**2) + 1e-9 * np.eye(n_channels))
    drive = steps(rng, 1, n_samples, 1.0, (4,))
    mean = np.tanh(drive[0][:, None] @ rng.standard_normal((1, n_channels)))
    noise = 0.1 * np.sqrt(0.943) * rng.standard_normal((n_repeats, n_samples, n_channels)) @ root.T
    drift = autoregressive(n_repeats, 0.9, 0.1 * np.sqrt(0.057), rng, n_channels) @ root.T
    response = mean + noise + drift[:, None]
    return traces(response, np.repeat(drive, n_repeats, axis=0), repeats=n_repeats)


def traces(response, drive, *, repeats=1, dt_s=1e-3, n_prepare=0, conditions=None):
    response = response[..., None] if response.ndim == 2 else response
    drive = drive[..., None] if drive.ndim == 2 else drive
    n = response.shape[2]
    return Traces(
        drive=drive,
        response=response,
        dt_s=dt_s,
        drive_names=tuple(f"u{i}" for i in range(drive.shape[2])),
        drive_units=("V",) * drive.shape[2],
        response_names=tuple(f"y{i}" for i in range(n)),
        response_units=("V",) * n,
        n_prepare=n_prepare,
        input_id=np.arange(len(drive)) // repeats,
        conditions=conditions or {},
    )
