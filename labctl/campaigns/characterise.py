"""Characterise a device: the recordings that a twin is fitted to, and those it is judged on.

Training excitations are random steps at several hold times and never repeat; judging wants repeats of inputs that the
twin has not seen (research on calibration: repeats are needed for validation only).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from labctl.bench import Bench
from labctl.campaign import Campaign
from labctl.campaigns.record import record
from labctl.designs import random_steps
from labctl.errors import CampaignError
from labctl.excitation import Excitation, repeats, shuffled
from labctl.recording import Recording


@dataclass(frozen=True, slots=True)
class CharacterisationDesign:
    """How much to measure of a device.

    Training: `n_trials` trials of `n_samples` samples, a trial's levels held for one of `holds` (samples).
    Held out: `n_inputs` other inputs of `n_heldout_samples`, each `n_repeats` times.
    """

    n_trials: int = 160
    n_samples: int = 200
    holds: tuple[int, ...] = (2, 3, 5, 15)
    n_inputs: int = 12
    n_repeats: int = 40
    n_heldout_samples: int = 100


@dataclass(frozen=True, slots=True)
class Characterisation:
    """What was recorded of one device: for training, and for judging on held-out inputs."""

    device: str
    training: Recording
    heldout: Recording


def characterise(
    bench: Bench,
    device: str,
    *,
    folder: Path,
    rng: np.random.Generator,
    design: CharacterisationDesign | None = None,
) -> Campaign[Characterisation]:
    """Record a device's response to designed excitations over the whole range of its drive channel.

    Writes `<device>-training.h5` and `<device>-heldout.h5` into `folder`. Raises CampaignError for a device that the
    station does not have or that has several drive channels.
    """
    design = design or CharacterisationDesign()
    training, heldout = excitations(bench, device, design=design, rng=rng)
    key = f"characterise/{device}"
    trained = yield from record(
        bench, training, path=folder / f"{device}-training.h5", key=f"{key}/training", title=f"Characterise {device}"
    )
    judged = yield from record(
        bench,
        heldout,
        path=folder / f"{device}-heldout.h5",
        key=f"{key}/heldout",
        title=f"Held-out repeats of {device}",
    )
    return Characterisation(device, trained, judged)


def excitations(
    bench: Bench, device: str, *, design: CharacterisationDesign, rng: np.random.Generator
) -> tuple[Excitation, Excitation]:
    """The training and the held-out excitation of a device, inside the limits of its drive channel."""
    settings = bench.station.devices.get(device)
    if settings is None:
        known = ", ".join(bench.station.devices) or "none"
        raise CampaignError(f"device {device!r} is not in the station file; it has: {known}")
    if len(settings.drive) != 1:
        raise CampaignError(f"{device}: characterise drives one channel, and the station gives {list(settings.drive)}")
    channel = settings.drive[0]
    low, high = bench.station.channels[channel].limits
    dt_s = 1.0 / settings.sample_rate_Hz

    def steps(n_trials: int, n_samples: int) -> Excitation:
        return random_steps(
            channel,
            low=low,
            high=high,
            hold_s=[hold * dt_s for hold in design.holds],
            duration_s=n_samples * dt_s,
            n_trials=n_trials,
            dt_s=dt_s,
            generator=rng,
        )

    heldout = repeats(steps(design.n_inputs, design.n_heldout_samples), design.n_repeats)
    return shuffled(steps(design.n_trials, design.n_samples), rng), heldout
