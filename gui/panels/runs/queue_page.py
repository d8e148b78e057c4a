"""The queue: a new campaign, what waits and runs, what can be done with it, and the chosen job in full."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QSpinBox,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from gui.desk import Desk
from gui.panels.runs.allowed import enable, others_wait, told_of, why_not
from gui.panels.runs.loop_form import LoopForm
from gui.panels.runs.queue_model import QueueModel, QueueRow
from gui.panels.runs.work_details import WorkDetails
from gui.panels.runs.work_events import WorkEvents
from gui.panels.tables import ProgressDelegate, table
from gui.panels.widgets import button, named, words
from gui.theme import Theme
from gui.widgets.file_dialogs import ask_for_file
from gui.widgets.job_controls import RESTING
from gui.work import Work, WorkState
from labctl.calls import programs_named
from labctl.errors import UsageError
from labctl.job import Job, load_job
from labctl.job_queue.doing import fresh_folder
from labctl.job_queue.editing import job_in
from labctl.job_queue.entry import BENCH_LANE, GO_ON, HELD, HOLD, UNDER_WAY, WAITING

RENEW_MS = 500
MOST_WORKERS = 16
FROM_A_FILE = "it comes from a file and acts on instruments: look at what it does, then press Go on"


class QueuePage(QWidget):
    """Table on the left, the chosen job on the right."""

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.desk = desk
        self.model = QueueModel(desk, self)
        self.events = WorkEvents()
        self.loop = LoopForm(desk)
        self.view = table(self.model, name="Queue", stretch=1, widths={0: 46, 2: 68, 3: 104, 4: 84, 5: 72})
        self.view.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.view.setItemDelegateForColumn(4, ProgressDelegate(self.view))
        self.details = WorkDetails(desk, self.events)
        self.told = words("hint")
        self._chosen: tuple[int, int] | None = None
        self._make_buttons()
        self._lay_out()
        for work in desk.works:
            self.events.follow(work)
        desk.work_started.connect(self._started)
        desk.work_ended.connect(lambda _: self.renew())
        desk.queue.changed.connect(self._soon)
        self.view.selectionModel().currentRowChanged.connect(lambda *_: self._choose())
        self.view.doubleClicked.connect(lambda _: self._to_panel())
        self._pending = QTimer(self, interval=0, singleShot=True)
        self._pending.timeout.connect(self.renew)
        self._timer = QTimer(self, interval=RENEW_MS)
        self._timer.timeout.connect(lambda: self.renew() if self.isVisible() else None)
        self._timer.start()
        self.renew()

    # ---- building --------------------------------------------------------------------------------------------------

    def _make_buttons(self) -> None:
        self.pause_button = button(
            "Pause", "Let the chosen job rest at the next point where that is possible", self._pause
        )
        self.stop_button = button("Stop", "End the chosen job at the next point; what there is is kept", self._stop)
        self.up_button = button("↑", "Earlier in line (Alt+Up)", lambda: self._move(-1), name="Earlier in line")
        self.down_button = button("↓", "Later in line (Alt+Down)", lambda: self._move(1), name="Later in line")
        self.again_button = button("Start again", "Do it once more, into a fresh folder", self._again)
        self.remove_button = button("Remove", "Take it out of the table; its files stay (Del)", self._remove)
        self.hold_button = button("Hold", "Begin nothing more; what runs goes on", self._hold, name="Hold the queue")
        self.run_button = button("Run the queue", "Begin what waits", self._run)
        self.load_button = button(
            "Load a job …", "Queue a job file (job.json) that was saved earlier", self._choose_job
        )
        self.failure = QComboBox()
        for text, what in (("go on", GO_ON), ("hold", HOLD)):
            self.failure.addItem(text, what)
        named(self.failure, "After a failure", "After a failed job: go on with the next one, or hold the queue")
        self.failure.activated.connect(lambda _: self.desk.queue.set_after_failure(self.failure.currentData()))
        self.workers = QSpinBox()
        self.workers.setRange(1, MOST_WORKERS)
        named(
            self.workers,
            "Compute jobs at a time",
            "How many jobs without a bench run at a time, each in its own process",
        )
        self.workers.valueChanged.connect(self._set_workers)
        anywhere, there = Qt.ShortcutContext.WidgetWithChildrenShortcut, Qt.ShortcutContext.WidgetShortcut
        for keys, act, owner, context in (
            ("Alt+Up", self.up_button, self, anywhere),
            ("Alt+Down", self.down_button, self, anywhere),
            ("Del", self.remove_button, self.view, there),
        ):
            shortcut = QShortcut(QKeySequence(keys), owner)
            shortcut.setContext(context)
            shortcut.activated.connect(act.click)

    def _lay_out(self) -> None:
        above = QHBoxLayout()
        for one in (self.run_button, self.hold_button, self.load_button):
            above.addWidget(one)
        above.addStretch(1)
        for text, field in (("After a failure", self.failure), ("Compute at a time", self.workers)):
            label = QLabel(text)
            label.setBuddy(field)
            above.addWidget(label)
            above.addWidget(field)
        below = QHBoxLayout()
        self.up_button.setMaximumWidth(32)
        self.down_button.setMaximumWidth(32)
        for one in (
            self.pause_button,
            self.stop_button,
            self.up_button,
            self.down_button,
            self.again_button,
            self.remove_button,
        ):
            below.addWidget(one)
        below.addStretch(1)
        left = QWidget()
        column = QVBoxLayout(left)
        column.setContentsMargins(0, 0, 4, 0)
        column.addWidget(self.loop)
        column.addLayout(above)
        column.addWidget(self.told)
        column.addWidget(self.view, 1)
        column.addLayout(below)
        self.splitter = QSplitter(Qt.Orientation.Horizontal)
        self.splitter.addWidget(left)
        self.splitter.addWidget(self.details)
        self.splitter.setStretchFactor(0, 3)
        self.splitter.setStretchFactor(1, 2)
        self.splitter.setSizes([650, 450])
        self.splitter.setChildrenCollapsible(False)
        self.desk.remember(self.splitter, "runs/queue")
        whole = QVBoxLayout(self)
        whole.setContentsMargins(4, 4, 4, 4)
        whole.addWidget(self.splitter)

    # ---- showing ---------------------------------------------------------------------------------------------------

    @property
    def row(self) -> QueueRow | None:
        """The chosen job."""
        number = self.view.selectionModel().currentIndex().row()
        return self.model.rows[number] if 0 <= number < len(self.model.rows) else None

    def renew(self) -> None:
        """Show how the queue stands."""
        chosen = self._chosen
        if self.model.renew() and chosen is not None:
            keys = [row.key for row in self.model.rows]
            if chosen in keys:
                self.view.selectRow(keys.index(chosen))
        queue = self.desk.queue
        told = told_of(queue, empty=not self.model.rows)
        self.told.setText(told)
        self.told.setVisible(bool(told))
        idle = "" if queue.held or others_wait(queue) else "Everything that waits begins by itself"
        enable(self.run_button, idle, "Begin what waits")
        enable(
            self.hold_button, "The queue is held already" if queue.held else "", "Begin nothing more; what runs goes on"
        )
        for field, value in ((self.failure, queue.after_failure), (self.workers, queue.n_compute)):
            field.blockSignals(True)
            if isinstance(field, QSpinBox):
                field.setValue(int(value))
            else:
                field.setCurrentIndex(field.findData(value))
            field.blockSignals(False)
        self._enable_actions()
        self.details.tell(self.row)

    def use_theme(self, theme: Theme) -> None:
        """Draw in these colours."""
        self.model.use_theme(theme)
        self.details.use_theme(theme)

    def _enable_actions(self) -> None:
        row = self.row
        reasons = why_not(row)
        self.pause_button.setText("Go on" if row is not None and row.state in ("paused", "held") else "Pause")
        for control, what, tip in (
            (self.pause_button, "pause", "Let it rest at the next point where that is possible, or go on"),
            (self.stop_button, "stop", "End it at the next point; what there is is kept"),
            (self.up_button, "move", "Earlier in line (Alt+Up)"),
            (self.down_button, "move", "Later in line (Alt+Down)"),
            (self.again_button, "again", "Do it once more, into a fresh folder"),
            (self.remove_button, "remove", "Take it out of the table; its files stay (Del)"),
        ):
            enable(control, reasons[what], tip)

    def _choose(self) -> None:
        row = self.row
        key = None if row is None else row.key
        if key != self._chosen:
            self._chosen = key
            self.details.show_row(row)
        self._enable_actions()

    def _started(self, work: Work) -> None:
        self.events.follow(work)
        self.renew()
        if self.row is None or self.row.over:
            self._show_work(work)

    def _show_work(self, work: Work) -> None:
        for number, row in enumerate(self.model.rows):
            if row.work is work:
                self.view.selectRow(number)

    def _soon(self) -> None:
        self._pending.start()

    # ---- acting ----------------------------------------------------------------------------------------------------

    def _work(self) -> Work | None:
        row = self.row
        return None if row is None else row.work

    def _pause(self) -> None:
        work = self._work()
        if work is not None:
            (work.resume if work.state in RESTING else work.pause)()
            self.renew()
        elif self.row is not None and self.row.entry is not None and self.row.state == HELD:
            self.desk.queue.let_go_on(self.row.entry.number)

    def _stop(self) -> None:
        work = self._work()
        if work is not None:
            work.stop()
            self.renew()

    def _move(self, places: int) -> None:
        work = self._work()
        if work is None:
            return
        waiting = [one for one in self.desk.works if one.state is WorkState.WAITING]
        place = waiting.index(work) + places
        if 0 <= place < len(waiting):  # past the next one that waits, whatever stands between them
            target = self.desk.works.index(waiting[place])
            self.desk.queue.move(work, target - self.desk.works.index(work))
            self.renew()

    def _remove(self) -> None:
        if self.row is not None:
            self._remove_row(self.row)

    def _remove_row(self, row: QueueRow) -> None:
        if row.work is not None:
            self.desk.queue.remove(row.work)
        elif row.entry is not None and row.entry.state not in UNDER_WAY:
            self.desk.queue.remove_other(row.entry.number)
        self.renew()

    def _again(self) -> None:
        row = self.row
        if row is not None and row.over:
            self._start_fresh(row.job, "" if row.work is None else row.work.panel, partial(self._remove_row, row))

    def _start_fresh(self, job: Job, panel: str, then: Callable[[], None] = lambda: None, *, held: str = "") -> None:
        """Do it in a folder that holds nothing measured; `then` is called once it is in the queue."""

        def start(folder: Path) -> None:
            then()
            self._show_work(self.desk.start(job_in(job, folder), panel=panel, held=held))

        self.desk.call(lambda: fresh_folder(job.folder), done=start, name="Starting again")

    def _hold(self) -> None:
        self.desk.queue.hold()

    def _run(self) -> None:
        theirs = [one for one in self.desk.queue.others if one.state == WAITING]
        self.desk.queue.go_on()
        if any(one.lane == BENCH_LANE for one in theirs) and self.desk.controller.bench is None:
            station = next((one.job.station for one in theirs if one.job.station), None)
            error = UsageError(
                f"some of these jobs need the bench; open its station first{f': {station}' if station else ''}"
            )
            self.desk.trouble(error, doing="Running the queue")
        elif theirs:
            self.desk.queue.adopt()

    def _set_workers(self, count: int) -> None:
        self.desk.queue.set_n_compute(count)

    def _choose_job(self) -> None:
        ask_for_file(self, "Load a job", self.desk.runs_folder, "Jobs (*.json)", self.load)

    def load(self, path: Path) -> None:
        """Queue the job of a file, into a fresh folder."""
        self.desk.call(lambda: load_job(path), done=self._queue_loaded, name=f"Loading {path.name}")

    def _queue_loaded(self, job: Job) -> None:
        """What acts on instruments is looked at by a person first."""
        bench = self.desk.controller.bench
        acts = job.needs_bench and not (bench is not None and bench.simulated)
        programs = ", ".join(programs_named(job.call))
        held = f"it runs a program of somebody's own ({programs}): look into it first" if programs else ""
        self._start_fresh(job, "runs", held=FROM_A_FILE if acts else held)

    def _to_panel(self) -> None:
        work = self._work()
        if work is not None and work.panel and work.panel != "runs":
            self.desk.show_panel(work.panel)
