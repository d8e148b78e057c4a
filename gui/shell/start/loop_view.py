"""How the whole loop goes: its steps, what came out promised beside measured, its report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QHBoxLayout, QSplitter, QVBoxLayout, QWidget

from gui.bridge import Ended, Frame
from gui.desk import Desk
from gui.models.results import TasksModel, tasks_in
from gui.models.steps import StepsModel
from gui.opening import open_page
from gui.panels.tables import ProgressDelegate, table
from gui.panels.widgets import button, plain
from gui.work import Work
from labctl.events import Reported

TICK_MS = 500


class LoopView(QWidget):
    """Follows one work at a time."""

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self._work: Work | None = None
        self._report: Path | None = None
        self.steps = StepsModel(self)
        self.tasks = TasksModel(self)
        self.line = plain()
        self.line.setAccessibleName("What is going on")
        self.stop = button("Stop", "Stop before the next step, outputs safe; what there is is kept", self._stop)
        self.report = button("Open report", "", self._show_report)
        self._steps_view = table(self.steps, name="Steps of the loop", stretch=3, widths={0: 430, 1: 96, 2: 66})
        self._steps_view.setItemDelegateForColumn(1, ProgressDelegate(self._steps_view))
        widths = {1: 104, 2: 120, 3: 120, 4: 84, 5: 98, 6: 70, 7: 84}
        self.tasks_view = table(self.tasks, name="Promised beside measured", stretch=0, widths=widths)
        self._clock = QTimer(self, interval=TICK_MS)
        self._clock.timeout.connect(self.steps.tick)
        self._lay_out()
        self._show()

    def follow(self, work: Work) -> None:
        """Show this work from now on."""
        self._work, self._report = work, None
        self.steps.clear()
        self.tasks.reset(())
        work.frame.connect(self._take)
        work.ended.connect(self._end)
        work.changed.connect(self._show)
        self._clock.start()
        self._show()

    def _take(self, frame: Frame) -> None:
        self.steps.take(frame.events)
        for event in frame.events:
            if isinstance(event, Reported):
                self.tasks.take(tasks_in(event.outcome))
                self._note(event.files)
        if frame.events:
            self._steps_view.scrollToBottom()

    def _end(self, ended: Ended) -> None:
        self._clock.stop()
        self.steps.break_off()
        if ended.error is None:
            self.tasks.take(tasks_in(ended.result))
        self._show()

    def _note(self, files: Sequence[str]) -> None:
        pages = [Path(one).absolute() for one in files if one.endswith(".html")]
        if pages:
            self._report = pages[-1]
            self._show()

    def _show(self) -> None:
        runs = self._work is not None and not self._work.over
        state = "" if self._work is None else f"{self._work.job.title}: {self._work.state.value}"
        self.line.setText(state)
        self.stop.setEnabled(runs)
        self.stop.setToolTip(
            "Stop before the next step, outputs safe; what there is is kept" if runs else "Nothing of it runs"
        )
        self.report.setEnabled(self._report is not None)
        there = f"The report of the run, in the browser: {self._report}"
        self.report.setToolTip(there if self._report else "There is no report before the loop is closed")

    def _stop(self) -> None:
        if self._work is not None:
            self._work.stop()

    def _show_report(self) -> None:
        if self._report is not None:
            open_page(
                self._desk, self._report, below=self._desk.runs_folder if self._work is None else self._work.job.folder
            )

    def _lay_out(self) -> None:
        row = QHBoxLayout()
        row.addWidget(self.line, 1)
        row.addWidget(self.stop)
        row.addWidget(self.report)
        tables = QSplitter(Qt.Orientation.Vertical)
        tables.setChildrenCollapsible(False)
        tables.addWidget(self._steps_view)
        tables.addWidget(self.tasks_view)
        tables.setStretchFactor(0, 3)
        tables.setStretchFactor(1, 2)
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 4, 16, 8)
        column.addLayout(row)
        column.addWidget(tables, 1)
