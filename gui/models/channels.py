"""The station's channels with live values, limits and safe values."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QObject, Qt, Signal

from gui.models.rows import Column, Index, RowsModel
from labctl.limit_marks import LimitMark, mark_of
from labctl.station import Channel, Station

_VALUE_HINT = "Last set or measured value. ▲ ▼ near a limit, ▲▲ ▼▼ at it, ✖ beyond it"
KINDS = {"drive": "drive", "set": "set-point", "sense": "sense", "image": "image"}

_KIND_HINT = "drive: plays waveforms. set-point: set and held. sense: measured. image: seen by a camera"


@dataclass(slots=True)
class ChannelRow:
    """A channel and its last known value; `trouble` says why there is none, `stale` that it may have changed since."""

    channel: Channel
    value: float | None = None
    trouble: str = ""
    stale: bool = False
    target: float | None = None
    plotted: bool = False

    @property
    def mark(self) -> LimitMark | None:
        """Whether the value is near a limit."""
        return None if self.trouble or self.value is None else mark_of(self.channel, self.value)

    @property
    def value_text(self) -> str:
        """The value in the channel's unit, with a sign where it is near a limit or at it."""
        if self.trouble:
            return "unknown"
        if self.value is None:
            return "–"
        shown = f"{self.value:+.4f} {self.channel.unit}"
        marked = f"{self.mark.sign} {shown}" if self.mark else shown
        return f"({marked})" if self.stale else marked

    @property
    def target_text(self) -> str:
        """What was last asked for here; until then what the output was found at."""
        if not self.channel.is_output:
            return "–"
        shown = self.value if self.target is None else self.target
        return "–" if shown is None else f"{shown:+.4g} {self.channel.unit}"

    @property
    def ramp_text(self) -> str:
        """How fast a set-point may change."""
        ramp = self.channel.ramp_per_s
        return "–" if ramp is None else f"{ramp:g} {self.channel.unit}/s"

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
        if self.mark is not None:
            lines.append(f"{self.mark.sign} {self.mark.words}")
        if self.stale and self.value is not None:
            lines.append("in brackets: the last value known; the campaign measures nothing at the moment")
        return "\n".join([*lines, self.trouble] if self.trouble else lines)


class ChannelsModel(RowsModel):
    """One row a channel, in the station file's order."""

    plots_changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        self.bad_colour = ""
        columns = (
            Column("Channel", "Its name; the tick draws it in the chart", lambda row: row.channel.name, hint=_hint),
            Column("Role", _KIND_HINT, _kind, hint=_hint),
            Column("Value", _VALUE_HINT, lambda row: row.value_text, right=True, hint=_hint, colour=self._colour),
            Column("Limits", "What may be sent; for sense channels the range", lambda row: row.limits_text, hint=_hint),
            Column("Set-point", "What was last asked for here", lambda row: row.target_text, right=True, hint=_hint),
            Column("Ramp", "Fastest change of a set-point", lambda row: row.ramp_text, right=True, hint=_hint),
            Column("Safe value", "The safe value and how it is reached", lambda row: row.safe_text, hint=_hint),
        )
        super().__init__(columns, parent)

    def flags(self, index: Index) -> Qt.ItemFlag:
        """The name has a tick: whether the channel is drawn in the chart."""
        flags = super().flags(index)
        return flags | Qt.ItemFlag.ItemIsUserCheckable if index.isValid() and index.column() == 0 else flags

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """What a view asks of a cell."""
        if role == Qt.ItemDataRole.CheckStateRole and index.isValid() and index.column() == 0:
            ticked = self.rows[index.row()].plotted
            return Qt.CheckState.Checked if ticked else Qt.CheckState.Unchecked
        return super().data(index, role)

    def setData(self, index: Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        """Tick or untick."""
        if role != Qt.ItemDataRole.CheckStateRole or not index.isValid() or index.column() != 0:
            return False
        self.rows[index.row()].plotted = Qt.CheckState(value) == Qt.CheckState.Checked
        self.changed([index.row()])
        self.plots_changed.emit()
        return True

    def show_plotted(self, names: Collection[str]) -> None:
        """Tick exactly these."""
        for row in self.rows:
            row.plotted = row.channel.name in names
        self.changed(range(len(self.rows)))
        self.plots_changed.emit()

    @property
    def plotted(self) -> list[Channel]:
        """The channels that are ticked."""
        return [row.channel for row in self.rows if row.plotted]

    def show_target(self, name: str, target: float | None) -> None:
        """Show what was asked for; None for what the output stands at."""
        for number, row in enumerate(self.rows):
            if row.channel.name == name and row.target != target:
                row.target = target
                self.changed([number])

    def row_of(self, name: str) -> ChannelRow | None:
        """The row of a channel."""
        found: ChannelRow | None = next((row for row in self.rows if row.channel.name == name), None)
        return found

    def _colour(self, row: ChannelRow) -> str | None:
        return self.bad_colour if (row.mark or row.trouble) and self.bad_colour else None

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
