"""Data of other programs as recordings, so that everything that takes recordings takes them too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np

from labctl import hdf5_layout
from labctl.errors import UsageError
from labctl.hdf5_space import HDF5_ERRORS
from labctl.outside_data.errors import OutsideDataError
from labctl.outside_data.opening import is_hdf5
from labctl.recording import Recording, RecordingHeader
from labctl.store import open_recording

if TYPE_CHECKING:
    from labctl.outside_data.reading import OutsideData
    from twins import Traces


def is_recording(path: Path) -> bool:
    """Whether the file is a recording of labctl's own."""
    if not path.is_file():
        return False
    if not is_hdf5(path):
        return path.suffix == ".h5"  # open_recording tells that it is no HDF5 file
    try:
        with h5py.File(path, "r", locking=False) as file:
            return bool(file.attrs.get("format") == hdf5_layout.FORMAT)
    except (*HDF5_ERRORS, KeyError):
        return path.suffix == ".h5"  # damaged: open_recording tells what is wrong


def as_recordings(data: OutsideData, *, test: bool = False) -> list[Recording]:
    """One recording for each of the traces, or of those kept for testing; `provenance` says how they were made."""
    return [_recording(data, traces) for traces in (data.test if test else data.traces)]


def _recording(data: OutsideData, traces: Traces) -> Recording:
    header = RecordingHeader(
        shape=(traces.n_trials, traces.n_samples),
        dt_s=traces.dt_s,
        drive_names=traces.drive_names,
        drive_units=traces.drive_units,
        response_names=traces.response_names,
        response_units=traces.response_units,
        n_prepare=traces.n_prepare,
        input_id=traces.inputs,
        simulated=data.simulated,
        conditions=dict(traces.conditions),
        provenance={"outside_data": dict(data.provenance)},
    )
    valid = np.full(traces.n_trials, traces.n_samples, dtype=np.int64)
    return Recording(header, traces.drive, traces.response, valid, complete=True, path=data.path)


def own_recording(path: Path, drive: tuple[str, ...], response: tuple[str, ...]) -> Recording:
    """A recording of labctl's own, with all its channels or with those named. Raises RecordingError."""
    recording = open_recording(path)
    driven = _channels(path, "drive", recording.drive_names, drive)
    answering = _channels(path, "response", recording.response_names, response)
    header = replace(
        recording.header,
        drive_names=tuple(recording.drive_names[channel] for channel in driven),
        drive_units=tuple(recording.drive_units[channel] for channel in driven),
        response_names=tuple(recording.response_names[channel] for channel in answering),
        response_units=tuple(recording.response_units[channel] for channel in answering),
    )
    return replace(
        recording, header=header, drive=recording.drive[..., driven], response=recording.response[..., answering]
    )


def _channels(path: Path, role: str, there: tuple[str, ...], names: tuple[str, ...]) -> list[int]:
    if missing := [name for name in names if name not in there]:
        raise OutsideDataError(f"{path} has no {role} {', '.join(missing)}; it has {', '.join(there)}")
    return [there.index(name) for name in names] or list(range(len(there)))


def refuse_mapping(path: Path, given: list[str]) -> None:
    """Raises UsageError if options were given that a recording of labctl's own does not need."""
    if given:
        raise UsageError(
            f"{path} is a recording of labctl's own and says all this itself; leave out {', '.join(given)}"
        )
