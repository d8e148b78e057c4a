"""Characterise a device: the recordings that a twin is fitted to, and those it is judged on.

Training excitations are random steps at several hold times and never repeat; judging wants repeats of inputs that the
twin has not seen (research on calibration: repeats are needed for validation only).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from labctl.bench import Bench
from labctl.campaign import Campaign
from labctl.campaigns.record import record
from labctl.designs import combine, multisine, noise, prbs, random_steps
from labctl.errors import CampaignError
from labctl.excitation import Excitation, repeats, shuffled
from labctl.recording import Recording
from labctl.station import Station


@dataclass(frozen=True, slots=True)
class CharacterisationDesign:
    """How much to measure of a device.

    Training: `n_trials` trials of `n_samples` samples, a trial's levels held for one of `holds` (samples).
    Held out: `n_inputs` other inputs of `n_heldout_samples`, each `n_repeats` times. Levels run over the limits of the
    drive channel, or from `low` to `high`.
    """

    n_trials: int = 60
    n_samples: int = 600
    holds: tuple[int, ...] = (2, 3, 5, 15)
    n_inputs: int = 16
    n_repeats: int = 25
    n_heldout_samples: int = 200
    low: float | None = None
    high: float | None = None


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
    seed: int | None = None,
) -> Campaign[Characterisation]:
    """Record a device's response to designed excitations over the whole range of its drive channels.

    Writes `<device>-training.h5` and `<device>-heldout.h5` into `folder`; seed: of `rng`, for their provenance. Several
    drive channels are driven at once, each by levels of its own. Raises StationError for a device that the station does
    not have.
    """
    design = design or CharacterisationDesign()
    training, heldout = excitations(bench, device, design=design, rng=rng)
    key = f"characterise/{device}"
    trained = yield from record(
        bench,
        training,
        path=folder / f"{device}-training.h5",
        key=f"{key}/training",
        title=f"Characterise {device}",
        seed=seed,
    )
    judged = yield from record(
        bench,
        heldout,
        path=folder / f"{device}-heldout.h5",
        key=f"{key}/heldout",
        title=f"Held-out repeats of {device}",
        seed=seed,
    )
    return Characterisation(device, trained, judged)


class HasStation(Protocol):
    """A bench, or whatever else knows its station."""

    @property
    def station(self) -> Station:
        """The checked station file."""
        ...


def excitations(
    bench: HasStation, device: str, *, design: CharacterisationDesign, rng: np.random.Generator
) -> tuple[Excitation, Excitation]:
    """The training and the held-out excitation of a device, inside the limits of its drive channels."""
    drives, dt_s = drives_of(bench, device, design), bench.station.device(device).dt_s

    def steps(n_trials: int, n_samples: int) -> Excitation:
        return combine(
            *(
                random_steps(
                    channel,
                    low=low,
                    high=high,
                    hold_s=[hold * dt_s for hold in design.holds],
                    duration_s=n_samples * dt_s,
                    n_trials=n_trials,
                    dt_s=dt_s,
                    generator=rng,
                )
                for channel, low, high in drives
            )
        )

    training = shuffled(steps(design.n_trials, design.n_samples), rng)
    return training, repeats(steps(design.n_inputs, design.n_heldout_samples), design.n_repeats)


def design_excitation(
    bench: HasStation, device: str, name: str, *, design: CharacterisationDesign, rng: np.random.Generator
) -> Excitation:
    """One excitation of `design.n_trials` trials by name, on every drive channel: random-steps, multisine, prbs or noise.

    Multisine and noise reach up to a fifth of the sample rate. Raises CampaignError for another name.
    """
    dt_s = bench.station.device(device).dt_s
    duration_s, highest_Hz = design.n_samples * dt_s, 0.2 / dt_s
    holds_s = [hold * dt_s for hold in design.holds]

    def one(channel: str, low: float, high: float) -> Excitation:
        common: dict[str, Any] = {"low": low, "high": high, "duration_s": duration_s, "dt_s": dt_s}
        common |= {"n_trials": design.n_trials, "generator": rng}
        match name:
            case "random-steps":
                return random_steps(channel, hold_s=holds_s, **common)
            case "multisine":
                return multisine(channel, lowest_Hz=1.0 / duration_s, highest_Hz=highest_Hz, **common)
            case "prbs":
                return prbs(channel, hold_s=holds_s[-1], **common)
            case "noise":
                return noise(channel, cutoff_Hz=highest_Hz, **common)
        raise CampaignError(f"design {name!r} is unknown; there are random-steps, multisine, prbs and noise")

    return combine(*(one(*drive) for drive in drives_of(bench, device, design)))


def drives_of(bench: HasStation, device: str, design: CharacterisationDesign) -> list[tuple[str, float, float]]:
    """(channel, low, high) of each drive channel of a device; the design may narrow the channels' limits."""
    channels = [bench.station.channel(name) for name in bench.station.driven(device).drive]
    return [
        (
            channel.name,
            channel.limits[0] if design.low is None else design.low,
            channel.limits[1] if design.high is None else design.high,
        )
        for channel in channels
    ]
