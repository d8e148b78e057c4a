"""Texts such as 610.35Hz, 1.6ms, 100:5000 and V1 [mV], as plain values."""

from __future__ import annotations

import re

from labctl.errors import UsageError
from labctl.units import UNITS

TIME_UNITS = {
    **{symbol: unit.factor for symbol, unit in UNITS.items() if unit.base == "s"},
    "µs": 1e-6, "μs": 1e-6, "sec": 1.0, "seconds": 1.0, "second": 1.0, "msec": 1e-3, "usec": 1e-6, "min": 60.0,
    "minutes": 60.0, "h": 3600.0, "hours": 3600.0, "milliseconds": 1e-3, "microseconds": 1e-6, "nanoseconds": 1e-9,
}  # fmt: skip
"""Seconds in one of each unit that a time column may have."""

_NUMBER = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(\S*)\s*")
_WITH_UNIT = re.compile(r"\s*(.*?\S)\s*(?:\[\s*([^\[\]]*?)\s*\]|\(\s*([^()]*?)\s*\))\s*")


def rate_Hz_of(text: str) -> float:
    """Hertz from "610.35Hz", "1kHz" or a bare number of hertz. Raises UsageError."""
    return _quantity(text, "Hz", {symbol: unit.factor for symbol, unit in UNITS.items() if unit.base == "Hz"})


def seconds_of(text: str) -> float:
    """Seconds from "1.6ms", "2s" or a bare number of seconds. Raises UsageError."""
    return _quantity(text, "s", TIME_UNITS)


def span_of(text: str) -> tuple[int, int | None]:
    """(start, stop) from "START:STOP"; both may be left out. Raises UsageError."""
    found = re.fullmatch(r"\s*(\d*)\s*:\s*(\d*)\s*", text)
    if found is None:
        raise UsageError(f"{text!r} is no span of rows; write START:STOP, such as 1000:5000, :5000 or 1000:")
    start, stop = int(found[1] or 0), int(found[2]) if found[2] else None
    if stop is not None and stop <= start:
        raise UsageError(f"{text!r} is an empty span of rows; the row STOP is not part of START:STOP")
    return start, stop


def name_and_unit(header: str) -> tuple[str, str]:
    """A column's name and unit from its header, as in "V1 [mV]" or "V1 (mV)"; the unit is empty where there is none."""
    found = _WITH_UNIT.fullmatch(header)
    if found is None:
        return header.strip(), ""
    return found[1], found[2] if found[2] is not None else found[3]


def _quantity(text: str, plain: str, factors: dict[str, float]) -> float:
    found = _NUMBER.fullmatch(text)
    unit = (found[2] or plain) if found else ""
    if found is None or unit not in factors:
        example = "610.35Hz or 1kHz" if plain == "Hz" else "1.6ms or 0.002"
        raise UsageError(f"{text!r} is not a number with a unit that fits; write for example {example}")
    value = float(found[1]) * factors[unit]
    if not 0.0 < value < float("inf"):
        raise UsageError(f"{text!r} must be positive and finite")
    return value
