"""Observed series: values with gaps, at times of their own, with a drive; what the equations here are fitted to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float64, Int64

from twins.errors import SeriesInvalid
from twins.traces import Traces

_SAME_STEP = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """Observed traces.

    values: (trace, time, channel); NaN where a sample is missing.
    times_s: (trace, time), rising within a trace; (time,) is spread over all traces.
    drive: (trace, time, drive channel), finite, acting from its sample to the next; None without one.
    group: (trace,), equal for traces that share their parameters; by default all differ.

    Raises SeriesInvalid.
    """

    values: Float64[np.ndarray, "trace time channel"]
    times_s: Float64[np.ndarray, "trace time"]
    names: tuple[str, ...]
    units: tuple[str, ...]
    drive: Float64[np.ndarray, "trace time drive"] | None = None
    drive_names: tuple[str, ...] = ()
    drive_units: tuple[str, ...] = ()
    group: Int64[np.ndarray, " trace"] | None = None

    def __post_init__(self) -> None:
        values = _frozen(self.values)
        if values.ndim != 3 or 0 in values.shape:
            raise SeriesInvalid(f"values must have the axes (trace, time, channel), none empty, not {values.shape}")
        if bool(np.isinf(values).any()):
            raise SeriesInvalid("values hold infinities; give NaN for a sample that is missing")
        empty = np.flatnonzero(np.isnan(values).all(axis=(1, 2)))
        if len(empty):
            raise SeriesInvalid(f"trace {empty[0]} has no sample that is not missing; leave it away")
        n_traces, n_samples, n_channels = values.shape
        times = np.asarray(self.times_s, dtype=np.float64)
        times = np.broadcast_to(times, (n_traces, n_samples)) if times.ndim == 1 and len(times) == n_samples else times
        if times.shape != (n_traces, n_samples) or not bool(np.isfinite(times).all()):
            raise SeriesInvalid(f"times_s must be finite, (trace, time) = {(n_traces, n_samples)}, not {times.shape}")
        if n_samples < 2 or not bool((np.diff(times, axis=1) > 0).all()):
            raise SeriesInvalid("a trace needs at least two samples, and its times must rise")
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "times_s", _frozen(times))
        for side, n in (("", n_channels), ("drive_", 0 if self.drive is None else np.shape(self.drive)[-1])):
            names, units = tuple(getattr(self, f"{side}names")), tuple(getattr(self, f"{side}units"))
            if len(names) != n or len(units) != n or len(set(names)) != n:
                raise SeriesInvalid(
                    f"{side}names and {side}units must be {n} different names with units: {names}, {units}"
                )
            object.__setattr__(self, f"{side}names", names)
            object.__setattr__(self, f"{side}units", units)
        if self.drive is not None:
            drive = _frozen(self.drive)
            if drive.ndim != 3 or drive.shape[:2] != (n_traces, n_samples) or not bool(np.isfinite(drive).all()):
                raise SeriesInvalid(f"drive must be finite, (trace, time, channel) beside values, not {drive.shape}")
            object.__setattr__(self, "drive", drive)
        group = np.arange(n_traces) if self.group is None else np.array(self.group)
        if group.shape != (n_traces,) or not np.issubdtype(group.dtype, np.integer):
            raise SeriesInvalid(f"group must be {n_traces} integers, one a trace, not {group.dtype} {group.shape}")
        object.__setattr__(self, "group", group.astype(np.int64))

    @classmethod
    def of(cls, traces: Traces, *, driven: bool = True) -> Series:
        """A recording's traces (their preparation left away), as series on its uniform grid. driven: keep the drive."""
        drive, response = traces.scored()
        times = traces.dt_s * np.arange(response.shape[1])
        options = {"drive": drive, "drive_names": traces.drive_names, "drive_units": traces.drive_units}
        return cls(response, times, traces.response_names, traces.response_units, **(options if driven else {}))  # type: ignore[arg-type]

    @property
    def n_traces(self) -> int:
        """Traces."""
        return int(self.values.shape[0])

    @property
    def n_samples(self) -> int:
        """Samples of every trace, missing ones included."""
        return int(self.values.shape[1])

    @property
    def n_channels(self) -> int:
        """Observed channels."""
        return int(self.values.shape[2])

    @property
    def seen(self) -> Bool[np.ndarray, "trace time channel"]:
        """Where a value is not missing."""
        seen: np.ndarray = ~np.isnan(self.values)
        return seen

    @property
    def groups(self) -> Int64[np.ndarray, " trace"]:
        """The group of every trace (never None)."""
        assert self.group is not None
        return self.group

    @property
    def uniform_step_s(self) -> float | None:
        """The sampling time, if it is the same everywhere within a millionth; else None."""
        steps = np.diff(self.times_s, axis=1)
        step = float(steps.mean())
        return step if bool((np.abs(steps - step) <= _SAME_STEP * step).all()) else None

    def select(self, traces: Sequence[int] | np.ndarray) -> Series:
        """Only these traces (indices or a mask)."""
        index = np.arange(self.n_traces)[np.asarray(traces)]
        drive = None if self.drive is None else self.drive[index]
        return replace(
            self, values=self.values[index], times_s=self.times_s[index], drive=drive, group=self.groups[index]
        )

    def span(self, start: int, stop: int) -> Series:
        """Samples start..stop - 1 of every trace. Raises SeriesInvalid for a span that is not there."""
        if not 0 <= start < stop <= self.n_samples:
            raise SeriesInvalid(f"samples {start}:{stop} are not in traces of {self.n_samples} samples")
        drive = None if self.drive is None else self.drive[:, start:stop]
        return replace(self, values=self.values[:, start:stop], times_s=self.times_s[:, start:stop], drive=drive)


def _frozen(values: object) -> np.ndarray:
    array = np.array(values, dtype=np.float64)
    array.setflags(write=False)
    return array
