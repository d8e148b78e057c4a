"""Settings that only have to be checked, kept and read back: declared in a table instead of written out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sim_devices.scpi.errors import ScpiError
from sim_devices.scpi.parameters import Parameters, short_form


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: how its parameter is read, and its value after *RST."""

    pattern: str
    default: Any
    read: Callable[[Parameters], Any]


def number(pattern: str, default: float, low: float, high: float, *, integer: bool = False) -> Setting:
    """A number in a closed range; -222 outside, MIN, MAX and DEF understood."""

    def read(parameters: Parameters) -> float | int:
        value = parameters.number(0, {"MINIMUM": low, "MAXIMUM": high, "DEFAULT": default})
        value = round(value) if integer else value
        if not low <= value <= high:
            raise ScpiError(-222)
        return value

    return Setting(pattern, default, read)


def boolean(pattern: str, *, default: bool) -> Setting:
    """ON or OFF."""
    return Setting(pattern, default, lambda parameters: parameters.boolean(0))


def choice(pattern: str, *options: str) -> Setting:
    """One of some keywords; the first is the default."""
    return Setting(pattern, short_form(options[0]), lambda parameters: parameters.choice(0, *options))


def text(pattern: str, default: str = "") -> Setting:
    """A string; answered in quotes."""
    return Setting(pattern, f'"{default}"', lambda parameters: f'"{parameters.string(0)}"')
