"""labctl's own recordings of a camera as image sources: shares of full scale above black, conditions, the lamp monitor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
from numpy.typing import NDArray

from labctl.errors import RecordingError
from labctl.frame_layout import FORMAT
from labctl.hdf5_space import HDF5_ERRORS
from labctl.images.errors import ImagesError
from labctl.images.source import ImageSource, Selection


def is_frame_recording(path: Path) -> bool:
    """Whether an HDF5 file is a recording of frames."""
    try:
        with h5py.File(path, "r", locking=False) as file:
            return bool(file.attrs.get("format") == FORMAT)
    except HDF5_ERRORS:
        return False


def open_frame_recording(path: Path) -> ImageSource:
    """The recording; frames that were lost or never taken are NaN. Raises ImagesError."""
    from labctl.frame_store import read_frames

    try:
        recording = read_frames(path)
    except RecordingError as error:
        raise ImagesError(f"{path}: cannot be read as a recording of frames: {error}") from error
    header = recording.header
    told = [f"{path.name} holds dark frames, a reference with nothing to learn from"] if not header.light else []
    told += [f"{path.name}: values are shares of full scale above the black level of {header.black_level:g} counts"]
    if recording.lost:
        told.append(f"{path.name}: the camera lost {len(recording.lost)} frames")
    saturated = int(recording.saturated.sum())
    if saturated:
        told.append(f"{path.name}: {saturated} counts are at full scale; what lies above is not known")

    def read(selection: Selection) -> NDArray[Any]:
        return recording.signal(selection)

    return ImageSource(
        path=path, format="recording of labctl", shape=recording.counts.shape, axes=("trial", "time", "y", "x", "channel"),
        read=read, dt=recording.interval_s, pixel=header.pixel, pixel_unit=header.pixel_unit,
        names=recording.names, units=("1",) * len(recording.names), simulated=recording.simulated,
        condition_names=header.condition_names, conditions=recording.conditions, every_condition=True,
        light=recording.light, lit=header.light, saturated=saturated,
        taken=() if recording.complete else tuple(recording.valid_frames.tolist()), told=tuple(told), about=dict(header.provenance),
    )  # fmt: skip
