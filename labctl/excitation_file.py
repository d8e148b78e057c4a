"""A drive of the user's own, read from a CSV or NPZ file.

CSV: a header with the names of the drive channels, then one row a sample; a column `trial` begins a new trial wherever its value
changes, a column `time_s` is compared with the device's sampling time. NPZ: one array (time,) or (trial, time) for each drive
channel, by name, and `dt_s` where wanted.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labctl.errors import ExcitationError
from labctl.excitation import Excitation
from labctl.station import Device

TIME, TRIAL, SAMPLING = "time_s", "trial", "dt_s"
_SLACK = 1e-3
"""Times written with four digits are good enough."""

Array = NDArray[np.float64]


def read_excitation(path: Path, device: Device) -> Excitation:
    """The drive in a file, for a device with these drive channels and this sampling time.

    Raises ExcitationError: no such file, not readable, a channel missing or unknown, trials of different length, another
    sampling time.
    """
    if not path.is_file():
        raise ExcitationError(f"{path}: no such file; choose a CSV or NPZ file with the drive")
    readers = {".csv": _read_csv, ".npz": _read_npz}
    if path.suffix.lower() not in readers:
        raise ExcitationError(
            f"{path}: a drive is read from .csv or .npz, not from {path.suffix or 'a file without ending'}"
        )
    try:
        values = readers[path.suffix.lower()](path, device)
    except (OSError, ValueError, KeyError) as error:
        if isinstance(error, ExcitationError):
            raise
        raise ExcitationError(f"{path}: cannot be read as a drive: {error}") from error
    return Excitation.from_channels(values, dt_s=device.dt_s, description={"design": "file", "path": str(path)})


def _read_csv(path: Path, device: Device) -> dict[str, Array]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = [row for row in csv.reader(file) if row and not row[0].lstrip().startswith("#")]
    if len(rows) < 2:
        raise ExcitationError(f"{path}: a header and at least one row of numbers are needed")
    names = [name.strip() for name in rows[0]]
    _check_names(path, names, device)
    table = np.empty((len(rows) - 1, len(names)))
    for number, row in enumerate(rows[1:]):
        try:
            table[number] = [float(text) for text in row]
        except ValueError as error:
            raise ExcitationError(f"{path}: row {number + 2}: {len(names)} numbers expected, not {row}") from error
    columns = dict(zip(names, table.T, strict=True))
    begins = np.flatnonzero(np.diff(columns[TRIAL])) + 1 if TRIAL in columns else np.zeros(0, dtype=np.int64)
    starts = [0, *begins.tolist(), len(table)]
    lengths = {int(length) for length in np.diff(starts)}
    if len(lengths) > 1:
        raise ExcitationError(f"{path}: all trials must have the same number of rows, not {sorted(lengths)}")
    shape = (len(starts) - 1, lengths.pop())
    if TIME in columns:
        steps = np.diff(columns[TIME].reshape(shape), axis=1)
        if steps.size:
            _check_sampling(path, float(np.median(steps)), device)
    return {name: columns[name].reshape(shape) for name in device.drive}


def _read_npz(path: Path, device: Device) -> dict[str, Array]:
    with np.load(path, allow_pickle=False) as file:
        names = [name for name in file.files if name != SAMPLING]
        _check_names(path, names, device)
        if SAMPLING in file.files:
            _check_sampling(path, float(file[SAMPLING]), device)
        return {name: np.atleast_2d(np.asarray(file[name], dtype=np.float64)) for name in device.drive}


def _check_names(path: Path, names: list[str], device: Device) -> None:
    missing = [name for name in device.drive if name not in names]
    unknown = [name for name in names if name not in (*device.drive, TIME, TRIAL)]
    if missing or unknown or len(set(names)) != len(names):
        raise ExcitationError(
            f"{path}: {device.name} is driven by {', '.join(device.drive)}; the file has {', '.join(names) or 'nothing'}. "
            f"Name its columns so; {TRIAL} and {TIME} may stand beside them"
        )


def _check_sampling(path: Path, dt_s: float, device: Device) -> None:
    if abs(dt_s - device.dt_s) > _SLACK * device.dt_s:
        raise ExcitationError(
            f"{path}: its sampling time is {dt_s:g} s; {device.name} is sampled every {device.dt_s:g} s. Resample the file, "
            "or change the device's sample_rate_Hz"
        )
