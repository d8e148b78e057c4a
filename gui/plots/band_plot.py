"""Measured beside predicted: a line, and bands that say how sure the prediction is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QVBoxLayout, QWidget

from gui.plots.axes import EmptyWords, colour_axes, label_axis, quiet
from gui.plots.legend import DASHED, DOT, LINE, show_legend
from gui.theme import Theme
from labctl.few_points import extremes

MOST_POINTS = 4000
"""A band of more points costs frames, and nobody sees them."""

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Band:
    """A line of values over `x`, where given between `low` and `high`; without a name it is not in the legend.

    `colour` counts through the theme's curves.
    """

    name: str
    x: Array
    values: Array
    colour: int = 0
    low: Array | None = None
    high: Array | None = None
    dashed: bool = False
    points: bool = False


class BandPlot(QWidget):
    """Draws bands; labels are "name" and "unit" of each axis. The legend is the title, so that it hides nothing."""

    def __init__(self, theme: Theme, *, name: str, tip: str = "", empty: str = "") -> None:
        super().__init__()
        self._theme = theme
        self._shown: tuple[Band, ...] = ()
        self.graphics = pg.PlotWidget()
        self.graphics.setAccessibleName(name)
        self.graphics.setToolTip(tip or name)
        self.plot = self.graphics.getPlotItem()
        quiet(self.plot)
        self._empty = EmptyWords(self.graphics, [self.plot], empty or f"{name}: nothing to draw yet")
        self.plot.layout.setContentsMargins(1, 1, 16, 1)  # the last number below is not cut off
        self.graphics.scene().sigMouseClicked.connect(self._clicked)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.graphics)
        self.use_theme(theme)

    def set_labels(self, *, bottom: str, left: str, bottom_unit: str = "", left_unit: str = "") -> None:
        """Name the axes; SI prefixes are put before the units."""
        for side, text, unit in (("bottom", bottom, bottom_unit), ("left", left, left_unit)):
            label_axis(self.plot, side, text, unit)

    def show_bands(self, bands: Sequence[Band]) -> None:
        """Draw these in place of what was there."""
        self._shown = tuple(bands)
        self._empty.show(not any(len(band.x) for band in self._shown))
        self._draw()
        self.plot.autoRange()

    def clear(self) -> None:
        """Draw nothing."""
        self.show_bands(())

    def use_theme(self, theme: Theme) -> None:
        """Draw in these colours."""
        self._theme = theme
        colour_axes(self.graphics, [self.plot], theme)
        self._draw()

    def _clicked(self, event: Any) -> None:
        """A double click shows all again."""
        if event.double():
            self.plot.autoRange()

    def _draw(self) -> None:
        self.plot.clear()
        told = []
        for band in self._shown:
            colour = self._theme.curves[band.colour % len(self._theme.curves)]
            x, values, low, high = _thinned(band)
            if low is not None and high is not None:
                edges = [pg.PlotCurveItem(x, edge, pen=None) for edge in (low, high)]
                shade = QColor(colour)
                shade.setAlpha(60)
                self.plot.addItem(pg.FillBetweenItem(*edges, brush=shade))
            style = Qt.PenStyle.DashLine if band.dashed else Qt.PenStyle.SolidLine
            pen = None if band.points else pg.mkPen(colour, width=1, style=style)
            symbols = {"symbol": "o", "symbolSize": 5, "symbolBrush": colour, "symbolPen": None} if band.points else {}
            self.plot.plot(x, values, pen=pen, connect="finite", **symbols)
            if not band.name:
                continue
            told.append((DOT if band.points else DASHED if band.dashed else LINE, band.name, colour))
        show_legend(self.plot, told, self._theme)


def _thinned(band: Band) -> tuple[Array, Array, Array | None, Array | None]:
    """At most `MOST_POINTS` of each, with every spike; a band is as wide as its widest sample there."""
    positions, values = extremes(band.values, MOST_POINTS)
    if len(positions) == len(band.x):
        return band.x, band.values, band.low, band.high
    low, high = (None if edge is None else extremes(edge, MOST_POINTS)[1] for edge in (band.low, band.high))
    return (
        band.x[positions], values, None if low is None else np.repeat(low[0::2], 2),
        None if high is None else np.repeat(high[1::2], 2),
    )  # fmt: skip
