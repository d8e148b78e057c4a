"""Measured traces for an equation of known form, with their origin: whole, cut, chosen, and as series.

Times begin with every trace. Traces of different lengths are filled up with missing samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from labctl.errors import RecordingError, UsageError

if TYPE_CHECKING:
    from twins.goku.series import Series

Samples = NDArray[np.float64]

LONGEST_WHOLE = 1000
"""Longer traces are cut to segments of half of this, unless told otherwise: one solve goes through a trace in one piece."""
SHARING = ("none", "segments", "file", "conditions", "all")
_SAME_CONDITION = 12  # digits


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """One stretch as it was measured: values (time, channel), NaN where missing; times_s (time,); drive (time, channel)."""

    label: str
    values: Samples
    times_s: Samples
    drive: Samples
    conditions: Mapping[str, float]
    trial: tuple[int, int]  # of which file, and which trial of it
    is_test: bool = False

    def part(self, start: int, stop: int) -> Trace:
        """Samples start..stop - 1."""
        return replace(
            self,
            label=f"{self.label}, samples {start}:{stop}",
            values=self.values[start:stop],
            times_s=self.times_s[start:stop],
            drive=self.drive[start:stop],
        )


@dataclass(frozen=True, slots=True)
class Channels:
    """Names and units of what was measured and of what drove it."""

    names: tuple[str, ...]
    units: tuple[str, ...]
    drive_names: tuple[str, ...]
    drive_units: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """Traces of some files, with where they come from.

    sources: one entry a file. bench: what the first recording's provenance says of station and instruments. treatments:
    in words, what was done to the data.
    """

    traces: tuple[Trace, ...]
    channels: Channels
    sources: tuple[Mapping[str, Any], ...]
    simulated: bool
    bench: Mapping[str, Any] = field(default_factory=dict)
    treatments: tuple[str, ...] = ()

    def cut(self, samples: int | None, *, ends: bool = True) -> Measured:
        """Every trace cut to segments of so many samples; ends: what is left over as well, if it is half as long.

        None: only traces of more than LONGEST_WHOLE samples, to half of that; 0: never. Raises UsageError.
        """
        if samples is not None and (samples < 0 or samples == 1):
            raise UsageError(f"a segment has at least 2 samples, not {samples}; 0: never cut")
        longest = max(len(trace.times_s) for trace in self.traces)
        length = (LONGEST_WHOLE // 2 if longest > LONGEST_WHOLE else 0) if samples is None else samples
        if not length or longest <= length:
            return self
        pieces = tuple(piece for trace in self.traces for piece in _segments(trace, length, 0.5 if ends else 1.0))
        if not pieces:  # all traces are shorter
            return self
        told = f"Data: cut to {len(pieces)} segments of {length} samples."
        return replace(self, traces=pieces, treatments=(*self.treatments, told))

    def divided(self) -> tuple[Measured, Measured | None]:
        """(to fit to, kept to judge on or None): by the rows that were kept."""
        kept = tuple(trace for trace in self.traces if trace.is_test)
        rest = tuple(trace for trace in self.traces if not trace.is_test)
        return (replace(self, traces=rest), replace(self, traces=kept)) if kept else (self, None)

    def select(self, indices: Sequence[int] | NDArray[np.int64]) -> Measured:
        """Some of the traces."""
        return replace(self, traces=tuple(self.traces[int(index)] for index in indices))

    def of_file(self, number: int) -> Measured:
        """The same, as the traces of the file of this number."""
        return replace(self, traces=tuple(replace(one, trial=(number, one.trial[1])) for one in self.traces))

    def driving(self) -> Measured:
        """What was measured taken for the drive, as of a file that holds nothing else. Raises RecordingError for gaps."""
        for trace in self.traces:
            if not np.isfinite(trace.values).all():
                raise RecordingError(f"{trace.label}: a drive must be there at every sample")
        channels = replace(self.channels, drive_names=self.channels.names, drive_units=self.channels.units)
        return replace(self, channels=channels, traces=tuple(replace(one, drive=one.values) for one in self.traces))

    @property
    def labels(self) -> list[str]:
        """How the traces are called in tables."""
        return [trace.label for trace in self.traces]

    def series(self, channels: Sequence[str], drives: Mapping[str, str], *, share: str = "none") -> Series:
        """The named channels, driven by the named drives (equation's name -> channel or condition), as series.

        share: which traces have their parameters in common, of SHARING. Raises RecordingError for a channel there is not.
        """
        from twins.goku.series import Series

        columns = [_index(name, self.channels.names, "channel") for name in channels]
        length = max(len(trace.times_s) for trace in self.traces)
        times = np.stack([_longer_times(trace.times_s - trace.times_s[0], length) for trace in self.traces])
        values = np.stack([_longer(trace.values[:, columns], length) for trace in self.traces])
        driven = [self.drive_of(trace, list(drives.values())) for trace in self.traces]
        return Series(
            values=values,
            times_s=times,
            names=tuple(channels),
            units=tuple(self.channels.units[column] for column in columns),
            drive=np.stack([_held(drive, length) for drive in driven]) if drives else None,
            drive_names=tuple(drives),
            drive_units=tuple(self.drive_unit(name) for name in drives.values()),
            group=self._groups(share),
        )

    def drive_unit(self, name: str) -> str:
        """The unit of a channel that drives; conditions have none."""
        known = self.channels.drive_names
        return self.channels.drive_units[known.index(name)] if name in known else ""

    @property
    def drive_sources(self) -> list[str]:
        """What an equation's drives can be taken from: drive channels, then conditions."""
        conditions = dict.fromkeys(name for trace in self.traces for name in trace.conditions)
        return [*self.channels.drive_names, *(name for name in conditions if name not in self.channels.drive_names)]

    def drive_of(self, trace: Trace, sources: Sequence[str]) -> Samples:
        """(time, channel) of the channels or conditions of these names. Raises RecordingError where there is none."""
        columns = []
        for name in sources:
            if name in self.channels.drive_names:
                columns.append(trace.drive[:, self.channels.drive_names.index(name)])
            elif name in trace.conditions:
                columns.append(np.full(len(trace.times_s), trace.conditions[name]))
            else:
                raise RecordingError(
                    f"{trace.label}: there is no {name!r} to drive the equation; there are "
                    f"{', '.join(self.drive_sources) or 'no drives and no conditions'}"
                )
        return np.stack(columns, axis=1) if columns else np.empty((len(trace.times_s), 0))

    def _groups(self, share: str) -> NDArray[np.int64]:
        def key(number: int, trace: Trace) -> object:
            match share:
                case "none":
                    return number
                case "segments":
                    return trace.trial
                case "file":
                    return trace.trial[0]
                case "conditions":
                    return tuple(
                        sorted((name, f"{value:.{_SAME_CONDITION}g}") for name, value in trace.conditions.items())
                    )
                case "all":
                    return None
            raise UsageError(f"traces can share their parameters by {', '.join(SHARING)}, not {share!r}")

        keys = [key(number, trace) for number, trace in enumerate(self.traces)]
        numbers = {one: number for number, one in enumerate(dict.fromkeys(keys))}
        return np.array([numbers[one] for one in keys], dtype=np.int64)


def _segments(trace: Trace, length: int, least: float) -> list[Trace]:
    n_samples = len(trace.times_s)
    if n_samples <= length:
        return [trace]
    starts = range(0, n_samples, length)
    pieces = [trace.part(start, min(start + length, n_samples)) for start in starts]
    return [piece for piece in pieces if len(piece.times_s) >= least * length and np.isfinite(piece.values).any()]


def _index(name: str, names: Sequence[str], what: str) -> int:
    if name not in names:
        raise RecordingError(f"the data have no {what} {name!r}; they have {', '.join(names) or 'none'}")
    return list(names).index(name)


def _longer(values: Samples, length: int) -> Samples:
    return np.concatenate([values, np.full((length - len(values), values.shape[1]), np.nan)])


def _held(drive: Samples, length: int) -> Samples:
    """The last value goes on: only missing samples follow."""
    return drive[np.minimum(np.arange(length), len(drive) - 1)]


def _longer_times(times_s: Samples, length: int) -> Samples:
    step_s = float(np.median(np.diff(times_s)))
    return np.concatenate([times_s, times_s[-1] + step_s * np.arange(1, length - len(times_s) + 1)])
