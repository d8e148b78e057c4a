"""Corrections of images for light and sensor, as functions of arrays: dark and flat references, drift, binning.

They serve labctl's own recordings and images of other programs alike, so that both refuse the same references.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.errors import RecordingError


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """The mean image of a dark or flat reference.

    mean: (y, x, channel). lit: whether it was taken with light, None where nobody knows. saturated: how many of its values
    are at full scale. name: for messages.
    """

    mean: NDArray[Any]
    lit: bool | None
    saturated: int
    name: str


def reference_of(
    images: NDArray[Any],
    *,
    lit: bool | None,
    saturated: int,
    name: str,
    error: type[RecordingError] = RecordingError,
) -> Reference:
    """The mean of images (frame, y, x, channel); frames that are not there (NaN throughout) do not count.

    Raises `error` where no frame is there, or one holds values that are not finite.
    """
    there = ~np.isnan(images).all(axis=(1, 2, 3))
    if not there.any():
        raise error(f"{name} holds no frame")
    taken = images[there]
    if not np.isfinite(taken).all():
        raise error(f"{name}: a dark or flat image holds values that are not finite")
    return Reference(taken.mean(axis=0, dtype=np.float64), lit, saturated, name)


def check_dark(dark: Reference, *, error: type[RecordingError] = RecordingError) -> None:
    """Raise `error` for images that were taken with light."""
    if dark.lit:
        raise error(f"{dark.name} was recorded with light: it is no dark reference")


def flat_gain(
    flat: Reference, dark: Reference | None, *, error: type[RecordingError] = RecordingError
) -> NDArray[np.float64]:
    """How much light each pixel gets (y, x, channel), 1 on average over each channel.

    Raises `error` for a reference without light, with pixels that saw none or are saturated, or of other pixels than dark's.
    """
    if flat.lit is False:
        raise error(f"{flat.name} was recorded without light: it is no flat field")
    if flat.saturated:
        raise error(f"{flat.name} has {flat.saturated} saturated values: it is no flat field; expose it for less time")
    if dark is not None:
        check_fits(dark, flat.mean.shape, flat.name, error=error)
    above = np.asarray(flat.mean if dark is None else flat.mean - dark.mean, dtype=np.float64)
    if not (above > 0).all():
        raise error(
            f"{flat.name}: {int((~(above > 0)).sum())} values are not above the dark: those pixels saw no light; it is no flat "
            "field"
        )
    relative: NDArray[np.float64] = above / above.mean(axis=(0, 1), keepdims=True)
    return relative


def check_fits(
    reference: Reference, shape: tuple[int, ...], what: str, *, error: type[RecordingError] = RecordingError
) -> None:
    """Raise `error` unless a reference has the pixels of images `shape` (y, x, channel), or one channel for all of them."""
    found = reference.mean.shape
    if found[:2] != tuple(shape[:2]) or found[2] not in (1, shape[2]):
        raise error(
            f"{reference.name}: its images are {found} (y, x, channel), those of {what} {tuple(shape)}; a reference is of the "
            "same pixels"
        )


def monitor_gain(
    light: NDArray[np.float64] | None,
    there: NDArray[np.bool_],
    what: str,
    *,
    error: type[RecordingError] = RecordingError,
) -> NDArray[np.float64]:
    """By what to divide frames (trial, time, 1, 1, 1), as the lamp monitor read; NaN where it did not.

    light, there: (trial, time). Raises `error` where a frame's reading is missing.
    """
    if light is None:
        raise error(f"{what} has no lamp monitor; drift 'mean' goes by the images themselves")
    known = np.isfinite(light) & (light > 0)
    if not known[there].all():
        raise error(f"{what}: the lamp monitor was not read at every frame; drift 'mean' goes by the images themselves")
    return np.asarray(np.where(known, light, np.nan))[:, :, None, None, None]


def mean_gain(
    values: NDArray[Any], there: NDArray[np.bool_], what: str, *, error: type[RecordingError] = RecordingError
) -> NDArray[np.float64]:
    """By what to divide frames (trial, time, 1, 1, channel) to bring every mean to that of its trial; NaN where none is there.

    values: (trial, time, y, x, channel). there: (trial, time). Raises `error` where a mean is not above 0.
    """
    means = values.mean(axis=(2, 3), keepdims=True, dtype=np.float64)
    if (means[there] <= 0).any():
        raise error(f"{what}: a frame's mean is not above black; drift 'mean' cannot work")
    means[~there] = np.nan
    level = np.ones((len(means), 1, 1, 1, means.shape[-1]))
    some = there.any(axis=1)
    level[some] = np.nanmean(means[some], axis=1, keepdims=True)
    gain: NDArray[np.float64] = means / level
    return gain


def binned(
    values: NDArray[Any], factor: int, what: str, *, error: type[RecordingError] = RecordingError
) -> NDArray[np.float64]:
    """Means over squares of factor × factor pixels of (…, y, x, channel). Raises `error` where they do not divide."""
    *before, rows, columns, channels = values.shape
    if factor < 1 or rows % factor or columns % factor:
        raise error(f"{what}: {rows} × {columns} pixels do not divide by {factor}")
    shape = (*before, rows // factor, factor, columns // factor, factor, channels)
    mean: NDArray[np.float64] = values.reshape(shape).mean(axis=(-4, -2), dtype=np.float64)
    return mean
