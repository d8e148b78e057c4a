"""The station: its instruments, who they are, and its channels with live values."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QSplitter, QVBoxLayout, QWidget

from gui.live_values import Readings
from gui.models.channels import ChannelsModel
from gui.models.instruments import InstrumentsModel
from gui.panels.tables import table
from labctl.bench import Bench


class StationPanel(QSplitter):
    """Two tables over each other."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(Qt.Orientation.Vertical, parent)
        self.instruments = InstrumentsModel(self)
        self.channels = ChannelsModel(self)
        instruments = table(self.instruments, name="Instruments", stretch=2, widths={0: 84, 1: 92}, lines=3)
        channels = table(self.channels, name="Channels", stretch=4, widths={0: 126, 1: 72, 2: 98, 3: 96})
        self.addWidget(_headed("Instruments", instruments))
        self.addWidget(_headed("Channels", channels))
        self.setStretchFactor(0, 2)
        self.setStretchFactor(1, 3)
        self.setChildrenCollapsible(False)

    def show_bench(self, bench: Bench) -> None:
        """Show an opened bench."""
        self.instruments.show_station(bench.station, bench.identities)
        self.channels.show_station(bench.station)

    def show_readings(self, readings: Readings, *, complete: bool) -> None:
        """Show values; `complete` readings asked every instrument, so those without trouble are well again.

        While a campaign runs, only what it samples is known; everything else is shown as of some time ago.
        """
        if not complete:
            self.channels.show_stale()
        self.channels.show_values(readings.values, readings.channel_troubles)
        if complete:
            self.instruments.show_troubles(readings.instrument_troubles)


def _headed(title: str, inside: QWidget) -> QWidget:
    whole = QWidget()
    column = QVBoxLayout(whole)
    column.setContentsMargins(0, 0, 0, 0)
    column.addWidget(QLabel(f"<b>{title}</b>"))
    column.addWidget(inside)
    return whole
