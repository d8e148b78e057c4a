"""The first page: where the images come from, and what they look like."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QSplitter, QVBoxLayout, QWidget

from gui.bridge import Ended
from gui.desk import Desk
from gui.panels.nca.data_form import CAMERA, EQUATION, DataForm
from gui.panels.nca.player_view import PlayerView
from gui.panels.nca.scrolled import scrolled
from gui.theme import Theme
from gui.widgets.job_controls import JobControls
from gui.work import Work
from labctl.errors import UsageError
from labctl.job import Job

PANEL = "nca"


class DataTab(QWidget):
    """`changed`: another source."""

    changed = Signal()

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self.form = DataForm(desk)
        self.player = PlayerView(desk)
        self.controls = JobControls(
            desk,
            self.job,
            text="Simulate",
            tip="Simulate the equation, or film the device, and play the sequence (Ctrl+Return)",
            panel=PANEL,
            keys="Ctrl+Return",
        )
        self.controls.started.connect(self._started)
        left = QWidget()
        column = QVBoxLayout(left)
        column.setContentsMargins(0, 0, 4, 0)
        column.addWidget(scrolled(self.form), 1)
        column.addWidget(self.controls)
        split = QSplitter(Qt.Orientation.Horizontal)
        split.addWidget(left)
        split.addWidget(self.player)
        split.setStretchFactor(1, 1)
        split.setSizes([400, 720])
        whole = QVBoxLayout(self)
        whole.addWidget(split)
        self.form.changed.connect(self._show)
        self.form.opened.connect(self.player.open)
        self._show()

    def use_theme(self, theme: Theme) -> None:
        """Draw in these colours."""
        self.player.use_theme(theme)

    def job(self) -> Job:
        """The equation's sequences as a film, or a film of a device. Raises UsageError for what is missing."""
        if self.form.kind.currentIndex() == CAMERA:
            bench = self._desk.controller.bench
            if bench is None:
                raise UsageError("no station is open: open one in the Station panel first")
            name = self.form.device.currentText()
            return Job(
                f"Film {name}",
                self.form.film(),
                self._desk.new_folder(f"film-{name}"),
                station=bench.station.path,
                seed=0,
            )
        name = Path(str(self.form.pde.currentData() or "equation")).stem
        return Job(f"Simulate {name}", self.form.simulation(), self._desk.new_folder(f"simulate-{name}"), seed=0)

    def _started(self, work: Work) -> None:
        work.ended.connect(self._ended)

    def _ended(self, ended: Ended) -> None:
        if ended.error is not None or not isinstance(ended.result, dict):
            return
        if "frames" in ended.result:  # films of a device: they are the source from now on
            self.form.take(Path(ended.result["frames"]))
        elif ended.result.get("files"):
            self.player.open(Path(ended.result["files"][0]))

    def _show(self) -> None:
        kind = self.form.kind.currentIndex()
        self.controls.start_button.setText({EQUATION: "Simulate", CAMERA: "Film"}.get(kind, "Simulate"))
        self.controls.setVisible(kind in (EQUATION, CAMERA))
        no_camera = kind == CAMERA and self.form.device.count() == 0
        self.controls.block("Open a station with a camera in the Station panel first" if no_camera else "")
        self.changed.emit()
