"""The hidden channels as a strip of small pictures; a click shows one large."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QScrollArea, QVBoxLayout, QWidget

from gui.panels.nca.colours import Scale
from gui.panels.nca.field_view import FieldView
from gui.theme import Theme
from labctl.nca_live_frames import Pictures

LEAST_SPAN = 1e-6
"""Of a scale: what differs by less is all of one colour."""


class HiddenStrip(QWidget):
    """`chosen(number or None)`: which one is to be shown large."""

    chosen = Signal(object)

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self.views: list[FieldView] = []
        self._large: int | None = None
        self.told = QLabel("Hidden channels")
        self.told.setToolTip(
            "What the cells keep beside the channels that are seen; each on its own scale, written below it"
        )
        inner = QWidget()
        self._row = QHBoxLayout(inner)
        self._row.setContentsMargins(0, 0, 0, 0)
        area = QScrollArea()
        area.setWidget(inner)
        area.setWidgetResizable(True)
        area.setFrameShape(QScrollArea.Shape.NoFrame)
        area.viewport().setAutoFillBackground(False)
        inner.setAutoFillBackground(False)
        line = self.fontMetrics().height()
        area.setMinimumHeight(6 * line)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(1)
        column.addWidget(self.told)
        column.addWidget(area, 1)

    def begin(self, n_hidden: int) -> None:
        """Of another automaton."""
        while (item := self._row.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.deleteLater()
        self._large = None
        self.views = []
        for number in range(n_hidden):
            tip = f"Hidden channel {number + 1}; a click shows it large in place of the difference, another one puts that back"
            view = FieldView(f"h{number + 1}", tip, self._theme, small=True)
            view.picked.connect(lambda number=number: self._pick(number))
            self._row.addWidget(view)
            self.views.append(view)
        self.told.setText(
            "Hidden channels (click: show large)" if n_hidden else "Hidden channels: this automaton has none"
        )

    def show_hidden(self, hidden: Pictures) -> None:
        """(channel, y, x)."""
        for view, values in zip(self.views, hidden, strict=False):
            view.show_field(values, own_scale(values))

    def use_theme(self, theme: Theme) -> None:
        """Draw in these colours."""
        self._theme = theme
        for view in self.views:
            view.use_theme(theme)

    def _pick(self, number: int) -> None:
        self._large = None if number == self._large else number
        for place, view in enumerate(self.views):
            view.mark(place == self._large)
        self.chosen.emit(self._large)


def own_scale(values: Pictures) -> Scale:
    """From the 1st to the 99th percentile: a hidden channel has any offset, and what differs between its cells is what it keeps."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return Scale(0.0, 1.0)
    low, high = (float(one) for one in np.percentile(finite, (1.0, 99.0)))
    return Scale(low, max(high, low + LEAST_SPAN * max(1.0, abs(low))))


def largest(values: Pictures) -> float:
    """Largest finite magnitude."""
    finite = np.abs(values[np.isfinite(values)])
    return float(finite.max(initial=0.0))
