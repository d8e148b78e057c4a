"""How an automaton's own images were read, as far as it holds for other files: what belongs to a file is not taken over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from labctl.images.errors import ImagesError
from labctl.images.opening import open_sources
from labctl.images.source import ImageSource
from labctl.images.treatments import ImageTreatments


def taken_over(own: ImageTreatments, paths: Sequence[Path]) -> tuple[ImageTreatments, list[str]]:
    """The treatments of an automaton's own images for these files, and what of them is left out, in words.

    axes: left out where a file says its own, or has another number of them; dataset: where there is none of this name; times
    and pixels: where a file says its own. labctl's own NPZ files say everything. Raises ImagesError.
    """
    left_out: list[str] = []
    if own == ImageTreatments():
        return own, left_out
    if own.dataset and not all(_has(path, own.dataset) for path in paths):
        left_out.append(f"dataset {own.dataset}, which is not there")
        own = replace(own, dataset="")
    sources = [source for path in paths for source in open_sources(path, dataset=own.dataset)]
    if all(source.format == "npz of labctl" for source in sources):
        return ImageTreatments(), []
    if own.axes:
        why = next(filter(None, (_why_other_axes(own.axes, source) for source in sources)), "")
        if why:
            left_out.append(f"axes {own.axes}: {why}")
            own = replace(own, axes="")
    if own.dt is not None and any(source.dt is not None for source in sources):
        left_out.append(f"dt {own.dt:g}, which the file says itself")
        own = replace(own, dt=None, time_unit=None)
    if own.pixel is not None and any(source.pixel is not None for source in sources):
        left_out.append(f"pixel {own.pixel:g}, which the file says itself")
        own = replace(own, pixel=None, pixel_unit=None)
    return own, left_out


def _has(path: Path, dataset: str) -> bool:
    try:
        return all(source.format not in ("pictures", "npy") for source in open_sources(path, dataset=dataset))
    except ImagesError:
        return False


def _why_other_axes(axes: str, source: ImageSource) -> str:
    if "" not in source.axes:
        return f"{source.path.name} says its own"
    if len(axes) != len(source.shape):
        return f"{source.path.name} has {len(source.shape)}"
    return ""
