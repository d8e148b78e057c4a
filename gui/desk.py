"""The desk: what the window offers its panels. A panel knows the desk, and no other panel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QSettings, Signal
from PySide6.QtGui import QUndoStack
from PySide6.QtWidgets import QWidget
from shiboken6 import isValid

from gui.bench_lane import BenchLane
from gui.bridge import Bridge
from gui.controller import Controller
from gui.remembering import restore, value_of
from gui.theme import Theme, system_theme
from gui.trouble import Trouble, trouble_of
from gui.work import PENDING, Work, WorkState
from gui.work_queue import WorkQueue
from labctl.calls import Call
from labctl.job import Job
from labctl.job_queue.entry import QueuedJob
from labctl.marked_simulated import marked_simulated
from labctl.script import script_of, script_of_calls
from labctl.simulation import bundled_like


class Desk(QObject):
    """Bench, jobs, files, words and settings, for all panels alike."""

    theme_changed = Signal(object)
    runs_folder_changed = Signal(object)
    work_started = Signal(object)
    work_ended = Signal(object)
    files_changed = Signal()
    troubled = Signal(object)
    noted = Signal(str)
    panel_asked = Signal(str, object)
    script_asked = Signal(str, str)
    simulated_changed = Signal(object)

    def __init__(
        self,
        *,
        runs_folder: Path,
        theme: Theme | None = None,
        settings: QSettings | None = None,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.bridge = Bridge(self)
        self.controller = Controller(self.bridge, self)
        self.settings = settings
        self.theme = theme or system_theme()
        self.undo = QUndoStack(self)
        self.works: list[Work] = []
        self.queue = WorkQueue(self.bridge, self.works, runs_folder, self)
        self._lane = BenchLane(self.bridge, self.controller, self.queue, self)
        self.simulated: dict[str, str] = {}
        self._parting = False
        self._runs_folder = runs_folder
        self._keep: list[Callable[[], None]] = []
        self.controller.troubled.connect(self.troubled)
        self.controller.state_changed.connect(lambda _: self._begin_next())
        self.controller.station_closed.connect(lambda: self._hold_bench_works("its station was closed while it waited"))
        self.queue.changed.connect(self._begin_next)
        self.queue.adopted.connect(self._adopt)
        self._lane.refused.connect(lambda work, error: self.trouble(error, doing=f"Starting {work.job.title}"))
        self.queue.troubled.connect(lambda error: self.trouble(error, doing="Keeping the queue"))

    # ---- jobs ------------------------------------------------------------------------------------------------------

    @property
    def runs_folder(self) -> Path:
        """Where runs are kept."""
        return self._runs_folder

    def use_runs_folder(self, folder: Path) -> None:
        """Keep runs there from now on."""
        self._runs_folder = folder
        self.queue.use_folder(folder)
        self.runs_folder_changed.emit(folder)
        self.files_changed.emit()

    def new_folder(self, name: str) -> Path:
        """A folder for a new run, below the runs folder; not made yet."""
        stamp = datetime.now().astimezone().strftime("%Y-%m-%d_%H-%M-%S")
        folder = self._runs_folder / f"{stamp}_{name}"
        number = 2
        taken = {work.job.folder for work in self.works if not work.over}
        while folder.exists() or folder in taken:
            folder = self._runs_folder / f"{stamp}_{name}_{number}"
            number += 1
        return folder

    def start(self, job: Job, *, panel: str = "", held: str = "") -> Work:
        """Do it: on the bench, or in a process of its own. Where its lane is busy it waits; its first state tells.

        held: why it is not to begin before a person says so (`Work.resume`).
        """
        return self._line_up(job, panel, held=held)

    def _line_up(self, job: Job, panel: str, number: int | None = None, *, held: str = "") -> Work:
        """number: of a job that stands in the queue's file already."""
        work = Work(self._at_home(job), self.bridge, panel=panel, parent=self)
        if held:
            work.hold(held)
        if number is not None:
            self.queue.taken(work, number)
        work.ended.connect(lambda _: self._ended(work))
        work.changed.connect(lambda: self.queue.note(work))
        self.works.append(work)
        self.work_started.emit(work)
        self.queue.note(work)
        return work

    def _at_home(self, job: Job) -> Job:
        """With the bench that is open, where it needs one and names none or this one: to be done without this window, too."""
        bench = self.controller.bench
        if not job.needs_bench or bench is None or job.station not in (None, bench.station.path):
            return job
        return replace(job, station=bench.station.path, simulated=self._simulated)

    @property
    def _simulated(self) -> str:
        """The bundled bench that is open, "" for any other, also for one whose station was edited."""
        bench, name = self.controller.bench, self.controller.simulated_name
        return name if bench is not None and name and bundled_like(bench.station.text) == name else ""

    def _adopt(self, entries: Sequence[QueuedJob]) -> None:
        """Do jobs of the queue's file here."""
        for entry in entries:
            self._line_up(entry.job, entry.panel, entry.number)

    def script_of(self, what: Job | Call | Sequence[Call] | str, *, title: str = "What the window did") -> str:
        """As a Python script."""
        if isinstance(what, str):
            return what
        if isinstance(what, Job):
            return script_of(self._at_home(what))
        bench = self.controller.bench
        station = None if bench is None else bench.station.path
        calls = [what] if isinstance(what, Call) else list(what)
        return script_of_calls(title, calls, station=station, simulated=self._simulated)

    def show_script(self, what: Job | Call | Sequence[Call] | str, *, title: str = "") -> None:
        """Open the script window on it."""
        title = title or (what.title if isinstance(what, Job) else "What the window did")
        self.script_asked.emit(title, self.script_of(what, title=title))

    def stop_all(self) -> None:
        """Stop every work, those that wait first, so that none begins in place of another."""
        for work in sorted(self.works, key=lambda work: work.state not in PENDING):
            if not work.over:
                work.stop()

    def part(self) -> None:
        """The window is closing: stop what runs, let nothing begin; what waits stays in the queue's file."""
        self._parting = True
        self._lane.close()
        for work in self.busy_works:
            work.stop()

    def stop_bench_works(self) -> None:
        """Stop what uses the bench, and hold what waits for it: after the outputs were made safe nothing begins there
        before a person says so."""
        self._hold_bench_works("all outputs were made safe while it waited")
        for work in self.busy_works:
            if work.job.needs_bench:
                work.stop()

    def _hold_bench_works(self, why: str) -> None:
        """What waits for the bench begins only when a person says so."""
        for work in self.works:
            if work.job.needs_bench:
                work.hold(why)

    @property
    def busy_works(self) -> list[Work]:
        """The works that run, here or in a process of their own."""
        return [work for work in self.works if not work.over and work.state not in PENDING]

    # ---- words -----------------------------------------------------------------------------------------------------

    def call(
        self,
        function: Callable[[], Any],
        *,
        done: Callable[[Any], None],
        failed: Callable[[BaseException], None] | None = None,
        name: str = "call",
    ) -> None:
        """Call `function` in a thread; then `done(result)` or `failed(error)` here; without `failed` the error is shown."""
        self.bridge.call(
            function, done=done, failed=failed or (lambda error: self.trouble(error, doing=name)), name=name
        )

    def trouble(self, error: BaseException | Trouble, *, doing: str = "") -> None:
        """Show an error, in words a person can act on, and log it."""
        self.troubled.emit(error if isinstance(error, Trouble) else trouble_of(error, doing=doing))

    def note(self, text: str) -> None:
        """A line for the log."""
        self.noted.emit(text)

    def show_panel(self, key: str, *, files: Sequence[Path] = ()) -> None:
        """Go to another panel, and hand it files."""
        self.panel_asked.emit(key, list(files))

    # ---- what is simulated -----------------------------------------------------------------------------------------

    def mark_simulated(self, panel: str, what: str) -> None:
        """Say that a panel shows something simulated, and what, for the banner over all panels; "" when it does not any more."""
        if self.simulated.get(panel, "") == what:
            return
        if what:
            self.simulated[panel] = what
        else:
            self.simulated.pop(panel, None)
        self.simulated_changed.emit(dict(self.simulated))

    def look_for_simulated(self, panel: str, paths: Sequence[Path]) -> None:
        """Look into the files that a panel shows, in a thread; where one of them is marked as simulated, so is the panel."""
        wanted = tuple(dict.fromkeys(paths))

        def found(marks: dict[Path, bool | None]) -> None:
            simulated = next((path.name for path, mark in marks.items() if mark), "")
            if simulated:
                self.mark_simulated(panel, simulated)
            for path in (path for path, mark in marks.items() if mark is None):
                self.note(f"{path} cannot be read now: it is not known whether it comes from simulated devices")

        self.call(
            lambda: {path: marked_simulated(path) for path in wanted if path.exists()},
            done=found,
            failed=lambda error: self.trouble(error, doing="Looking whether files are simulated"),
            name="simulated",
        )

    # ---- appearance and memory -------------------------------------------------------------------------------------

    def use_theme(self, theme: Theme) -> None:
        """Change the appearance of everything."""
        self.theme = theme
        self.theme_changed.emit(theme)

    def remember(self, widget: QWidget, key: str) -> None:
        """Give the widget the value it had when the window was last closed, and keep its value then."""
        stored = self.settings.value(f"fields/{key}") if self.settings is not None else None
        if stored is not None:
            restore(widget, stored)
        self._keep.append(lambda: self._store(widget, key))

    def keep_state(self) -> None:
        """Store what is remembered; called as the window closes."""
        for keep in self._keep:
            keep()
        self.queue.close()

    def _store(self, widget: QWidget, key: str) -> None:
        if self.settings is not None and isValid(widget):  # a panel may have thrown it away
            self.settings.setValue(f"fields/{key}", value_of(widget))

    # ---- lanes -----------------------------------------------------------------------------------------------------

    def _begin_next(self) -> None:
        if self._parting:
            return
        for work in self.queue.due():
            if work.state is not WorkState.WAITING:
                continue  # begun meanwhile, in answer to what the one before it told
            if not work.job.needs_bench:
                work.start_apart()
            else:
                self._lane.offer(work)

    def _ended(self, work: Work) -> None:
        if work.end is not None and work.end.error is not None and not work.end.stopped and not work.job.needs_bench:
            self.trouble(work.end.error, doing=work.job.title)
        self.work_ended.emit(work)
        self.files_changed.emit()
        self._begin_next()
