"""The row at the bottom: what runs and how far it is, the newest line of the log, the button that shows all of it."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtWidgets import QHBoxLayout, QToolButton, QWidget

from gui.models.log import Line
from gui.panels.widgets import named, plain
from gui.shell.top_bar import ElidedLabel
from gui.work import PENDING, Work, WorkState


class StatusRow(QWidget):
    """One row; `log_button` is checked while the log is shown."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.log_button = QToolButton()
        self.log_button.setCheckable(True)
        self.log_button.setText("Log")
        named(self.log_button, "Show the log", "Show or hide the log (Ctrl+L)")
        self.newest = ElidedLabel("Newest line of the log")
        self.works = plain()
        self.works.setAccessibleName("What runs")
        row = QHBoxLayout(self)
        row.setContentsMargins(6, 1, 8, 3)
        row.addWidget(self.log_button)
        row.addWidget(self.newest, 1)
        row.addWidget(self.works)

    def show_line(self, line: Line) -> None:
        """Show the newest line of the log."""
        level = "" if line.level == "note" else f"{line.level}: "
        self.newest.say(f"{line.when:%H:%M:%S}  {level}{line.text.splitlines()[0] if line.text else ''}", line.text)

    def show_works(self, works: Sequence[Work]) -> None:
        """Show what runs and what waits."""
        running = [work for work in works if not work.over and work.state not in PENDING]
        waiting = sum(work.state in PENDING for work in works)
        texts = [_told(work) for work in running[:2]]
        if len(running) > 2:
            texts.append(f"{len(running) - 2} more")
        if waiting:
            texts.append(f"{waiting} waiting")
        self.works.setText("   ".join(texts))
        self.works.setToolTip("\n".join(f"{work.job.title}: {work.state.value}" for work in works if not work.over))


def _told(work: Work) -> str:
    progress = work.progress
    percent = f" {100 * progress.done / progress.total:.0f} %" if progress.total > 0 else ""
    state = "" if work.state is WorkState.RUNNING else f" ({work.state.value})"
    return f"▶ {work.job.title}{percent}{state}"
