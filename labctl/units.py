"""The closed table of units that a station file may use. An unknown unit is an error, never a guess."""

from __future__ import annotations

from dataclasses import dataclass

PREFIXES = {"p": 1e-12, "n": 1e-9, "u": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}
PREFIXED = ("V", "A", "Hz", "T", "s", "ohm", "W", "K", "F", "H", "C", "S", "m", "N", "Pa", "J", "rad")
PLAIN = ("1", "%", "degC", "dBm", "dB", "deg", "bar", "Vpp")


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit: its symbol, the base unit it belongs to, and how much of the base unit one of it is."""

    symbol: str
    base: str
    factor: float


def _table() -> dict[str, Unit]:
    table = {symbol: Unit(symbol, symbol, 1.0) for symbol in PLAIN}
    for base in PREFIXED:
        for prefix, factor in PREFIXES.items():
            table.setdefault(prefix + base, Unit(prefix + base, base, factor))
    return table


UNITS = _table()


def unit_of(symbol: str) -> Unit:
    """The unit of this symbol; raises ValueError that lists what is allowed."""
    unit = UNITS.get(symbol)
    if unit is None:
        raise ValueError(
            f"unknown unit {symbol!r}; known are {', '.join(PREFIXED)} with the prefixes "
            f"{' '.join(prefix for prefix in PREFIXES if prefix)}, and {', '.join(PLAIN)} without"
        )
    return unit


def conversion(symbol: str, to: str) -> float:
    """Multiply a value in `symbol` by this to have it in `to`; raises ValueError where the two measure different things."""
    here, there = unit_of(symbol), unit_of(to)
    if here.base != there.base:
        raise ValueError(f"{symbol} cannot be converted to {to}: one measures {here.base}, the other {there.base}")
    # Dividing by an exact power of ten is exact where multiplying by 0.001 is not.
    ratio = here.factor / there.factor
    return float(f"{ratio:.12g}")
