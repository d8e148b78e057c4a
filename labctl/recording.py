"""What was driven and what came back: `Block` while it runs, `Recording` when it is over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from labctl.errors import RecordingError

if TYPE_CHECKING:
    from twins import Traces


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive samples of one trial: drive and response (time, channel), from sample `start` of `trial`."""

    trial: int
    start: int
    drive: NDArray[np.float64]
    response: NDArray[np.float64]

    def __len__(self) -> int:
        return int(self.response.shape[0])


@dataclass(frozen=True, slots=True)
class RecordingHeader:
    """All that is known of a recording before its first sample; written to the file first.

    `shape` is (trial, time), the time including the `n_prepare` leading samples of preparation. `conditions` are the
    set-points held constant, in their units. `provenance` is plain JSON data.
    """

    shape: tuple[int, int]
    dt_s: float
    drive_names: tuple[str, ...]
    drive_units: tuple[str, ...]
    response_names: tuple[str, ...]
    response_units: tuple[str, ...]
    n_prepare: int
    input_id: NDArray[np.int64]
    simulated: bool
    started_utc: str = ""
    conditions: Mapping[str, float] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n_trials, n_samples = self.shape
        if n_trials < 1 or n_samples < 1 or not 0 <= self.n_prepare <= n_samples:
            raise RecordingError(f"a recording of shape {self.shape} with {self.n_prepare} samples of preparation")
        if not (np.isfinite(self.dt_s) and self.dt_s > 0.0):
            raise RecordingError(f"dt_s must be a positive number of seconds, not {self.dt_s!r}")
        if len(self.drive_names) != len(self.drive_units) or len(self.response_names) != len(self.response_units):
            raise RecordingError("every channel needs one name and one unit")
        if np.shape(self.input_id) != (n_trials,):
            raise RecordingError(f"input_id has shape {np.shape(self.input_id)} for {n_trials} trials")


@dataclass(frozen=True, slots=True)
class Recording:
    """A finished or interrupted recording; arrays are read-only.

    `drive` and `response` are (trial, time, channel), NaN where nothing was measured; `valid_samples` (trial,) counts
    the measured samples of each trial. `n_prepare` leading samples of each trial are preparation: history for a twin,
    never scored. response[k] is the state at k·dt_s, drive[k] acts from k·dt_s to (k+1)·dt_s. `notes` are remarks made
    while measuring (a digitiser at its rails, an interruption). `lost_samples` is what instruments or lines lost, and
    `late_samples` what was taken later than due; None where that is not known.
    """

    header: RecordingHeader
    drive: NDArray[np.float64]
    response: NDArray[np.float64]
    valid_samples: NDArray[np.int64]
    complete: bool
    path: Path | None = None
    notes: tuple[str, ...] = ()
    lost_samples: int | None = None
    late_samples: int | None = None

    def __post_init__(self) -> None:
        for name, names in (("drive", self.drive_names), ("response", self.response_names)):
            array = getattr(self, name)
            if array.shape != (*self.header.shape, len(names)):
                raise RecordingError(f"{name} has shape {array.shape}, not {(*self.header.shape, len(names))}")
            array.setflags(write=False)
        self.valid_samples.setflags(write=False)

    @property
    def dt_s(self) -> float:
        """Sampling time (s)."""
        return self.header.dt_s

    @property
    def n_prepare(self) -> int:
        """Leading samples of each trial that are preparation."""
        return self.header.n_prepare

    @property
    def input_id(self) -> NDArray[np.int64]:
        """(trial,): equal ids mark repeats of the same drive."""
        return self.header.input_id

    @property
    def drive_names(self) -> tuple[str, ...]:
        """Channels driven."""
        return self.header.drive_names

    @property
    def response_names(self) -> tuple[str, ...]:
        """Channels recorded."""
        return self.header.response_names

    @property
    def drive_units(self) -> tuple[str, ...]:
        """Units of the drive channels."""
        return self.header.drive_units

    @property
    def response_units(self) -> tuple[str, ...]:
        """Units of the response channels."""
        return self.header.response_units

    @property
    def simulated(self) -> bool:
        """Whether the bench was a simulated one."""
        return self.header.simulated

    @property
    def started_utc(self) -> str:
        """ISO-8601 time of the first play."""
        return self.header.started_utc

    @property
    def conditions(self) -> Mapping[str, float]:
        """Set-points that were held constant."""
        return self.header.conditions

    @property
    def provenance(self) -> Mapping[str, Any]:
        """Where the data comes from, as plain data."""
        return self.header.provenance

    @property
    def n_trials(self) -> int:
        """Trials planned; `valid_samples` says how many were measured."""
        return self.header.shape[0]

    @property
    def device_seconds(self) -> float:
        """Device time of what was measured, preparations included."""
        return float(self.valid_samples.sum()) * self.dt_s

    @property
    def time_s(self) -> NDArray[np.float64]:
        """(time,): zero where the drive proper begins; the preparation is negative."""
        return np.asarray((np.arange(self.header.shape[1]) - self.n_prepare) * self.dt_s, dtype=np.float64)

    @property
    def whole_trials(self) -> NDArray[np.int64]:
        """Indices of the trials that were measured to their end."""
        return np.flatnonzero(self.valid_samples == self.header.shape[1]).astype(np.int64)

    def scored(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(drive, response) without the preparation, (trial, time, channel)."""
        return self.drive[:, self.n_prepare :], self.response[:, self.n_prepare :]

    def trials(self, chosen: slice | Sequence[int] | NDArray[np.int64]) -> Recording:
        """The chosen trials as a recording of their own (no longer tied to a file)."""
        index = np.arange(self.n_trials)[chosen if isinstance(chosen, slice) else np.asarray(chosen, dtype=np.int64)]
        header = replace(self.header, shape=(index.size, self.header.shape[1]), input_id=self.input_id[index])
        valid = self.valid_samples[index]
        complete = bool((valid == header.shape[1]).all())
        return replace(
            self, header=header, drive=self.drive[index], response=self.response[index], valid_samples=valid,
            complete=complete, path=None, lost_samples=None, late_samples=None,
        )  # fmt: skip

    def of_channels(self, drives: Sequence[str], responses: Sequence[str]) -> Recording:
        """Some of the channels as a recording of its own, such as one device's where several were live at once.

        It is still tied to its file, which has all of them. Raises RecordingError for a channel that it does not have.
        """
        columns = []
        for names, wanted in ((self.drive_names, drives), (self.response_names, responses)):
            missing = [name for name in wanted if name not in names]
            if missing:
                raise RecordingError(f"the recording has no channel {missing[0]!r} there; it has {', '.join(names)}")
            columns.append([names.index(name) for name in wanted])
        driven, measured = columns
        header = replace(
            self.header,
            drive_names=tuple(drives),
            drive_units=tuple(self.drive_units[index] for index in driven),
            response_names=tuple(responses),
            response_units=tuple(self.response_units[index] for index in measured),
        )
        return replace(self, header=header, drive=self.drive[:, :, driven], response=self.response[:, :, measured])

    def traces(self) -> Traces:
        """The trials measured to their end as the twins' plain `Traces`.

        Raises RecordingError if no trial was measured to its end.
        """
        from twins import Traces

        whole = self.whole_trials
        if whole.size == 0:
            where = f" ({self.path})" if self.path else ""
            raise RecordingError(f"no trial of this recording was measured to its end{where}; nothing to learn from")
        return Traces(
            drive=self.drive[whole],
            response=self.response[whole],
            dt_s=self.dt_s,
            drive_names=self.drive_names,
            drive_units=self.drive_units,
            response_names=self.response_names,
            response_units=self.response_units,
            n_prepare=self.n_prepare,
            input_id=self.input_id[whole],
            conditions=dict(self.conditions),
        )


def traces_of(recordings: Sequence[Recording]) -> list[Traces]:
    """The traces of several recordings that belong together.

    Raises RecordingError if there are none, or if sampling times or channels differ: a twin has one sampling time, and
    mixing two would teach it a device that does not exist.
    """
    if not recordings:
        raise RecordingError("no recordings given")
    check_alike(recordings)
    return [recording.traces() for recording in recordings]


def check_alike(recordings: Sequence[Recording]) -> None:
    """Raise RecordingError unless all recordings have one sampling time and the same channels and units."""
    first = recordings[0]
    for other in recordings[1:]:
        pair = f"{first.path or 'the first recording'} and {other.path or 'another'}"
        if abs(other.dt_s - first.dt_s) > 1e-9 * first.dt_s:
            raise RecordingError(
                f"recordings of different sampling times cannot be mixed: {first.dt_s:g} s and {other.dt_s:g} s "
                f"({pair}); resample one, or fit a twin to each"
            )
        for what in ("drive_names", "response_names", "drive_units", "response_units"):
            if getattr(other, what) != getattr(first, what):
                raise RecordingError(
                    f"recordings of different channels cannot be mixed: {what} {getattr(first, what)} "
                    f"and {getattr(other, what)} ({pair})"
                )
