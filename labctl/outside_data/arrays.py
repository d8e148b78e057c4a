"""Arrays of any order of axes as (trial, time, channel)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labctl.outside_data.column_map import AXES
from labctl.outside_data.data_file import ColumnInfo, DataFile
from labctl.outside_data.errors import OutsideDataError

_ALIASES = {
    "time": ("time", "t", "sample", "samples", "time_s"),
    "trial": ("trial", "trials", "repeat", "repeats", "repetition", "run", "runs", "experiment", "realisation"),
    "channel": ("channel", "channels", "ch", "drive_channel", "response_channel"),
}


@dataclass(frozen=True, slots=True, eq=False)
class Channels:
    """values (trial, time, channel), with one name and one unit a channel."""

    values: NDArray[np.float64]
    names: tuple[str, ...]
    units: tuple[str, ...]


def read_channels(file: DataFile, names: Sequence[str], axes: Sequence[str]) -> list[Channels]:
    """One entry for each of the names, which may pick a channel of an array, as in u[0]. Raises OutsideDataError."""
    bases = [_base(file, name) for name in names]
    arrays = file.numbers([base for base, _ in bases])
    found = []
    for name, (base, index) in zip(names, bases, strict=True):
        info = file.column(base)
        values = ordered(arrays[base], info, axes)
        if index is not None:
            if index >= values.shape[2]:
                raise OutsideDataError(f"{name}: {base} has {values.shape[2]} channels, numbered from 0")
            values = values[:, :, index : index + 1]
        n = values.shape[2]
        own = (name,) if n == 1 else tuple(f"{base}[{channel}]" for channel in range(n))
        found.append(Channels(values, own, (info.unit,) * n))
    return found


def ordered(array: NDArray[np.float64], info: ColumnInfo, axes: Sequence[str]) -> NDArray[np.float64]:
    """(trial, time, channel) of an array; one axis is time, and others of length 1 count for nothing."""
    if array.size == 0:
        raise OutsideDataError(f"{info.name} is empty; its shape is {array.shape}")
    if array.ndim <= 1 or array.ndim - array.shape.count(1) <= 1:
        return array.reshape(1, -1, 1)
    order = _order(array, info, axes)
    missing = [axis for axis in AXES if axis not in order]
    moved = np.transpose(array, [order.index(axis) for axis in AXES if axis in order])
    return np.expand_dims(moved, [AXES.index(axis) for axis in missing])


def _order(array: NDArray[np.float64], info: ColumnInfo, axes: Sequence[str]) -> tuple[str, ...]:
    if len(axes) == array.ndim:
        return tuple(axes)
    if array.ndim == 2 and len(axes) == 3:
        return tuple(axis for axis in axes if axis != "channel")
    if not axes and len(info.axes) == array.ndim:
        known = tuple(_meaning(axis) for axis in info.axes)
        if "time" in known and len(set(known)) == len(known) and "" not in known:
            return known
    raise OutsideDataError(
        f"{info.name} has the shape {array.shape}{f' and the axes {info.axes}' if info.axes else ''}: say what its axes "
        f"are, for example --axes trial,time or --axes time,channel{f' (not {chr(44).join(axes)})' if axes else ''}"
    )


def _meaning(axis: str) -> str:
    return next((name for name, aliases in _ALIASES.items() if axis.lower() in aliases), "")


def _base(file: DataFile, name: str) -> tuple[str, int | None]:
    """The array and the channel of a name such as u[0]; a column of just this name goes first."""
    picked = re.fullmatch(r"(.+)\[(\d+)\]", name)
    if name not in file.columns and picked and picked[1] in file.columns and not file.is_table:
        return picked[1], int(picked[2])
    return name, None
