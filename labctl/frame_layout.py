"""How a recording of frames lies in an HDF5 file; `xarray.open_dataset(path)` opens it plainly.

As in labctl.hdf5_layout everything has its place before the first frame, and nothing of the structure changes while the
recording runs: a process killed at any instant leaves a file that opens. Counts are as the camera sent them; there is no
fill value among them (every count is possible): `status` says which frames are there.
"""

from __future__ import annotations

import json

import h5py
import numpy as np
from numpy.typing import NDArray

from labctl import hdf5_layout
from labctl.frame_recording import FrameHeader

FORMAT = "labctl frames"
FORMAT_VERSION = 1
_PER_FRAME = {
    "status": (np.int8, 0, "0 not taken (counts are 0), 1 taken, 2 lost by the camera (counts are 0)", "1"),
    "frame_time": (np.float64, np.nan, "time since the trial's trigger, by the camera's clock", "s"),
    "saturated": (np.int64, 0, "counts at full scale", "1"),
    "light": (np.float64, np.nan, "lamp monitor, relative", "1"),
}
"""(trial, time): data type, what stands for "not measured", long name, unit."""


def lay_out(file: h5py.File, header: FrameHeader) -> None:
    """Write everything but the counts in an empty file; they get their place by `fill_counts`."""
    n_trials, n_frames, rows, columns = header.shape
    _attributes(file, header)
    for name, text in (("ended", hdf5_layout.STILL_OPEN), ("notes", "")):
        file.create_dataset(name, data=text.encode(), dtype=h5py.string_dtype("utf-8", hdf5_layout.REMARK_BYTES))
    _coordinate(file, "trial", np.arange(n_trials), "1", "trial")
    _coordinate(file, "time", np.arange(n_frames) * header.interval_s, "s", "time since the trial's trigger, as set")
    for name, size in (("y", rows), ("x", columns)):
        _coordinate(file, name, np.arange(size) * header.pixel, header.pixel_unit, f"{name}, of a pixel's first edge")
    _coordinate(file, "channel", _texts(header.names), "", "channel")
    _coordinate(file, "condition", _texts(header.condition_names), "", "set-point held during a trial")
    _variable(file, "condition_units", _texts(header.condition_units), ("condition",), "unit of each condition")
    planned = np.asarray(header.conditions, dtype=np.float64)
    _variable(file, "planned_conditions", planned, ("trial", "condition"), "as planned")
    measured = np.full(planned.shape, np.nan)
    _variable(file, "conditions", measured, ("trial", "condition"), "as read back when the trial began")
    seeds = np.asarray(header.seeds, dtype=np.int64)
    _variable(file, "seed", seeds, ("trial",), "of the trial's start")
    for name, (kind, nothing, long_name, unit) in _PER_FRAME.items():
        data = np.full((n_trials, n_frames), nothing, dtype=kind)
        _variable(file, name, data, ("trial", "time"), long_name).attrs["units"] = unit
    counts = _plan_counts(file, (*header.shape, len(header.names)))
    for axis, name in enumerate(("trial", "time", "y", "x", "channel")):
        counts.dims[axis].attach_scale(file[name])
    counts.attrs["units"] = "1"
    counts.attrs["long_name"] = "counts of the camera"
    counts.attrs["black_level"] = float(header.black_level)
    counts.attrs["full_scale"] = np.int64(header.full_scale)


def fill_counts(file: h5py.File) -> None:
    """Give the counts their place behind all else, filled with 0."""
    file["counts"][0, 0, 0, 0, 0] = 0  # the first write allocates and fills the whole data set


def count_bytes(header: FrameHeader) -> int:
    """Size of the counts."""
    return 2 * int(np.prod(header.shape)) * len(header.names)


def read_header(file: h5py.File) -> FrameHeader:
    """The header of a file; KeyError, ValueError or TypeError for a damaged one."""
    counts = file["counts"]
    return FrameHeader(
        shape=tuple(int(size) for size in counts.shape[:4]),  # type: ignore[arg-type] # four of them
        interval_s=float(file.attrs["interval_s"]),
        names=hdf5_layout.texts(file, "channel"),
        full_scale=int(counts.attrs["full_scale"]),
        black_level=float(counts.attrs["black_level"]),
        condition_names=hdf5_layout.texts(file, "condition"),
        condition_units=hdf5_layout.texts(file, "condition_units"),
        conditions=file["planned_conditions"][...],
        start=str(file.attrs["start"]),
        seeds=file["seed"][...],
        light=bool(file.attrs["light_on"]),
        simulated=bool(file.attrs["simulated"]),
        pixel=float(file.attrs["pixel"]),
        pixel_unit=str(file.attrs["pixel_unit"]),
        started_utc=str(file.attrs["started_utc"]),
        provenance=hdf5_layout.mapping(file, "provenance"),
    )


def _attributes(file: h5py.File, header: FrameHeader) -> None:
    file.attrs["format"] = FORMAT
    file.attrs["format_version"] = FORMAT_VERSION
    file.attrs["simulated"] = np.int8(header.simulated)
    file.attrs["complete"] = np.int8(0)
    file.attrs["started_utc"] = header.started_utc
    file.attrs["interval_s"] = float(header.interval_s)
    file.attrs["start"] = header.start
    file.attrs["light_on"] = np.int8(header.light)
    file.attrs["pixel"] = float(header.pixel)
    file.attrs["pixel_unit"] = header.pixel_unit
    text = json.dumps(dict(header.provenance), default=str)
    file.create_dataset("provenance", data=text, dtype=h5py.string_dtype())


def _texts(names: tuple[str, ...]) -> NDArray[np.object_]:
    return np.array(names, dtype=object)


def _coordinate(file: h5py.File, name: str, values: NDArray[np.generic], units: str, long_name: str) -> None:
    data = file.create_dataset(name, data=values, dtype=h5py.string_dtype() if values.dtype == object else None)
    data.make_scale(name)
    data.attrs["long_name"] = long_name
    if units:
        data.attrs["units"] = units


def _variable(
    file: h5py.File, name: str, values: NDArray[np.generic], dimensions: tuple[str, ...], long_name: str
) -> h5py.Dataset:
    data = file.create_dataset(name, data=values, dtype=h5py.string_dtype() if values.dtype == object else None)
    data.attrs["long_name"] = long_name
    for axis, dimension in enumerate(dimensions):
        data.dims[axis].attach_scale(file[dimension])
    return data


def _plan_counts(file: h5py.File, shape: tuple[int, ...]) -> h5py.Dataset:
    """A contiguous data set without a place as yet (see hdf5_layout)."""
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_alloc_time(h5py.h5d.ALLOC_TIME_LATE)
    plan.set_fill_time(h5py.h5d.FILL_TIME_ALLOC)
    plan.set_fill_value(np.array(0, dtype=np.uint16))
    space = h5py.h5s.create_simple(shape)
    return h5py.Dataset(h5py.h5d.create(file.id, b"counts", h5py.h5t.STD_U16LE, space, plan))
