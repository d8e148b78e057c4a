"""The figures of a recording under way, in one row."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtWidgets import QGridLayout, QLabel, QWidget

from gui.numbers import counted, file_size
from gui.panels.widgets import named, plain
from gui.widgets.job_controls import duration
from labctl.events import Acquired

FIGURES = {
    "size": ("File under way", "Its size on disk: all its space is taken at the beginning"),
    "samples": ("Samples in it", "Of each channel, preparations included"),
    "trials": ("Trials in it", "Measured to their end"),
    "rate": ("Sample rate", "As reached, in samples a second"),
    "lost": ("Dropped", "Samples lost by the instrument or the line, and those that came late"),
    "left": (
        "Left of this file",
        "Estimated from what is done; pauses are not counted. The bar below tells of all files",
    ),
}
NOTHING = "–"


class FiguresRow(QWidget):
    """Shows what `Acquired` events tell."""

    def __init__(self) -> None:
        super().__init__()
        grid = QGridLayout(self)
        grid.setContentsMargins(4, 0, 4, 0)
        grid.setVerticalSpacing(0)
        self.values: dict[str, QLabel] = {}
        for column, (key, (title, tip)) in enumerate(FIGURES.items()):
            heading, value = plain(title), plain(NOTHING)
            heading.setObjectName("dim")
            named(value, title, tip)
            heading.setToolTip(tip)
            grid.addWidget(heading, 0, column)
            grid.addWidget(value, 1, column)
            grid.setColumnStretch(column, 1)
            self.values[key] = value

    def clear(self) -> None:
        """Nothing is known."""
        for value in self.values.values():
            value.setText(NOTHING)

    def end(self) -> None:
        """It is over: no time is left."""
        self.values["left"].setText(NOTHING)

    def show_figures(self, told: Acquired) -> None:
        """Show these."""
        lost = "not known" if told.lost is None else counted(told.lost)
        late = f", {counted(told.late)} late" if told.late else ""
        texts = {
            "rate": f"{told.sample_rate_Hz:.5g} /s",
            "samples": f"{counted(told.samples)} of {counted(told.wanted)}",
            "lost": f"{lost}{late}",
            "trials": f"{told.trials} of {told.n_trials}",
            "left": NOTHING if told.left_s is None else duration(told.left_s),
            "size": f"{Path(told.file).name}, {file_size(told.file_bytes)}" if told.file_bytes else NOTHING,
        }
        for key, text in texts.items():
            self.values[key].setText(text)
        self.values["rate"].setToolTip(f"{FIGURES['rate'][1]}: {told.rate_is}")
        self.values["lost"].setToolTip(f"{FIGURES['lost'][1]}.\nHow that is known: {told.how}")
        self.values["size"].setToolTip(f"{FIGURES['size'][1]}\n{told.file}")
