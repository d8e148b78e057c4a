"""NPY and NPZ files, and labctl's own NPZ of frames. Pickled objects are never read."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.images.errors import ImagesError
from labctl.images.source import ImageSource, Selection, check_size

OWN = "labctl_frames"
"""The array of an NPZ file that tells of labctl's own, as JSON text."""
_DAMAGED = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, NotImplementedError, RuntimeError)
_LARGEST_TEXT = 1 << 24  # bytes; NumPy takes four a letter


def open_npy(path: Path) -> ImageSource:
    """One array, mapped into memory rather than read. Raises ImagesError."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except _DAMAGED as error:
        raise ImagesError(f"{path}: cannot be read as NPY: {error}") from error

    def read(selection: Selection) -> NDArray[Any]:
        return np.array(array[selection])

    return ImageSource(path=path, format="npy", shape=array.shape, axes=("",) * array.ndim, read=read)


def open_npz(path: Path, dataset: str) -> ImageSource:
    """One array of an NPZ file, chosen by name where there are several. Raises ImagesError."""
    shapes = _shapes(path)
    if OWN in shapes and not dataset:
        return _own(path, shapes)
    images = {name: shape for name, (shape, kind) in shapes.items() if len(shape) >= 3 and kind in "iufbc"}
    images = images or {name: shape for name, (shape, kind) in shapes.items() if len(shape) == 2 and kind in "iufbc"}
    names = list(images) if not dataset else [dataset]
    if dataset and dataset not in shapes:
        raise ImagesError(f"{path} has no array {dataset!r}; {_listed(shapes)}")
    if len(names) != 1:
        wanted = "none has the axes of images" if not names else "say which with --dataset NAME"
        raise ImagesError(f"{path}: {_listed(shapes)}; {wanted}")
    name = names[0]
    told = () if len(shapes) == 1 else (f"{path.name}: the array {name} is taken; {_listed(shapes)}",)
    shape = shapes[name][0]
    return ImageSource(
        path=path, format="npz", shape=shape, axes=("",) * len(shape), read=lambda part: _read(path, name)[part],
        lazy=False, told=told, about={"dataset": name},
    )  # fmt: skip


def _shapes(path: Path) -> dict[str, tuple[tuple[int, ...], str]]:
    """Shape and kind of every array, from their headers alone: a small file may claim a large array, or a long text."""
    found: dict[str, tuple[tuple[int, ...], str]] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if not name.endswith(".npy"):
                    continue
                with archive.open(name) as member:
                    version = np.lib.format.read_magic(member)
                    reader = (
                        np.lib.format.read_array_header_1_0
                        if version == (1, 0)
                        else np.lib.format.read_array_header_2_0
                    )
                    shape, _, dtype = reader(member)
                    if dtype.kind in "US" and dtype.itemsize > _LARGEST_TEXT:
                        raise ImagesError(f"{path}: {name} is a text of {dtype.itemsize} bytes, which is not read")
                    found[name.removesuffix(".npy")] = (tuple(int(n) for n in shape), dtype.kind)
    except _DAMAGED as error:
        raise ImagesError(f"{path}: cannot be read as NPZ: {error}") from error
    if not found:
        raise ImagesError(f"{path} is a zip file without NumPy arrays")
    return found


def _read(path: Path, name: str) -> NDArray[Any]:
    try:
        with np.load(path, allow_pickle=False) as file:
            array: NDArray[Any] = file[name]
    except _DAMAGED as error:
        raise ImagesError(f"{path}: {name} cannot be read: {error}") from error
    return array


def _own(path: Path, shapes: dict[str, tuple[tuple[int, ...], str]]) -> ImageSource:
    for name, (shape, _) in shapes.items():
        check_size(shape, f"{path}: {name}")
    kinds = {name: kind for name, (_, kind) in shapes.items() if name in ("values", "conditions", "environment")}
    if (
        shapes[OWN] != ((), "U")
        or set(kinds.values()) - set("iuf")
        or "values" not in shapes
        or len(shapes["values"][0]) != 5
    ):
        raise ImagesError(f"{path} is a damaged file of frames: {_listed(shapes)}")
    try:
        about = json.loads(str(_read(path, OWN)))
        conditions, environment = (
            _read(path, name) if name in shapes else None for name in ("conditions", "environment")
        )
        return ImageSource(
            path=path, format="npz of labctl", shape=shapes["values"][0], axes=("trial", "time", "y", "x", "channel"),
            read=lambda part: _read(path, "values")[part], lazy=False,
            dt=float(about["dt"]), time_unit=str(about["time_unit"]),
            pixel=float(about["pixel"]), pixel_unit=str(about["pixel_unit"]), names=tuple(map(str, about["names"])),
            units=tuple(map(str, about["units"])), simulated=bool(about["simulated"]),
            condition_names=tuple(map(str, about["condition_names"])), conditions=conditions,
            environment=environment, about=about.get("provenance", {}),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise ImagesError(f"{path} is a damaged file of frames: {error}") from error


def _listed(shapes: dict[str, tuple[tuple[int, ...], str]]) -> str:
    return "it holds " + ", ".join(f"{name} {shape}" for name, (shape, _) in list(shapes.items())[:40])
