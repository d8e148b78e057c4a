"""What all plots have in common: quiet, in the colours of the theme, with axes that say what they show in what unit."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

import pyqtgraph as pg
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QVBoxLayout

from gui.theme import Theme

SIDES = ("left", "bottom")
WIDTH = 64
"""Of the left axis in pixels, so that plots below one another stand under one another."""


def quiet(plot: pg.PlotItem, *, width: int | None = WIDTH, mouse: bool = True) -> None:
    """No menu, no buttons; `mouse` False: it cannot be dragged or zoomed either."""
    plot.setMenuEnabled(False)
    plot.hideButtons()
    if not mouse:
        plot.setMouseEnabled(x=False, y=False)
    if width is not None:
        plot.getAxis("left").setWidth(width)


def colour_axes(graphics: Any, plots: Iterable[pg.PlotItem], theme: Theme, *, grid: bool = True) -> None:
    """Draw the ground of `graphics`, the axes of its plots and their grids in these colours."""
    graphics.setBackground(theme.base)
    for plot in plots:
        for side in SIDES:
            plot.getAxis(side).setPen(theme.border)
            plot.getAxis(side).setTextPen(theme.text)
        if grid:
            plot.showGrid(x=True, y=True, alpha=0.15)


def label_axis(plot: pg.PlotItem, side: str, text: str, unit: str = "", *, prefix: bool = True) -> None:
    """Say what an axis shows. With `prefix` SI prefixes are put before the unit; a bare number is never "x0.001".

    Texts are names that people give: they are shown as they are, not read as HTML.
    """
    with_prefix = bool(unit) and prefix
    axis = plot.getAxis(side)  # the plot's own setLabel would show an axis that is hidden
    axis.enableAutoSIPrefix(with_prefix)
    if with_prefix:
        axis.setLabel(escape(text), units=escape(unit))
    else:
        axis.setLabel(escape(f"{text} ({unit})" if text and unit else text or unit) or None)


class EmptyWords:
    """A line in the middle of plots that hold nothing yet, in the place of axes: an empty range of 0 … 1 would look measured."""

    def __init__(self, graphics: Any, plots: Iterable[pg.PlotItem], text: str) -> None:
        self._plots = tuple(plots)
        self.label = QLabel(text, graphics.viewport(), textFormat=Qt.TextFormat.PlainText)
        self.label.setObjectName("dim")
        self.label.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.label.setWordWrap(True)
        self.label.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        middle = QVBoxLayout(graphics.viewport())
        middle.addWidget(self.label)
        self._empty = False
        self.show(True)

    def show(self, empty: bool) -> None:
        """Show the words in the place of the axes, or the axes."""
        if empty == self._empty:
            return
        self._empty = empty
        self.label.setVisible(empty)
        for plot in self._plots:
            for side in SIDES:
                plot.showAxis(side, not empty)
