"""The Silverbox as series for goku_measured.py: its parts, the drive between its samples, and the equation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from silverbox import DT_S, FIRST_REALISATION, N_REALISATIONS, REALISATION, USED, read_silverbox

from twins.goku.series import Series
from twins.goku.system import System
from twins.goku.systems import system_named

ARROW_SAMPLES = 40_500
TIME_UNIT_S = 1e-3
DRIVE_ON = 30  # samples of a realisation before its multisine has set in
LOOK_AHEAD = 3  # drive samples from its own on that a rival sees at each sample
RANGES = {  # wide: 50 to 90 Hz, damping over a factor 40
    "stiffness": (0.0987, 0.32),
    "damping": (0.005, 0.2),
    "hardening": (0.05, 2.0),
    "drive_gain": (0.05, 0.6),
    "asymmetry": (-0.2, 0.2),
    "offset": (-0.02, 0.02),
    "noise": (1e-6, 3e-3),
    "position": (-0.35, 0.35),
    "velocity": (-0.15, 0.15),
}
NOISE_SD_RANGE_V = (2e-5, 2e-2)


def duffing(*, noisy: bool) -> System:
    """A driven Duffing oscillator, per ms and V, in the ranges of this benchmark."""
    system = system_named("duffing", driven=True, noisy=noisy, asymmetric=True, time_unit_s=TIME_UNIT_S)
    return system.with_ranges({name: ends for name, ends in RANGES.items() if noisy or name != "noise"})


@dataclass(frozen=True)
class Silverbox:
    """The record: V1 drives, V2 is the response. V1 was sampled band-limited at the instants of V2, so what it was between
    them is known: it is interpolated by Fourier's series of the whole record, and `finer` steps a sample hold its value
    in their middle."""

    drive: np.ndarray
    response: np.ndarray
    middles: dict[int, np.ndarray]

    @classmethod
    def read(cls, path: Path, finers: tuple[int, ...]) -> Silverbox:
        """With the drive in the middle of 1/finer of a sample, for each of `finers`."""
        drive, response = read_silverbox(path)
        return cls(drive, response, {finer: _interpolated(drive, 2 * finer)[1::2] for finer in finers})

    def fine(self, starts: np.ndarray, n_samples: int, finer: int, *, shared: bool = False) -> Series:
        """Stretches as series for the equation: `finer` times per sample, missing between the samples. shared: all of
        them have one set of parameters."""
        values = np.full((len(starts), (n_samples - 1) * finer + 1, 1), np.nan)
        values[:, ::finer, 0] = self.response[starts[:, None] + np.arange(n_samples)]
        drive = self.middles[finer][starts[:, None] * finer + np.arange(values.shape[1])]
        return Series(
            values, DT_S / finer * np.arange(values.shape[1]), ("V2",), ("V",),
            drive=drive[..., None], drive_names=("force",), drive_units=("V",),
            group=np.zeros(len(starts), dtype=np.int64) if shared else None,
        )  # fmt: skip

    def plain(self, starts: np.ndarray, n_samples: int) -> Series:
        """Stretches as series for the rivals: at the samples, each with the drive there and at the next ones."""
        samples = starts[:, None] + np.arange(n_samples)
        drive = np.stack([self.drive[samples + ahead] for ahead in range(LOOK_AHEAD)], axis=-1)
        names = tuple(f"V1[k+{ahead}]" for ahead in range(LOOK_AHEAD))
        return Series(
            self.response[samples][..., None], DT_S * np.arange(n_samples), ("V2",), ("V",),
            drive=drive, drive_names=names, drive_units=("V",) * LOOK_AHEAD,
        )  # fmt: skip


def training_starts(length: int, a_realisation: int) -> np.ndarray:
    """Evenly spread stretches of `length` samples in each multisine realisation but the last."""
    first = FIRST_REALISATION + REALISATION * np.arange(N_REALISATIONS - 1)
    within = np.linspace(DRIVE_ON, USED - length - LOOK_AHEAD, a_realisation).astype(int)
    return (first[:, None] + within).ravel()


def test_starts(length: int) -> dict[str, np.ndarray]:
    """The last realisation and the arrow, cut into stretches one after the other."""
    last = FIRST_REALISATION + REALISATION * (N_REALISATIONS - 1) + DRIVE_ON
    return {
        "multisine": np.arange(last, last + USED - DRIVE_ON - length - LOOK_AHEAD, length),
        "arrow": np.arange(0, ARROW_SAMPLES - length, length),
    }


def physical(parameters: np.ndarray, names: tuple[str, ...]) -> dict[str, tuple[str, np.ndarray]]:
    """What people ask for, (unit, values), of parameters (…, parameter) per ms and V."""
    p = {name: parameters[..., k] for k, name in enumerate(names)}
    found = {
        "natural_frequency": ("Hz", np.sqrt(p["stiffness"]) / (2.0 * math.pi * TIME_UNIT_S)),
        "damping": ("1/s", p["damping"] / TIME_UNIT_S),
        "damping_ratio": ("%", 50.0 * p["damping"] / np.sqrt(p["stiffness"])),
        "hardening_by_stiffness": ("1/V^2", p["hardening"] / p["stiffness"]),
        "static_gain": ("V/V", p["drive_gain"] / p["stiffness"]),
        "asymmetry_by_stiffness": ("1/V", p["asymmetry"] / p["stiffness"]),
        "static_offset": ("mV", 1e3 * p["offset"] / p["stiffness"]),
    }
    if "noise" in p:
        found["process_noise"] = ("V/s^1.5", p["noise"] * TIME_UNIT_S**-1.5)
    return found


def _interpolated(values: np.ndarray, times: int) -> np.ndarray:
    """`times` as many, band-limited; the record's ends are led to each other over 2000 samples, which are not used."""
    n = len(values)
    whole = 1 << (n + 2_000 - 1).bit_length()
    bridge = np.linspace(values[-1], values[0], whole - n)
    spectrum = np.fft.rfft(np.concatenate((values, bridge)))
    fine: np.ndarray = np.fft.irfft(spectrum, whole * times) * times
    return fine[: n * times]
