"""Ground truth for the tests of twins: the two devices of the demo bench in plain NumPy, vectorised over trials.

Leaky integrator, in units of tau: dx = (-x + tanh u) dt + sqrt((s tanh|2u| + 0.1 s)² + (s tanh|3x|)²) dW.
Double-well Duffing: q'' = -0.3 q' + q - q³ + F + 0.05 a, da = -(a/0.2) dt + (1/0.2) dW; only q is observed.
"""

from __future__ import annotations

import numpy as np

from twins.traces import Traces

DT_S = 2e-4


def leaky_integrator(drive: np.ndarray, rng: np.random.Generator, *, s: float = 0.05, dt: float = 0.2) -> np.ndarray:
    """Response (trial, time) to a drive (trial, time) held for `dt` time constants; 10 substeps a sample."""
    n_trials, n_time = drive.shape
    h = dt / 10
    x = np.zeros(n_trials)
    response = np.empty_like(drive)
    for k in range(n_time):
        response[:, k] = x
        u = drive[:, k]
        pull, loud = np.tanh(u), (s * np.tanh(np.abs(2 * u)) + 0.1 * s) ** 2
        for _ in range(10):
            spread = np.sqrt(loud + (s * np.tanh(np.abs(3 * x))) ** 2)
            x = x + (pull - x) * h + spread * np.sqrt(h) * rng.standard_normal(n_trials)
    return response


def duffing(drive: np.ndarray, rng: np.random.Generator, *, dt: float = 0.5, scale: float = 0.05) -> np.ndarray:
    """Position (trial, time) under a drive held for `dt` time units; 20 substeps a sample, semi-implicit Euler."""
    n_trials, n_time = drive.shape
    n_sub = 20
    h, tau = dt / n_sub, 0.2
    q, v = rng.choice([-1.0, 1.0], n_trials), np.zeros(n_trials)
    a = rng.standard_normal(n_trials) * np.sqrt(1 / (2 * tau))
    keep, kick = np.exp(-h / tau), np.sqrt((1 - np.exp(-2 * h / tau)) / (2 * tau))
    response = np.empty_like(drive)
    for k in range(n_time):
        response[:, k] = q
        for _ in range(n_sub):
            v = v + (-0.3 * v + q - q**3 + drive[:, k] + scale * a) * h
            q = q + v * h
            a = keep * a + kick * rng.standard_normal(n_trials)
    return response


def random_steps(
    rng: np.random.Generator, *, n_trials: int, n_samples: int, amplitude: float, holds: tuple[int, ...] = (2, 3, 5, 15)
) -> np.ndarray:
    """Piecewise constant uniform levels (trial, time); trial i holds each level for holds[i mod len] samples."""
    drive = np.empty((n_trials, n_samples))
    for trial in range(n_trials):
        hold = holds[trial % len(holds)]
        levels = rng.uniform(-amplitude, amplitude, n_samples // hold + 1)
        drive[trial] = np.repeat(levels, hold)[:n_samples]
    return drive


def record(
    device: str,
    rng: np.random.Generator,
    *,
    n_inputs: int,
    n_samples: int,
    n_repeats: int = 1,
    observation_noise: float = 1e-3,
    holds: tuple[int, ...] = (2, 3, 5, 15),
    dt: float | None = None,
    s: float = 0.05,
    drive: np.ndarray | None = None,
) -> Traces:
    """Traces of "leaky" or "duffing": preparation (a pulse, then rest), then random steps; repeats share an input id."""
    dt = dt or {"leaky": 0.2, "duffing": 0.5}[device]
    # pulse and rest in the device's own time: the Duffing rings for 2 / 0.3 = 6.7 units and must not leave its well
    amplitude, pulse, pulse_time, rest_time = {"leaky": (2.0, 1.0, 3, 5), "duffing": (1.0, 0.6, 16, 33)}[device]
    n_pulse, n_rest = round(pulse_time / dt), round(rest_time / dt)
    if drive is None:
        drive = random_steps(rng, n_trials=n_inputs, n_samples=n_samples, amplitude=amplitude, holds=holds)
    n_prepare = n_pulse + n_rest
    prepare = np.concatenate([np.full(n_pulse, pulse), np.zeros(n_rest)])
    whole = np.concatenate([np.broadcast_to(prepare, (len(drive), n_prepare)), drive], axis=1)
    whole = np.repeat(whole, n_repeats, axis=0)
    response = leaky_integrator(whole, rng, s=s, dt=dt) if device == "leaky" else duffing(whole, rng, dt=dt)
    response = response + observation_noise * rng.standard_normal(response.shape)
    return Traces(
        drive=whole[..., None],
        response=response[..., None],
        dt_s=DT_S,
        drive_names=(f"{device}_drive",),
        drive_units=("V",),
        response_names=(f"{device}_response",),
        response_units=("V",),
        n_prepare=n_prepare,
        input_id=np.repeat(np.arange(len(drive)), n_repeats),
    )
