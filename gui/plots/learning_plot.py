"""The plot of learning curves: loss and scores while twins are fitted and networks are optimised."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QVBoxLayout, QWidget

from gui.plots.learning_curves import LearningCurves
from gui.theme import Theme
from labctl.events import Event

_STYLES = (Qt.PenStyle.SolidLine, Qt.PenStyle.DashLine)


class LearningPlot(QWidget):
    """One curve a figure of each step, over the step's own counter."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._curves = LearningCurves()
        self._items: dict[tuple[str, str], pg.PlotDataItem] = {}
        self._graphics = pg.PlotWidget()
        self._graphics.setAccessibleName("Learning curves")
        self._plot = self._graphics.getPlotItem()
        self._plot.setMenuEnabled(False)
        self._plot.setLabel("bottom", "epoch or iteration")
        self._plot.setLabel("left", "loss, score")
        self._legend = self._plot.addLegend(offset=(-10, 10))
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 4, 4, 4)
        column.addWidget(self._graphics)
        self._dirty = False
        self.use_theme(theme)

    def clear(self) -> None:
        """Forget all curves."""
        self._curves.clear()
        self._dirty = True

    def take(self, events: Iterable[Event]) -> None:
        """Add what these events say about learning."""
        self._dirty = self._curves.take(events) or self._dirty

    def refresh(self) -> None:
        """Draw, if there is anything new and somebody looks."""
        if not (self._dirty and self.isVisible()):
            return
        self._dirty = False
        if set(self._items) != set(self._curves.curves):
            self._rebuild()
        for name, points in self._curves.curves.items():
            x, y = np.asarray(points, dtype=np.float64).T
            self._items[name].setData(x, y)

    def use_theme(self, theme: Theme) -> None:
        """Draw in these colours."""
        self._theme = theme
        self._graphics.setBackground(theme.base)
        for side in ("left", "bottom"):
            self._plot.getAxis(side).setPen(theme.border)
            self._plot.getAxis(side).setTextPen(theme.text)
        self._plot.showGrid(x=True, y=True, alpha=0.15)
        self._legend.setLabelTextColor(theme.text)
        self._items = {}
        self._dirty = True

    def _rebuild(self) -> None:
        self._plot.clear()
        self._legend.clear()
        self._items = {}
        colours = self._theme.curves
        for number, (key, name) in enumerate(self._curves.curves):
            style = _STYLES[number // len(colours) % len(_STYLES)]
            pen = pg.mkPen(colours[number % len(colours)], width=1, style=style)
            self._items[key, name] = self._plot.plot(pen=pen, name=f"{key}: {name}")
