"""What a drive looks like before it is played: one trial of it, its levels and its spectrum, and what stands against it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labctl.design_options import Design
from labctl.designed import MOST_SAMPLES as MOST_AT_ALL
from labctl.designed import excitations_of, samples_of
from labctl.dry_run import STATION_ALONE, DryRun, dry_run, free_bytes, planned
from labctl.errors import LabctlError
from labctl.station import Station

MOST_POINTS = 20_000
"""Of the trial shown; a longer one is shown from its beginning."""
BINS = 40
MOST_SAMPLES = 20_000_000
"""Larger drives are not built for a look at them: a dry run does, when it is asked for."""
MOST_TRIALS = 64
"""Trials from which the spectrum is averaged."""

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class DrivePreview:
    """One drive channel, in its unit: levels of the trial (point,), how often each level is driven in all trials, and power.

    `level` (bin,) are the middles of the bins, `share` (bin,) sums to one. `power` (frequency,) is the mean square that falls on
    each frequency `frequency_Hz` of a trial, mean of the trial taken off.
    """

    channel: str
    unit: str
    limits: tuple[float, float]
    values: Array
    level: Array
    share: Array
    frequency_Hz: Array
    power: Array


@dataclass(frozen=True, slots=True)
class Preview:
    """`part` of a design (training, heldout ...): its trial `trial` over `time_s` (point,), zero where the drive begins."""

    dry: DryRun
    parts: tuple[str, ...] = ()
    part: str = ""
    trial: int = 0
    n_trials: int = 0
    time_s: Array = field(default_factory=lambda: np.zeros(0))
    drives: tuple[DrivePreview, ...] = ()
    left_out: str = ""
    """Why nothing was looked at; "" where it was."""


def preview_of(
    station: Station,
    device: str,
    design: Design,
    *,
    seed: int,
    folder: Path,
    name: str = "",
    conditions: Mapping[str, float] | None = None,
    part: str = "",
    trial: int | None = None,
) -> Preview:
    """Look at a design before it is played; asks no instrument. Problems are in `dry`; only their drive is shown then.

    part: of the design, the first if there is none such. trial: the one shown; None for the first that would be refused, else 0.
    """
    if MOST_SAMPLES < samples_of(design) <= MOST_AT_ALL:  # more than that is refused below
        nothing = DryRun(device, (), (), STATION_ALONE, free_bytes(folder))
        return Preview(
            nothing, left_out=f"{samples_of(design):.3g} samples are too many to be looked at while you type"
        )
    dry = dry_run(station, device, design, seed=seed, folder=folder, name=name, conditions=conditions)
    try:
        made = excitations_of(station, device, design, seed=seed)
        chosen = part if part in made else next(iter(made))
        plan = planned(station, made[chosen])
    except LabctlError:  # told in `dry`
        return Preview(dry)
    refused = next((one.trial for one in dry.problems if one.trial is not None and one.part == chosen), 0)
    shown = min(max(refused if trial is None else trial, 0), plan.n_trials - 1)
    time_s = np.asarray((np.arange(plan.n_samples) - plan.n_prepare) * plan.dt_s, dtype=np.float64)
    drives = tuple(
        _drive_preview(
            channel.name,
            channel.unit,
            channel.limits,
            plan.drive[shown, :, index],
            made[chosen].drive[:, :, index],
            plan.dt_s,
        )
        for index, channel in enumerate(plan.drive_channels)
    )
    return Preview(dry, tuple(made), chosen, shown, plan.n_trials, time_s[:MOST_POINTS], drives)


def _drive_preview(
    channel: str, unit: str, limits: tuple[float, float], trial: Array, drive: Array, dt_s: float
) -> DrivePreview:
    counts, edges = np.histogram(drive, bins=BINS)
    share = np.asarray(counts / drive.size, dtype=np.float64)
    waves = drive[:MOST_TRIALS] - drive[:MOST_TRIALS].mean(axis=1, keepdims=True)
    n_samples = waves.shape[1]
    power = np.asarray((np.abs(np.fft.rfft(waves, axis=1) / n_samples) ** 2).mean(axis=0), dtype=np.float64)
    power[1:] *= 2.0
    return DrivePreview(
        channel, unit, limits, trial[:MOST_POINTS], 0.5 * (edges[1:] + edges[:-1]), share,
        np.asarray(np.fft.rfftfreq(n_samples, dt_s)[1:], dtype=np.float64), power[1:],
    )  # fmt: skip
