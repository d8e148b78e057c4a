"""The two simulated devices whose noise twin_calibration.py knows exactly; SIMULATED data throughout.

Leaky integrator, tau = 1: dx = (-x + tanh u) dt + sqrt((0.2 tanh|2u| + 0.02)² + (0.2 tanh|3x|)²) dW, a sample every 0.1 in
10 substeps, |u| <= 2 uniform, held for 5 or 25 samples.
Double-well Duffing, only its position seen: q'' = -0.3 q' + q - q³ + F + 0.05 a, da = -(a/0.2) dt + (1/0.2) dW, a sample
every 0.09 of the drive's period in 20 substeps, F = sin(1.2 t) times a square wave of ±0.2 with random signs, held for 5 or
25 samples (uniform amplitudes within ±0.2 would hop to the other well in one trial of thousands). The double well
remembers where it was, so a pulse brings each trial into one of the wells, and a rest lets it ring down.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twins import Traces

HOLDS = (5, 25)
N_SAMPLES = 150  # of a trial, after the preparation


@dataclass(frozen=True, slots=True)
class Case:
    """A device with process noise, and the standard deviation of its observation noise."""

    name: str
    device: str
    observation_noise: float
    n_judged_inputs: int


CASES = (
    Case("leaky", "leaky", 0.0, 20),
    Case("leaky_observed", "leaky", 0.05, 20),
    Case("duffing", "duffing", 0.0, 90),
    Case("duffing_observed", "duffing", 0.05, 90),
)

LEAKY_DT, DUFFING_DT = 0.1, 0.09 * 2.0 * np.pi / 1.2


def record(case: Case, rng: np.random.Generator, *, n_inputs: int, n_repeats: int) -> Traces:
    """Simulated traces of random inputs, each measured n_repeats times, preparation first."""
    prepare = _leaky_preparation(n_inputs) if case.device == "leaky" else _duffing_preparation(n_inputs, rng)
    scored = _leaky_drive(n_inputs, rng) if case.device == "leaky" else _duffing_drive(n_inputs, rng)
    drive = np.repeat(np.concatenate((prepare, scored), axis=1), n_repeats, axis=0)
    response = leaky_integrator(drive, rng) if case.device == "leaky" else duffing(drive, rng)
    response += case.observation_noise * rng.standard_normal(response.shape)
    return Traces(
        drive=drive[..., None],
        response=response[..., None],
        dt_s=LEAKY_DT if case.device == "leaky" else DUFFING_DT,
        drive_names=("drive",),
        drive_units=("1",),
        response_names=("x",),
        response_units=("1",),
        n_prepare=prepare.shape[1],
        input_id=np.repeat(np.arange(n_inputs), n_repeats),
    )


def leaky_integrator(drive: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Response (trial, time), from rest."""
    h = LEAKY_DT / 10
    x, response = np.zeros(len(drive)), np.empty_like(drive)
    for k, u in enumerate(drive.T):
        response[:, k] = x
        pull, loud = np.tanh(u), (0.2 * np.tanh(np.abs(2.0 * u)) + 0.02) ** 2
        for _ in range(10):
            spread = np.sqrt(loud + (0.2 * np.tanh(np.abs(3.0 * x))) ** 2)
            x = x + (pull - x) * h + spread * np.sqrt(h) * rng.standard_normal(len(x))
    return response


def duffing(drive: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Position (trial, time), from rest in a random well; semi-implicit Euler, the forcing's steps exact."""
    h, tau = DUFFING_DT / 20, 0.2
    n = len(drive)
    q, v = rng.choice([-1.0, 1.0], n), np.zeros(n)
    a = rng.standard_normal(n) * np.sqrt(1.0 / (2.0 * tau))
    keep, kick = np.exp(-h / tau), np.sqrt((1.0 - np.exp(-2.0 * h / tau)) / (2.0 * tau))
    response = np.empty_like(drive)
    for k, force in enumerate(drive.T):
        response[:, k] = q
        for _ in range(20):
            v += (-0.3 * v + q - q**3 + force + 0.05 * a) * h
            q = q + v * h
            a = keep * a + kick * rng.standard_normal(n)
    return response


def _leaky_preparation(n_inputs: int) -> np.ndarray:
    """A pulse of 1 for one time constant, then rest for two."""
    return np.tile(np.repeat([1.0, 0.0], [10, 20]), (n_inputs, 1))


def _duffing_preparation(n_inputs: int, rng: np.random.Generator) -> np.ndarray:
    """A pulse of 16 time units that leaves one well only, either, then rest of 24 (three and a half ring-down times)."""
    signs = rng.choice([-0.6, 0.6], (n_inputs, 1))
    pulses: np.ndarray = signs * np.repeat([1.0, 0.0], [34, 50])
    return pulses


def _leaky_drive(n_inputs: int, rng: np.random.Generator) -> np.ndarray:
    return np.stack([_steps(rng.uniform(-2.0, 2.0, N_SAMPLES), HOLDS[i % 2], 0) for i in range(n_inputs)])


def _duffing_drive(n_inputs: int, rng: np.random.Generator) -> np.ndarray:
    """The square wave begins anywhere within a hold: few signs are drawn, and no two inputs are to be the same."""
    time = np.arange(N_SAMPLES) * DUFFING_DT
    waves = []
    for i in range(n_inputs):
        hold = HOLDS[i % 2]
        waves.append(_steps(rng.choice([-0.2, 0.2], N_SAMPLES), hold, int(rng.integers(hold))))
    drive: np.ndarray = np.sin(1.2 * time) * np.stack(waves)
    return drive


def _steps(levels: np.ndarray, hold: int, skipped: int) -> np.ndarray:
    return np.repeat(levels, hold)[skipped : skipped + N_SAMPLES]
