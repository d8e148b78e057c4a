"""What will be played, checked to the last sample before a byte leaves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from labctl.errors import ExcitationError, OutOfLimits, TooFast
from labctl.excitation import Excitation
from labctl.station import Channel, Device, Station

Mode = Literal["buffered", "stepped"]
MEMORY_WORD = 16
"""Plays are padded at rest to a multiple of this many samples: instruments keep waveforms in words of 4, 8 or 16."""
_ROUNDING = 1.0 + 1e-9


@dataclass(frozen=True, slots=True)
class Plan:
    """A checked recording to be: `drive` is (trial, time, channel), each trial with its preparation before it.

    Every trial begins and the next one begins at the channels' rest levels, `rest` (channel,).
    """

    excitation: Excitation
    mode: Mode
    devices: tuple[Device, ...]
    drive_channels: tuple[Channel, ...]
    response_channels: tuple[Channel, ...]
    drive: NDArray[np.float64]
    n_prepare: int

    @property
    def dt_s(self) -> float:
        """Sampling time (s)."""
        return self.excitation.dt_s

    @property
    def n_trials(self) -> int:
        """Number of trials."""
        return int(self.drive.shape[0])

    @property
    def n_samples(self) -> int:
        """Samples of a trial, preparation included."""
        return int(self.drive.shape[1])

    @property
    def sample_rate_Hz(self) -> float:
        """Sample rate, as the station gives it."""
        return self.devices[0].sample_rate_Hz

    def play_samples(self, n_trials: int) -> int:
        """Samples of a play of so many trials: at least one at rest at its end, padded to whole words of memory."""
        return -(-(n_trials * self.n_samples + 1) // MEMORY_WORD) * MEMORY_WORD

    @property
    def rest(self) -> NDArray[np.float64]:
        """Rest level of each drive channel."""
        return np.array([channel.rest for channel in self.drive_channels])

    def groups(self, *, max_samples: int, max_play_s: float) -> Iterator[tuple[int, int]]:
        """(first trial, number of trials) of each play: as many as fit into the memory and into max_play_s."""
        fit = (max_samples - MEMORY_WORD) // self.n_samples
        if fit < 1:
            raise ExcitationError(
                f"a trial of {self.n_samples} samples (preparation {self.n_prepare}) does not fit into the instruments' "
                f"memory of {max_samples} samples; make the trials shorter"
            )
        wanted = max(1, int(max_play_s / (self.n_samples * self.dt_s)))
        size = min(fit, wanted)
        for first in range(0, self.n_trials, size):
            yield first, min(size, self.n_trials - first)

    def waveforms(self, first: int, count: int) -> NDArray[np.float64]:
        """(time, channel) of one play: the trials one after another, then at rest for at least one sample."""
        played = self.drive[first : first + count].reshape(count * self.n_samples, -1)
        waveform = np.empty((self.play_samples(count), played.shape[1]))
        waveform[: played.shape[0]] = played
        waveform[played.shape[0] :] = self.rest
        return waveform


def make_plan(station: Station, excitation: Excitation, *, mode: Mode, prepare: bool) -> Plan:
    """Find the devices that the excitation drives, put their preparation before each trial, and check every sample.

    Raises ExcitationError, OutOfLimits or TooFast, naming channel, trial and sample.
    """
    plan = lay_plan(station, excitation, mode=mode, prepare=prepare)
    for problem in drive_problems(plan):
        raise (OutOfLimits if problem.kind == "limit" else TooFast)(f"{problem}; nothing was sent")
    return plan


def lay_plan(station: Station, excitation: Excitation, *, mode: Mode, prepare: bool) -> Plan:
    """The same without looking at the values of the drive; raises ExcitationError."""
    devices = driven_devices(station, excitation.channels)
    for device in devices:
        if abs(excitation.dt_s * device.sample_rate_Hz - 1.0) > 1e-9:
            raise ExcitationError(
                f"the excitation has a sampling time of {excitation.dt_s:g} s; device {device.name} is sampled at "
                f"{device.sample_rate_Hz:g} Hz, every {device.dt_s:g} s"
            )
    channels = tuple(station.channels[name] for name in excitation.channels)
    segment = preparation(devices, channels, excitation.dt_s, mode) if prepare else _at_rest(channels, 1)
    drive = np.empty((excitation.n_trials, segment.shape[0] + excitation.n_samples, len(channels)))
    drive[:, : segment.shape[0]] = segment
    drive[:, segment.shape[0] :] = excitation.drive
    names = dict.fromkeys(name for device in devices for name in device.response)
    responses = tuple(station.channels[name] for name in names)
    return Plan(excitation, mode, devices, channels, responses, drive, segment.shape[0])


def driven_devices(station: Station, channels: Sequence[str]) -> tuple[Device, ...]:
    """The devices that these drive channels belong to; all drive channels of each must be there."""
    found: dict[str, Device] = {}
    for name in channels:
        station.channel(name)
        owner = next((device for device in station.devices.values() if name in device.drive), None)
        if owner is None:
            drivable = ", ".join(drive for device in station.devices.values() for drive in device.drive) or "none"
            raise ExcitationError(f"{name} drives no device of the station; channels that do: {drivable}")
        found[owner.name] = owner
    for device in found.values():
        missing = [name for name in device.drive if name not in channels]
        if missing:
            raise ExcitationError(
                f"device {device.name} is driven by {', '.join(missing)} as well; the excitation lacks it"
            )
    return tuple(found.values())


def preparation(devices: Sequence[Device], channels: Sequence[Channel], dt_s: float, mode: Mode) -> NDArray[np.float64]:
    """(time, channel): at rest, a pulse into a known state with edges as steep as allowed, and a rest until it settled.

    Devices with different needs are prepared together, the longest decides.
    """
    parts = {}
    for device in devices:
        for name in device.drive:
            channel = next(item for item in channels if item.name == name)
            parts[name] = _pulse(channel, device, dt_s, mode)
    pulse_samples = max(part.size for part in parts.values())
    rest_samples = max(_samples(device.rest_s, dt_s) for device in devices)
    segment = _at_rest(channels, pulse_samples + rest_samples)
    for index, channel in enumerate(channels):
        part = parts[channel.name]
        segment[pulse_samples - part.size : pulse_samples, index] = part
    return segment


def rate_per_s(channel: Channel, mode: Mode) -> float:
    """The fastest change allowed: slew_per_s when played from memory, ramp_per_s when set step by step."""
    first, second = (channel.slew_per_s, channel.ramp_per_s)
    if mode == "stepped":
        first, second = second, first
    return first or second or 0.0


def _pulse(channel: Channel, device: Device, dt_s: float, mode: Mode) -> NDArray[np.float64]:
    level = device.pulse.get(channel.name)
    if level is None or level == channel.rest:
        return np.full(1, channel.rest)
    edge = int(np.ceil(abs(level - channel.rest) / (rate_per_s(channel, mode) * dt_s * _ROUNDING)))
    up = np.linspace(channel.rest, level, edge + 1)
    flat = np.full(max(0, _samples(device.pulse_s, dt_s) - 1), level)
    return np.concatenate([up, flat, up[-2:0:-1]])


def _at_rest(channels: Sequence[Channel], n_samples: int) -> NDArray[np.float64]:
    return np.tile(np.array([channel.rest for channel in channels]), (n_samples, 1))


def _samples(duration_s: float, dt_s: float) -> int:
    return max(1, int(np.ceil(duration_s / dt_s - 1e-9)))


@dataclass(frozen=True, slots=True)
class DriveProblem:
    """The worst of what is wrong with one channel's drive: a value outside of its limits, or a change faster than allowed.

    `sample` counts from where the drive begins, negative in the preparation, and time_s with it. `value` and `limit` are in the
    channel's unit ("limit"), or its unit a second ("rate"); `count` samples are wrong altogether. str() is for people.
    """

    channel: str
    kind: Literal["limit", "rate"]
    trial: int
    sample: int
    time_s: float
    value: float
    limit: float
    unit: str
    count: int
    text: str

    def __str__(self) -> str:
        return self.text


def drive_problems(plan: Plan) -> Iterator[DriveProblem]:
    """What is wrong with the drive of a plan, channel by channel; nothing if it may be played."""
    for index, channel in enumerate(plan.drive_channels):
        drive = plan.drive[:, :, index]
        for found in (_beyond_limits(channel, drive, plan), _too_fast(channel, drive, plan)):
            if found is not None:
                yield found


def _beyond_limits(channel: Channel, drive: NDArray[np.float64], plan: Plan) -> DriveProblem | None:
    low, high = channel.limits
    wrong = (drive < low) | (drive > high)
    if not wrong.any():
        return None
    trial, at = (int(number) for number in np.argwhere(wrong)[0])
    value, sample = float(drive[trial, at]), at - plan.n_prepare
    text = (
        f"{channel.name}: {value:g} {channel.unit} at trial {trial}, sample {sample} is "
        f"outside {low:g}..{high:g} {channel.unit} ({channel.where})"
    )
    return DriveProblem(
        channel.name, "limit", trial, sample, sample * plan.dt_s, value, low if value < low else high, channel.unit,
        int(wrong.sum()), text,
    )  # fmt: skip


def _too_fast(channel: Channel, drive: NDArray[np.float64], plan: Plan) -> DriveProblem | None:
    """Within each trial and from its end back to rest, where the next trial begins."""
    dt_s, n_prepare = plan.dt_s, plan.n_prepare
    allowed = rate_per_s(channel, plan.mode) * dt_s * _ROUNDING
    steps = np.abs(np.diff(drive, axis=1, append=channel.rest))
    if not steps.size or steps.max() <= allowed:
        return None
    trial, at = (int(number) for number in np.unravel_index(int(steps.argmax()), steps.shape))
    where = "from its last sample back to rest" if at == drive.shape[1] - 1 else f"after sample {at - n_prepare}"
    name = "slew_per_s" if plan.mode == "buffered" else "ramp_per_s"
    rate = rate_per_s(channel, plan.mode)
    text = (
        f"{channel.name}: a change of {steps[trial, at]:g} {channel.unit} in {dt_s:g} s (trial {trial}, {where}) is "
        f"faster than {name} = {rate:g} {channel.unit}/s ({channel.where})"
    )
    return DriveProblem(
        channel.name, "rate", trial, at - n_prepare, (at - n_prepare) * dt_s, float(steps[trial, at]) / dt_s, rate,
        f"{channel.unit}/s", int((steps > allowed).sum()), text,
    )  # fmt: skip
