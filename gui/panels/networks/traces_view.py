"""Held-out examples of a task: the target, what the twins promise, what the device answered."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QSpinBox, QVBoxLayout, QWidget

from gui.panels.networks.until_drawn import UntilDrawn
from gui.panels.widgets import named
from gui.plots.band_plot import Band, BandPlot
from gui.theme import Theme
from labctl.network_card import Traces

RIVALS = {"reservoir": "reservoir, measured", "unoptimised": "unoptimised, measured"}
SPREAD = 2.0
"""Bands are so many standard deviations of the repeats wide on each side."""


class TracesView(QWidget):
    """One example at a time, chosen above the plot."""

    def __init__(self, theme: Theme, *, name: str, empty: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._traces: Traces | None = None
        self.example = QSpinBox(minimum=1, maximum=1)
        named(self.example, "Held-out example", "Which of the held-out examples is shown")
        self.output = QSpinBox(minimum=1, maximum=1)
        named(self.output, "Output", "Which of the task's outputs is shown")
        self.rival = QComboBox()
        self.rival.addItem("no comparison", "")
        for key, text in RIVALS.items():
            self.rival.addItem(text, key)
        named(self.rival, "Rival", "A network to stand beside")
        self.plot = BandPlot(theme, name=name, tip="Values in units of the task; the band is ± 2 spreads over repeats")
        self.plot.set_labels(bottom="step", left="output")
        self.plot.setMinimumHeight(120)
        self.choices = QWidget()
        row = QHBoxLayout(self.choices)
        row.setContentsMargins(0, 0, 0, 0)
        for widget in (QLabel("Example"), self.example, QLabel("Output"), self.output, self.rival):
            row.addWidget(widget)
        row.addStretch(1)
        self.shown = UntilDrawn(self.plot, empty)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.choices)
        column.addWidget(self.shown, 1)
        self.rival.hide()
        self.example.valueChanged.connect(lambda _: self._draw())
        self.output.valueChanged.connect(lambda _: self._draw())
        self.rival.currentIndexChanged.connect(lambda _: self._draw())
        self._draw()

    def show_traces(self, traces: Traces | None) -> None:
        """Show these, or nothing."""
        self._traces = traces
        if traces is not None:
            self.example.setMaximum(traces.n_trials)
            self.output.setMaximum(traces.n_outputs)
            self.rival.setVisible(any(name in traces.measured for name in RIVALS))
        self._draw()

    def use_theme(self, theme: Theme) -> None:
        """Draw in these colours."""
        self.plot.use_theme(theme)

    def _draw(self) -> None:
        traces = self._traces
        self.shown.show_drawn(traces is not None)
        self.choices.setVisible(traces is not None)
        if traces is None:
            self.plot.clear()
            return
        trial, output = self.example.value() - 1, self.output.value() - 1
        steps = np.flatnonzero(traces.scored[trial])
        x = steps.astype(np.float64)
        bands = [Band("target", x, traces.target[trial, steps, output], colour=2, dashed=True)]
        if traces.promised is not None:
            bands.append(Band("promised", x, traces.promised[trial, steps, output], colour=0))
        for name, text, colour in (("optimised", "MEASURED", 1), (str(self.rival.currentData()), "rival", 3)):
            if name in traces.measured:
                bands.append(_measured(text, x, traces.measured[name][:, trial, steps, output], colour))
        self.plot.show_bands(bands)


def _measured(name: str, x: NDArray[np.float64], repeats: NDArray[np.float64], colour: int) -> Band:
    mean = repeats.mean(axis=0)
    if len(repeats) < 2:
        return Band(name, x, mean, colour=colour)
    spread = SPREAD * repeats.std(axis=0, ddof=1)
    return Band(name, x, mean, colour=colour, low=mean - spread, high=mean + spread)
