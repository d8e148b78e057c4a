"""Traces as they were measured, with their gaps marked."""

from __future__ import annotations

import pyqtgraph as pg
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from gui.panels.widgets import named, words
from gui.plots.band_plot import Band, BandPlot
from gui.theme import Theme
from labctl.goku_traces import TracesTold

MOST_GAPS = 200
"""More are not marked one by one; the words count them."""


class TracesPlot(QWidget):
    """One trace, one channel at a time; `show_traces` gives it others."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._told: TracesTold | None = None
        self._theme = theme
        self._regions: list[pg.LinearRegionItem] = []
        self.trace, self.channel = QComboBox(), QComboBox()
        named(self.trace, "Trace shown", "Which trace is drawn")
        named(self.channel, "Channel shown", "Which channel is drawn: measured ones first, then drives")
        for box in (self.trace, self.channel):
            box.currentIndexChanged.connect(lambda _: self._draw())
        self.plot = BandPlot(theme, name="Traces", tip="As measured; grey stripes are gaps, where nothing was measured")
        self.words = words()
        self.words.setAccessibleName("About the traces")
        row = QHBoxLayout()
        row.addWidget(QLabel("Trace"))
        row.addWidget(self.trace, 2)
        row.addWidget(QLabel("Channel"))
        row.addWidget(self.channel, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(row)
        column.addWidget(self.plot, 1)
        column.addWidget(self.words)

    def show_traces(self, told: TracesTold | None) -> None:
        """Draw these; None: nothing."""
        self._told = told
        for box, names in ((self.trace, _labels(told)), (self.channel, _channels(told))):
            box.blockSignals(True)
            box.clear()
            box.addItems(names)
            box.setEnabled(bool(names))
            box.blockSignals(False)
        text = (
            ""
            if told is None
            else " ".join([f"{'SIMULATED: ' if told.simulated else ''}{told.in_words()}.", *told.told])
        )
        self.words.setText(text)
        self._draw()

    def use_theme(self, theme: Theme) -> None:
        """Draw in these colours."""
        self._theme = theme
        self.plot.use_theme(theme)
        self._draw()

    def _draw(self) -> None:
        number, channel = self.trace.currentIndex(), self.channel.currentIndex()
        self._regions = []
        if self._told is None or number < 0 or channel < 0:
            self.plot.clear()
            return
        told, one = self._told, self._told.traces[number]
        measured = channel < len(told.names)
        place = channel if measured else channel - len(told.names)
        names, units = (told.names, told.units) if measured else (told.drive_names, told.drive_units)
        values = (one.values if measured else one.drive)[:, place]
        self.plot.set_labels(bottom="time", left=names[place], bottom_unit="s", left_unit=units[place])
        few = len(values) <= 400
        line = Band(names[place], one.times_s, values, colour=0 if measured else 1)
        dots = [Band("samples", one.times_s, values, colour=0, points=True)] if few and measured else []
        self.plot.show_bands([line, *dots])
        self._mark(one.gaps[:MOST_GAPS])

    def _mark(self, gaps: tuple[tuple[float, float], ...]) -> None:
        brush = QColor(self._theme.dim)
        brush.setAlpha(50)
        for gap in gaps:
            region = pg.LinearRegionItem(values=gap, movable=False, brush=brush, pen=pg.mkPen(None))
            self.plot.plot.addItem(region, ignoreBounds=True)
            self._regions.append(region)


def _labels(told: TracesTold | None) -> list[str]:
    return [] if told is None else [one.label for one in told.traces]


def _channels(told: TracesTold | None) -> list[str]:
    if told is None:
        return []
    pairs = [*zip(told.names, told.units, strict=True), *zip(told.drive_names, told.drive_units, strict=True)]
    return [f"{name} ({unit})" if unit else name for name, unit in pairs]
