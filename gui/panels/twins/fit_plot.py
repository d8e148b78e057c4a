"""Training as it goes: loss above, held-out scores below, the best marked."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QSplitter, QVBoxLayout, QWidget

from gui.panels.widgets import named, plain
from gui.plots.band_plot import Band, BandPlot
from gui.plots.learning_curves import Curve, LearningCurves
from gui.theme import Theme
from labctl.events import Event

NEWEST = "the one in training"
LOSS, SCORE, BEST = "train_loss", "free_run_score", "best_score"


class FitPlot(QWidget):
    """Learning curves of one training; where several twins are tried, the newest, or one that is chosen."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._curves = LearningCurves()
        self._dirty = False
        self.loss = BandPlot(theme, name="Training loss", tip="What training makes smaller, by epoch")
        self.score = BandPlot(
            theme,
            name="Held-out score",
            tip="How far free runs are from what was measured, on inputs kept from training; lower is better",
        )
        self.loss.set_labels(bottom="", left="Training loss")
        self.score.set_labels(bottom="Epoch", left="Held-out score (lower: better)")
        self.score.plot.setXLink(self.loss.plot)
        self.loss.plot.getAxis("bottom").setStyle(showValues=False)  # they stand below
        self.choice = QComboBox()
        self.choice.addItem(NEWEST, "")
        self.choice.setMinimumContentsLength(24)
        named(self.choice, "Training shown", "Which twin's training is shown, where several are tried")
        self.choice.currentIndexChanged.connect(lambda _: self._redraw())
        self.best = plain()
        named(
            self.best,
            "Kept so far",
            "The last checkpoint whose held-out score is not worse than the lowest by more than chance\n(two standard errors)",
        )
        row = QHBoxLayout()
        row.addWidget(self.best, 1)
        row.addWidget(QLabel("Show"))
        row.addWidget(self.choice)
        splitter = QSplitter(Qt.Orientation.Vertical)
        splitter.addWidget(self.loss)
        splitter.addWidget(self.score)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(row)
        column.addWidget(splitter, 1)

    def clear(self) -> None:
        """Forget all."""
        self._curves.clear()
        self.choice.setCurrentIndex(0)
        while self.choice.count() > 1:
            self.choice.removeItem(1)
        self.loss.clear()
        self.score.clear()
        self.best.setText("")

    def take(self, events: Iterable[Event]) -> None:
        """Add what the events hold."""
        if self._curves.take(events):
            for key in self._curves.steps:
                if self.choice.findData(key) < 0:
                    self.choice.addItem(key, key)
            self._dirty = True
            self._draw()

    def use_theme(self, theme: Theme) -> None:
        """Draw in these colours."""
        self.loss.use_theme(theme)
        self.score.use_theme(theme)

    def showEvent(self, event: QShowEvent) -> None:
        """Draw what came meanwhile."""
        super().showEvent(event)
        self._draw()

    def _redraw(self) -> None:
        self._dirty = True
        self._draw()

    def _draw(self) -> None:
        key = self.choice.currentData() or next(
            (key for key in reversed(self._curves.steps) if SCORE in self._curves.steps[key]), ""
        )
        curves = self._curves.steps.get(key, {})
        if not (self._dirty and self.isVisible() and curves):
            return
        self._dirty = False
        if LOSS in curves:
            self.loss.show_bands([Band("training loss", *_arrays(curves[LOSS]))])
        if SCORE in curves:
            bands = [Band("held-out score", *_arrays(curves[SCORE]), colour=1)]
            if BEST in curves:
                epochs, best = _arrays(curves[BEST])
                at = _kept_at(best)
                bands.append(Band("kept", epochs[at : at + 1], best[at : at + 1], colour=2, points=True))
                self.best.setText(f"{key}: ● kept so far: held-out score {best[-1]:.4g}, of epoch {int(epochs[at])}")
            self.score.show_bands(bands)


def _arrays(curve: Curve) -> tuple[np.ndarray, np.ndarray]:
    epochs, values = np.asarray(curve, dtype=np.float64).T
    return epochs, values


def _kept_at(best: np.ndarray) -> int:
    """Where the checkpoint that is kept now was kept."""
    same = np.flatnonzero(~np.isclose(best, best[-1], rtol=1e-12, atol=math.ulp(0.0)))
    return int(same[-1]) + 1 if len(same) else 0
