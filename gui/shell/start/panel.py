"""The start page: the whole loop on a simulated bench in six steps, or all of it at once."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QScrollArea, QSplitter, QVBoxLayout, QWidget

from gui.bridge import Frame
from gui.controller import State
from gui.desk import Desk
from gui.live_values import Readings
from gui.panels.panel import Panel
from gui.panels.widgets import button, words
from gui.shell.start.loop_view import LoopView
from gui.shell.start.step_row import StepRow
from gui.shell.start.steps import STEPS, done_by_files, files_for, output_was_set
from gui.work import Work
from labctl.calls import BENCH, FOLDER, call
from labctl.errors import UsageError
from labctl.events import StepFinished
from labctl.job import Job
from labctl.loop_files import LoopFiles, loop_files

SEED = 1
WELCOME = "From a device to a network that was trained on its twin and measured on the device: in six steps."
ALL_TIP = "Record, fit, optimise, apply and measure, by itself, and write a report; some minutes on the simulated bench"


class StartPanel(Panel):
    """A list of what to do first; it ticks itself off by what really happened."""

    key, title, order = "start", "Start", 0
    tip = "What to do first: the whole loop on a simulated bench, step by step"
    help = """
# Start here

Six steps lead once around the loop: **record** a device, **fit** a twin to it, **optimise** a network of twins for a
task, **apply** it to the device, and compare what was promised with what is measured. The steps tick themselves off by
what happened in this window and by the files in the runs folder.

Each button goes to the panel where the step is done, with the newest files chosen already.

**Run all of it** does the same by itself, on the station that is open, or on the simulated bench if none is; it ends
with a report, and every output is at its safe value.

Anything simulated says so: in the yellow field at the top, in files, in reports.
"""

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(desk, parent)
        self.files = LoopFiles()
        self.work: Work | None = None
        self._done: set[str] = set()
        self._looking = self._look_again = self._wanted = False
        self.rows = {
            step.key: StepRow(number, step, lambda key=step.key: self._go(key))  # type: ignore[misc]
            for number, step in enumerate(STEPS, start=1)
        }
        self.all_button = button("Run all of it", ALL_TIP, self.run_all)
        self.loop = LoopView(desk)
        self._lay_out()
        controller = desk.controller
        controller.opened.connect(lambda _: self._tick("open"))
        controller.readings.connect(self._see)
        controller.state_changed.connect(lambda _: self._go_on())
        desk.files_changed.connect(self._look)
        desk.runs_folder_changed.connect(lambda _: self._look())
        if controller.bench is not None:
            self._done.add("open")
        self._show()
        self._look()

    def take_files(self, files: object) -> None:
        """This page has no use for files."""

    def script_job(self) -> Job | None:
        """The whole loop, on the station that is open."""
        bench = self.desk.controller.bench
        return None if bench is None else self._job()

    def run_all(self) -> None:
        """Run the whole loop, on the simulated bench if no station is open."""
        if self.work is not None and not self.work.over:
            return
        state = self.desk.controller.state
        if state is State.EMPTY:
            self._wanted = True
            self.desk.controller.open_simulated()
        elif self.desk.controller.bench is not None:
            self._start()
        else:
            self.desk.trouble(UsageError(f"cannot start now: {state.value}"), doing="Run all of it")
        self._show()

    def _go_on(self) -> None:
        if self._wanted and self.desk.controller.state is State.READY:
            self._wanted = False
            self._start()
        elif self.desk.controller.state is State.EMPTY:
            self._wanted = False
        self._show()

    def _start(self) -> None:
        self.work = self.desk.start(self._job(), panel=self.key)
        self.work.changed.connect(self._show)
        self.work.frame.connect(self._look_between)
        self.loop.follow(self.work)
        self.loop.show()
        self._show()

    def _job(self) -> Job:
        bench = self.desk.controller.bench
        folder = self.desk.new_folder("whole-loop")
        target = "labctl.demo:close_the_known_loop"
        station = None if bench is None else bench.station.path
        return Job("The whole loop", call(target, BENCH, folder=FOLDER, seed=SEED), folder, station, SEED)

    def _go(self, key: str) -> None:
        step = self.rows[key].step
        if key == "open" and self.desk.controller.state is State.EMPTY:
            self.desk.controller.open_simulated()
        else:
            self.desk.show_panel(step.panel, files=list(files_for(key, self.files)))

    def _see(self, readings: Readings) -> None:
        bench = self.desk.controller.bench
        if "set" in self._done or bench is None or self.desk.controller.state is not State.READY:
            return
        channels = bench.station.channels
        safe = {name: one.safe.value for name, one in channels.items() if one.is_output and one.safe is not None}
        if output_was_set(readings.values, safe):
            self._tick("set")

    def _tick(self, key: str) -> None:
        self._done.add(key)
        self._show()

    def _look(self) -> None:
        """Look for files, in a thread; once more where something changed meanwhile."""
        if self._looking:
            self._look_again = True
            return
        self._looking, self._look_again = True, False
        folder: Path = self.desk.runs_folder
        self.desk.call(lambda: loop_files(folder), done=self._found, failed=self._not_found, name="Looking for runs")

    def _look_between(self, frame: Frame) -> None:
        """Each step of the loop leaves files."""
        if any(isinstance(event, StepFinished) for event in frame.events):
            self._look()

    def _found(self, files: LoopFiles) -> None:
        self.files, self._looking = files, False
        if self._look_again:
            self._look()
        self._show()

    def _not_found(self, error: BaseException) -> None:
        self._looking = False
        self.desk.trouble(error, doing="Looking for runs")

    def _show(self) -> None:
        done = self._done | done_by_files(self.files)
        to_do = next((step.key for step in STEPS if step.key not in done), "")
        for key, row in self.rows.items():
            row.show_done(key in done, next_one=key == to_do)
        opened = self.desk.controller.state is not State.EMPTY
        self.rows["open"].go.setText("Go to Station" if opened else "Open it")
        runs = self._wanted or (self.work is not None and not self.work.over)
        self.all_button.setEnabled(not runs)
        self.all_button.setToolTip("It runs already; its progress is shown below" if runs else ALL_TIP)

    def _lay_out(self) -> None:
        headline, welcome = words("title"), words("dim")
        headline.setText("Start here")
        welcome.setText(WELCOME)
        top = QHBoxLayout()
        top.addWidget(headline, 1)
        top.addWidget(QLabel("No time?"))
        top.addWidget(self.all_button)
        steps = QWidget()
        column = QVBoxLayout(steps)
        column.setContentsMargins(16, 10, 16, 6)
        column.setSpacing(6)
        column.addLayout(top)
        column.addWidget(welcome)
        for row in self.rows.values():
            column.addWidget(row)
        column.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setWidget(steps)
        self.loop.hide()
        split = QSplitter(Qt.Orientation.Vertical)
        split.setChildrenCollapsible(False)
        split.addWidget(scroll)
        split.addWidget(self.loop)
        split.setStretchFactor(1, 1)
        split.setSizes([340, 370])
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(split)
