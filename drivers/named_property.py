"""One named property of a foreign driver object as a set-point and a meter."""

import math
from typing import Any, Protocol

from drivers.errors import BadAnswer, NoReadBack, OutOfRange
from drivers.line import Line
from drivers.scpi import OVERFLOW


class PropertyOwner(Protocol):
    """What a property needs of the driver that gives it out."""

    line: Line

    def assign(self, terminal: str, value: Any) -> None:
        """Set the property of this name."""
        ...

    def read(self, terminal: str) -> Any:
        """Read the property of this name."""
        ...

    def enable(self, terminal: str, on: bool) -> None:
        """Switch the output that the property belongs to."""
        ...

    def enabled(self, terminal: str) -> bool:
        """Whether that output is on."""
        ...


class NamedProperty:
    """The role objects of a driver whose terminals are names of properties."""

    def __init__(
        self,
        driver: PropertyOwner,
        terminal: str,
        *,
        settable: bool,
        readable: bool,
        limits: tuple[float, float],
    ) -> None:
        """settable, readable: what the property can do. limits: lowest and highest value that is sent."""
        self._driver = driver
        self._terminal = terminal
        self.settable = settable
        self.readable = readable
        self._limits = limits

    @property
    def limits(self) -> tuple[float, float]:
        """Lowest and highest value that is sent."""
        return self._limits

    def set_value(self, value: float) -> None:
        """Set the property; OutOfRange before a byte leaves."""
        lowest, highest = self._limits
        if not lowest <= value <= highest or not math.isfinite(value):
            raise OutOfRange(
                f"{self._driver.line.address} {self._terminal}: {value!r} is outside {lowest:g} … {highest:g}"
            )
        self._driver.assign(self._terminal, value)

    def read_back(self) -> float:
        """Read the property; NoReadBack if it has no getter."""
        if not self.readable:
            raise NoReadBack(f"{self._driver.line.address} {self._terminal}: the property can be set but not read")
        return self.read_value()

    def read_value(self) -> float:
        """Read the property as a finite number."""
        value = self._driver.read(self._terminal)
        try:
            number = float(value)
        except (TypeError, ValueError) as error:
            raise BadAnswer(f"{self._driver.line.address} {self._terminal}: {value!r} is not a number") from error
        if not math.isfinite(number) or abs(number) > OVERFLOW:
            raise BadAnswer(
                f"{self._driver.line.address} {self._terminal}: {value!r}: overflow, or nothing was measured"
            )
        return number

    def enable(self, on: bool) -> None:
        """Switch the output on or off, as the option `enable` says."""
        self._driver.enable(self._terminal, on)

    def enabled(self) -> bool:
        """Whether the output is on."""
        return self._driver.enabled(self._terminal)
