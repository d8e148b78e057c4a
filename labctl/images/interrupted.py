"""Recordings that ended before their time: what there is of them is read, and that is said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.images.errors import ImagesError
from labctl.images.source import ImageSource, Selection


def went_on(source: ImageSource, stop: int | None) -> ImageSource:
    """The sequences of an interrupted recording that went on to `stop`, cut there; without `stop`, to where most frames are kept.

    Raises ImagesError, which says what there is, where no sequence went on so far.
    """
    taken = np.array(source.taken, dtype=np.int64)
    n_trials, n_frames = source.shape[:2]
    if not len(taken) or (taken >= n_frames).all():
        return source
    what = f"{source.path.name} was interrupted: {_listed(taken)} of {n_frames} frames were taken"
    if not taken.any():
        raise ImagesError(f"{what}; there is nothing to read")
    end = stop if stop is not None else max(set(taken.tolist()), key=lambda one: (one * int((taken >= one).sum()), one))
    kept = np.flatnonzero(taken >= end)
    if not len(kept):
        raise ImagesError(f"{what}; use --frames 0:{taken.max()}, or any part of it")
    left_out = f"; {n_trials - len(kept)} of {n_trials} sequences are left out" if len(kept) < n_trials else ""
    told = f"{what}, of which {end} are read (--frames START:STOP says otherwise){left_out}"
    span = slice(int(kept[0]), int(kept[-1]) + 1)

    def read(selection: Selection) -> NDArray[Any]:
        values = source.read((span, *selection[1:]))
        return values if len(values) == len(kept) else values[kept - kept[0]]

    return replace(
        source, shape=(len(kept), end, *source.shape[2:]), read=read, told=(*source.told, told), taken=(),
        conditions=None if source.conditions is None else source.conditions[kept],
        light=None if source.light is None else source.light[kept],
    )  # fmt: skip


def _listed(taken: NDArray[np.int64]) -> str:
    return ", ".join(map(str, taken[:6].tolist())) + (" …" if len(taken) > 6 else "")
