"""Which axis of an array is what, and arrays in the order (trial, time, y, x, channel)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.images.errors import ImagesError

ORDER = ("trial", "time", "y", "x", "channel")
_LETTERS = {"n": "trial", "t": "time", "z": "z", "y": "y", "x": "x", "c": "channel"}
_MOST_CHANNELS = 4
"""Of an axis that is guessed to be the channels."""

_ALIASES = {
    "trial": ("trial", "trials", "n", "b", "batch", "sample", "samples", "run", "runs", "repeat", "experiment"),
    "time": ("time", "t", "frame", "frames", "frame_time"),
    "z": ("z", "depth"),
    "y": ("y", "row", "rows", "height", "h", "lat", "latitude"),
    "x": ("x", "column", "columns", "col", "width", "w", "lon", "longitude"),
    "channel": ("channel", "channels", "c", "s", "band", "bands", "variable", "field", "fields", "rgb", "rgba"),
}


def axes_of(text: str) -> tuple[str, ...]:
    """The axes of a word such as tyxc. Raises ImagesError."""
    letters = text.lower()
    if not set(letters) <= set(_LETTERS) or len(set(letters)) != len(letters) or not {"y", "x"} <= set(letters):
        raise ImagesError(
            f"axes {text!r}: give one letter for each axis, each once: t, y and x, with n (trials), c (channels), z where "
            "there are such, as in tyx, tyxc, ntcyx; without t it is one picture, as in yx, yxc"
        )
    return tuple(_LETTERS[letter] for letter in letters)


def meaning(name: str) -> str:
    """What an axis of this name is; empty if the name does not say."""
    return next((word for word, aliases in _ALIASES.items() if name.lower() in aliases), "")


def letters(axes: Sequence[str]) -> str:
    """Axes as a word, such as tyxc."""
    back = {word: letter for letter, word in _LETTERS.items()}
    return "".join(back.get(word, "?") for word in axes)


def settled(shape: Sequence[int], known: Sequence[str], asked: str, what: str) -> tuple[tuple[str, ...], str]:
    """The axes of an array, and what wants saying where they were guessed.

    asked: a word such as tyxc, or empty. known: as the file has it. Raises ImagesError where it is not clear.
    """
    if asked:
        axes = axes_of(asked)
        if len(axes) != len(shape):
            raise ImagesError(
                f"{what}: --axes {asked} names {len(axes)} axes, the array {tuple(shape)} has {len(shape)}"
            )
        return axes, ""
    if len(known) == len(shape) and "" not in known:
        if not {"y", "x"} <= set(known) or ("time" not in known and len(known) > 3) or len(set(known)) != len(known):
            raise ImagesError(
                f"{what}: its axes are {tuple(known)} of lengths {tuple(shape)}, and a sequence of images has time, y and x; say "
                "what they are with --axes"
            )
        return tuple(known), ""
    found = _guessed(tuple(shape))
    if found is None:
        raise ImagesError(
            f"{what}: the array {tuple(shape)} does not say what its axes are{_hint(known)}; give --axes with a letter for each: "
            "t time, y, x, c channels, n trials, z, as in --axes tyxc"
        )
    word = letters(found)
    return found, f"the axes of {tuple(shape)} are taken for {word} (guessed; --axes says otherwise)"


def _guessed(shape: tuple[int, ...]) -> tuple[str, ...] | None:
    """The only order that makes sense, or None."""
    few = [length <= _MOST_CHANNELS for length in shape]
    candidates: dict[tuple[int, ...], str] = {}
    if len(shape) == 2:
        candidates = {(): "yx"}
    elif len(shape) == 3 and few[2] and not few[0] and not few[1]:
        candidates = {(): "yxc"}
    elif len(shape) == 3 and not few[1] and not few[2]:
        candidates = {(): "tyx"}
    elif len(shape) == 4 and not few[2] and few[3] and not few[1]:
        candidates = {(): "tyxc"}
    elif len(shape) == 4 and few[1] and not few[0] and not few[2] and not few[3]:
        candidates = {(): "tcyx"}
    elif len(shape) == 5 and few[4] and not few[2] and not few[3]:
        candidates = {(): "ntyxc"}
    elif len(shape) == 5 and few[2] and not few[3] and not few[4]:
        candidates = {(): "ntcyx"}
    return axes_of(candidates[()]) if candidates else None


def _hint(known: Sequence[str]) -> str:
    return f" (the file calls them {tuple(known)})" if any(known) else ""


def ordered(values: NDArray[Any], axes: Sequence[str]) -> NDArray[Any]:
    """(trial, time, y, x, channel) of an array with these axes; those that are not there get length 1."""
    present = [axis for axis in ORDER if axis in axes]
    moved = np.transpose(values, [list(axes).index(axis) for axis in present])
    return np.expand_dims(moved, [place for place, axis in enumerate(ORDER) if axis not in axes])
