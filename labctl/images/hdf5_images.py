"""HDF5 and netCDF 4: one data set of images. Nothing outside the file itself is ever opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from labctl.hdf5_space import HDF5_ERRORS
from labctl.images.axes import meaning
from labctl.images.coordinates import coordinate_step
from labctl.images.errors import ImagesError
from labctl.images.source import ImageSource, Selection
from labctl.outside_data.packed import unpack

_MOST_DATASETS = 10_000
_DAMAGED = (*HDF5_ERRORS, TypeError, KeyError)


def open_hdf5(path: Path, dataset: str) -> ImageSource:
    """One data set, chosen by its path where there are several. Raises ImagesError."""
    from labctl.images.own_recordings import is_frame_recording, open_frame_recording

    if is_frame_recording(path) and not dataset:
        return open_frame_recording(path)
    try:
        with h5py.File(path, "r", locking=False) as file:
            found = _datasets(file, path)
            name = _chosen(path, found, dataset.strip("/"))
            known = _known(file, file[name])
            shape = found[name]
    except _DAMAGED as error:
        raise ImagesError(f"{path}: is a damaged HDF5 file: {error}") from error

    def read(selection: Selection) -> NDArray[Any]:
        try:
            with h5py.File(path, "r", locking=False) as file:
                return unpack(np.asarray(file[name][selection]), dict(file[name].attrs))
        except _DAMAGED as error:
            raise ImagesError(f"{path}: {name} cannot be read: {error}") from error

    return ImageSource(path=path, format="hdf5", shape=shape, read=read, about={"dataset": name}, **known)


def _datasets(file: h5py.File, path: Path) -> dict[str, tuple[int, ...]]:
    """Those of numbers that lie in the file itself; links to other files are not followed."""
    found: dict[str, tuple[int, ...]] = {}

    def visit(name: str, item: h5py.HLObject) -> None:
        if isinstance(item, h5py.Dataset) and item.shape is not None and item.dtype.kind in "iufb":
            if len(found) >= _MOST_DATASETS:
                raise ImagesError(f"{path} holds more than {_MOST_DATASETS} data sets")
            if not (item.external or item.is_virtual):
                found[name] = tuple(item.shape)

    file.visititems(visit)
    return found


def _chosen(path: Path, found: dict[str, tuple[int, ...]], dataset: str) -> str:
    listed = ", ".join(f"{name} {shape}" for name, shape in list(found.items())[:40]) or "none of numbers"
    if dataset:
        if dataset not in found:
            raise ImagesError(f"{path} has no data set {dataset!r} of numbers in the file itself; it holds {listed}")
        return dataset
    images = [name for name, shape in found.items() if len(shape) >= 3]
    if len(images) != 1:
        raise ImagesError(f"{path} holds {listed}; say which data set is the sequence with --dataset PATH")
    return images[0]


def _known(file: h5py.File, data: h5py.Dataset) -> dict[str, Any]:
    """Axes by the names of netCDF dimensions; time step, pixel and channel names from their coordinates."""
    words: list[str] = []
    found: dict[str, Any] = {}
    for place in range(data.ndim):
        scale = data.dims[place][0] if len(data.dims[place]) else None
        word = data.dims[place].label or (str(scale.name).rsplit("/", 1)[-1] if scale is not None else "")
        words.append(meaning(word))
        if scale is not None and scale.ndim == 1 and 2 <= scale.shape[0] <= 1_000_000 and not scale.external:
            unit = scale.attrs.get("units", "")
            found |= coordinate_step(words[-1], scale[:], unit.decode() if isinstance(unit, bytes) else str(unit))
    simulated = {}
    for holder in (data, file):
        if "simulated" in holder.attrs and np.ndim(holder.attrs["simulated"]) == 0:
            simulated = {"simulated": bool(holder.attrs["simulated"])}
            break
    return {"axes": tuple(words), **found, **simulated}
