"""Time step, pixel size and channel names, from the coordinates that stand beside an array."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

SECONDS = {
    word: seconds
    for words, seconds in (
        ("s sec second seconds", 1.0), ("ms msec milliseconds", 1e-3), ("us µs μs microseconds", 1e-6),
        ("ns nanoseconds", 1e-9), ("min minute minutes", 60.0), ("h hour hours", 3600.0), ("d day days", 86400.0),
    )
    for word in words.split()
}  # fmt: skip
"""Units of time that are known."""


def coordinate_step(axis: str, values: NDArray[Any], unit: str) -> dict[str, Any]:
    """Of a time axis dt, its unit and the numbers of the frames (in steps); of x the pixel; of channels their names."""
    if axis == "channel":
        names = tuple(one.decode(errors="replace") if isinstance(one, bytes) else str(one) for one in values.tolist())
        return {"names": names} if len(set(names)) == len(names) else {}
    if values.dtype.kind not in "iuf" or axis not in ("time", "x") or len(values) < 2:
        return {}
    numbers = values.astype(np.float64)
    step = float(np.median(np.diff(numbers)))
    if not (np.isfinite(numbers).all() and step > 0):
        return {}
    if axis == "x":
        return {"pixel": step, "pixel_unit": unit or "px"}
    dt, time_unit = in_seconds(step, unit.split(" since ", maxsplit=1)[0])
    return {"dt": dt, "time_unit": time_unit, "numbers": tuple(((numbers - numbers[0]) / step).tolist())}


def in_seconds(step: float, unit: str) -> tuple[float, str]:
    """A time and its unit: seconds, where the unit is a known one or none is given; else as it is."""
    word = unit.strip()
    return (step * SECONDS.get(word, 1.0), "s") if word in SECONDS or not word else (step, word)
