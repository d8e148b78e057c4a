"""The excitations of a design for one device of a station, inside the limits of its drive channels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from labctl.campaigns.characterise import (
    CharacterisationDesign,
    design_excitation,
    drives_of,
    excitations,
)
from labctl.design_options import Characterise, Chirp, Design, FromFile, Multisine, Noise, Prbs, Pulse, RandomSteps
from labctl.designs import chirp, combine, multisine, noise, pulse
from labctl.errors import ExcitationError
from labctl.excitation import Excitation, repeats
from labctl.excitation_file import read_excitation
from labctl.station import Station

MOST_SAMPLES = 200_000_000
"""Of one drive channel, in one recording: 1.6 GB, and what comes back is held beside it."""
HIGHEST = 0.2
"""Multisine, noise and chirp reach up to this share of the sample rate, if nothing else is said."""


@dataclass(frozen=True, slots=True)
class OnPaper:
    """A station without its instruments."""

    station: Station


def excitations_of(station: Station, device: str, design: Design, *, seed: int) -> dict[str, Excitation]:
    """What is played, by the name of the recording that it goes into; random choices are drawn from `seed`.

    Raises ExcitationError for options that make no drive, and StationError for a device that is not there or not driven.
    Whether the station allows it is another question: `labctl.dry_run`.
    """
    _check_counts(design)
    rng = np.random.default_rng(seed)
    paper = OnPaper(station)
    if isinstance(design, Characterise):
        training, heldout = excitations(paper, device, design=_characterisation(design), rng=rng)
        return {"training": training, "heldout": heldout}
    if isinstance(design, FromFile):
        made = read_excitation(design.path, station.driven(device))
    elif isinstance(design, RandomSteps):
        plain = CharacterisationDesign(
            n_trials=design.n_trials,
            n_samples=design.n_samples,
            holds=tuple(design.holds),
            low=design.low,
            high=design.high,
        )
        made = design_excitation(paper, device, design.name, design=plain, rng=rng)
    elif isinstance(design, Prbs):
        plain = CharacterisationDesign(
            n_trials=design.n_trials, n_samples=design.n_samples, holds=(design.hold,), low=design.low, high=design.high
        )
        made = design_excitation(paper, device, design.name, design=plain, rng=rng)
    else:
        made = _waves(station, device, design, rng)
    return {design.name: repeats(made, design.n_repeats) if design.n_repeats > 1 else made}


def described(design: Design) -> Mapping[str, Any]:
    """The design as plain data, for a recording's provenance."""
    plain = {name: str(value) if name == "path" else value for name, value in asdict(design).items()}
    return {"design": design.name, **plain}


def _characterisation(design: Characterise) -> CharacterisationDesign:
    values = asdict(design)
    values["holds"] = tuple(design.holds)
    return CharacterisationDesign(**values)


def _waves(
    station: Station, device: str, design: Multisine | Noise | Chirp | Pulse, rng: np.random.Generator
) -> Excitation:
    """One wave for each drive channel, all at once."""
    dt_s = station.device(device).dt_s
    duration_s = design.n_samples * dt_s
    period_Hz, highest_Hz = 1.0 / duration_s, HIGHEST / dt_s
    if isinstance(design, Pulse):
        channels = [station.channel(name) for name in station.driven(device).drive]
        return combine(
            *(
                pulse(
                    channel.name, rest=channel.rest, level=channel.limits[1] if design.level is None else design.level,
                    start_s=design.first * dt_s, width_s=design.width * dt_s, duration_s=duration_s, dt_s=dt_s,
                )
                for channel in channels
            )
        )  # fmt: skip
    made = []
    for channel, low, high in drives_of(
        OnPaper(station), device, CharacterisationDesign(low=design.low, high=design.high)
    ):
        common: dict[str, Any] = {"low": low, "high": high, "duration_s": duration_s, "dt_s": dt_s}
        if isinstance(design, Chirp):
            one = chirp(
                channel, start_Hz=_or(design.start_Hz, period_Hz), end_Hz=_or(design.end_Hz, highest_Hz), **common
            )
        elif isinstance(design, Multisine):
            lowest_Hz, top_Hz = _or(design.lowest_Hz, period_Hz), _or(design.highest_Hz, highest_Hz)
            one = multisine(
                channel, lowest_Hz=lowest_Hz, highest_Hz=top_Hz, odd_only=design.odd_only, n_trials=design.n_trials,
                generator=rng, **common,
            )  # fmt: skip
        else:
            cutoff_Hz = _or(design.cutoff_Hz, highest_Hz)
            one = noise(channel, cutoff_Hz=cutoff_Hz, n_trials=design.n_trials, generator=rng, **common)
        made.append(one)
    return combine(*made)


def _or(value: float | None, default: float) -> float:
    return default if value is None else value


def _check_counts(design: Design) -> None:
    """Raise ExcitationError for a number that must be at least one and is not, or for more than memory holds."""
    for name, value in asdict(design).items():
        counts = value if isinstance(value, (tuple, list)) else [value]
        if name in (
            "n_trials",
            "n_samples",
            "n_inputs",
            "n_repeats",
            "n_heldout_samples",
            "hold",
            "width",
            "holds",
        ) and (not counts or min(counts) < 1):
            raise ExcitationError(f"{name} must be at least 1, not {value}")
    if samples_of(design) > MOST_SAMPLES:
        raise ExcitationError(
            f"{samples_of(design):.3g} samples in one recording; the most is {MOST_SAMPLES:.3g}: take fewer trials, "
            "samples or repeats, and make several recordings"
        )


def samples_of(design: Design) -> int:
    """Samples of one channel in the longest recording of a design, preparations not counted; 0 where only a file knows."""
    values = asdict(design)
    if isinstance(design, FromFile):
        return 0
    n_samples = int(values["n_samples"] * values.get("n_trials", 1))
    if not isinstance(design, Characterise):
        return n_samples * int(values["n_repeats"])
    return max(n_samples, design.n_inputs * design.n_repeats * design.n_heldout_samples)
