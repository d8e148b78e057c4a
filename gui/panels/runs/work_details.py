"""What is known of the chosen job: its steps, learning curves, results and log, live while it runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QHBoxLayout, QTabWidget, QVBoxLayout, QWidget

from gui.bridge import Frame
from gui.desk import Desk
from gui.models.log import LogModel
from gui.models.results import FiguresModel, TasksModel, tasks_in
from gui.models.steps import StepsModel
from gui.opening import open_folder, open_page
from gui.panels.runs.queue_model import QueueRow
from gui.panels.runs.work_events import WorkEvents, ending_of, journal_events
from gui.panels.tables import ProgressDelegate, table
from gui.panels.widgets import button, words
from gui.plots.learning_plot import LearningPlot
from gui.theme import Theme
from gui.work import Work
from labctl.events import Event, Reported

TICK_MS = 1000
LONGEST_HINT = 300


class WorkDetails(QWidget):
    """Shows one row of the queue; a job of another process by its journal."""

    def __init__(self, desk: Desk, events: WorkEvents, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._desk, self._events = desk, events
        self._work: Work | None = None
        self._folder: Path | None = None
        self._report: Path | None = None
        self._asked = 0
        self.steps = StepsModel(self)
        self.tasks = TasksModel(self)
        self.figures = FiguresModel(self)
        self.log = LogModel(self)
        self.learning = LearningPlot(desk.theme)
        self.headline = words("headline")
        self.told = words()
        self.report_button = button("Report", "Open the report of this job in the browser", self._open_report)
        self.folder_button = button("Folder", "Open the folder of this job", self._open_folder)
        self.script_button = button("Script …", "Show this job as a Python script", self._script, name="Job as script")
        self.tabs = QTabWidget()
        self.steps_view = table(self.steps, name="Steps", stretch=0, widths={1: 92, 2: 62, 3: 150})
        self.steps_view.setItemDelegateForColumn(1, ProgressDelegate(self.steps_view))
        self.tasks_view = table(self.tasks, name="Tasks", stretch=0, widths={1: 90, 2: 100, 3: 100, 4: 80})
        self.figures_view = table(self.figures, name="Figures", stretch=2, widths={0: 150, 1: 180})
        self.log_view = table(self.log, name="Log of the job", stretch=2, widths={0: 70, 1: 74})
        self._lay_out()
        self._timer = QTimer(self, interval=TICK_MS)
        self._timer.timeout.connect(self._tick)
        self._timer.start()
        self.show_row(None)

    def show_row(self, row: QueueRow | None) -> None:
        """Show this job from now on."""
        if self._work is not None:
            self._work.frame.disconnect(self._take_frame)
        self._work = None if row is None else row.work
        self._folder = None if row is None else row.job.folder
        self._job = None if row is None else row.job
        self._clear()
        self.tell(row)
        for control in (self.report_button, self.folder_button, self.script_button):
            control.setEnabled(row is not None and control is not self.report_button)
        if row is None:
            return
        if row.work is not None:
            self._take(self._events.of(row.work))
            row.work.frame.connect(self._take_frame)
            if row.over:
                self.steps.break_off()
        else:
            self._read_journal(row)

    def tell(self, row: QueueRow | None) -> None:
        """The words over the tabs, as the row stands now."""
        if row is None:
            self.headline.setText("No job chosen")
            self.told.setText("Choose one in the table; what a panel starts stands there, too.")
            return
        self.headline.setText(row.job.title)
        hint = " ".join(row.hint.split())
        self.told.setText(f"{row.state}{f': {hint[:LONGEST_HINT]}' if hint else ''}\nFiles: {row.job.folder}")
        self.told.setToolTip(row.hint)
        if row.over and self._work is not None:
            self.steps.break_off()

    def use_theme(self, theme: Theme) -> None:
        """Draw in these colours."""
        self.learning.use_theme(theme)

    def _lay_out(self) -> None:
        results = QWidget()
        column = QVBoxLayout(results)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.tasks_view, 1)
        column.addWidget(self.figures_view, 2)
        self.figures_view.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        for widget, title, tip in (
            (self.steps_view, "Steps", "What is done one after another"),
            (self.learning, "Learning", "Loss and scores while something is trained"),
            (results, "Results", "What came out: error on held-out inputs, lower is better; files"),
            (self.log_view, "Log", "What this job said"),
        ):
            self.tabs.setTabToolTip(self.tabs.addTab(widget, title), tip)
        row = QHBoxLayout()
        row.addWidget(self.headline, 1)
        for control in (self.report_button, self.folder_button, self.script_button):
            row.addWidget(control)
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 0, 0, 0)
        column.addLayout(row)
        column.addWidget(self.told)
        column.addWidget(self.tabs, 1)

    def _clear(self) -> None:
        self.steps.clear()
        self.tasks.reset(())
        self.figures.reset(())
        self.log.reset(())
        self.learning.clear()
        self._report = None

    def _take_frame(self, frame: Frame) -> None:
        self._take(frame.events)

    def _take(self, events: Sequence[Event]) -> None:
        if not events:
            return
        self.steps.take(events)
        self.log.take(events)
        self.learning.take(events)
        self.learning.refresh()
        for event in events:
            if isinstance(event, Reported):
                self.tasks.take(tasks_in(event.outcome))
                self.figures.take(event.key, {k: v for k, v in event.outcome.items() if k != "tasks"}, event.files)
                self._note_report(event.files)
        self.steps_view.scrollToBottom()
        self.log_view.scrollToBottom()

    def _note_report(self, files: Sequence[str]) -> None:
        for file in files:
            if file.endswith(".html"):
                self._report = Path(file).absolute()
                self.report_button.setEnabled(True)

    def _read_journal(self, row: QueueRow) -> None:
        self._asked += 1
        asked, path = self._asked, row.job.folder / "journal.jsonl"

        def show(events: Sequence[Event]) -> None:
            if asked != self._asked or self._folder != row.job.folder or self._work is not None:
                return  # another one was chosen meanwhile
            self._clear()
            self._take(events)
            if row.over:
                self.steps.break_off()
            ending = ending_of(events)
            if ending:
                self.log.error(ending)

        self._desk.call(lambda: journal_events(path), done=show, name="Reading a journal")

    def _tick(self) -> None:
        if self.isVisible() and self._work is not None and not self._work.over:
            self.steps.tick()

    def _open_report(self) -> None:
        if self._report is not None and self._folder is not None:
            open_page(self._desk, self._report, below=self._folder)

    def _open_folder(self) -> None:
        if self._folder is not None:
            open_folder(self._desk, self._folder)

    def _script(self) -> None:
        if self._job is not None:
            self._desk.show_script(self._job)
