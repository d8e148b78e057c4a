"""Measured traces for an equation, chosen by hand: what files hold, which column is what, and the traces as plain data."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labctl.errors import UsageError
from labctl.goku_example import TRUTH
from labctl.goku_series import Measured
from labctl.outside_data.treatments import Gaps

_GAP = 1.5  # median steps
_TIME_NAME = re.compile(r"^(t|time|times?_?s|zeit|timestamp)$", re.IGNORECASE)
_TRIAL_NAME = re.compile(r"^(trial|run|sweep|trace|episode|repeat)s?$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ColumnTold:
    """A column of a file. role: what it seems to be, "time", "trial", "response", "drive" or "" for none."""

    name: str
    unit: str
    role: str


@dataclass(frozen=True, slots=True)
class FileTold:
    """own: a recording of labctl's, whose channels are known; else columns of another program. refused: columns that cannot
    be used, with why."""

    path: Path
    own: bool
    simulated: bool
    columns: tuple[ColumnTold, ...]
    refused: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class TraceTold:
    """values: (time, channel), NaN where missing. gaps: (from, to) in seconds where nothing was measured: missing samples of all
    channels, and steps of more than 1.5 median steps."""

    label: str
    times_s: NDArray[np.float64]
    values: NDArray[np.float64]
    drive: NDArray[np.float64]
    gaps: tuple[tuple[float, float], ...]
    n_missing: int


@dataclass(frozen=True, slots=True, eq=False)
class TracesTold:
    """Traces as they will be fitted, but uncut. told: what was done to the data, in words. truth: (trace, parameter) of traces
    that were simulated with known parameters, by name, else empty."""

    traces: tuple[TraceTold, ...]
    names: tuple[str, ...]
    units: tuple[str, ...]
    drive_names: tuple[str, ...]
    drive_units: tuple[str, ...]
    simulated: bool
    told: tuple[str, ...] = ()
    truth: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def in_words(self) -> str:
        """One line."""
        lengths = [len(one.times_s) for one in self.traces]
        samples = f"{min(lengths)}" if min(lengths) == max(lengths) else f"{min(lengths)} to {max(lengths)}"
        missing = sum(one.n_missing for one in self.traces)
        gaps = sum(len(one.gaps) for one in self.traces)
        words = f"{len(lengths)} trace{'s' * (len(lengths) != 1)} of {samples} samples"
        if missing or gaps:
            words += f"; {missing} values missing, {gaps} gap{'s' * (gaps != 1)}"
        return words


def look_at(paths: Sequence[Path]) -> tuple[FileTold, ...]:
    """What the files hold, without reading their data. Raises RecordingError, OutsideDataError."""
    return tuple(_look(Path(path)) for path in paths)


def read_measured(
    paths: Sequence[Path],
    *,
    response: Sequence[str] = (),
    drive: Sequence[str] = (),
    time: str | None = None,
    time_unit: str | None = None,
    trial: str | None = None,
    dt_s: float | None = None,
    gaps: Gaps = "refuse",
    longest_gap: int = 0,
    drop_clipped: bool = False,
    simulated: bool = False,
) -> Measured:
    """The traces of these files. Of recordings of labctl's own, response and drive choose channels (none: all of them).

    response, drive, time, trial: columns of other programs' files; dt_s: from sample to sample where no column has the time.
    gaps: missing samples stay missing ("refuse" means that only a drive must be whole); drop_clipped: values at a rail count
    as missing. simulated: of other programs' files. Raises RecordingError, UsageError.
    """
    from labctl.goku_reading import joined, of_loose, of_recordings
    from labctl.outside_data import Treatments, is_recording, own_recording
    from labctl.outside_data.loose import LooseColumnMap, read_loose

    if not paths:
        raise UsageError("there are no traces yet: give at least one file")
    parts = []
    for number, path in enumerate(map(Path, paths)):
        if is_recording(path):
            part = of_recordings([own_recording(path, tuple(drive), tuple(response))])
        else:
            if not response:
                raise UsageError(f"{path.name}: say which columns were measured")
            if time is None and dt_s is None:
                raise UsageError(f"{path.name}: say which column is the time, or the time between samples")
            columns = LooseColumnMap(
                drive=tuple(drive), response=tuple(response), time=time, time_unit=time_unit, trial=trial
            )
            treatments = Treatments(
                gaps=gaps, longest_gap=longest_gap, clipped="drop" if drop_clipped else "accept", segment_samples=0
            )
            part = of_loose(number, read_loose(path, columns, treatments, dt_s=dt_s, simulated=simulated))
        parts.append(part.of_file(number))
    return joined(parts)


def traces_told(measured: Measured) -> TracesTold:
    """For a plot."""
    channels = measured.channels
    return TracesTold(
        traces=tuple(
            TraceTold(
                label=one.label,
                times_s=one.times_s - one.times_s[0],
                values=one.values,
                drive=one.drive,
                gaps=_gaps(one.times_s - one.times_s[0], one.values),
                n_missing=int(np.isnan(one.values).sum()),
            )
            for one in measured.traces
        ),
        names=channels.names,
        units=channels.units,
        drive_names=channels.drive_names,
        drive_units=channels.drive_units,
        simulated=measured.simulated,
        told=measured.treatments,
        truth=true_parameters(measured),
    )


def true_parameters(measured: Measured) -> dict[str, tuple[float, ...]]:
    """Of simulated traces, by name, one a trace; empty unless they are known for all."""
    known = measured.bench.get(TRUTH)
    if not isinstance(known, Mapping) or len(measured.sources) != 1:
        return {}
    parameters: Mapping[str, Sequence[float]] = known.get("parameters", {})
    return {name: tuple(float(values[one.trial[1]]) for one in measured.traces) for name, values in parameters.items()}


def _look(path: Path) -> FileTold:
    from labctl.outside_data import is_recording
    from labctl.outside_data.opening import open_data_file
    from labctl.store import open_recording

    if is_recording(path):
        recording = open_recording(path)
        responses = zip(recording.response_names, recording.response_units, strict=True)
        drives = zip(recording.drive_names, recording.drive_units, strict=True)
        columns = [ColumnTold(name, unit, "response") for name, unit in responses]
        columns += [ColumnTold(name, unit, "drive") for name, unit in drives]
        return FileTold(path, True, recording.simulated, tuple(columns))
    file = open_data_file(path)
    usable = [one for one in file.columns.values() if not one.refused]
    roles = {one.name: _role(one.name) for one in usable}
    unassigned = [one.name for one in usable if not roles[one.name]]
    if unassigned:  # the last column is what was measured in most files
        roles[unassigned[-1]] = "response"
    return FileTold(
        path,
        False,
        False,
        tuple(ColumnTold(one.name, one.unit, roles[one.name]) for one in usable),
        {one.name: one.refused for one in file.columns.values() if one.refused},
    )


def _role(name: str) -> str:
    if _TIME_NAME.match(name):
        return "time"
    return "trial" if _TRIAL_NAME.match(name) else ""


def _gaps(times_s: NDArray[np.float64], values: NDArray[np.float64]) -> tuple[tuple[float, float], ...]:
    """Between measured samples that are further apart than the others."""
    there = np.flatnonzero(np.isfinite(values).any(axis=1))
    step_s = float(np.median(np.diff(times_s)))
    seen = times_s[there]
    wide = np.flatnonzero(np.diff(seen) > _GAP * step_s)
    return tuple((float(seen[k]), float(seen[k + 1])) for k in wide)
