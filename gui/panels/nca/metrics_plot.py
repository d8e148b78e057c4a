"""Figures of a running automaton over its time: error to the target, mass, wavelength, standard deviation."""

from __future__ import annotations

from collections import deque

import numpy as np
import pyqtgraph as pg
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QVBoxLayout, QWidget

from gui.panels.widgets import named, plain
from gui.plots.axes import EmptyWords, colour_axes, label_axis, quiet
from gui.plots.legend import LINE, show_legend
from gui.theme import Theme
from labctl.nca_live_frames import LiveFacts, LiveMetrics

MOST = 2000
"""Points kept of each curve."""
KINDS = ("error to the target", "mass", "wavelength", "standard deviation")
_FIELDS = {"mass": "mass", "wavelength": "wavelength", "standard deviation": "sd"}


class MetricsPlot(QWidget):
    """The newest points; a run that begins anew begins them anew."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._points: deque[LiveMetrics] = deque(maxlen=MOST)
        self._facts: LiveFacts | None = None
        self._curves: list[pg.PlotDataItem] = []
        self.choice = QComboBox()
        self.choice.addItems(KINDS)
        named(
            self.choice,
            "Figure",
            "Drawn over the frames of the run; the error at whole frames, where the automaton was trained to be like the target",
        )
        self.choice.currentIndexChanged.connect(lambda _: self._build())
        self.value = plain("–")
        named(self.value, "Newest figures", "Of the picture that is shown")
        self.graphics = pg.PlotWidget()
        self.graphics.setAccessibleName("Figures of the run")
        self._plot = self.graphics.getPlotItem()
        quiet(self._plot, width=56, mouse=False)
        self._empty = EmptyWords(self.graphics, [self._plot], "Nothing runs yet")
        row = QHBoxLayout()
        row.addWidget(self.choice)
        row.addWidget(self.value, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(row)
        column.addWidget(self.graphics, 1)
        self.use_theme(theme)

    def begin(self, facts: LiveFacts) -> None:
        """Another automaton."""
        self._facts = facts
        self._points.clear()
        self._build()

    def take(self, metrics: LiveMetrics) -> None:
        """One more point."""
        if self._points and metrics.frame < self._points[-1].frame:
            self._points.clear()
        if self._points and metrics.frame == self._points[-1].frame:
            self._points.pop()  # painted on: the newer figures hold
        self._points.append(metrics)

    def refresh(self) -> None:
        """Draw what there is."""
        self._empty.show(not self._points)
        if not self.isVisible() or not self._points:
            return
        frames = np.array([one.frame for one in self._points])
        for curve, values in zip(self._curves, self._values(), strict=True):
            known = np.isfinite(values)
            curve.setData(frames[known], values[known])
        self.value.setText(self._words())

    def use_theme(self, theme: Theme) -> None:
        """Draw in these colours."""
        self._theme = theme
        colour_axes(self.graphics, [self._plot], theme)
        self._build()

    def _values(self) -> list[np.ndarray[tuple[int], np.dtype[np.float64]]]:
        field = _FIELDS.get(self.choice.currentText())
        if field is None:
            return [np.array([one.error for one in self._points])]
        rows = np.array([getattr(one, field) for one in self._points], dtype=np.float64)
        return list(rows.T)

    def _names(self) -> tuple[str, ...]:
        if self._facts is None:
            return ()
        return self._facts.names if self.choice.currentText() in _FIELDS else ("error",)

    def _words(self) -> str:
        newest, facts = self._points[-1], self._facts
        if facts is None:
            return ""
        field = _FIELDS.get(self.choice.currentText())
        if field is None:
            known = (one for one in reversed(self._points) if np.isfinite(one.error) and one.frame > newest.frame - 2)
            last = next(known, None)
            return "no target here" if last is None else f"{last.error:.3g} standard deviations of the data"
        unit = facts.pixel_unit if field == "wavelength" else ""
        measured = (one for one in reversed(self._points) if np.isfinite(getattr(one, field)).any())
        values = zip(facts.names, getattr(next(measured, newest), field), strict=True)
        return ", ".join(f"{name} {value:.3g} {unit}".strip() for name, value in values)

    def _build(self) -> None:
        self._plot.clear()
        kind = self.choice.currentText()
        unit = self._facts.pixel_unit if self._facts and kind == "wavelength" else ""
        label_axis(self._plot, "left", "", unit, prefix=False)  # which figure it is stands above, with the newest value
        label_axis(self._plot, "bottom", "frame")
        colours = self._theme.curves
        self._curves = [
            self._plot.plot(pen=pg.mkPen(colours[place % len(colours)], width=1)) for place in range(len(self._names()))
        ]
        told = [(LINE, name, colours[place % len(colours)]) for place, name in enumerate(self._names())]
        show_legend(self._plot, told if len(told) > 1 else [], self._theme)
        self.refresh()
