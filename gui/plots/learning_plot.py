"""The plot of learning curves: loss and scores while twins are fitted and networks are optimised."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from gui.panels.widgets import named
from gui.plots.axes import EmptyWords, colour_axes, label_axis, quiet
from gui.plots.learning_curves import LearningCurves
from gui.plots.legend import LINE, show_legend
from gui.theme import Theme
from labctl.events import Event

NEWEST = "the newest step"
SPARSE = 20
"""Curves of fewer points show each of them."""


class LearningPlot(QWidget):
    """The figures of one step, over the step's own counter: the newest step, or one that was chosen."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._curves = LearningCurves()
        self._items: dict[str, pg.PlotDataItem] = {}
        self._shown = ""
        self._dirty = False
        self._graphics = pg.PlotWidget()
        self._graphics.setAccessibleName("Learning curves")
        self._plot = self._graphics.getPlotItem()
        quiet(self._plot)
        label_axis(self._plot, "bottom", "epoch or iteration")
        self._empty = EmptyWords(self._graphics, [self._plot], "Nothing is learned yet: loss and scores come here")
        self.choice = QComboBox()
        self.choice.setMinimumWidth(240)
        self.choice.addItem(NEWEST, "")
        self.choice.currentIndexChanged.connect(self._choose)
        named(self.choice, "Step of the learning curves", "Whose learning curves are shown")
        row = QHBoxLayout()
        row.addWidget(QLabel("Show"))
        row.addWidget(self.choice)
        row.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 4, 4, 4)
        column.addLayout(row)
        column.addWidget(self._graphics, 1)
        self.use_theme(theme)

    def clear(self) -> None:
        """Forget all curves."""
        self._curves.clear()
        self.choice.setCurrentIndex(0)
        while self.choice.count() > 1:
            self.choice.removeItem(1)
        self._build("")

    def take(self, events: Iterable[Event]) -> None:
        """Add what these events say about learning."""
        if not self._curves.take(events):
            return
        self._dirty = True
        known = {self.choice.itemData(number) for number in range(1, self.choice.count())}
        for key in self._curves.steps:
            if key not in known:
                self.choice.addItem(key, key)
        for number in reversed(range(1, self.choice.count())):
            if self.choice.itemData(number) not in self._curves.steps:
                self.choice.removeItem(number)

    def refresh(self) -> None:
        """Draw, if there is anything new and somebody looks."""
        if not (self._dirty and self.isVisible()) or not self._curves.steps:
            return
        self._dirty = False
        key = self.choice.currentData() or next(reversed(self._curves.steps))
        curves = self._curves.steps[key]
        if key != self._shown or set(curves) != set(self._items):
            self._build(key)
        for name, points in curves.items():
            steps, values = np.asarray(points, dtype=np.float64).T
            symbol = "o" if len(points) < SPARSE else None  # a single point has no line
            self._items[name].setData(steps, values, symbol=symbol)

    def use_theme(self, theme: Theme) -> None:
        """Draw in these colours."""
        self._theme = theme
        colour_axes(self._graphics, [self._plot], theme)
        self._build("")
        self.refresh()

    def _choose(self, _: int) -> None:
        self._dirty = True
        self.refresh()

    def _build(self, key: str) -> None:
        """Empty curves for the figures of this step; the title is their legend."""
        self._plot.clear()
        self._items = {}
        self._shown = key
        self._dirty = True
        told = []
        colours = self._theme.curves
        for number, name in enumerate(self._curves.steps.get(key, ())):
            colour = colours[number % len(colours)]
            style = Qt.PenStyle.SolidLine if number < len(colours) else Qt.PenStyle.DashLine
            self._items[name] = self._plot.plot(
                pen=pg.mkPen(colour, width=1, style=style), symbolBrush=colour, symbolPen=colour, symbolSize=4
            )
            told.append((LINE, name, colour))
        show_legend(self._plot, told, self._theme, heading=key)
        self._empty.show(not self._items)
