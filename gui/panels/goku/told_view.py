"""What the data tell: which parameters are known, and which only together."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QSplitter, QVBoxLayout, QWidget

from gui.models.rows import Column, RowsModel
from gui.panels.tables import table
from gui.panels.widgets import named, words
from gui.plots.axes import colour_axes, label_axis, quiet
from gui.plots.legend import CROSS, DOT, show_legend
from gui.theme import Theme
from labctl.goku_study import GokuStudy, Samples, pair_in_words

MOST_NUMBERS = 10
"""Parameters up to which every correlation is written into its cell."""
_ALONE = "Every parameter is known by itself: no two of them make up for each other."
_ONLY_DRAWS = (
    "Of this trace only the draws are shown; what the data tell is worked out for the first traces, once inferred."
)
_VERDICTS = {"learned": "✓ known", "partly": "◐ partly", "not learned": "✗ not told"}


class ToldView(QWidget):
    """Words, a table of standings, the matrix of correlations, and one pair of parameters as a cloud of draws."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self._study: GokuStudy | None = None
        self.trace, self.first, self.second = QComboBox(), QComboBox(), QComboBox()
        named(self.trace, "Trace shown", "Whose posterior is shown")
        named(self.first, "Parameter across", "Parameter on the horizontal axis of the cloud")
        named(self.second, "Parameter up", "Parameter on the vertical axis of the cloud")
        self.trace.currentIndexChanged.connect(lambda _: self._draw())
        for box in (self.first, self.second):
            box.currentIndexChanged.connect(lambda _: self._draw_cloud())
        self.words = words()
        self.words.setAccessibleName("What is only known together")
        self.standings = RowsModel(
            [
                Column("Parameter", "Of the equation", lambda one: one.parameter),
                Column("Verdict", "known: less than half of its range is left open; not told: more than 90 %",
                       lambda one: _VERDICTS.get(one.verdict, one.verdict)),
                Column("Left open", "Width of what is left over that of the range",
                       lambda one: f"{100 * one.width:.3g} %", right=True),
                Column("If others known", "The same, if all other parameters were known",
                       lambda one: f"{100 * one.alone:.3g} %", right=True),
                Column("Why", "What stands in its way", lambda one: one.why),
            ]
        )  # fmt: skip
        self.table = table(self.standings, name="What the data tell", stretch=4, widths={0: 120, 1: 90, 2: 80, 3: 110})
        self.matrix, self._matrix_plot = _plot(
            "Correlations", "Of the posterior: ±1 means that two parameters are only known together"
        )
        self.cloud, self._cloud_plot = _plot(
            "Cloud of draws",
            "Each dot is a possible pair of values; a thin slanting cloud: only a combination is known",
        )
        row = QHBoxLayout()
        for label, box in (("Trace", self.trace), ("Cloud of", self.first), ("and", self.second)):
            row.addWidget(QLabel(label))
            row.addWidget(box, 1)
        plots = QSplitter()
        plots.addWidget(self.matrix)
        plots.addWidget(self.cloud)
        plots.setChildrenCollapsible(False)
        both = QSplitter(Qt.Orientation.Vertical)
        both.addWidget(self.table)
        both.addWidget(plots)
        both.setSizes([150, 300])
        both.setChildrenCollapsible(False)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 4, 0, 0)
        column.addLayout(row)
        column.addWidget(self.words)
        column.addWidget(both, 1)
        self.use_theme(theme)
        self.show_study(None)

    def show_study(self, study: GokuStudy | None) -> None:
        """Show this one; None: nothing yet."""
        self._study = study
        traces = [] if study is None else [row.trace for row in study.rows]
        names = [] if study is None else [one.name for one in study.parameters]
        for box, items, default in (
            (self.trace, traces, 0),
            (self.first, names, 0),
            (self.second, names, min(1, len(names) - 1)),
        ):
            box.blockSignals(True)
            box.clear()
            box.addItems(items)
            box.setCurrentIndex(default if items else -1)
            box.setEnabled(bool(items))
            box.blockSignals(False)
        if study is not None and (pairs := study.together(0, least=0.0)):
            for box, name in ((self.first, pairs[0][0]), (self.second, pairs[0][1])):
                box.blockSignals(True)
                box.setCurrentText(name)
                box.blockSignals(False)
        self._draw()

    def use_theme(self, theme: Theme) -> None:
        """Draw in these colours."""
        self._theme = theme
        for graphics, plot in ((self.matrix, self._matrix_plot), (self.cloud, self._cloud_plot)):
            colour_axes(graphics, [plot], theme, grid=False)
        self._draw()

    def _draw(self) -> None:
        study, number = self._study, self.trace.currentIndex()
        self._matrix_plot.clear()
        if study is None or number < 0:
            self.words.setText("Nothing is inferred yet: press Fit and infer.")
            self.standings.reset([])
            self._cloud_plot.clear()
            return
        trace = study.rows[number].trace
        found = next(
            (one for one in study.identified if one.traces == trace or one.traces.startswith(f"{trace} and ")), None
        )
        self.standings.reset([] if found is None else found.standings)
        lines = list(found.lines) if found is not None else []
        standings = () if found is None else found.standings
        pairs = [pair for pair in study.together(number) if not _said(lines, pair[0], pair[1])]
        lines += [pair_in_words(*pair, standings) for pair in pairs]
        if not lines:
            lines = [_ALONE if found is not None else _ONLY_DRAWS]
        self.words.setText("\n".join(lines))
        self._draw_matrix(study, number)
        self._draw_cloud()

    def _draw_matrix(self, study: GokuStudy, number: int) -> None:
        matrix, names = study.correlation[number], [one.name for one in study.parameters]
        n = len(names)
        image = pg.ImageItem(axisOrder="row-major")
        image.setImage(_coloured(matrix[::-1], self._theme), autoLevels=False, levels=(0, 255))
        image.setRect(0, 0, n, n)
        self._matrix_plot.addItem(image)
        for i in range(n if n <= MOST_NUMBERS else 0):
            for j in range(n):
                text = pg.TextItem(f"{matrix[i, j]:+.2f}", color=self._theme.text, anchor=(0.5, 0.5))
                text.setPos(j + 0.5, n - i - 0.5)
                self._matrix_plot.addItem(text)
        self._matrix_plot.getAxis("bottom").setTicks(
            [[(k + 0.5, _cut(name, max(4, 60 // n))) for k, name in enumerate(names)]]
        )
        self._matrix_plot.getAxis("left").setTicks([[(n - k - 0.5, _cut(name, 16)) for k, name in enumerate(names)]])
        self._matrix_plot.getAxis("left").setWidth(110)
        show_legend(self._matrix_plot, [], self._theme, heading="correlation of the posterior, −1 … +1")
        self._matrix_plot.setRange(xRange=(0, n), yRange=(0, n), padding=0.0)

    def _draw_cloud(self) -> None:
        self._cloud_plot.clear()
        study, number = self._study, self.trace.currentIndex()
        first, second = self.first.currentIndex(), self.second.currentIndex()
        if study is None or min(number, first, second) < 0:
            return
        draws = study.draws[number]
        there = np.isfinite(draws).all(axis=1)
        colour = self._theme.curves[0]
        self._cloud_plot.addItem(
            pg.ScatterPlotItem(draws[there, first], draws[there, second], size=4, pen=None, brush=pg.mkBrush(colour))
        )
        told = [(DOT, "possible", colour)]
        names = [study.parameters[k] for k in (first, second)]
        truth = [study.truth.get(one.name, ()) for one in names]
        if all(len(one) > number for one in truth):
            other = self._theme.curves[1]
            self._cloud_plot.addItem(
                pg.ScatterPlotItem(
                    [truth[0][number]],
                    [truth[1][number]],
                    symbol="x",
                    size=12,
                    pen=pg.mkPen(other, width=1),
                    brush=pg.mkBrush(other),
                )
            )
            told.append((CROSS, "true", other))
        show_legend(self._cloud_plot, told, self._theme)
        for side, one in (("bottom", names[0]), ("left", names[1])):
            label_axis(self._cloud_plot, side, one.name, one.unit, prefix=False)
        self._cloud_plot.autoRange()


def _plot(name: str, tip: str) -> tuple[pg.PlotWidget, pg.PlotItem]:
    graphics = pg.PlotWidget()
    graphics.setAccessibleName(name)
    graphics.setToolTip(tip)
    plot = graphics.getPlotItem()
    quiet(plot, width=None, mouse=False)
    return graphics, plot


def _cut(name: str, most: int) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _said(lines: list[str], first: str, second: str) -> bool:
    return any(first in line and second in line for line in lines)


def _coloured(matrix: Samples, theme: Theme) -> NDArray[np.uint8]:
    """(row, column, rgb): from one colour of the theme over its ground to another."""
    ground, low, high = (_rgb(one) for one in (theme.base, theme.curves[1], theme.curves[0]))
    strength = 0.5 * np.abs(np.nan_to_num(matrix))[..., None]
    end = np.where(np.nan_to_num(matrix)[..., None] < 0.0, low, high)
    image: NDArray[np.uint8] = (ground + strength * (end - ground)).astype(np.uint8)
    return image


def _rgb(colour: str) -> Samples:
    one = QColor(colour)
    return np.array([one.red(), one.green(), one.blue()], dtype=np.float64)
