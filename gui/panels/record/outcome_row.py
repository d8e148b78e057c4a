"""What came of a recording: where it is, what became of the outputs, and what to do with it next."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from gui.panels.widgets import button, words

NONE_YET = "Nothing has been recorded yet"


class OutcomeRow(QWidget):
    """Emits `fit_asked`, `browse_asked` and `script_asked`."""

    fit_asked = Signal()
    browse_asked = Signal()
    script_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.files: tuple[Path, ...] = ()
        self._said = ""
        self.text = words("outcome")
        self.text.setAccessibleName("What came of the recording")
        self.fit = button("Diagnose / fit a twin", "Take these recordings to the Twins panel", self.fit_asked.emit)
        self.browse = button("Open in browser of runs", "Show this run in the Runs panel", self.browse_asked.emit)
        self.script = button("Script of it …", "The script that makes this very recording", self.script_asked.emit)
        self._tips = {one: one.toolTip() for one in self._buttons}
        buttons = QHBoxLayout()
        for one in self._buttons:
            buttons.addWidget(one)
        buttons.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 0, 4, 0)
        column.addWidget(self.text)
        column.addLayout(buttons)
        self.clear()

    @property
    def _buttons(self) -> tuple[QWidget, ...]:
        return (self.fit, self.browse, self.script)

    def clear(self) -> None:
        """Nothing came of anything yet."""
        self.show_outcome("", ())
        self.hide()

    def offer(self, *, filmed: bool) -> None:
        """What a film is good for is another panel than what a drive and its response are."""
        self.fit.setText("Learn an automaton" if filmed else "Diagnose / fit a twin")
        self._tips[self.fit] = (
            "Take this film to the NCA panel" if filmed else "Take these recordings to the Twins panel"
        )
        self.fit.setAccessibleName(self.fit.text())

    def show_outcome(self, text: str, files: Sequence[Path], *, details: str = "") -> None:
        """Say it, and offer the files; details in the tooltip."""
        self.files, self._said = tuple(files), text
        self.text.setText(text)
        self.text.setToolTip(details)
        for one in self._buttons:
            usable = bool(self.files) or one is self.script
            one.setEnabled(usable)
            one.setToolTip(self._tips[one] if usable else NONE_YET)
        if self.parentWidget() is not None:  # else it would be a window of its own for a moment
            self.show()

    def add_outputs(self, told: str, *, details: str) -> None:
        """What became of the outputs, below what came of the recording; the newest counts."""
        self.text.setText(f"{self._said}\n{told}")
        self.text.setToolTip(details)
