"""How a network may drive devices: narrower ranges, and outputs that have only certain levels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from twins.network.ports import Levels


@dataclass(frozen=True, slots=True)
class DriveOptions:
    """One output. range: lowest and highest drive, None: as far as twin and station allow. levels: the values that it
    has, None: any."""

    range: tuple[float, float] | None = None
    levels: Levels | None = None


@dataclass(frozen=True, slots=True)
class DeviceOptions:
    """The outputs that drive one device: `drives` by channel, `every` for those not named there."""

    every: DriveOptions = DriveOptions()
    drives: Mapping[str, DriveOptions] = field(default_factory=dict)

    def of(self, channel: str) -> DriveOptions:
        """What holds for one drive channel."""
        return self.drives.get(channel, self.every)
