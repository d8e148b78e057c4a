"""How a campaign goes: its steps, its results, its log."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSplitter, QTabWidget, QVBoxLayout, QWidget

from gui.bridge import Ended, Frame
from gui.models.log import LogModel
from gui.models.results import FiguresModel, TasksModel, tasks_in
from gui.models.steps import StepsModel
from gui.panels.tables import ProgressDelegate, table
from gui.panels.widgets import button
from labctl.events import Reported


class OutcomePanel(QTabWidget):
    """Steps, results and log as tabs."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.steps = StepsModel(self)
        self.tasks = TasksModel(self)
        self.figures = FiguresModel(self)
        self.log = LogModel(self)
        self._report: Path | None = None
        self._steps_view = table(self.steps, name="Steps", stretch=0, widths={1: 82, 2: 56, 3: 218})
        self._steps_view.setItemDelegateForColumn(1, ProgressDelegate(self._steps_view))
        self._log_view = table(self.log, name="Log", stretch=2, widths={0: 76, 1: 84})
        self._open_report = button("Open report", "The report of the run, in the browser", self._show_report)
        self._open_report.setEnabled(False)
        self.addTab(self._steps_view, "Steps")
        self.addTab(self._results(), "Results")
        self.addTab(self._log_view, "Log")

    def clear(self) -> None:
        """A new campaign begins; the log goes on."""
        self.steps.clear()
        self.tasks.reset(())
        self.figures.reset(())
        self._report = None
        self._open_report.setEnabled(False)
        self.setCurrentIndex(0)

    def take(self, frame: Frame) -> None:
        """Show what happened since the last frame."""
        self.steps.take(frame.events)
        self.log.take(frame.events, frame.left_out)
        for event in frame.events:
            if isinstance(event, Reported):
                self.tasks.take(tasks_in(event.outcome))
                self.figures.take(event.key, {k: v for k, v in event.outcome.items() if k != "tasks"}, event.files)
                self._note_report(event.files)
        if frame.events:
            self._steps_view.scrollToBottom()
            self._log_view.scrollToBottom()

    def end(self, ended: Ended) -> None:
        """Show how the campaign ended."""
        self.steps.break_off()
        if ended.error is None:
            self.tasks.take(tasks_in(ended.result))
            self.log.note("The campaign is done")
        elif ended.stopped:
            self.log.warn(f"The campaign was stopped: {ended.error}")
        self._log_view.scrollToBottom()
        if self.tasks.rows:
            self.setCurrentIndex(1)

    def _results(self) -> QWidget:
        tasks = table(self.tasks, name="Tasks", stretch=0, widths={1: 104, 2: 108, 3: 108, 4: 84, 5: 98, 6: 70, 7: 84})
        figures = table(self.figures, name="Figures", stretch=2, widths={0: 210, 1: 260})
        figures.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        tables = QSplitter(Qt.Orientation.Vertical)
        tables.addWidget(tasks)
        tables.addWidget(figures)
        row = QHBoxLayout()
        row.addWidget(QLabel("Error on held-out inputs, lower is better; reservoir and unoptimised are measured, too"))
        row.addStretch(1)
        row.addWidget(self._open_report)
        whole = QWidget()
        column = QVBoxLayout(whole)
        column.setContentsMargins(4, 4, 4, 4)
        column.addLayout(row)
        column.addWidget(tables, 1)
        return whole

    def _note_report(self, files: Iterable[str]) -> None:
        for path in files:
            if path.endswith(".html"):
                self._report = Path(path).absolute()
                self._open_report.setEnabled(True)

    def _show_report(self) -> None:
        if self._report is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._report)))
