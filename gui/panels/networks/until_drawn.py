"""In the place of a plot that has nothing to show yet: a line that says what will appear, in place of empty axes."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QStackedWidget, QWidget

from gui.panels.widgets import words


class UntilDrawn(QStackedWidget):
    """Shows `told` until there is something in `plot`."""

    def __init__(self, plot: QWidget, told: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.told = words("dim")
        self.told.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.told.setText(told)
        self._plot = plot
        self.addWidget(self.told)
        self.addWidget(plot)

    def show_drawn(self, drawn: bool) -> None:
        """Whether there is something."""
        self.setCurrentWidget(self._plot if drawn else self.told)

    def say(self, told: str) -> None:
        """What stands there while there is nothing."""
        self.told.setText(told)
