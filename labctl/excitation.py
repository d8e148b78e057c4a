"""Designed drives: what is played to a device so that its twin can be learned, or a network executed.

An `Excitation` is a plain frozen array (trial, time, channel) in the channels' own units, with the identity of each
trial's input (equal ids: the same drive repeated) and a description that goes into the provenance of the recording.
The bench adds the preparation segment and checks limits and slew; nothing here knows an instrument.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labctl.errors import ExcitationError


@dataclass(frozen=True, slots=True)
class Excitation:
    """A drive of shape (trial, time, channel), sample k held from k·dt_s to (k+1)·dt_s.

    `input_id` (trial,) is equal for trials that repeat one input; without it every trial is an input of its own.
    Raises ExcitationError where the shape is wrong, a value is not finite or dt_s is not positive.
    """

    drive: NDArray[np.float64]
    channels: tuple[str, ...]
    dt_s: float
    input_id: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    description: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        drive = _as_drive(self.drive, self.channels)
        if not (np.isfinite(self.dt_s) and self.dt_s > 0.0):
            raise ExcitationError(f"dt_s must be a positive number of seconds, not {self.dt_s!r}")
        input_id = np.array(self.input_id, dtype=np.int64).reshape(-1)
        if input_id.size == 0:
            input_id = np.arange(drive.shape[0], dtype=np.int64)
        if input_id.shape != (drive.shape[0],):
            raise ExcitationError(f"input_id has {input_id.size} entries for {drive.shape[0]} trials")
        drive.setflags(write=False)
        input_id.setflags(write=False)
        object.__setattr__(self, "drive", drive)
        object.__setattr__(self, "channels", tuple(self.channels))
        object.__setattr__(self, "dt_s", float(self.dt_s))
        object.__setattr__(self, "input_id", input_id)
        object.__setattr__(self, "description", dict(self.description))

    @classmethod
    def from_channels(
        cls,
        values: Mapping[str, ArrayLike],
        *,
        dt_s: float,
        input_id: ArrayLike | None = None,
        description: Mapping[str, Any] | None = None,
    ) -> Excitation:
        """An excitation from one array (trial, time) or (time,) a channel."""
        if not values:
            raise ExcitationError("an excitation needs at least one channel")
        arrays = {name: np.atleast_2d(np.asarray(value, dtype=np.float64)) for name, value in values.items()}
        shapes = {name: array.shape for name, array in arrays.items()}
        if len(set(shapes.values())) != 1:
            raise ExcitationError(f"all channels must have the same (trial, time): {shapes}")
        ids = np.zeros(0, dtype=np.int64) if input_id is None else np.asarray(input_id, dtype=np.int64)
        return cls(np.stack(list(arrays.values()), axis=-1), tuple(values), dt_s, ids, description or {})

    @property
    def n_trials(self) -> int:
        """Number of trials."""
        return int(self.drive.shape[0])

    @property
    def n_samples(self) -> int:
        """Samples of one trial."""
        return int(self.drive.shape[1])

    @property
    def duration_s(self) -> float:
        """Device time of all trials, preparations not counted."""
        return self.n_trials * self.n_samples * self.dt_s

    def __len__(self) -> int:
        return self.n_trials

    def values(self, channel: str) -> NDArray[np.float64]:
        """The drive of one channel, (trial, time)."""
        return self.drive[:, :, self.channels.index(channel)]

    def trials(self, chosen: slice | Sequence[int] | NDArray[np.int64]) -> Excitation:
        """The chosen trials as an excitation of their own, with their input ids."""
        index = chosen if isinstance(chosen, slice) else np.asarray(chosen, dtype=np.int64)
        return replace(self, drive=self.drive[index], input_id=self.input_id[index])


def repeats(excitation: Excitation, times: int) -> Excitation:
    """Every trial `times` times, one whole round after another, so that slow drift touches all inputs alike."""
    if times < 1:
        raise ExcitationError(f"repeats needs at least one time, not {times}")
    return replace(
        excitation,
        drive=np.tile(excitation.drive, (times, 1, 1)),
        input_id=np.tile(excitation.input_id, times),
        description={"design": "repeats", "times": times, "of": dict(excitation.description)},
    )


def concatenate(*excitations: Excitation) -> Excitation:
    """The trials of several excitations of equal length one after another; their input ids are kept apart."""
    if not excitations:
        raise ExcitationError("nothing to concatenate")
    first = excitations[0]
    ids: list[NDArray[np.int64]] = []
    following = 0
    for other in excitations:
        if other.channels != first.channels:
            raise ExcitationError(f"channels differ: {other.channels} and {first.channels}")
        if other.dt_s != first.dt_s:
            raise ExcitationError(f"sampling times differ: {other.dt_s:g} s and {first.dt_s:g} s")
        if other.n_samples != first.n_samples:
            raise ExcitationError(f"lengths differ: {other.n_samples} and {first.n_samples} samples a trial")
        _, ranks = np.unique(other.input_id, return_inverse=True)
        ids.append(ranks.reshape(-1) + following)
        following += int(ranks.max()) + 1
    return Excitation(
        np.concatenate([other.drive for other in excitations]),
        first.channels,
        first.dt_s,
        np.concatenate(ids).astype(np.int64),
        {"design": "concatenate", "of": [dict(other.description) for other in excitations]},
    )


def shuffled(excitation: Excitation, generator: np.random.Generator) -> Excitation:
    """The same trials in random order, so that drift and trial number are not confounded."""
    order = generator.permutation(excitation.n_trials)
    chosen = excitation.trials(order)
    return replace(chosen, description={"design": "shuffled", "of": dict(excitation.description)})


def _as_drive(values: ArrayLike, channels: Sequence[str]) -> NDArray[np.float64]:
    try:
        drive = np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ExcitationError(f"the drive is not an array of numbers: {error}") from error
    names = tuple(channels)
    if not names or any(not isinstance(name, str) or not name for name in names) or len(set(names)) != len(names):
        raise ExcitationError(f"channels must be different non-empty names, not {names}")
    if drive.ndim != 3 or 0 in drive.shape or drive.shape[2] != len(names):
        raise ExcitationError(
            f"the drive must have shape (trial, time, channel) with {len(names)} channel(s) {names}, not {drive.shape}"
        )
    if not np.isfinite(drive).all():
        trial, sample, channel = np.argwhere(~np.isfinite(drive))[0]
        raise ExcitationError(
            f"{names[channel]}: the drive is {drive[trial, sample, channel]} at trial {trial}, sample {sample}; "
            "every sample must be a finite number"
        )
    return drive
