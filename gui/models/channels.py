"""The station's channels with live values, limits and safe values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from PySide6.QtCore import QObject

from gui.models.rows import Column, RowsModel
from labctl.station import Channel, Station

KINDS = {"drive": "drive", "set": "set-point", "sense": "sense", "image": "image"}

_KIND_HINT = "drive: plays waveforms. set-point: set and held. sense: measured. image: seen by a camera"


@dataclass(slots=True)
class ChannelRow:
    """A channel and its last known value; `trouble` says why there is none, `stale` that it may have changed since."""

    channel: Channel
    value: float | None = None
    trouble: str = ""
    stale: bool = False

    @property
    def value_text(self) -> str:
        """The value in the channel's unit."""
        if self.trouble:
            return "unknown"
        if self.value is None:
            return "–"
        shown = f"{self.value:+.4f} {self.channel.unit}"
        return f"({shown})" if self.stale else shown

    @property
    def limits_text(self) -> str:
        """Lowest and highest value that may be sent, or the range of what is measured."""
        low, high = self.channel.limits
        if math.isinf(low) and math.isinf(high):  # an image, or an input of which no range is known
            return "–"
        return f"{low:g} … {high:g} {self.channel.unit}"

    @property
    def safe_text(self) -> str:
        """The safe value and how it is reached."""
        safe = self.channel.safe
        return (
            "–"
            if safe is None
            else f"{safe.value:g} {self.channel.unit}, {'ramped' if safe.how == 'ramp' else 'at once'}"
        )

    @property
    def hint(self) -> str:
        """All about the channel, for the tooltip."""
        channel = self.channel
        lines = [f"{channel.name}: {KINDS[channel.kind]}, terminal {channel.terminal} of {channel.instrument}"]
        if channel.image is not None:
            lines.append(f"planes: {', '.join(channel.image.planes)}; exposure {channel.image.exposure_s:g} s")
        else:
            lines.append(f"{'limits' if channel.is_output else 'range'}: {self.limits_text}")
        if channel.safe is not None:
            lines.append(f"safe value: {self.safe_text}; waveforms rest at {channel.rest:g} {channel.unit}")
        if channel.ramp_per_s is not None:
            lines.append(f"ramps at most {channel.ramp_per_s:g} {channel.unit}/s")
        if channel.slew_per_s is not None:
            lines.append(f"waveforms change at most {channel.slew_per_s:g} {channel.unit}/s")
        if self.stale and self.value is not None:
            lines.append("in brackets: the last value known; the campaign measures nothing at the moment")
        return "\n".join([*lines, self.trouble] if self.trouble else lines)


class ChannelsModel(RowsModel):
    """One row a channel, in the station file's order."""

    def __init__(self, parent: QObject | None = None) -> None:
        columns = (
            Column("Channel", "Its name in the station file", lambda row: row.channel.name, hint=_hint),
            Column("Kind", _KIND_HINT, _kind, hint=_hint),
            Column("Value", "Last set or measured value", lambda row: row.value_text, right=True, hint=_hint),
            Column("Limits", "What may be sent; for sense channels the range", lambda row: row.limits_text, hint=_hint),
            Column("Safe", "The safe value and how it is reached", lambda row: row.safe_text, hint=_hint),
        )
        super().__init__(columns, parent)

    def show_station(self, station: Station | None) -> None:
        """Show the channels of a station, or nothing."""
        self.reset(ChannelRow(channel) for channel in (station.channels.values() if station else ()))

    def show_values(self, values: Mapping[str, float], troubles: Mapping[str, str] | None = None) -> None:
        """Show newer values, and for channels that could not be asked, why; others stay as they are."""
        changed = []
        for number, row in enumerate(self.rows):
            name = row.channel.name
            before = (row.value, row.trouble, row.stale)
            if name in values:
                row.value, row.trouble, row.stale = values[name], "", False
            elif troubles and name in troubles:
                row.trouble = troubles[name]
            if (row.value, row.trouble, row.stale) != before:
                changed.append(number)
        self.changed(changed)

    def show_stale(self) -> None:
        """Mark all values as of some time ago."""
        for row in self.rows:
            row.stale = True
        self.changed(range(len(self.rows)))


def _kind(row: ChannelRow) -> str:
    return KINDS[row.channel.kind]


def _hint(row: ChannelRow) -> str:
    return row.hint
