"""One step of the start page: whether it was done, what it is, why, and the button that leads there."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QLabel, QWidget

from gui.panels.widgets import button, words
from gui.shell.start.steps import Step

DONE, OPEN = "✔", "○"


class StepRow(QWidget):
    """Shows one step."""

    def __init__(self, number: int, step: Step, go: Callable[[], object], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.step = step
        self.done = False
        self._number = number
        self.mark = QLabel()
        self.mark.setObjectName("mark")
        self.mark.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.mark.setMinimumWidth(2 * self.fontMetrics().averageCharWidth() + 12)
        title, why = words("headline"), words("dim")
        title.setText(f"{number}  {step.title}")
        why.setText(step.why)
        self.go = button(step.button, f"Step {number}: {step.title}", go, name=f"{step.button}: {step.title}")
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 2, 0, 2)
        grid.setVerticalSpacing(0)
        grid.setColumnStretch(1, 1)
        grid.addWidget(self.mark, 0, 0, 2, 1)
        grid.addWidget(title, 0, 1)
        grid.addWidget(why, 1, 1)
        grid.addWidget(self.go, 0, 2, 2, 1, Qt.AlignmentFlag.AlignVCenter)
        self.show_done(False, next_one=False)

    def show_done(self, done: bool, *, next_one: bool) -> None:
        """Tick it, or mark it as what to do next."""
        self.done = done
        self.mark.setText(DONE if done else "➜" if next_one else OPEN)
        said = "done" if done else "to do next" if next_one else "not done yet"
        self.mark.setAccessibleName(f"Step {self._number}: {said}")
        self.mark.setToolTip(said)
        self.go.setObjectName("main" if next_one else "")
        self.go.style().unpolish(self.go)
        self.go.style().polish(self.go)
