"""Names of units whose unit of time is an option of the system."""

from __future__ import annotations

_NAMES = {1.0: "s", 1e-3: "ms", 1e-6: "µs", 1e-9: "ns", 1e-12: "ps", 60.0: "min", 3600.0: "h", 86400.0: "d"}


def time_name(time_unit_s: float) -> str:
    """Name of a unit of time: 1e-3 -> "ms"; any other number as in "(0.02 s)"."""
    for length_s, name in _NAMES.items():
        if abs(time_unit_s - length_s) <= 1e-12 * length_s:
            return name
    return f"({time_unit_s:g} s)"


def per_time(time_unit_s: float, what: str = "1", power: str = "") -> str:
    """ "V/ms" of ("V", 1e-3); power is written after the time, as in "^2" or "^0.5"."""
    return f"{what}/{time_name(time_unit_s)}{power}"
