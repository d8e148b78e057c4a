"""From a file of another program to traces, with a record of everything that was done on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from labctl.errors import UsageError
from labctl.outside_data.alignment import settle_alignment
from labctl.outside_data.checks import check_moving, settle_clipped
from labctl.outside_data.clock import settle_clock
from labctl.outside_data.column_map import ColumnMap
from labctl.outside_data.cutting import cut, cut_tests, input_ids
from labctl.outside_data.errors import OutsideDataError
from labctl.outside_data.missing import check_not_all_missing, refusal, settle_missing
from labctl.outside_data.opening import open_data_file
from labctl.outside_data.recordings import is_recording, own_recording
from labctl.outside_data.treatments import Ahead, Clipped, Gaps, Treatments
from labctl.outside_data.trial import Record, Trial
from labctl.outside_data.trials import Mapped, map_columns

if TYPE_CHECKING:
    from twins import Traces

Span = tuple[int, int | None]


@dataclass(frozen=True, slots=True, eq=False)
class OutsideData:
    """What a file of another program gives.

    traces: one for each set of conditions (and length of trials); test: the same for the rows kept from the fit.
    provenance: plain data: path, sha256, format, mapping, rate_Hz, drive_ahead, the options and all `treatments`. simulated: as
    the user says; a file does not tell.
    """

    traces: list[Traces]
    test: list[Traces]
    provenance: Mapping[str, Any]
    path: Path
    simulated: bool = False


def read_traces(
    path: str | Path,
    *,
    drive: str | Sequence[str],
    response: str | Sequence[str],
    rate_Hz: float | None = None,
    dt_s: float | None = None,
    time: str | None = None,
    time_unit: str | None = None,
    trial: str | None = None,
    input_column: str | None = None,
    conditions: Mapping[str, float | str] | None = None,
    units: Mapping[str, str] | None = None,
    axes: Sequence[str] = (),
    rows: Span = (0, None),
    test_rows: Span | None = None,
    segment_samples: int | None = None,
    gaps: Gaps = "refuse",
    longest_gap: int = 0,
    resample: bool = False,
    clipped: Clipped = "refuse",
    drive_ahead: Ahead = "auto",
    simulated: bool = False,
) -> OutsideData:
    """Read CSV, HDF5, netCDF or .mat: which columns are what, and what may be done to data that are not clean.

    drive, response: column names (paths in HDF5 and structs; u[0] picks a channel of an array). rate_Hz or dt_s: the
    sampling, or `time`: a column of time stamps in time_unit. conditions: numbers, or names of constant columns.
    Columns are explained at `ColumnMap`, treatments at `Treatments`; without one, what is not clean is an error.

    Raises OutsideDataError (a RecordingError) for the file, UsageError for options that contradict each other.
    """
    given = dict(conditions or {})
    columns = ColumnMap(
        drive=_tuple(drive),
        response=_tuple(response),
        time=time,
        time_unit=time_unit,
        trial=trial,
        input_column=input_column,
        conditions={name: float(value) for name, value in given.items() if not isinstance(value, str)},
        condition_columns={name: value for name, value in given.items() if isinstance(value, str)},
        units=dict(units or {}),
        axes=tuple(axes),
    )
    treatments = Treatments(
        gaps=gaps, longest_gap=longest_gap, resample=resample, clipped=clipped, segment_samples=segment_samples,
        rows=rows, test_rows=test_rows, drive_ahead=drive_ahead,
    )  # fmt: skip
    return read_mapped(path, columns, treatments, dt_s=_sampling_time_s(rate_Hz, dt_s), simulated=simulated)


def read_mapped(
    path: str | Path, columns: ColumnMap, treatments: Treatments, *, dt_s: float | None = None, simulated: bool = False
) -> OutsideData:
    """`read_traces` with its options as two objects."""
    if is_recording(Path(path)):
        return _own(Path(path), columns, treatments, dt_s)
    file = open_data_file(path)
    mapped = map_columns(file, columns)
    names = (*mapped.drive_names, *mapped.response_names)
    trials = chosen_rows(mapped.trials, treatments)
    check_not_all_missing(trials, names)
    training = [trial for trial in trials if not trial.is_test]
    check_moving(training, mapped.drive_names, mapped.response_names)
    rails, clipping = settle_clipped(trials, mapped.drive_names, mapped.response_names, treatments)
    if treatments.resample and treatments.gaps == "refuse" and any(trial.unmeasured.any() for trial in trials):
        raise refusal(trials, names)
    clock = settle_clock(trials, dt_s, treatments)
    filled, filling = settle_missing(clock.trials, names, treatments)
    whole, ahead, alignment = settle_alignment(filled, mapped.response_names, treatments)
    pieces, cutting = cut(
        [trial for trial in whole if not trial.is_test], rails, treatments, has_inputs=mapped.has_inputs, ahead=ahead
    )
    tests, apart = cut_tests(
        [trial for trial in whole if trial.is_test], len(pieces[0]) if cutting else 0, has_inputs=mapped.has_inputs
    )
    records = [
        *file.treatments,
        *channel_records(mapped),
        *clock.records,
        *filling,
        *clipping,
        *alignment,
        *apart,
        *cutting,
    ]
    as_traces = _maker(mapped, clock.dt_s)
    traces, repeats = as_traces(pieces)
    test, _ = as_traces(tests)
    provenance = {
        "path": str(file.path),
        "sha256": file.sha256,
        "format": file.format,
        "mapping": columns.as_dict(),
        "rate_Hz": 1.0 / clock.dt_s,
        "dt_s": clock.dt_s,
        "drive_ahead": ahead,
        "options": treatments.as_dict(),
        "treatments": [*records, *repeats],
        "simulated": simulated,
    }
    return OutsideData(traces, test, provenance, file.path, simulated)


def _own(path: Path, columns: ColumnMap, treatments: Treatments, dt_s: float | None) -> OutsideData:
    """A recording of labctl's own, which says itself all but which channels are wanted."""
    if (
        treatments != Treatments()
        or dt_s is not None
        or columns != ColumnMap(drive=columns.drive, response=columns.response)
    ):
        raise UsageError(
            f"{path} is a recording of labctl's own: it is read as it is, with its own sampling and trials; leave out all "
            "but drive and response"
        )
    recording = own_recording(path, columns.drive, columns.response)
    provenance = {"path": str(path), "format": "labctl recording", "recording": dict(recording.provenance)}
    return OutsideData([recording.traces()], [], provenance, path, recording.simulated)


def _sampling_time_s(rate_Hz: float | None, dt_s: float | None) -> float | None:
    if rate_Hz is not None and dt_s is not None:
        raise UsageError("give the rate or the sampling time, not both")
    value = 1.0 / rate_Hz if rate_Hz else dt_s
    if (rate_Hz is not None or dt_s is not None) and not (value is not None and np.isfinite(value) and value > 0.0):
        raise UsageError(f"the rate must be positive and finite, not {rate_Hz if dt_s is None else dt_s}")
    return value


def _tuple(names: str | Sequence[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def chosen_rows(trials: Sequence[Trial], treatments: Treatments) -> list[Trial]:
    """The rows to be read, with those kept from the fit as trials of their own.

    Rows of a table are counted over the whole file, samples of arrays within each trial: both are `Trial.start`.
    """
    chosen = []
    first, stop = treatments.rows
    for trial in trials:
        length = trial.start + len(trial)
        kept = _between(trial, first, length if stop is None else stop)
        if kept is None:
            continue
        if treatments.test_rows is None:
            chosen.append(kept)
            continue
        test_first, test_stop = treatments.test_rows
        test_stop = length if test_stop is None else test_stop
        around = (
            (_between(kept, first, test_first), False),
            (_between(kept, test_first, test_stop), True),
            (_between(kept, test_stop, length), False),
        )
        chosen += [replace(part, is_test=is_test) for part, is_test in around if part is not None]
    if not any(not trial.is_test for trial in chosen):
        last = max((trial.start + len(trial) for trial in trials), default=0)
        raise OutsideDataError(
            f"no row is left for the fit: there are {last} rows, and rows, test rows leave none of them"
        )
    if treatments.test_rows is not None and not any(trial.is_test for trial in chosen):
        raise OutsideDataError("the test rows are not among the rows that are read")
    return chosen


def _between(trial: Trial, first: int, stop: int) -> Trial | None:
    low, high = max(first - trial.start, 0), min(stop - trial.start, len(trial))
    return trial.part(low, high) if high > low else None


def channel_records(mapped: Mapped) -> list[Record]:
    """What is known of the channels: those without a unit, and drives that were repeated."""
    channels = zip(
        (*mapped.drive_names, *mapped.response_names), (*mapped.drive_units, *mapped.response_units), strict=True
    )
    unknown = [name for name, unit in channels if not unit]
    records: list[Record] = [{"treatment": "no unit given", "channels": unknown}] if unknown else []
    n_inputs = len({trial.input_key for trial in mapped.trials})
    if n_inputs < len(mapped.trials) and not mapped.has_inputs:
        records.append({"treatment": "equal drives taken as repeats", "inputs": n_inputs, "trials": len(mapped.trials)})
    return records


def _maker(mapped: Mapped, dt_s: float) -> Callable[[Sequence[Trial]], tuple[list[Traces], list[Record]]]:
    """A function from trials to traces: one for each set of conditions and length."""
    from twins import Traces

    repeated = mapped.has_inputs or len({trial.input_key for trial in mapped.trials}) < len(mapped.trials)

    def make(pieces: Sequence[Trial]) -> tuple[list[Traces], list[Record]]:
        ids = input_ids(pieces, has_inputs=repeated)
        groups: dict[object, list[int]] = {}
        for number, piece in enumerate(pieces):
            groups.setdefault((tuple(piece.conditions.items()), len(piece)), []).append(number)
        made = [
            Traces(
                drive=np.stack([pieces[number].drive for number in group]),
                response=np.stack([pieces[number].response for number in group]),
                dt_s=dt_s,
                drive_names=mapped.drive_names,
                drive_units=mapped.drive_units,
                response_names=mapped.response_names,
                response_units=mapped.response_units,
                input_id=ids[group],
                conditions=dict(pieces[group[0]].conditions),
            )
            for group in groups.values()
        ]
        n_inputs = len(np.unique(ids))
        record: Record = {"treatment": "equal drives taken as repeats", "inputs": n_inputs, "segments": len(pieces)}
        return made, [record] if not repeated and n_inputs < len(pieces) else []

    return make
