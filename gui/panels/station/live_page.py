"""The station as it is now: instruments, channels with live values, setting one, a chart."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, Qt
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSplitter, QVBoxLayout, QWidget

from gui.controller import State
from gui.desk import Desk
from gui.models.channels import ChannelsModel
from gui.panels.station.instruments_box import InstrumentsBox
from gui.panels.station.set_box import SetBox
from gui.panels.station.strip_chart import StripChart
from gui.panels.tables import table
from gui.theme import Theme
from labctl.bench import Bench
from labctl.readings import Readings
from labctl.safety import SafeReport

FIRST_DRAWN = 4
"""So many channels are drawn at first."""
WIDTHS = {0: 152, 1: 68, 2: 108, 3: 96, 4: 78, 5: 74}


class LivePage(QSplitter):
    """Shows what the controller reads, and asks for what a person wants."""

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(Qt.Orientation.Horizontal, parent)
        self._desk = desk
        self.instruments = InstrumentsBox(desk)
        self.channels = ChannelsModel(self)
        self.view = table(self.channels, name="Channels", stretch=6, widths=WIDTHS)
        self.set_box = SetBox(desk)
        self.chart = StripChart(desk.theme)
        self._lay_out()
        self.channels.plots_changed.connect(lambda: self.chart.show_channels(self.channels.plotted))
        self.view.selectionModel().currentRowChanged.connect(self._chosen)
        self.set_box.asked.connect(self.channels.show_target)
        self.set_box.moved.connect(lambda name, level: self.channels.show_values({name: level}))
        self.use_theme(desk.theme)
        desk.remember(self, "station/live")
        desk.remember(self.left, "station/left")

    def _lay_out(self) -> None:
        channels = QWidget()
        column = QVBoxLayout(channels)
        column.setContentsMargins(0, 0, 0, 0)
        row = QHBoxLayout()
        row.addWidget(QLabel("<b>Channels</b>"))
        row.addStretch(1)
        row.addWidget(QLabel("▲ ▼ near a limit   ▲▲ ▼▼ at it   ✖ beyond"))
        column.addLayout(row)
        column.addWidget(self.view, 1)
        self.left = QSplitter(Qt.Orientation.Vertical)
        right = QWidget()
        column = QVBoxLayout(right)
        column.setContentsMargins(4, 0, 0, 0)
        column.addWidget(self.set_box)
        column.addWidget(QLabel("<b>Live values</b> of the ticked channels"))
        column.addWidget(self.chart, 1)
        for whole, parts in ((self.left, (self.instruments, channels)), (self, (self.left, right))):
            for number, one in enumerate(parts):
                whole.addWidget(one)
                whole.setStretchFactor(number, 3 - number if whole is self else 2 + number)
            whole.setChildrenCollapsible(False)
        self.setSizes([670, 440])
        self.left.setSizes([220, 360])

    def show_bench(self, bench: Bench | None) -> None:
        """Show an opened bench, or none."""
        self.instruments.show_bench(bench)
        self.channels.show_station(bench.station if bench else None)
        self.chart.clear()
        self.set_box.show_bench(bench)
        if bench is not None:
            drawn = [name for name, one in bench.station.channels.items() if one.kind != "image"][:FIRST_DRAWN]
            self.channels.show_plotted(drawn)

    def show_readings(self, readings: Readings, *, complete: bool) -> None:
        """Show values; `complete` readings asked every instrument, so those without trouble are well again.

        While a campaign runs, only what it samples is known; everything else is shown as of some time ago.
        """
        if not complete:
            self.channels.show_stale()
        self.channels.show_values(readings.values, readings.channel_troubles)
        self.chart.take(readings.values)
        self.set_box.show_values(readings.values)
        if complete:
            self.instruments.show_troubles(readings.instrument_troubles)

    def show_safe(self, report: SafeReport) -> None:
        """Show what was read back."""
        known = {one.channel: one.read_back for one in report.channels if one.read_back is not None}
        self.channels.show_values(known)
        for name in known:
            self.channels.show_target(name, None)
        self.set_box.show_values(known)

    def show_state(self, state: State) -> None:
        """The bench is free, or not."""
        self.instruments.show_state()
        self.set_box.show_state(state)

    def use_theme(self, theme: Theme) -> None:
        """Other colours."""
        self.channels.bad_colour = self.instruments.model.bad_colour = theme.bad
        self.chart.use_theme(theme)

    def _chosen(self, row: QModelIndex) -> None:
        if row.isValid():
            self.set_box.choose(self.channels.rows[row.row()].channel.name)
