"""The Station panel: live, and editing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QLabel, QStackedWidget, QTabWidget, QVBoxLayout, QWidget

from gui.controller import State
from gui.desk import Desk
from gui.panels.panel import Panel
from gui.panels.station.edit_page import EditPage
from gui.panels.station.live_page import LivePage
from gui.panels.widgets import button, words
from gui.theme import Theme
from gui.widgets.file_dialogs import ask_for_file
from labctl.bench import Bench
from labctl.calls import Call
from labctl.errors import UsageError
from labctl.job import Job
from labctl.readings import Readings

HELP = """\
# Station

**Live** shows every instrument with its state, and every channel with what it reads now.

- ● connected, ◆ SIMULATED, ✖ unreachable, ⚠ another instrument than expected. What is unreachable does not hold up the
  others. *Reconnect* gets it back; nothing is written by that.
- ▲ ▼ near a limit, ▲▲ ▼▼ at it, ✖ beyond it.
- Choose an output, type a value, press Enter: it ramps there. *Stop ramp* holds it where it is. A value outside the limits is
  refused, and nothing is sent.
- Tick channels to draw them in the chart.

**Edit station** changes the station file. What is wrong is told at the field as you type; Ctrl+Z undoes. *Save* keeps your
comments, and the file of before as .bak. *Reopen with these* makes all outputs safe first.

The same from a terminal: `labctl station check`, `values`, `hold`, `set`, `new`.
"""
EMPTY = """\
A station is the file that says which instruments there are, at which addresses, and what may be sent to them. Open yours,
write a new one, or begin with a simulated bench: the window starts its instruments itself."""


class StationPanel(Panel):
    """Shows the controller's bench; edits its file."""

    key = "station"
    title = "Station"
    order = 10
    tip = "Instruments and channels: open, connect, live values, set with ramps, edit"
    help = HELP

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(desk, parent)
        self.live = LivePage(desk)
        self.edit = EditPage(desk)
        self.pages = QTabWidget()
        self.pages.setAccessibleName("Station: live, or editing its file")
        self.simulate_button = button(
            "Open &simulated bench", "Start the simulated demo bench and open it", self._simulate
        )
        self.open_button = button("&Open station …", "Choose a station file (Ctrl+O)", self._choose)
        self.new_button = button("&New station …", "Write a new station file, in the editor", self._new)
        self.close_button = button("&Close station", "Make all outputs safe, then close every connection", self._close)
        self.empty = self._empty_page()
        self._stack = QStackedWidget()
        self._stack.addWidget(self.empty)
        self._stack.addWidget(self.live)
        self.pages.addTab(self._stack, "&Live")
        self.pages.addTab(self.edit, "&Edit station")
        self.pages.setTabToolTip(0, "What there is, what it reads now, and setting it")
        self.pages.setTabToolTip(1, "Change the station file: instruments, channels, devices")
        self.pages.setCornerWidget(self.close_button, Qt.Corner.TopRightCorner)
        column = QVBoxLayout(self)
        column.setContentsMargins(6, 4, 6, 4)
        column.addWidget(self.pages)
        controller = desk.controller
        controller.opened.connect(self._show_bench)
        controller.station_closed.connect(lambda: self._show_bench(None))
        controller.state_changed.connect(self._show_state)
        controller.readings.connect(self._show_readings)
        controller.made_safe.connect(self.live.show_safe)
        self.use_theme(desk.theme)
        self._show_bench(controller.bench)
        self._show_state(controller.state)

    def take_files(self, files: Sequence[Path]) -> None:
        """A station file is opened, or where there is one already, edited."""
        for path in files[:1]:
            if self.desk.controller.state is State.EMPTY:
                self.desk.controller.open_station(path)
            else:
                self.edit.open_file(path)
                self.pages.setCurrentWidget(self.edit)

    def use_theme(self, theme: Theme) -> None:
        """Other colours."""
        self.live.use_theme(theme)
        self.edit.use_theme(theme)

    def shown(self) -> None:
        """Draw what came in meanwhile."""
        self.live.chart.refresh()

    def script_job(self) -> Job | Sequence[Call]:
        """Setting and holding the chosen output, or what Identify does; of the editor, its changes."""
        if self.pages.currentWidget() is self.edit:
            return self.edit.calls()
        if self.desk.controller.bench is None:
            raise UsageError("no station is open: open one first")
        return self.live.set_box.job() if self.live.set_box.wanted() is not None else self.live.instruments.calls()

    def _empty_page(self) -> QWidget:
        page = QWidget()
        column = QVBoxLayout(page)
        column.addStretch(1)
        headline = QLabel("<b>No station is open</b>")
        told = words()
        told.setText(EMPTY.replace("\n", " "))
        row = QHBoxLayout()
        for one in (self.simulate_button, self.open_button, self.new_button):
            row.addWidget(one)
        row.addStretch(1)
        inner = QVBoxLayout()
        inner.setContentsMargins(60, 0, 60, 0)
        inner.setSpacing(12)
        inner.addWidget(headline)
        inner.addWidget(told)
        inner.addLayout(row)
        column.addLayout(inner)
        column.addStretch(2)
        return page

    def _show_bench(self, bench: Bench | None) -> None:
        self._stack.setCurrentWidget(self.empty if bench is None else self.live)
        self.live.show_bench(bench)
        self.edit.show_bench(bench)

    def _show_state(self, state: State) -> None:
        for one in (self.simulate_button, self.open_button):
            one.setEnabled(state is State.EMPTY)
        self.close_button.setVisible(self.desk.controller.bench is not None)
        self.close_button.setEnabled(state is State.READY)
        tip = "Make all outputs safe, read them back, then close every connection"
        self.close_button.setToolTip(tip if state is State.READY else f"Not now: {state.value}")
        self.live.show_state(state)
        self.edit.show_state(state)

    def _show_readings(self, readings: Readings) -> None:
        self.live.show_readings(readings, complete=self.desk.controller.state is State.READY)

    def _simulate(self) -> None:
        self.desk.controller.open_simulated()

    def _choose(self) -> None:
        kinds = "Station files (*.toml);;All files (*)"
        ask_for_file(self, "Open station", "", kinds, self.desk.controller.open_station)

    def _new(self) -> None:
        self.edit.new()
        self.pages.setCurrentWidget(self.edit)

    def _close(self) -> None:
        self.desk.controller.close_station()
