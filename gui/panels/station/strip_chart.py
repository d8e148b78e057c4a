"""The last minutes of a few channels, as a small chart."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from html import escape

import pyqtgraph as pg
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QVBoxLayout, QWidget

from gui.panels.widgets import named
from gui.plots.axes import colour_axes, label_axis, quiet
from gui.theme import Theme
from labctl.station import Channel

KEPT = 1500
"""Values of each channel: five minutes at five a second, much longer at the usual one a second."""
STYLES = (Qt.PenStyle.SolidLine, Qt.PenStyle.DashLine, Qt.PenStyle.DotLine, Qt.PenStyle.DashDotLine)
WINDOW_S = 300.0


class StripChart(QWidget):
    """Values of every channel are kept from the opening on; those that are chosen are drawn, each in a style of its own."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._values: dict[str, deque[tuple[float, float]]] = {}
        self._channels: list[Channel] = []
        self.plot = pg.PlotWidget()
        named(self.plot, "Chart of live values", "The last five minutes of the ticked channels, each in its own unit")
        quiet(self.plot.getPlotItem(), width=None, mouse=False)
        label_axis(self.plot.getPlotItem(), "bottom", "before now, read about once a second", "s", prefix=False)
        self.legend = self.plot.addLegend(offset=(6, 4))  # as a title it would be wider than the chart
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.plot)
        self.use_theme(theme)

    def clear(self) -> None:
        """Forget all values: another bench."""
        self._values.clear()
        self.show_channels([])

    def show_channels(self, channels: Sequence[Channel]) -> None:
        """Draw these."""
        self._channels = list(channels)
        self._draw_anew()

    def take(self, values: Mapping[str, float]) -> None:
        """Newer values."""
        now = time.monotonic()
        for name, value in values.items():
            self._values.setdefault(name, deque(maxlen=KEPT)).append((now, value))
        if self.isVisible():
            self.refresh()

    def refresh(self) -> None:
        """Draw what there is."""
        now = time.monotonic()
        for curve, channel in zip(self._curves, self._channels, strict=True):
            points = [(at - now, value) for at, value in self._values.get(channel.name, ()) if now - at <= WINDOW_S]
            curve.setData([at for at, _ in points], [value for _, value in points])
        oldest = min((kept[0][0] for one in self._channels if (kept := self._values.get(one.name))), default=now)
        self.plot.setXRange(max(-WINDOW_S, min(-10.0, oldest - now)), 0.0, padding=0.0)

    def use_theme(self, theme: Theme) -> None:
        """Other colours."""
        self._theme = theme
        colour_axes(self.plot, [self.plot.getPlotItem()], theme)
        self.legend.setLabelTextColor(theme.text)
        self._draw_anew()

    def _draw_anew(self) -> None:
        self.plot.clear()
        self.legend.clear()
        self._curves = []
        for number, channel in enumerate(self._channels):
            colours = self._theme.curves
            pen = pg.mkPen(colours[number % len(colours)], width=1, style=STYLES[number % len(STYLES)])
            self._curves.append(self.plot.plot(pen=pen, name=escape(f"{channel.name} ({channel.unit})")))
        units = {channel.unit for channel in self._channels}
        unit = next(iter(units)) if len(units) == 1 else ""
        label_axis(self.plot.getPlotItem(), "left", "value", unit, prefix=False)
        self.refresh()
