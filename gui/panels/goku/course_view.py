"""Reconstruction and forecast with bands against what was held back, and what is left over."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QSplitter, QVBoxLayout, QWidget

from gui.panels.widgets import named, words
from gui.plots.band_plot import Band, BandPlot
from gui.theme import Theme
from labctl.goku_residuals import autocorrelation, density, standard_normal
from labctl.goku_study import Course, GokuStudy


class CourseView(QWidget):
    """One trace and channel at a time: course above, what is left over below."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._study: GokuStudy | None = None
        self._theme = theme
        self.trace, self.channel = QComboBox(), QComboBox()
        named(self.trace, "Trace shown", "Which trace is drawn")
        named(self.channel, "Channel shown", "Which channel is drawn")
        for box in (self.trace, self.channel):
            box.currentIndexChanged.connect(lambda _: self._draw())
        self.course = BandPlot(theme, name="Reconstruction and forecast",
                               tip="Dots: measured; line: expected; band: where 90 % of the samples should lie; "
                                   "what lies behind the dashed line was held back and foreseen")  # fmt: skip
        self.left = BandPlot(
            theme,
            name="Residuals over time",
            tip="Measured less expected, in standard deviations; good: within ±2, without a pattern",
        )
        self.shape = BandPlot(theme, name="Distribution of residuals", tip="Good: as the standard normal distribution")
        self.memory = BandPlot(theme, name="Autocorrelation of residuals", tip="Good: about 0 at every lag")
        self.course.set_labels(bottom="time", left="", bottom_unit="s")
        self.left.set_labels(bottom="time", left="residual (sd)", bottom_unit="s")
        self.shape.set_labels(bottom="residual (sd)", left="density")
        self.memory.set_labels(bottom="lag (samples)", left="autocorrelation")
        self.words = words()
        self.words.setAccessibleName("How well it was foreseen")
        row = QHBoxLayout()
        for label, box in (("Trace", self.trace), ("Channel", self.channel)):
            row.addWidget(QLabel(label))
            row.addWidget(box, 1)
        row.addStretch(1)
        lower = QSplitter()
        for plot in (self.left, self.shape, self.memory):
            lower.addWidget(plot)
        lower.setChildrenCollapsible(False)
        both = QSplitter(Qt.Orientation.Vertical)
        both.addWidget(self.course)
        both.addWidget(lower)
        both.setSizes([300, 180])
        both.setChildrenCollapsible(False)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 4, 0, 0)
        column.addLayout(row)
        column.addWidget(self.words)
        column.addWidget(both, 1)
        self.show_study(None)

    def show_study(self, study: GokuStudy | None) -> None:
        """Show this one; None: nothing yet."""
        self._study = study
        names = [] if study is None else [one.label for one in study.courses]
        channels = (
            []
            if study is None
            else [f"{name} ({unit})" if unit else name for name, unit in zip(study.channels, study.units, strict=True)]
        )
        for box, items in ((self.trace, names), (self.channel, channels)):
            before = box.currentText()
            box.blockSignals(True)
            box.clear()
            box.addItems(items)
            box.setCurrentIndex(max(box.findText(before), 0) if items else -1)
            box.setEnabled(bool(items))
            box.blockSignals(False)
        self.words.setText(
            "Nothing is foreseen yet: press Fit and infer."
            if study is None
            else study.words[0][:1].upper() + study.words[0][1:] + "."
        )
        self._draw()

    def use_theme(self, theme: Theme) -> None:
        """Draw in these colours."""
        self._theme = theme
        for plot in (self.course, self.left, self.shape, self.memory):
            plot.use_theme(theme)
        self._draw()

    def _draw(self) -> None:
        number, channel = self.trace.currentIndex(), self.channel.currentIndex()
        if self._study is None or number < 0 or channel < 0:
            for plot in (self.course, self.left, self.shape, self.memory):
                plot.clear()
            return
        course = self._study.courses[number]
        self._draw_course(course, channel)
        residuals = course.left_over[:, channel]
        self.left.show_bands([Band("residual", course.times_s, residuals, colour=2, points=True)])
        self._line(self.left, course)
        edges, heights = density(residuals)
        self.shape.show_bands(
            [
                Band("residuals", edges, heights, colour=2),
                Band("as it should be", edges, standard_normal(edges), colour=3, dashed=True),
            ]
        )
        lags, memory = autocorrelation(residuals)
        self.memory.show_bands([Band("autocorrelation", lags, memory, colour=2)])

    def _draw_course(self, course: Course, channel: int) -> None:
        assert self._study is not None
        self.course.set_labels(
            bottom="time", left=self._study.channels[channel], bottom_unit="s", left_unit=self._study.units[channel]
        )
        times = course.times_s
        self.course.show_bands(
            [
                Band(
                    "expected, 90 % band",
                    times,
                    course.expected[:, channel],
                    0,
                    course.low[:, channel],
                    course.high[:, channel],
                ),
                Band(
                    "measured, shown", times[: course.n_seen], course.values[: course.n_seen, channel], 2, points=True
                ),
                Band(
                    "measured, held back",
                    times[course.n_seen :],
                    course.values[course.n_seen :, channel],
                    1,
                    points=True,
                ),
            ]
        )
        self._line(self.course, course)

    def _line(self, plot: BandPlot, course: Course) -> None:
        """Where the forecast begins."""
        if 0 < course.n_seen < len(course.times_s):
            place = float(np.mean(course.times_s[course.n_seen - 1 : course.n_seen + 1]))
            pen = pg.mkPen(self._theme.dim, width=1, style=Qt.PenStyle.DashLine)
            plot.plot.addItem(pg.InfiniteLine(place, angle=90, pen=pen), ignoreBounds=True)
