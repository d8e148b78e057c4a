"""The legend of a plot is its title, so that it hides nothing: a mark in the colour of each curve, and its name."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import pyqtgraph as pg

from gui.theme import Theme

LINE, DASHED, DOT, CROSS, INTERVAL = "━", "╌", "●", "✕", "●━"
BETWEEN = "&nbsp;&nbsp;&nbsp;"


def show_legend(plot: pg.PlotItem, entries: Sequence[tuple[str, str, str]], theme: Theme, *, heading: str = "") -> None:
    """`entries`: (mark, name, colour) of each curve; `heading` stands before them.

    Words have the colour of texts, which is legible on any ground, as colours of curves are not. Names are shown as they are, not
    read as HTML.
    """
    told = [
        f'<span style="color: {colour}"><b>{mark}</b></span>&nbsp;<span style="color: {theme.text}">{escape(name)}</span>'
        for mark, name, colour in entries
    ]
    if heading:
        told.insert(0, f'<span style="color: {theme.text}">{escape(heading)}</span>')
    plot.setTitle(BETWEEN.join(told) or None, size="10pt")
    plot.titleLabel.setMinimumWidth(
        0.0
    )  # a long legend must not make the plot wider than its place, which cuts the axes
