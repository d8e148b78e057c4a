"""One parameter over all traces: estimates with their 90 % intervals, beside the true values where these are known."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from PySide6.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from gui.panels.widgets import named
from gui.plots.axes import EmptyWords, colour_axes, label_axis, quiet
from gui.plots.legend import CROSS, INTERVAL, show_legend
from gui.theme import Theme
from labctl.goku_study import GokuStudy

MOST_ROWS = 60
"""More cannot be told apart; the table has all."""


class ForestPlot(QWidget):
    """A line a trace; hollow dots are not to be trusted, crosses are the truth."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self._study: GokuStudy | None = None
        self.parameter = QComboBox()
        named(self.parameter, "Parameter shown", "Which parameter is drawn")
        self.parameter.currentIndexChanged.connect(lambda _: self._draw())
        self.around = QCheckBox("around each median")
        named(
            self.around,
            "Around each median",
            "Draw differences to each trace's median, so that narrow intervals can be seen",
        )
        self.around.toggled.connect(lambda _: self._draw())
        self.graphics = pg.PlotWidget()
        self.graphics.setAccessibleName("Intervals of a parameter")
        self.graphics.setToolTip(
            "Dot: median, line: 90 % interval, × : true value (simulated traces), hollow: not to be trusted"
        )
        self.plot = self.graphics.getPlotItem()
        quiet(self.plot, width=110)
        self._empty = EmptyWords(self.graphics, [self.plot], "Nothing is inferred yet: press Fit and infer")
        row = QHBoxLayout()
        row.addWidget(QLabel("Parameter"))
        row.addWidget(self.parameter, 1)
        row.addWidget(self.around)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(row)
        column.addWidget(self.graphics, 1)
        self.use_theme(theme)

    def show_study(self, study: GokuStudy | None) -> None:
        """Draw this one's parameters."""
        self._study = study
        before = self.parameter.currentText()
        self.parameter.blockSignals(True)
        self.parameter.clear()
        if study is not None:
            self.parameter.addItems([one.name for one in study.parameters])
            self.parameter.setCurrentIndex(max(self.parameter.findText(before), 0))
        self.parameter.blockSignals(False)
        self._draw()

    def use_theme(self, theme: Theme) -> None:
        """Draw in these colours."""
        self._theme = theme
        colour_axes(self.graphics, [self.plot], theme, grid=False)
        self.plot.showGrid(x=True, y=False, alpha=0.15)
        self._draw()

    def _draw(self) -> None:
        self.plot.clear()
        number = self.parameter.currentIndex()
        study = self._study
        self._empty.show(study is None or number < 0)
        if study is None or number < 0:
            show_legend(self.plot, [], self._theme)
            return
        rows = study.rows[:MOST_ROWS]
        ones = [row.estimates[number] for row in rows]
        heights = np.arange(len(rows), dtype=np.float64)[::-1]
        colour = self._theme.curves[0]
        middle = np.array([one.value for one in ones])
        zero = middle if self.around.isChecked() else np.zeros(len(ones))
        ends = (np.array([(one.low, one.high) for one in ones]) - zero[:, None]).ravel()
        self.plot.plot(ends, np.repeat(heights, 2), pen=pg.mkPen(colour, width=1), connect="pairs")
        fills = [colour if row.trusted else self._theme.base for row in rows]
        self.plot.addItem(
            pg.ScatterPlotItem(
                middle - zero,
                heights,
                size=7,
                pen=pg.mkPen(colour, width=1),
                brush=[pg.mkBrush(fill) for fill in fills],
            )
        )
        told = [(INTERVAL, "median and 90 % interval", colour)]
        truth = study.truth.get(ones[0].parameter, ())[: len(rows)]
        if truth:
            other = self._theme.curves[1]
            self.plot.addItem(
                pg.ScatterPlotItem(
                    np.array(truth) - zero,
                    heights,
                    symbol="x",
                    size=11,
                    pen=pg.mkPen(other, width=1),
                    brush=pg.mkBrush(other),
                )
            )
            told.append((CROSS, "true value", other))
        show_legend(self.plot, told, self._theme)
        quantity = study.parameters[number]
        less = " − median" if self.around.isChecked() else ""
        label_axis(self.plot, "bottom", f"{quantity.name}{less}", quantity.unit, prefix=False)
        names = [(height, _short(row.trace)) for height, row in zip(heights, rows, strict=True)]
        self.plot.getAxis("left").setTicks([names if len(names) <= 24 else names[:: len(names) // 12]])
        self.plot.setYRange(-0.6, len(rows) - 0.4)
        self.plot.enableAutoRange(axis="x")


def _short(label: str) -> str:
    """The end of a label tells traces apart."""
    parts = label.split(", ")
    text = ", ".join(parts[1:]) if len(parts) > 1 else label
    return text if len(text) <= 18 else f"…{text[-17:]}"
