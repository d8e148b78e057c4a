"""TIFF stacks, by tifffile: pages, series, the axes and times that ImageJ and OME write."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.images.coordinates import in_seconds
from labctl.images.errors import ImagesError
from labctl.images.numpy_files import OWN
from labctl.images.source import ImageSource, Selection

_MEANING = {"T": "time", "Z": "z", "C": "channel", "S": "channel", "Y": "y", "X": "x"}
_PLAIN = {"I", "Q", "R"}
"""Axes of pages that do not say what they are."""


def open_tiff(path: Path, dataset: str) -> ImageSource:
    """One series of a TIFF file, chosen by its number where there are several. Raises ImagesError."""
    try:
        import tifffile
    except ImportError as error:
        raise ImagesError(f"{path}: TIFF needs tifffile: pip install 'labctl[images]'") from error
    try:
        with tifffile.TiffFile(path) as file:
            listed = [(tuple(map(int, one.shape)), str(one.axes)) for one in file.series]
            number = _chosen(path, listed, dataset)
            shape, letters = listed[number]
            told, axes = _axes(path, shape, letters)
            by_page = _is_by_page(file.series[number])
            known = _known(file)
    except (OSError, ValueError, IndexError, KeyError, TypeError, RuntimeError, tifffile.TiffFileError) as error:
        raise ImagesError(f"{path}: cannot be read as TIFF: {error}") from error

    def read(selection: Selection) -> NDArray[Any]:
        try:
            with tifffile.TiffFile(path) as file:
                if by_page:
                    pages = list(file.series[number].pages)[selection[0]]
                    return np.stack([np.asarray(page.asarray()) for page in pages])[(slice(None), *selection[1:])]
                return np.asarray(file.series[number].asarray())[selection]
        except (OSError, ValueError, RuntimeError, tifffile.TiffFileError, MemoryError, KeyError) as error:
            raise ImagesError(f"{path}: cannot be read as TIFF: {error}") from error

    return ImageSource(
        path=path, format="tiff", shape=shape, axes=axes, read=read, lazy=by_page, told=told,
        about={"series": number, "axes": letters}, **known,
    )  # fmt: skip


def _is_by_page(series: Any) -> bool:
    """Whether the first axis runs over pages, each of which can be read by itself."""
    pages = list(series.pages)
    shape = tuple(map(int, series.shape))
    return len(shape) > 2 and len(pages) == shape[0] > 1 and tuple(pages[0].shape) == shape[1:]


def _chosen(path: Path, listed: list[tuple[tuple[int, ...], str]], dataset: str) -> int:
    words = "; ".join(f"{number}: {axes} {shape}" for number, (shape, axes) in enumerate(listed[:40]))
    if not listed:
        raise ImagesError(f"{path} holds no images")
    if dataset:
        if not dataset.isdecimal() or int(dataset) >= len(listed):
            raise ImagesError(f"{path} has no series {dataset!r}; it has {words}")
        return int(dataset)
    if len(listed) > 1:
        raise ImagesError(
            f"{path} holds {len(listed)} series of images of different kinds ({words}); give --dataset NUMBER"
        )
    return 0


def _axes(path: Path, shape: tuple[int, ...], letters: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What wants saying, and the axes."""
    axes = [_MEANING.get(letter, "") for letter in letters]
    told = []
    unknown = [place for place, letter in enumerate(letters) if letter in _PLAIN]
    if "time" not in axes and len(unknown) == 1:
        axes[unknown[0]] = "time"
        told.append(
            f"{path.name}: its {shape[unknown[0]]} pages are taken for frames in time (the file does not say; --axes does)"
        )
    elif "time" not in axes and "z" in axes and not unknown:
        axes[axes.index("z")] = "time"
        told.append(f"{path.name}: it has no axis of time, its z planes are taken for frames (--axes says otherwise)")
    if letters.count("C") and letters.count("S"):
        return tuple(told), ("",) * len(letters)
    return tuple(told), tuple(axes)


def _known(file: Any) -> dict[str, Any]:
    """dt (s) and pixel size, where ImageJ or OME wrote them."""
    found: dict[str, Any] = {}
    imagej: Mapping[str, Any] = file.imagej_metadata or {}
    interval = imagej.get("finterval") or (1.0 / imagej["fps"] if imagej.get("fps") else None)
    if interval and np.isfinite(float(interval)) and float(interval) > 0:
        found["dt"], found["time_unit"] = in_seconds(float(interval), str(imagej.get("tunit", "")))
    unit = str(imagej.get("unit", "")).encode().decode("unicode_escape", errors="replace") if imagej else ""
    resolution = file.pages[0].tags.get("XResolution")
    if unit and unit not in ("pixel", "inch") and resolution is not None and resolution.value[0]:
        found |= {"pixel": resolution.value[1] / resolution.value[0], "pixel_unit": "µm" if unit == "micron" else unit}
    ome = file.ome_metadata or ""
    for key, attribute, unit_key, default in (
        ("dt", "TimeIncrement", "time_unit", "s"), ("pixel", "PhysicalSizeX", "pixel_unit", "µm"),
    ):  # fmt: skip
        value = re.search(rf'\b{attribute}="([0-9.eE+-]+)"', ome)
        given = re.search(rf'\b{attribute}Unit="([^"]*)"', ome)
        if value and float(value[1]) > 0:
            found |= {key: float(value[1]), unit_key: given[1] if given else default}
    if "dt" in found:
        found["dt"], found["time_unit"] = in_seconds(found["dt"], found["time_unit"])
    names = re.findall(r'<Channel\b[^>]*\bName="([^"]*)"', ome)
    if OWN in imagej:
        return found | _own(imagej[OWN])
    return found | ({"names": tuple(names)} if names and len(set(names)) == len(names) else {})


def _own(told: Any) -> dict[str, Any]:
    """What labctl wrote into a TIFF of its own. tifffile gives JSON text back as it is, or read."""
    about = json.loads(told) if isinstance(told, str) else dict(told)
    return {
        "dt": float(about["dt"]), "time_unit": str(about["time_unit"]), "pixel": float(about["pixel"]),
        "pixel_unit": str(about["pixel_unit"]), "names": tuple(map(str, about["names"])),
        "units": tuple(map(str, about["units"])), "simulated": bool(about["simulated"]),
    }  # fmt: skip
