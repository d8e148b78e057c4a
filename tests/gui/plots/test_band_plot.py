"""Bands, their legend and their axes."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from PySide6.QtWidgets import QLabel
from pytestqt.qtbot import QtBot

from gui.plots.axes import label_axis
from gui.plots.band_plot import MOST_POINTS, Band, BandPlot
from gui.theme import THEMES


def test_a_spike_among_many_samples_is_drawn_and_its_band_is_as_wide_as_it_was(qtbot: QtBot) -> None:
    plot = BandPlot(THEMES["light"], name="Trace")
    qtbot.addWidget(plot)
    x = np.arange(50_001.0)
    values = np.zeros_like(x)
    values[31_007] = 9.0
    plot.show_bands([Band("measured", x, values, low=values - 1.0, high=values + 1.0)])
    (shade,) = (item for item in plot.plot.items if isinstance(item, pg.FillBetweenItem))
    low, high, middle = (item.getData() for item in (*shade.curves, *plot.plot.listDataItems()))
    assert len(middle[0]) <= MOST_POINTS
    assert middle[1].max() == 9.0
    assert high[1].max() == 10.0
    assert low[1].min() == -1.0


def test_names_are_shown_as_they_are_and_not_read_as_html(qtbot: QtBot) -> None:
    plot = BandPlot(THEMES["light"], name="Trace")
    qtbot.addWidget(plot)
    name = "<b>U</b> & <img src='file:///x'>"
    plot.show_bands([Band(name, np.arange(3.0), np.arange(3.0))])
    assert "<b>U" not in plot.plot.titleLabel.text
    assert plot.plot.titleLabel.item.toPlainText().endswith(name)
    for unit in ("", "<V>"):
        label_axis(plot.plot, "left", "<b>x</b>", unit)
        assert "<b>" not in plot.plot.getAxis("left").labelString()
        assert plot.plot.getAxis("left").label.toPlainText().startswith("<b>x</b>")


def test_a_plot_of_nothing_has_words_and_no_axes_that_look_measured(qtbot: QtBot) -> None:
    plot = BandPlot(THEMES["light"], name="Trace")
    qtbot.addWidget(plot)
    plot.show()
    left = plot.plot.getAxis("left")
    label = next(one for one in plot.graphics.viewport().findChildren(QLabel))
    plot.set_labels(bottom="time", left="U", bottom_unit="s", left_unit="V")
    assert not left.isVisible(), "naming the axes does not show them"
    assert label.isVisible()
    assert label.text() == "Trace: nothing to draw yet"
    plot.show_bands([Band("measured", np.arange(3.0), np.arange(3.0))])
    assert left.isVisible()
    assert label.isHidden()
    plot.clear()
    assert not left.isVisible()
