"""What all channels of a bench read at one moment; one that cannot be read does not keep the others from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from labctl.errors import StationError

if TYPE_CHECKING:
    from labctl.bench import Bench


@dataclass(frozen=True, slots=True)
class Readings:
    """What the channels read, and why some could not be read, by channel and by instrument."""

    values: dict[str, float] = field(default_factory=dict)
    channel_troubles: dict[str, str] = field(default_factory=dict)
    instrument_troubles: dict[str, str] = field(default_factory=dict)


def readings_of(bench: Bench) -> Readings:
    """Ask every channel; an instrument that failed is not asked for its other channels, which would only take time."""
    readings = Readings()
    for name, channel in bench.station.channels.items():
        trouble = readings.instrument_troubles.get(channel.instrument)
        if trouble is None:
            try:
                readings.values[name] = bench.get(name) if channel.is_output else bench.read(name)
                continue
            except StationError:
                continue  # a channel that is measured only in a recording; `Sampled` events bring its values
            except Exception as error:  # noqa: BLE001 - told in the table; the other channels must still be read
                trouble = str(error)
                readings.instrument_troubles[channel.instrument] = trouble
        readings.channel_troubles[name] = trouble
    return readings
