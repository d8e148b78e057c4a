"""The log of the window: its lines, the dock and the row that show them, the file that keeps them."""

from __future__ import annotations

from PySide6.QtCore import QObject, QTimer, Signal

from gui.desk import Desk
from gui.models.log import Line, LogModel
from gui.opening import open_folder
from gui.shell.log_dock import LogDock
from gui.shell.log_file import LogFile
from gui.shell.status_row import StatusRow
from gui.work import Work

WRITE_MS = 1000


class Logbook(QObject):
    """Takes what the desk notes and what its works say; `shown` tells whether the dock is."""

    shown = Signal(bool)

    def __init__(self, desk: Desk, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self.lines = LogModel(self)
        self.file = LogFile(desk.runs_folder)
        self.dock, self.row = LogDock(self.lines), StatusRow()
        self.dock.hide()
        desk.noted.connect(self.lines.note)
        desk.work_started.connect(self._follow)
        desk.work_ended.connect(self._tell_end)
        desk.runs_folder_changed.connect(self._use_folder)
        desk.bridge.tick.connect(self._tick)
        self.row.log_button.toggled.connect(self._show)
        self.dock.file_asked.connect(self._show_file)
        self.lines.added.connect(self._take)
        self._timer = QTimer(self, interval=WRITE_MS)
        self._timer.timeout.connect(self._write)
        self._timer.start()

    def close(self) -> None:
        """Keep what waits to be kept."""
        self._timer.stop()
        self.file.write_if_possible()

    def _follow(self, work: Work) -> None:
        self.lines.note(f"{work.job.title}: {work.state.value}, into {work.job.folder}")
        work.frame.connect(lambda frame: self.lines.take(frame.events, frame.left_out))
        work.changed.connect(self._show_works)
        self._show_works()

    def _tell_end(self, work: Work) -> None:
        self.lines.note(f"{work.job.title}: {work.state.value}")
        self._show_works()

    def _show_works(self) -> None:
        self.row.show_works(self._desk.works)

    def _tick(self) -> None:
        if self._desk.busy_works:
            self._show_works()

    def _show(self, shown: bool) -> None:
        self.dock.setVisible(shown)
        if shown:
            self.dock.view.scrollToBottom()
        self.shown.emit(shown)

    def _take(self, lines: list[Line]) -> None:
        self.file.take(lines)
        self.row.show_line(lines[-1])

    def _write(self) -> None:
        if self.file.due():
            self._desk.call(self.file.write, done=lambda _: None, failed=self._lost, name="log file")

    def _lost(self, error: BaseException) -> None:
        self._timer.stop()  # said once; the log in the window goes on
        self._desk.trouble(error, doing=f"Writing {self.file.path}, where the log is no longer kept")

    def _use_folder(self, folder: object) -> None:
        self.file.use_folder(self._desk.runs_folder)
        self.lines.note(f"Runs are kept in {folder}")

    def _show_file(self) -> None:
        folder = self.file.path.parent
        if folder.is_dir():
            open_folder(self._desk, folder)
        else:
            self._desk.note(f"The log will be kept in {self.file.path} as soon as there is a run")
