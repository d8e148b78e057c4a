"""Which station the window opens, which it opened last, and where its runs are kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtWidgets import QWidget

from gui.controller import State
from gui.desk import Desk
from gui.shell.settings import Kept
from gui.widgets.file_dialogs import ask_for_file, ask_for_folder
from labctl.bench import Bench

RECENT = "recent_stations"
RUNS = "runs_folder"


class Stations(QObject):
    """Opens stations; `recent_changed` gives the paths of those that were opened last."""

    recent_changed = Signal(object)

    def __init__(self, desk: Desk, kept: Kept, window: QWidget) -> None:
        super().__init__(window)
        self._controller, self._desk, self._kept, self._window = desk.controller, desk, kept, window
        self._wanted: Callable[[], None] | None = None
        self._controller.opened.connect(self._remember)
        self._controller.state_changed.connect(self._go_on)
        desk.runs_folder_changed.connect(lambda folder: kept.keep(RUNS, str(folder)))

    @property
    def recent(self) -> list[str]:
        """The paths of the stations that were opened last, the newest first."""
        return self._kept.texts(RECENT)

    def choose(self) -> None:
        """Ask which station to open."""
        start = str(Path(self.recent[0]).parent) if self.recent else ""
        ask_for_file(self._window, "Open station", start, "Station files (*.toml);;All files (*)", self.open)

    def open(self, path: Path) -> None:
        """Open a station; in place of the one that is open, whose outputs are made safe first."""
        controller = self._controller
        if controller.bench is None:
            controller.open_station(path)
        elif controller.simulation_pid is None:
            controller.reopen(path)
        else:
            self._replace(lambda: controller.open_station(path))  # its simulation ends with it

    def open_simulated(self, name: str = "demo") -> None:
        """Start one of the simulated benches that come with labctl and open it; in place of the station that is open."""
        if self._controller.bench is None:
            self._controller.open_simulated(name)
        else:
            self._replace(lambda: self._controller.open_simulated(name))

    def choose_runs_folder(self) -> None:
        """Ask where runs are kept from now on."""
        ask_for_folder(self._window, "Folder for runs", self._desk.runs_folder, self._desk.use_runs_folder)

    def _replace(self, opening: Callable[[], None]) -> None:
        self._controller.close_station()
        self._wanted = opening if self._controller.state is State.CLOSING else None

    def _go_on(self, state: State) -> None:
        if state is State.CLOSING:
            return
        wanted, self._wanted = self._wanted, None
        if wanted is not None and state is State.EMPTY:
            QTimer.singleShot(0, wanted)  # all hear of EMPTY before OPENING

    def _remember(self, bench: Bench) -> None:
        if bench.station.path is not None and self._controller.simulation_pid is None:
            self.recent_changed.emit(self._kept.keep_recent(RECENT, str(bench.station.path)))
