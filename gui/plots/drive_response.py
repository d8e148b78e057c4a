"""The live plot of drive and response: an oscilloscope whose newest sample stands at the right edge."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QPointF, Qt
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from gui.numbers import counted
from gui.panels.widgets import button, plain
from gui.plots.axes import EmptyWords, colour_axes, label_axis, quiet
from gui.plots.legend import LINE, show_legend
from gui.plots.trace_buffer import TraceBuffer, TraceView
from gui.theme import Theme
from labctl.station import Channel

SPANS_S = (0.02, 0.1, 0.5, 2.0, 10.0, 60.0)
DEFAULT_SPAN_S = 0.1
MAX_POINTS = 2000
"""Points a curve; more than a screen has columns, as pairs of minimum and maximum."""
FROZEN_POINTS = 200_000
"""Of the frozen picture, which can be zoomed."""
CURSORS_PER_S = 30
FREEZE_TIP = (
    "Hold the picture: drag to move it, turn the wheel to zoom; what comes in meanwhile is kept all the same (Ctrl+F)"
)


class DriveResponsePlot(QWidget):
    """Two plots over the same time: what is driven, with its limits, and what comes back."""

    def __init__(self, buffer: TraceBuffer, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._buffer = buffer
        self._theme = theme
        self._channels: Mapping[str, Channel] = {}
        self._stream: tuple[tuple[str, ...], tuple[str, ...]] | None = None
        self._curves: list[pg.PlotCurveItem] = []
        self._reach: dict[int, tuple[float, float]] = {}
        self.frames = 0
        self._view: TraceView | None = None
        self._graphics = pg.GraphicsLayoutWidget()
        self._graphics.setAccessibleName("Live plot of drive and response")
        self._plots = (self._graphics.addPlot(row=0, col=0), self._graphics.addPlot(row=1, col=0))
        self._plots[1].setXLink(self._plots[0])
        self._span = QComboBox()
        self._counter = QLabel("no samples yet")
        self.freeze = button("Freeze", FREEZE_TIP, keys="Ctrl+F")
        self.freeze.setCheckable(True)
        self.freeze.toggled.connect(self._freeze)
        self.cursor_label = plain()
        self.cursor_label.setAccessibleName("Values under the mouse")
        self.cursor_label.setToolTip("Move the mouse over the plot: time and value of each channel there")
        self._cursors = [pg.InfiniteLine(angle=90) for _ in self._plots]
        for cursor in self._cursors:
            cursor.hide()
        self._lay_out()
        self._empty = EmptyWords(self._graphics, self._plots, "No samples yet: they are drawn as they come in")
        self._moved = pg.SignalProxy(
            self._graphics.scene().sigMouseMoved, rateLimit=CURSORS_PER_S, slot=lambda told: self.point_at(told[0])
        )
        self.use_theme(theme)
        self._rescale_time()

    def _lay_out(self) -> None:
        for span_s in SPANS_S:
            self._span.addItem(f"{1000 * span_s:g} ms" if span_s < 1.0 else f"{span_s:g} s", span_s)
        self._span.setCurrentIndex(SPANS_S.index(DEFAULT_SPAN_S))
        self._span.setToolTip("How much device time the plot shows (preparations included)")
        self._span.setAccessibleName("Time span of the plot")
        self._span.currentIndexChanged.connect(lambda _: self._rescale_time())
        self._counter.setMinimumWidth(160)
        self._counter.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self._counter.setToolTip("Samples of each channel since the campaign began; the plot keeps the newest only")
        for plot in self._plots:
            quiet(plot, mouse=False)
        self._plots[0].getAxis("bottom").setStyle(showValues=False)
        label_axis(self._plots[1], "bottom", "device time before the newest sample", "s")
        row = QHBoxLayout()
        row.addWidget(QLabel("Show the last"))
        row.addWidget(self._span)
        row.addWidget(self.freeze)
        row.addWidget(self.cursor_label, 1)
        row.addWidget(self._counter)
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 4, 4, 4)
        column.addLayout(row)
        column.addWidget(self._graphics, 1)

    def show_channels(self, channels: Mapping[str, Channel]) -> None:
        """Take units and limits from these channels."""
        self._channels = channels
        self._stream = None

    def use_theme(self, theme: Theme) -> None:
        """Draw in these colours."""
        self._theme = theme
        colour_axes(self._graphics, self._plots, theme)
        for cursor in self._cursors:
            cursor.setPen(pg.mkPen(theme.dim, width=1))
        self._stream = None
        self.refresh()

    def refresh(self) -> None:
        """Draw the newest samples, unless frozen; called at most once a frame."""
        if self.freeze.isChecked():
            return
        self._draw(MAX_POINTS)

    def _draw(self, max_points: int) -> None:
        view = self._buffer.view(span_s=float(self._span.currentData()), max_points=max_points)
        if view is None:
            self._forget()
            return
        self._view = view
        self._empty.show(False)
        if (view.drive_names, view.response_names) != self._stream:
            self._rebuild(view)
        for number, (curve, values) in enumerate(zip(self._curves, view.values, strict=True)):
            curve.setData(view.time_s, values, connect="all", skipFiniteCheck=True)
            self._widen(0 if number < len(view.drive_names) else 1, float(values.min()), float(values.max()))
        self._counter.setText(f"{counted(self._buffer.total)} samples")
        self.frames += 1

    def _forget(self) -> None:
        """What was recorded before is not shown as if it came in now."""
        if self._view is None:
            return
        self._view, self._stream, self._curves, self._reach = None, None, [], {}
        for plot in self._plots:
            plot.clear()
            show_legend(plot, [], self._theme)
        self._empty.show(True)
        self._counter.setText("no samples yet")
        self.cursor_label.setText("")

    def _freeze(self, frozen: bool) -> None:
        """Hold the picture, in more detail, to be zoomed; or go on."""
        for plot in self._plots:
            plot.setMouseEnabled(x=frozen, y=frozen)
        if frozen:
            self._draw(FROZEN_POINTS)
        else:
            self._reach = {}
            self._rescale_time()

    def point_at(self, position: QPointF) -> None:
        """Read out the samples at a point of the scene."""
        plot = next((plot for plot in self._plots if plot.sceneBoundingRect().contains(position)), None)
        view = self._view
        if plot is None or view is None or not view.time_s.size:
            self.cursor_label.setText("")
            return
        time_s = plot.getViewBox().mapSceneToView(position).x()
        at = int(np.argmin(np.abs(view.time_s - time_s)))
        names = (*view.drive_names, *view.response_names)
        told = [f"{name} {self._with_unit(name, values[at])}" for name, values in zip(names, view.values, strict=True)]
        self.cursor_label.setText(" · ".join([pg.siFormat(float(view.time_s[at]), suffix="s"), *told]))
        for cursor in self._cursors:
            cursor.setPos(float(view.time_s[at]))
            cursor.show()

    def _with_unit(self, name: str, value: float) -> str:
        channel = self._channels.get(name)
        return f"{value:.4g} {'' if channel is None else channel.unit}".strip()

    def _rebuild(self, view: TraceView) -> None:
        self._stream = (view.drive_names, view.response_names)
        self._reach = {}
        self._curves = []
        colours = self._theme.curves
        for which, (what, names) in enumerate((("drive", view.drive_names), ("response", view.response_names))):
            plot = self._plots[which]
            plot.clear()
            plot.addItem(self._cursors[which], ignoreBounds=True)
            units = {self._channels[name].unit for name in names if name in self._channels}
            label_axis(plot, "left", what, units.pop() if len(units) == 1 else "")
            told = []
            for number, name in enumerate(names):
                colour = colours[number % len(colours)]
                curve = pg.PlotCurveItem(pen=pg.mkPen(colour, width=1))
                plot.addItem(curve)
                self._curves.append(curve)
                told.append((LINE, name, colour))
                self._draw_limits(which, name, colour)
            show_legend(plot, told, self._theme)
        self._rescale_time()

    def _draw_limits(self, which: int, name: str, colour: str) -> None:
        channel = self._channels.get(name)
        if channel is None or not channel.is_output:
            return
        for limit in channel.limits:
            line = pg.InfiniteLine(limit, angle=0, pen=pg.mkPen(colour, width=1, style=Qt.PenStyle.DashLine))
            line.setToolTip(f"{name}: limit {limit:g} {channel.unit}")
            self._plots[which].addItem(line)
            self._widen(which, limit, limit)

    def _widen(self, which: int, low: float, high: float) -> None:
        """Let the scale grow, never shrink: a scale that follows every frame hides what changes."""
        seen = self._reach.get(which)
        reach = (low, high) if seen is None else (min(seen[0], low), max(seen[1], high))
        if reach != seen:
            self._reach[which] = reach
            self._plots[which].setYRange(*reach, padding=0.06)

    def _rescale_time(self) -> None:
        self._plots[0].setXRange(-float(self._span.currentData()), 0.0, padding=0.0)
        self.refresh()
