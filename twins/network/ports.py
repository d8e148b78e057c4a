"""Ports: how a network addresses the channels of a device, and the levels that real outputs can take."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twins.errors import TwinError

Array = NDArray[np.float64]
_MOST_BITS = 32


class WiringError(TwinError, ValueError):
    """A wiring contradicts itself, or is asked for something it does not hold."""


@dataclass(frozen=True, slots=True)
class Levels:
    """n equally spaced values from low to high, ends included: all that a converter or a stepped gain can be set to."""

    low: float
    high: float
    n: int

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise WiringError(f"levels need finite low < high, not {self.low}..{self.high}")
        if not 2 <= self.n <= 2**_MOST_BITS:
            raise WiringError(f"levels need 2 to 2^{_MOST_BITS} values, not {self.n}")

    @classmethod
    def of_bits(cls, bits: int, low: float, high: float) -> Levels:
        """Those of a converter of so many bits over its full scale."""
        if not 1 <= bits <= _MOST_BITS:
            raise WiringError(f"a converter has 1 to {_MOST_BITS} bits, not {bits}")
        return cls(low, high, 2**bits)

    @property
    def step(self) -> float:
        """From one level to the next."""
        return (self.high - self.low) / (self.n - 1)

    def within(self, low: float, high: float) -> tuple[float, float]:
        """The lowest and the highest level that lie inside low..high. Raises WiringError where fewer than two do."""
        slack = 1e-9  # of a step: the range's ends may be levels themselves
        first = max(math.ceil((low - self.low) / self.step - slack), 0)
        last = min(math.floor((high - self.low) / self.step + slack), self.n - 1)
        if last - first < 1:
            raise WiringError(
                f"fewer than two of the {self.n} levels over {self.low:g}..{self.high:g} lie inside {low:g}..{high:g}: "
                "the range is too narrow for this converter, or outside of it"
            )
        return self.low + first * self.step, self.low + last * self.step

    def nearest(self, values: ArrayLike) -> Array:
        """Each value's nearest level; beyond the ends, the end."""
        counts = np.rint((np.asarray(values, dtype=np.float64) - self.low) / self.step)
        found: Array = self.low + np.clip(counts, 0, self.n - 1) * self.step
        return found


@dataclass(frozen=True, slots=True)
class DriveLine:
    """One drive channel: it is driven within mid - half .. mid + half (drive units), half > 0.

    levels: what its converter can put out; the drive is then the level nearest to what is wanted, of those inside the
    range. unit: of these numbers, such as "V"; "" where nobody said.
    """

    mid: float
    half: float
    unit: str = ""
    levels: Levels | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.mid) and math.isfinite(self.half) and self.half > 0):
            raise WiringError(f"a drive range must be finite and wider than 0, not {self.mid} ± {self.half}")
        if self.levels is not None:
            self.levels.within(*self.range)

    @property
    def range(self) -> tuple[float, float]:
        """Lowest and highest drive that a network can give (drive units)."""
        return self.mid - self.half, self.mid + self.half

    @property
    def usable_levels(self) -> Levels | None:
        """Those levels that lie inside the range."""
        if self.levels is None:
            return None
        low, high = self.levels.within(*self.range)
        return Levels(low, high, round((high - low) / self.levels.step) + 1)


@dataclass(frozen=True, slots=True)
class SenseLine:
    """One response channel: f = (response - centre) / scale, scale > 0 (response units)."""

    centre: float = 0.0
    scale: float = 1.0
    unit: str = ""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.centre) and math.isfinite(self.scale) and self.scale > 0):
            raise WiringError(f"a response needs a finite centre and a scale > 0, not {self.centre} and {self.scale}")


@dataclass(frozen=True, slots=True)
class DevicePort:
    """How a network addresses one device: its drive channels and its response channels, in the device's order."""

    name: str
    drives: tuple[DriveLine, ...]
    senses: tuple[SenseLine, ...] = field(default=(SenseLine(),))

    def __post_init__(self) -> None:
        if not self.name:
            raise WiringError("a device port needs the name of its device")
        if not self.drives or not self.senses:
            raise WiringError(f"device {self.name!r}: a port needs at least one drive and one response")

    @property
    def drive_ranges(self) -> tuple[tuple[float, float], ...]:
        """Of every drive channel, in drive units."""
        return tuple(line.range for line in self.drives)

    def with_senses(self, *senses: SenseLine) -> DevicePort:
        """The same with its responses normalised so."""
        return replace(self, senses=senses)

    @classmethod
    def from_range(
        cls,
        name: str,
        low: float,
        high: float,
        *,
        drive_unit: str = "",
        response_unit: str = "",
        levels: Levels | None = None,
    ) -> DevicePort:
        """A port of one drive and one response; see from_ranges."""
        return cls.from_ranges(
            name, [(low, high)], drive_units=[drive_unit], response_units=[response_unit], levels=[levels]
        )

    @classmethod
    def from_ranges(
        cls,
        name: str,
        ranges: list[tuple[float, float]],
        *,
        drive_units: list[str] | None = None,
        response_units: list[str] | None = None,
        levels: list[Levels | None] | None = None,
    ) -> DevicePort:
        """A port over these drive ranges, a millionth narrower, so that rounding in float32 cannot step over the edge.

        The responses are taken as they are: see twins.network.measured_ports.
        """
        units = drive_units or [""] * len(ranges)
        steps = levels or [None] * len(ranges)
        if not len(units) == len(ranges) == len(steps):
            raise WiringError(f"device {name!r}: {len(ranges)} ranges, {len(units)} units, {len(steps)} levels")
        lines = []
        for (low, high), unit, level in zip(ranges, units, steps, strict=True):
            if not low < high:
                raise WiringError(f"device {name!r}: drive range {low}..{high} is empty; give low < high")
            lines.append(DriveLine(0.5 * (low + high), 0.5 * (high - low) * (1 - 1e-6), unit, level))
        return cls(name, tuple(lines), tuple(SenseLine(unit=unit) for unit in (response_units or [""])))
