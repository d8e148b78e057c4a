"""From a file and a column map to trials."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from labctl.outside_data.arrays import Channels, ordered, read_channels
from labctl.outside_data.column_map import ColumnMap
from labctl.outside_data.data_file import DataFile
from labctl.outside_data.errors import OutsideDataError
from labctl.outside_data.quantities import TIME_UNITS
from labctl.outside_data.trial import Trial

_WOBBLE = 0.02
"""A condition that was measured may scatter by this fraction."""


@dataclass(frozen=True, slots=True, eq=False)
class Mapped:
    """The trials of a file, with the channels they share. has_inputs: whether the file says what repeats what."""

    trials: list[Trial]
    drive_names: tuple[str, ...]
    drive_units: tuple[str, ...]
    response_names: tuple[str, ...]
    response_units: tuple[str, ...]
    has_inputs: bool


def map_columns(file: DataFile, columns: ColumnMap) -> Mapped:
    """All trials of a file, whole. Raises OutsideDataError."""
    parts = read_channels(file, (*columns.drive, *columns.response), columns.axes)
    drive, response = parts[: len(columns.drive)], parts[len(columns.drive) :]
    n_trials, n_samples = _common_shape(file, parts)
    time_s = _time_s(file, columns, n_trials, n_samples)
    table = n_trials == 1
    if columns.trial is not None and not table:
        raise OutsideDataError(
            f"{file.path.name}: arrays with an axis for trials need no column for them; leave out --trial"
        )
    owners = _labels(file, columns.trial, n_samples, "row") if columns.trial and table else None
    inputs = _labels(file, columns.input_column, n_samples if table else n_trials, "row" if table else "trial")
    whole = Mapped(
        [], *_names_units(drive, columns), *_names_units(response, columns), has_inputs=columns.input_column is not None
    )
    _check_units(columns, (*whole.drive_names, *whole.response_names))
    stacked = [_stack(side, n_trials, n_samples) for side in (drive, response)]
    conditions = _conditions(file, columns, n_trials, n_samples)
    drives: dict[bytes, int] = {}
    for number, (name, rows) in enumerate(_spans(owners, n_trials, n_samples)):
        at = 0 if table else number
        labels = None if inputs is None else inputs[rows] if table else inputs[at : at + 1]
        whole.trials.append(
            Trial(
                name=name,
                drive=stacked[0][at, rows],
                response=stacked[1][at, rows],
                time_s=None if time_s is None else time_s[at, rows],
                start=rows.start,
                origin=rows.start,
                input_key=_input_key(labels, stacked[0][at, rows], drives, f"{name}: {columns.input_column}"),
                conditions={key: _constant(values[at, rows], key, name) for key, values in conditions.items()},
            )
        )
    return whole


def _common_shape(file: DataFile, parts: list[Channels]) -> tuple[int, int]:
    shapes = {part.names[0]: part.values.shape[:2] for part in parts}
    n_trials, n_samples = (max(shape[axis] for shape in shapes.values()) for axis in (0, 1))
    if any(n not in (1, n_trials) or samples != n_samples for n, samples in shapes.values()):
        texts = ", ".join(f"{name} {trials} × {samples}" for name, (trials, samples) in shapes.items())
        raise OutsideDataError(f"{file.path.name}: the arrays are not of one length (trials × samples): {texts}")
    return n_trials, n_samples


def _stack(side: list[Channels], n_trials: int, n_samples: int) -> NDArray[np.float64]:
    values = [np.broadcast_to(part.values, (n_trials, *part.values.shape[1:])) for part in side]
    return np.concatenate(values, axis=2) if values else np.empty((n_trials, n_samples, 0))


def _names_units(side: list[Channels], columns: ColumnMap) -> tuple[tuple[str, ...], tuple[str, ...]]:
    names = tuple(name for part in side for name in part.names)
    units = (unit for part in side for unit in part.units)
    return names, tuple(columns.units.get(name, unit) for name, unit in zip(names, units, strict=True))


def _check_units(columns: ColumnMap, names: tuple[str, ...]) -> None:
    if unknown := [name for name in columns.units if name not in names]:
        raise OutsideDataError(f"a unit is given for {', '.join(unknown)}, but the channels are {', '.join(names)}")


def _time_s(file: DataFile, columns: ColumnMap, n_trials: int, n_samples: int) -> NDArray[np.float64] | None:
    if columns.time is None:
        return None
    info = file.column(columns.time)
    unit = columns.time_unit or info.unit.partition(" since ")[0].strip() or "s"
    if unit not in TIME_UNITS:
        raise OutsideDataError(
            f"{file.path.name}: {columns.time} is in {unit!r}, which is no unit of time; say which it is, as in "
            f"--time {columns.time}:ms"
        )
    values = ordered(file.numbers([columns.time])[columns.time], info, columns.axes)[:, :, 0]
    if values.shape[1] != n_samples or values.shape[0] not in (1, n_trials):
        raise OutsideDataError(
            f"{file.path.name}: {columns.time} has {values.shape[1]} time stamps for {n_samples} samples"
        )
    factor = TIME_UNITS[unit]
    # Dividing by an exact power of ten is exact where multiplying by 0.001 is not.
    scaled = values / round(1 / factor) if factor < 1 else values * factor
    return np.broadcast_to(scaled, (n_trials, n_samples))


def _labels(file: DataFile, name: str | None, length: int, what: str) -> NDArray[np.intp] | None:
    """(row or trial,): equal numbers for equal values, numbered as they come."""
    if name is None:
        return None
    file.column(name)
    raw = file.read_labels(name).reshape(-1)
    if len(raw) != length:
        raise OutsideDataError(f"{file.path.name}: {name} has {len(raw)} values; it needs {length}, one a {what}")
    _, first, codes = np.unique(raw, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[codes]


def _spans(owners: NDArray[np.intp] | None, n_trials: int, n_samples: int) -> Iterator[tuple[str, slice]]:
    if owners is None:
        for number in range(n_trials):
            yield f"trial {number}" if n_trials > 1 else "the data", slice(0, n_samples)
        return
    edges = [0, *(np.flatnonzero(np.diff(owners)) + 1).tolist(), n_samples]
    if len(edges) - 1 > len(np.unique(owners)):
        twice = next(k for k in edges[1:-1] if owners[k] in owners[:k])
        raise OutsideDataError(
            f"the rows of a trial must stand together, but the trial of row {twice} stands further up as well; sort the "
            "rows by trial, or give every trial a name of its own"
        )
    for number, (start, stop) in enumerate(pairwise(edges)):
        yield f"trial {number} (from row {start})", slice(start, stop)


def _input_key(labels: NDArray[np.intp] | None, drive: NDArray[np.float64], drives: dict[bytes, int], what: str) -> int:
    """The input of a trial: as the file says, else equal where drives are the same to the last bit."""
    if labels is None:
        return drives.setdefault(drive.tobytes(), len(drives))
    if len(np.unique(labels)) > 1:
        raise OutsideDataError(f"{what} changes within the trial; it must say one thing for the whole trial")
    return int(labels[0])


def _conditions(file: DataFile, columns: ColumnMap, n_trials: int, n_samples: int) -> dict[str, NDArray[np.float64]]:
    """Every condition as (trial, time)."""
    shape = (n_trials, n_samples)
    found = {name: np.broadcast_to(float(value), shape) for name, value in columns.conditions.items()}
    for name, column in columns.condition_columns.items():
        values = file.numbers([column])[column]
        if values.size == 1:
            found[name] = np.broadcast_to(values.reshape(()), shape)
        elif values.size == n_trials:
            found[name] = np.broadcast_to(values.reshape(-1, 1), shape)
        else:
            ordered_values = ordered(values, file.column(column), columns.axes)[:, :, 0]
            if ordered_values.shape[1] != n_samples or ordered_values.shape[0] not in (1, n_trials):
                raise OutsideDataError(
                    f"{file.path.name}: condition {column} has the shape {values.shape}; it needs {shape}"
                )
            found[name] = np.broadcast_to(ordered_values, shape)
    return found


def _constant(values: NDArray[np.float64], name: str, trial: str) -> float:
    if not np.isfinite(values).all():
        raise OutsideDataError(f"{trial}: condition {name} is not finite everywhere")
    low, high = float(values.min()), float(values.max())
    if high - low > _WOBBLE * max(abs(low), abs(high)) + 1e-12:
        raise OutsideDataError(
            f"{trial}: condition {name} moves from {low:g} to {high:g}; a condition is constant in a trial. Name it as a "
            "--drive, or mark the stretches where it is constant as trials (--trial COLUMN)"
        )
    return low if low == high else float(values.mean())
