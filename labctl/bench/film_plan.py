"""What will be filmed, checked before a byte leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labctl.errors import ExcitationError, OutOfLimits
from labctl.station import Channel, Device, Station
from labctl.station_schema import StartTable

LARGEST_SEED = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmRequest:
    """What is to be filmed: n_trials times n_frames frames of a device, interval_s apart (the station's, if not given).

    conditions: set-points of the device, one mapping for all trials or one for each. start: how each trial begins, one of the
    station's `starts` of the device (the first, if not given; "" for going on with what is there); its {seed} is drawn from
    `seed`. light: False for dark frames.
    """

    device: str
    n_trials: int
    n_frames: int
    interval_s: float | None = None
    conditions: Sequence[Mapping[str, float]] | Mapping[str, float] | None = None
    start: str | None = None
    light: bool = True
    seed: int = 0


@dataclass(frozen=True, slots=True)
class FilmPlan:
    """A checked recording of frames to be.

    conditions: (trial, condition), of the set channels of the device that were given; `held` are all its conditions that can
    be read, in order. seeds: (trial,), of the start, drawn from `seed`.
    """

    device: Device
    channel: Channel
    n_trials: int
    n_frames: int
    interval_s: float
    given: tuple[str, ...]
    conditions: NDArray[np.float64]
    start: str
    seeds: NDArray[np.int64]
    light: bool
    seed: int

    @property
    def planes(self) -> Mapping[str, str]:
        """Name of each channel of the image -> the camera's terminal."""
        assert self.channel.image is not None  # checked with the station file
        return self.channel.image.planes

    @property
    def start_table(self) -> StartTable | None:
        """The commands that begin each trial."""
        return self.device.starts[self.start] if self.start else None


def make_film_plan(station: Station, request: FilmRequest) -> FilmPlan:
    """Check what is asked for; raises ExcitationError or OutOfLimits."""
    device, n_trials, n_frames = request.device, request.n_trials, request.n_frames
    found = station.device(device)
    channel = station.image_of(found)
    if channel is None:
        filmed = [name for name, one in station.devices.items() if station.image_of(one) is not None]
        raise ExcitationError(f"{device} is seen by no camera; devices that are: {', '.join(filmed) or 'none'}")
    if n_trials < 1 or n_frames < 1:
        raise ExcitationError(f"{n_trials} trials of {n_frames} frames: at least one of each")
    interval_s = found.dt_s if request.interval_s is None else float(request.interval_s)
    if not (np.isfinite(interval_s) and interval_s > 0):
        raise ExcitationError(
            f"the interval between frames must be a positive number of seconds, not {request.interval_s!r}"
        )
    given, values = _conditions(station, found, n_trials, request.conditions)
    chosen = _start(found, request.start)
    rng = np.random.default_rng(request.seed)
    seeds = rng.integers(0, LARGEST_SEED, size=n_trials, endpoint=True, dtype=np.int64)
    return FilmPlan(
        found, channel, n_trials, n_frames, interval_s, given, values, chosen, seeds, request.light, request.seed
    )


def _start(device: Device, start: str | None) -> str:
    """The start by name; the device's first if none is named, "" for none."""
    if start is None:
        return next(iter(device.starts), "")
    if start and start not in device.starts:
        raise ExcitationError(
            f"{device.name} has no start {start!r}; it has {', '.join(device.starts) or 'none'}, or '' for none"
        )
    return start


def _conditions(
    station: Station,
    device: Device,
    n_trials: int,
    conditions: Sequence[Mapping[str, float]] | Mapping[str, float] | None,
) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """(names, (trial, condition)), each within its limits."""
    each = (
        [{}] * n_trials
        if conditions is None
        else [conditions] * n_trials
        if isinstance(conditions, Mapping)
        else conditions
    )
    if len(each) != n_trials:
        raise ExcitationError(
            f"{len(each)} sets of conditions for {n_trials} trials; give one for each, or one for all"
        )
    names = tuple(each[0])
    values = np.empty((n_trials, len(names)))
    for trial, row in enumerate(each):
        if set(row) != set(names):
            raise ExcitationError(f"trial {trial} has the conditions {', '.join(row)}; trial 0 has {', '.join(names)}")
        for place, name in enumerate(names):
            channel = station.channel(name)
            if name not in device.conditions or channel.kind != "set":
                settable = [one for one in device.conditions if station.channels[one].kind == "set"]
                raise ExcitationError(
                    f"{name} is no condition of {device.name}; it has {', '.join(settable) or 'none'}"
                )
            low, high = channel.limits
            if not low <= row[name] <= high:  # NaN is neither
                raise OutOfLimits(
                    f"{name}: {row[name]:g} {channel.unit} in trial {trial} is outside {low:g}..{high:g} {channel.unit} "
                    f"({channel.where})"
                )
            values[trial, place] = row[name]
    return names, values
