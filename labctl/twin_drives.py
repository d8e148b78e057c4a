"""How a twin may be driven, as plain data: what a bench has to know of it without loading it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twins.ensemble import AnyTwin


@dataclass(frozen=True, slots=True)
class TwinDrives:
    """The drive channels of a twin by name, the range (lowest, highest) that each was fitted over, in its unit, and the
    sampling time (s)."""

    names: tuple[str, ...]
    ranges: tuple[tuple[float, float], ...]
    dt_s: float

    @classmethod
    def of(cls, twin: AnyTwin) -> TwinDrives:
        """Those of a twin that is loaded."""
        ranges = tuple((float(low), float(high)) for low, high in twin.drive_range)
        return cls(tuple(twin.spec.drive_names), ranges, float(twin.spec.dt_s))
