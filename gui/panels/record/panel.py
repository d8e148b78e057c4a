"""The Record panel: what is played to a device, looked at first, then recorded and watched."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QSplitter, QTabWidget, QVBoxLayout, QWidget

from gui.bridge import Ended, Frame
from gui.controller import State
from gui.desk import Desk
from gui.panels.panel import Panel
from gui.panels.record.choices import Choices
from gui.panels.record.figures import FiguresRow
from gui.panels.record.film_page import FilmPage
from gui.panels.record.help import HELP
from gui.panels.record.newest import Newest
from gui.panels.record.outcome_row import OutcomeRow
from gui.panels.record.preview_page import PreviewPage
from gui.panels.record.questions import question, tried
from gui.panels.record.wanted import Wanted
from gui.panels.widgets import button
from gui.plots.drive_response import DriveResponsePlot
from gui.theme import Theme
from gui.widgets.job_controls import JobControls
from gui.work import Work, WorkState
from labctl.dry_run import DryRun
from labctl.errors import LabctlError, UsageError
from labctl.events import Acquired, FrameTaken, Paused, Reported, Resumed
from labctl.job import Job
from labctl.preview import Preview
from labctl.safety import SafeReport

NO_STATION = "no station is open: open one in the Station panel, or start the simulated bench there"


class RecordPanel(Panel):
    """Form on the left; preview, live plots and pictures on the right; figures and buttons below."""

    key = "record"
    title = "Record"
    tip = "Choose an excitation, see it against the limits, record a device's response"
    order = 20
    help = HELP

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(desk, parent)
        self.choices = Choices()
        self.preview = PreviewPage(desk.theme)
        self.live = DriveResponsePlot(desk.bridge.box.samples, desk.theme)
        self.film = FilmPage(desk.theme)
        self.figures, self.outcome = FiguresRow(), OutcomeRow()
        self.controls = JobControls(
            desk,
            self._job,
            text="Start",
            tip="Record now (Ctrl+Return); sensible values are filled in",
            panel=self.key,
            keys="Ctrl+Return",
        )
        self.dry_button = button(
            "Dry run",
            "Check everything with the instruments, without writing to any output (Ctrl+D)",
            self._dry_run,
            keys="Ctrl+D",
        )
        self.tabs = QTabWidget()
        self._files: list[Path] = []
        self._rests, self._next = "", "twins"
        self._newest = Newest(desk, self, done=self._show_preview, name="preview")
        self._lay_out()
        self._connect()
        self._show_bench()

    def _lay_out(self) -> None:
        for page, title, tip in (
            (self.preview, "Preview", "What will be played"),
            (self.live, "Live", "What is played and what comes back"),
            (self.film, "Camera", "The newest frame"),
        ):
            self.tabs.setTabToolTip(self.tabs.addTab(page, title), tip)
        self.splitter = QSplitter(Qt.Orientation.Horizontal)
        self.splitter.addWidget(self.choices)
        self.splitter.addWidget(self.tabs)
        self.splitter.setStretchFactor(1, 1)
        self.splitter.setChildrenCollapsible(False)
        self.splitter.setSizes([390, 730])
        bottom = QHBoxLayout()
        bottom.addWidget(self.controls, 1)
        bottom.addWidget(self.dry_button, 0, Qt.AlignmentFlag.AlignTop)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 6, 8, 6)
        column.addWidget(self.splitter, 1)
        for widget in (self.figures, self.outcome):
            column.addWidget(widget)
        column.addLayout(bottom)

    def _connect(self) -> None:
        controller = self.desk.controller
        controller.opened.connect(lambda _: self._show_bench())
        controller.state_changed.connect(self._show_state)
        controller.made_safe.connect(self._tell_outputs)
        self.choices.changed.connect(self._chosen_anew)
        self.preview.asked.connect(partial(self._look, again=True))
        self.controls.started.connect(self._follow)
        self.outcome.fit_asked.connect(lambda: self.desk.show_panel(self._next, files=self.outcome.files))
        self.outcome.browse_asked.connect(lambda: self.desk.show_panel("runs", files=self.outcome.files))
        self.outcome.script_asked.connect(self._show_script)
        self.desk.remember(self.splitter, "record/splitter")
        self.desk.remember(self.choices.design, "record/design")

    # ---- what the window asks of a panel ---------------------------------------------------------------------------

    def use_theme(self, theme: Theme) -> None:
        """Draw in these colours."""
        for one in (self.preview, self.live, self.film):
            one.use_theme(theme)

    def take_files(self, files: Sequence[Path]) -> None:
        """A CSV or NPZ file is a drive: it is offered as an excitation."""
        drives = [path for path in files if path.suffix.lower() in (".csv", ".npz")]
        if not drives:
            self.desk.trouble(
                UsageError("the Record panel takes drives, as CSV or NPZ; recordings belong to the Twins panel"),
                doing="Taking files",
            )
            return
        self.choices.design.setCurrentIndex(self.choices.design.count() - 1)
        if self.choices.options is not None:
            self.choices.options.show_values({"path": drives[0]})

    def script_job(self) -> Job | None:
        """The recording that the form describes. Raises LabctlError for what is missing."""
        return self._job()

    def shown(self) -> None:
        """Look anew: another panel may have opened a station."""
        self._show_bench()

    # ---- before ----------------------------------------------------------------------------------------------------

    def _show_bench(self) -> None:
        self._show_state(self.desk.controller.state)

    def _show_state(self, state: State) -> None:
        bench = self.desk.controller.bench
        station = None if bench is None else bench.station
        if station is not self.choices.station:
            self.choices.show_station(station)
            self.live.show_channels({} if station is None else station.channels)
        if bench is None:
            self.controls.block(NO_STATION)
            self.preview.refuse([NO_STATION])
        idle = state is State.READY
        self.dry_button.setEnabled(idle)
        why = NO_STATION if bench is None else "the bench is busy: wait until it is free"
        self.dry_button.setToolTip(
            "Check everything with the instruments, without writing to any output (Ctrl+D)" if idle else why
        )
        if idle:
            self._changed()

    def _wanted(self) -> Wanted:
        if self.desk.controller.bench is None:
            raise UsageError(NO_STATION)
        return self.choices.wanted()

    def _job(self) -> Job:
        bench = self.desk.controller.bench
        wanted = self._wanted()
        assert bench is not None  # _wanted raises
        return wanted.job(bench.station, self.desk.new_folder)

    def _changed(self) -> None:
        camera = self.tabs.indexOf(self.film)
        self.tabs.setTabVisible(camera, self.choices.filmed)
        self.tabs.setTabVisible(self.tabs.indexOf(self.live), not self.choices.filmed)
        self._look(again=False)

    def _chosen_anew(self) -> None:
        """Something else is to be recorded: what was recorded before is no picture of it."""
        work = self.controls.work
        if work is None or work.over:
            self.tabs.setCurrentWidget(self.preview)
        self._changed()

    def _look(self, *, again: bool) -> None:
        """Ask for the preview of what the form describes; `again`: of the trial that was chosen."""
        bench = self.desk.controller.bench
        if bench is None:
            self.preview.refuse([NO_STATION])
            return
        try:
            wanted = self._wanted()
        except LabctlError as error:
            self._newest.forget()
            self.preview.refuse([str(error)])
            self.controls.block(str(error))
            return
        part, trial = (self.preview.part.currentText(), self.preview.trial.value()) if again else ("", None)
        self._newest.ask(question(bench, wanted, self.desk.runs_folder, part, trial))

    def _show_preview(self, found: Preview) -> None:
        self.preview.show_preview(found)
        problems = found.dry.problems
        self.controls.block(f"it would be refused: {problems[0]}" if problems else "")

    def _dry_run(self) -> None:
        bench = self.desk.controller.bench
        try:
            wanted = self._wanted()
        except LabctlError as error:
            self.preview.refuse([str(error)])
            return
        assert bench is not None  # _wanted raises
        folder = self.desk.new_folder("dry-run")
        self.dry_button.setEnabled(False)
        self.desk.call(
            partial(tried, bench, wanted, folder), done=self._show_dry_run, failed=self._dry_run_failed, name="dry run"
        )

    def _show_dry_run(self, found: DryRun) -> None:
        self.dry_button.setEnabled(self.desk.controller.state is State.READY)
        self.tabs.setCurrentWidget(self.preview)
        self.preview.show_dry_run(found)
        self.desk.note(f"Dry run of {found.device}: {'within all limits' if found.ok else found.problems[0]}")

    def _dry_run_failed(self, error: BaseException) -> None:
        self.dry_button.setEnabled(self.desk.controller.state is State.READY)
        self.desk.trouble(error, doing="Dry run")

    # ---- meanwhile -------------------------------------------------------------------------------------------------

    def _follow(self, work: Work) -> None:
        self._files, self._rests = [], ""
        self.figures.clear()
        self.outcome.clear()
        self._next = "nca" if self.choices.filmed else "twins"
        self.outcome.offer(filmed=self.choices.filmed)
        self.film.clear()
        self.live.freeze.setChecked(False)
        self.tabs.setCurrentWidget(self.film if self.choices.filmed else self.live)
        work.frame.connect(self._take)
        work.ended.connect(self._ended)
        work.changed.connect(partial(self._show_rest, work))

    def _take(self, frame: Frame) -> None:
        for event in frame.events:
            match event:
                case Acquired():
                    self._note_file(Path(event.file))
                    self.figures.show_figures(event)
                case FrameTaken():
                    self.film.show_frame(event)
                case Paused(how=how):
                    self._rests = how
                case Resumed():
                    self._rests = ""
                case Reported(files=files):
                    for path in files:
                        self._note_file(Path(path))
        if self.controls.work is not None:
            self._show_rest(self.controls.work)
        if self.live.isVisible():
            self.live.refresh()

    def _note_file(self, path: Path) -> None:
        if path.name and path not in self._files:
            self._files.append(path)

    def _show_rest(self, work: Work) -> None:
        if work.state is WorkState.PAUSED:
            waits = f"pausing: the play under way ends first, outputs are ON ({LONGEST})"
            self.outcome.show_outcome(f"Ⅱ paused {self._rests}" if self._rests else f"… {waits}", self._files)
            self.outcome.fit.setEnabled(False)
        elif not work.over:
            self.outcome.hide()

    # ---- afterwards ------------------------------------------------------------------------------------------------

    def _ended(self, ended: Ended) -> None:
        self.live.refresh()
        self.figures.end()
        files = [path for path in self._files if path.exists()]
        where = f" in {files[0].parent}" if files else ""
        names = ", ".join(path.name for path in files) or "no file"
        if ended.error is None:
            text = f"✓ Recorded: {names}{where}"
        elif ended.stopped:
            notes = "; ".join(getattr(ended.error, "__notes__", []))
            text = f"■ Stopped: {notes or 'nothing was measured'}. Kept: {names}{where}"
        else:
            text = f"✗ {'; '.join([str(ended.error), *getattr(ended.error, '__notes__', [])])}. Kept: {names}{where}"
        self.outcome.show_outcome(text, files)

    def _tell_outputs(self, report: SafeReport) -> None:
        """However a recording ended, the bench was made safe afterwards: say what was read back."""
        work = self.controls.work
        if work is None or not work.over or self.outcome.isHidden():
            return
        unsafe = [one.channel for one in report.channels if not one.ok] or ["see the log"]
        told = (
            "All outputs are safe, read back."
            if report.ok
            else f"⚠ NOT KNOWN TO BE SAFE: {', '.join(unsafe)}. Switch off by hand."
        )
        self.outcome.add_outputs(told, details=str(report))

    def _show_script(self) -> None:
        if self.controls.work is not None:
            self.desk.show_script(self.controls.work.job)


LONGEST = "at most some seconds"
