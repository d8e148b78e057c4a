"""How a recording lies in an HDF5 file: one description for writer and reader.

A file is netCDF-4-compatible (dimension scales, units, long_name): `xarray.open_dataset(path)` opens it plainly.
Everything is laid out before the first sample: contiguous data sets, filled with NaN before anything is played. While
the recording runs no structure of the file changes and no new space is needed, only samples, counts and remarks are
overwritten: a process killed at any instant leaves a file that opens.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import h5py
import numpy as np
from numpy.typing import NDArray

from labctl.recording import RecordingHeader

FORMAT = "labctl recording"
FORMAT_VERSION = 1
REMARK_BYTES = 4000  # reserved, so that the last remarks need no new space on a full disk
NOT_KNOWN = -1
"""Stands for a count that nobody took, or that a recorder was killed before it wrote."""
STILL_OPEN = "still being recorded, or the recorder was killed"


def lay_out(file: h5py.File, header: RecordingHeader) -> None:
    """Write everything but the samples in an empty file; they get their place by `fill_samples`."""
    n_trials, n_samples = header.shape
    file.attrs["format"] = FORMAT
    file.attrs["format_version"] = FORMAT_VERSION
    file.attrs["simulated"] = np.int8(header.simulated)
    file.attrs["complete"] = np.int8(0)
    file.attrs["started_utc"] = header.started_utc
    file.attrs["dt_s"] = float(header.dt_s)
    file.attrs["n_prepare"] = np.int64(header.n_prepare)
    for name in ("lost_samples", "late_samples"):
        file.attrs[name] = np.int64(NOT_KNOWN)
    file.create_dataset("provenance", data=json.dumps(dict(header.provenance), default=str), dtype=_text())
    file.create_dataset("conditions", data=json.dumps(dict(header.conditions)), dtype=_text())
    for name, text in (("ended", STILL_OPEN), ("notes", "")):
        file.create_dataset(name, data=text.encode(), dtype=h5py.string_dtype("utf-8", REMARK_BYTES))
    _scale(file, "trial", np.arange(n_trials, dtype=np.int64), units="1", long_name="trial")
    time_s = (np.arange(n_samples) - header.n_prepare) * header.dt_s
    _scale(file, "time", time_s, units="s", long_name="time since the drive began; the preparation is negative")
    input_id = file.create_dataset("input_id", data=np.asarray(header.input_id, dtype=np.int64))
    input_id.attrs["long_name"] = "equal numbers mark repeats of the same drive"
    counts = file.create_dataset("valid_samples", data=np.zeros(n_trials, dtype=np.int64))
    counts.attrs["long_name"] = "measured samples of each trial; the rest is NaN"
    for name in ("input_id", "valid_samples"):
        file[name].attrs["units"] = "1"
        _attach(file[name], file, "trial")
    for role, names, units in (
        ("drive", header.drive_names, header.drive_units),
        ("response", header.response_names, header.response_units),
    ):
        _channels(file, role, names, units)
        samples = _plan_samples(file, role, (n_trials, n_samples, len(names)))
        _attach(samples, file, "trial", "time", f"{role}_channel")
        samples.attrs["units"] = units[0] if len(set(units)) == 1 else f"mixed: see {role}_units"
        samples.attrs["long_name"] = f"{role} (trial, time, {role}_channel)"


def fill_samples(file: h5py.File) -> None:
    """Give the samples their place behind all else, filled with NaN."""
    for role in ("drive", "response"):
        if file[role].size:
            file[role][0, 0, 0] = np.nan  # the first write of one sample allocates and fills the whole data set


def expected_names() -> tuple[str, ...]:
    """The data sets without which a file is no recording."""
    return (
        "trial", "time", "drive_channel", "response_channel", "drive", "response", "drive_units", "response_units",
        "input_id", "valid_samples", "provenance", "conditions", "ended", "notes",
    )  # fmt: skip


def texts(file: h5py.File, name: str) -> tuple[str, ...]:
    """A data set of strings as Python strings."""
    return tuple(str(text) for text in file[name].asstr()[...])


def remark(file: h5py.File, name: str) -> str:
    """One of the two texts of fixed length, `ended` and `notes`."""
    return bytes(file[name][()]).rstrip(b"\0").decode("utf-8", errors="replace")


def write_remark(file: h5py.File, name: str, text: str) -> None:
    """Overwrite `ended` or `notes`; what does not fit into the reserved space is left away, visibly."""
    file[name][()] = remark_bytes(text).rstrip(b"\0")


def remark_bytes(text: str) -> bytes:
    """A remark as it lies in the file: cut to the reserved space, filled up with zeros."""
    data = text.encode()
    return (data if len(data) <= REMARK_BYTES else data[: REMARK_BYTES - 4] + b" ...").ljust(REMARK_BYTES, b"\0")


def count(file: h5py.File, name: str) -> int | None:
    """A count of the file's attributes; None where it is not known, as in files of before it was counted."""
    found = int(file.attrs.get(name, NOT_KNOWN))
    return None if found == NOT_KNOWN else found


def mapping(file: h5py.File, name: str) -> Mapping[str, object]:
    """A data set that holds a JSON object."""
    loaded = json.loads(file[name].asstr()[()])
    if not isinstance(loaded, dict):
        raise ValueError(f"{name} is not a JSON object")
    return loaded


def _channels(file: h5py.File, role: str, names: Sequence[str], units: Sequence[str]) -> None:
    _scale(file, f"{role}_channel", np.array(names, dtype=object), units="", long_name=f"{role} channel")
    data = file.create_dataset(f"{role}_units", data=np.array(units, dtype=object), dtype=_text())
    data.attrs["long_name"] = f"unit of each {role} channel"
    _attach(data, file, f"{role}_channel")


def _scale(file: h5py.File, name: str, values: NDArray[np.generic], *, units: str, long_name: str) -> None:
    """A coordinate: a one-dimensional data set that is its own dimension scale."""
    dtype = _text() if values.dtype == object else None
    data = file.create_dataset(name, data=values, dtype=dtype)
    data.make_scale(name)
    data.attrs["long_name"] = long_name
    if units:
        data.attrs["units"] = units


def _attach(data: h5py.Dataset, file: h5py.File, *dimensions: str) -> None:
    for axis, name in enumerate(dimensions):
        data.dims[axis].attach_scale(file[name])


def _plan_samples(file: h5py.File, name: str, shape: tuple[int, ...]) -> h5py.Dataset:
    """A contiguous data set without a place as yet; h5py's own create_dataset leaves open when it is filled."""
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_alloc_time(h5py.h5d.ALLOC_TIME_LATE)
    plan.set_fill_time(h5py.h5d.FILL_TIME_ALLOC)
    plan.set_fill_value(np.array(np.nan))
    space = h5py.h5s.create_simple(shape)
    return h5py.Dataset(h5py.h5d.create(file.id, name.encode(), h5py.h5t.NATIVE_DOUBLE, space, plan))


def _text() -> np.dtype[np.generic]:
    kind: np.dtype[np.generic] = h5py.string_dtype()
    return kind
