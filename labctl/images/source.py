"""One array of images in a file or a folder that was looked at, and not yet read."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.images.errors import ImagesError

LARGEST_VALUES = 1 << 28
"""Numbers that are read of one sequence; a gibibyte as float32."""

Selection = tuple[slice, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSource:
    """What is known of images before they are read.

    shape: of the array as it lies in the file. axes: of each of its axes "trial", "time", "z", "y", "x", "channel", or
    "" where the file does not say. read: the part of the array that these slices choose; lazy: whether only that part takes
    memory. dt, pixel: where the file says them, with their units. numbers: of the frames, where they are numbered or timed:
    what stands between them may be missing. light: (trial, time), a lamp monitor's reading. lit, saturated: whether the
    images were taken with light, where that is known, and how many values the camera said are at full scale. taken: of a
    recording that was interrupted, how far each trial went. conditions,
    environment: of labctl's own files; every_condition: whether those stand there that never change, too.
    """

    path: Path
    format: str
    shape: tuple[int, ...]
    axes: tuple[str, ...]
    read: Callable[[Selection], NDArray[Any]]
    lazy: bool = True
    dt: float | None = None
    time_unit: str = "s"
    pixel: float | None = None
    pixel_unit: str = "px"
    names: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    numbers: tuple[float, ...] = ()
    simulated: bool | None = None
    condition_names: tuple[str, ...] = ()
    conditions: NDArray[Any] | None = None
    every_condition: bool = False
    environment: NDArray[Any] | None = None
    light: NDArray[Any] | None = None
    lit: bool | None = None
    saturated: int = 0
    taken: tuple[int, ...] = ()
    told: tuple[str, ...] = ()
    about: Mapping[str, Any] = field(default_factory=dict)

    def checked(self, selection: Selection) -> NDArray[Any]:
        """The chosen part. Raises ImagesError where it is too large, before any memory is taken, or cannot be read."""
        chosen = tuple(len(range(*one.indices(length))) for one, length in zip(selection, self.shape, strict=True))
        check_size(chosen if self.lazy else self.shape, str(self.path))
        if 0 in chosen:
            raise ImagesError(f"{self.path}: nothing is left of the array {self.shape}: {_in_words(selection)}")
        values = self.read(selection)
        if values.dtype.kind == "c":
            raise ImagesError(f"{self.path} holds complex numbers; write real and imaginary part as two channels")
        if values.dtype.kind not in "iufb":
            raise ImagesError(f"{self.path} holds no numbers but {values.dtype}")
        return values


def check_size(shape: Sequence[int], what: str) -> None:
    """Raise ImagesError for more numbers than are read at once."""
    count = math.prod(int(length) for length in shape)
    if count > LARGEST_VALUES:
        raise ImagesError(
            f"{what}: an array of {tuple(shape)} has {count} values, and at most {LARGEST_VALUES} are read; take a part of it "
            "(--frames START:STOP, --every N, --crop TOP:BOTTOM,LEFT:RIGHT; where a file cannot be read in parts, write a "
            "smaller one)"
        )


def real(values: NDArray[Any]) -> NDArray[np.float32]:
    """float32, as automata take it."""
    return np.asarray(values, dtype=np.float32)


def _in_words(selection: Selection) -> str:
    return ", ".join(f"{one.start}:{one.stop}:{one.step}" for one in selection)
