"""Time step, pixel size and channel names, from the coordinates that stand beside an array."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_SECONDS = {
    "s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0, "ms": 1e-3, "milliseconds": 1e-3, "us": 1e-6, "µs": 1e-6,
    "microseconds": 1e-6, "ns": 1e-9, "nanoseconds": 1e-9, "min": 60.0, "minutes": 60.0, "h": 3600.0, "hours": 3600.0,
    "days": 86400.0, "d": 86400.0,
}  # fmt: skip


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
    word = unit.split(" since ", maxsplit=1)[0].strip()
    in_seconds = word in _SECONDS or not word
    return {
        "dt": step * _SECONDS.get(word, 1.0),
        "time_unit": "s" if in_seconds else word,
        "numbers": tuple(((numbers - numbers[0]) / step).tolist()),
    }
