"""Zarr arrays and groups, of format 2 and 3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.images.axes import meaning
from labctl.images.coordinates import coordinate_step
from labctl.images.errors import ImagesError
from labctl.images.source import ImageSource, Selection
from labctl.outside_data.packed import unpack

_MOST_ARRAYS = 1000


def open_zarr(path: Path, dataset: str) -> ImageSource:
    """One array of a Zarr folder, chosen by its path where there are several. Raises ImagesError."""
    try:
        import zarr
    except ImportError as error:
        raise ImagesError(f"{path}: Zarr needs zarr: pip install 'labctl[images]'") from error
    try:
        root = zarr.open(str(path), mode="r")
        arrays = {"": root} if isinstance(root, zarr.Array) else _arrays(root, path)
        if dataset and dataset not in arrays:
            raise ImagesError(f"{path} has no array {dataset!r}; {_listed(arrays)}")
        images = [dataset] if dataset else [name for name, one in arrays.items() if len(one.shape) >= 3]
        if len(images) != 1:
            raise ImagesError(f"{path}: {_listed(arrays)}; say which is the sequence with --dataset NAME")
        array = arrays[images[0]]
        known = _known(array, arrays)
    except ImagesError:
        raise
    except Exception as error:  # zarr raises errors of many kinds of its own
        raise ImagesError(f"{path}: cannot be read as Zarr: {type(error).__name__}: {error}") from error

    def read(selection: Selection) -> NDArray[Any]:
        try:
            return unpack(np.asarray(array[selection]), dict(array.attrs))
        except Exception as error:
            raise ImagesError(
                f"{path}: {images[0] or 'its array'} cannot be read: {type(error).__name__}: {error}"
            ) from error

    return ImageSource(
        path=path, format="zarr", shape=tuple(array.shape), read=read, about={"dataset": images[0]}, **known
    )


def _arrays(group: Any, path: Path, prefix: str = "", depth: int = 0) -> dict[str, Any]:
    import zarr

    found: dict[str, Any] = {}
    for name, member in group.members():
        full = f"{prefix}{name}"
        if isinstance(member, zarr.Array):
            found[full] = member
        elif depth < 8:
            found |= _arrays(member, path, f"{full}/", depth + 1)
        if len(found) > _MOST_ARRAYS:
            raise ImagesError(f"{path} holds more than {_MOST_ARRAYS} arrays; give the folder of one of them")
    return found


def _known(array: Any, arrays: dict[str, Any]) -> dict[str, Any]:
    """Axes by their names (format 3, or xarray's attribute in format 2); time step and pixel from coordinates."""
    names = getattr(array.metadata, "dimension_names", None) or array.attrs.get("_ARRAY_DIMENSIONS") or ()
    words = [str(name or "") for name in names] if len(names) == len(array.shape) else [""] * len(array.shape)
    found: dict[str, Any] = {"axes": tuple(map(meaning, words))}
    for word, axis in zip(words, found["axes"], strict=True):
        beside = arrays.get(word)
        if word and beside is not None and len(beside.shape) == 1 and 2 <= beside.shape[0] <= 1_000_000:
            found |= coordinate_step(axis, np.asarray(beside[:]), str(beside.attrs.get("units", "")))
    return found


def _listed(arrays: dict[str, Any]) -> str:
    return "it holds " + (
        ", ".join(f"{name} {tuple(one.shape)}" for name, one in list(arrays.items())[:40]) or "no arrays"
    )
