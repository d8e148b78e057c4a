"""The row under every panel's form: do it, pause, stop, show the script; how far it is, and how long it will take."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QSizePolicy, QVBoxLayout, QWidget

from gui.desk import Desk
from gui.panels.widgets import button, named
from gui.work import Work, WorkState
from labctl.errors import LabctlError
from labctl.job import Job

TICK_MS = 500
RESTING = (WorkState.PAUSED, WorkState.HELD)
"""A person lets it go on."""


class JobControls(QWidget):
    """Starts the job that `make` describes, one at a time, and follows it.

    `make` raises LabctlError where the form cannot be taken; that is shown in the line below, and nothing starts.
    `started` gives the Work, before its first event.
    """

    started = Signal(object)

    def __init__(
        self, desk: Desk, make: Callable[[], Job], *, text: str, tip: str, panel: str = "", keys: str = ""
    ) -> None:
        super().__init__()
        self._desk, self._make, self._panel = desk, make, panel
        self.work: Work | None = None
        self.start_button = button(text, tip, self.start, keys=keys)
        self.start_button.setObjectName("main")
        self._tip, self._blocked = tip, ""
        self.pause_button = button(
            "Pause", "Hold it at the next point where that is possible; again: go on", self._pause
        )
        self.stop_button = button(
            "Stop", "End it at the next point where that is possible; what there is is kept", self._stop
        )
        self.script_button = button(
            "Script …", "Show what this does as a Python script", self.show_script, name="Show script"
        )
        self.bar = QProgressBar(maximum=1000)
        self.bar.setMinimumWidth(120)
        self.bar.setTextVisible(True)
        named(self.bar, "Progress", "How much of the step under way is done, and the time that is left of it")
        self.line = QLabel()
        self.line.setAccessibleName("What is going on")
        self.line.setTextFormat(Qt.TextFormat.PlainText)
        self.line.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        row = QHBoxLayout()
        for one in (self.start_button, self.pause_button, self.stop_button, self.script_button):
            row.addWidget(one)
        row.addWidget(self.bar, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addLayout(row)
        column.addWidget(self.line)
        self._timer = QTimer(self, interval=TICK_MS)
        self._timer.timeout.connect(self._show)
        self._show()

    def block(self, why: str) -> None:
        """Why it cannot be started now; "" when it can."""
        if why != self._blocked:
            self._blocked = why
            self._show()

    def start(self) -> Work | None:
        """Start the job, as the button does."""
        job = self._described()
        if job is None:
            return None
        return self.follow(self._desk.start(job, panel=self._panel))

    def follow(self, work: Work) -> Work:
        """Show this work from now on."""
        if self.work is not None:
            self.work.changed.disconnect(self._show)
        self.work = work
        work.changed.connect(self._show)
        self._timer.start()
        self.started.emit(work)
        self._show()
        return work

    def show_script(self) -> None:
        """Open the script window."""
        job = self._described()
        if job is not None:
            self._desk.show_script(job)

    def _described(self) -> Job | None:
        try:
            job = self._make()
        except (LabctlError, OSError) as error:
            self._say(f"✗ {error}")
            return None
        return job

    def _pause(self) -> None:
        if self.work is not None:
            (self.work.resume if self.work.state in RESTING else self.work.pause)()

    def _stop(self) -> None:
        if self.work is not None:
            self.work.stop()

    def _show(self) -> None:
        work = self.work
        busy = work is not None and not work.over
        self.start_button.setEnabled(not busy and not self._blocked)
        self.start_button.setToolTip(self._blocked or ("It runs; stop it first" if busy else self._tip))
        paused = work is not None and work.state in RESTING
        self.pause_button.setText("Go on" if paused else "Pause")
        self.pause_button.setEnabled(work is not None and (paused or work.state is WorkState.RUNNING))
        self.stop_button.setEnabled(busy)
        if work is None:
            self.bar.setValue(0)
            self.bar.setFormat("")
            self._say(self._blocked)
            return
        progress = work.progress
        known = progress.total > 0
        self.bar.setRange(0, 0 if busy and not known and work.state is WorkState.RUNNING else 1000)
        self.bar.setValue(
            1000 if work.state is WorkState.DONE else int(1000 * progress.done / progress.total) if known else 0
        )
        left = work.time_left_s
        self.bar.setFormat(f"%p %{'' if left is None else f', {duration(left)} left'}")
        self._say(_told(work, self._desk.queue.why(work)))
        if work.over:
            self._timer.stop()

    def _say(self, text: str) -> None:
        self.line.setText(text.splitlines()[0] if text else "")
        self.line.setToolTip(text)


def duration(seconds: float) -> str:
    """For people: 8 s, 3 min 20 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _told(work: Work, why: str = "") -> str:
    """why: it waits or is held."""
    error = work.end.error if work.end is not None else None
    if work.state is WorkState.FAILED and error is not None:
        return f"✗ failed: {error}"
    marks = {WorkState.DONE: "✓ ", WorkState.WAITING: "… ", WorkState.HELD: "Ⅱ "}
    note = work.progress.note and f": {work.progress.note}"
    if why:
        return f"{marks[work.state]}{work.job.title}: {why if work.state is WorkState.HELD else f'waiting ({why})'}"
    return f"{marks.get(work.state, '')}{work.job.title}: {work.state.value}{note}"
