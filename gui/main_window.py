"""The window: banner, safe button, station, campaign, plots, outcome."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QSettings, Qt, QTimer, Signal
from PySide6.QtGui import QAction, QActionGroup, QCloseEvent, QKeySequence
from PySide6.QtWidgets import (
    QApplication,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QMainWindow,
    QSplitter,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from gui.bridge import Bridge, Ended, Frame
from gui.controller import Controller, State
from gui.live_values import Readings
from gui.offers import Offer, Offers, offers_of
from gui.panels.messages import ErrorPanel, Farewell, read_back_text
from gui.panels.outcome import OutcomePanel
from gui.panels.run import RunPanel
from gui.panels.station import StationPanel
from gui.panels.widgets import button
from gui.plots.drive_response import DriveResponsePlot
from gui.plots.learning_plot import LearningPlot
from gui.theme import THEMES, Theme, apply_theme, system_theme
from gui.trouble import Trouble
from labctl.bench import Bench
from labctl.safety import SafeReport

FAREWELL_MS = 2500
"""How long the window shows what was read back before it closes by itself."""
DEFAULT_SIZE = (1280, 800)
WELCOME = "No station open: open one (Ctrl+O), or the simulated bench (Ctrl+Shift+O)"
SAFE_TIP = """Stop what is running and bring every output to its safe value, read back.
Esc does the same from anywhere in the window; pressed by mistake it costs a run, never a device."""


class MainWindow(QMainWindow):
    """One bench, one campaign at a time. `campaigns` says what can be run on a bench."""

    closed = Signal()

    def __init__(
        self,
        *,
        campaigns: Offers = offers_of,
        runs_folder: Path | None = None,
        theme: Theme | None = None,
        settings: QSettings | None = None,
        farewell_ms: int = FAREWELL_MS,
    ) -> None:
        super().__init__()
        self._campaigns = campaigns
        self._settings = settings
        self._farewell_ms = farewell_ms
        self._may_close = False
        self.bridge = Bridge(self)
        self.controller = Controller(self.bridge, self)
        self._theme = theme or system_theme()
        self.banner = QLabel("SIMULATED: every instrument and device on this bench is a simulation")
        self.banner.setObjectName("banner")
        self.error_panel = ErrorPanel()
        self.farewell = Farewell()
        self.safe_button = button(
            "ALL OUTPUTS SAFE  (Esc)", SAFE_TIP, self.controller.make_safe, name="All outputs safe"
        )
        self.safe_button.setObjectName("safe")
        self.station_label = QLabel(WELCOME)
        self.state_label = QLabel()
        self.outputs_label = QLabel()
        self.station_panel = StationPanel()
        self.run_panel = RunPanel(runs_folder=runs_folder or Path("labctl-runs").absolute())
        self.trace_plot = DriveResponsePlot(self.bridge.box.samples, self._theme)
        self.learning_plot = LearningPlot(self._theme)
        self.outcome = OutcomePanel()
        self._lay_out()
        self._make_actions()
        self._connect()
        self.use_theme(self._theme.name)
        self._show_state(State.EMPTY)
        self._restore_geometry()

    # ---- building --------------------------------------------------------------------------------------------------

    def _lay_out(self) -> None:
        self.setWindowTitle("labctl")
        self.resize(*DEFAULT_SIZE)
        self.banner.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.banner.hide()
        for label, name in (
            (self.station_label, "Station"),
            (self.state_label, "State"),
            (self.outputs_label, "Outputs"),
        ):
            label.setAccessibleName(name)
        self.plots = QTabWidget()
        self.plots.addTab(self.trace_plot, "Drive and response")
        self.plots.addTab(self.learning_plot, "Learning")
        self._right = _split(Qt.Orientation.Vertical, (self.plots, 3), (self.outcome, 2))
        work = QWidget()
        column = QVBoxLayout(work)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.run_panel)
        column.addWidget(self._right, 1)
        self._middle = _split(Qt.Orientation.Horizontal, (self.station_panel, 2), (work, 3))
        self._middle.setSizes([492, 788])
        self._right.setSizes([400, 260])
        whole = QWidget()
        column = QVBoxLayout(whole)
        column.setContentsMargins(6, 6, 6, 6)
        for widget in (self.banner, self._top_row(), self.farewell, self.error_panel):
            column.addWidget(widget)
        column.addWidget(self._middle, 1)
        self.setCentralWidget(whole)

    def _top_row(self) -> QWidget:
        row = QWidget()
        texts = QVBoxLayout()
        texts.setSpacing(2)
        texts.addWidget(self.station_label)
        texts.addWidget(self.state_label)
        texts.addWidget(self.outputs_label)
        layout = QHBoxLayout(row)
        layout.setContentsMargins(4, 0, 0, 0)
        layout.addLayout(texts, 1)
        layout.addWidget(self.safe_button)
        return row

    def _make_actions(self) -> None:
        file_menu = self.menuBar().addMenu("&File")
        self.open_action = self._action("&Open station …", "Ctrl+O", self._choose_station)
        self.simulate_action = self._action("Open &simulated bench", "Ctrl+Shift+O", self.controller.open_simulated)
        self.quit_action = self._action("&Quit", "Ctrl+Q", self.close)
        file_menu.addActions([self.open_action, self.simulate_action])
        file_menu.addSeparator()
        file_menu.addAction(self.quit_action)
        bench_menu = self.menuBar().addMenu("&Bench")
        self.safe_action = self._action("&All outputs safe", "Esc", self.controller.make_safe)
        bench_menu.addAction(self.safe_action)
        view_menu = self.menuBar().addMenu("&View")
        group = QActionGroup(self)
        for name, theme in THEMES.items():
            action = QAction(name.capitalize(), group, checkable=True, checked=theme is self._theme)
            action.triggered.connect(lambda _, name=name: self.use_theme(name))
            view_menu.addAction(action)

    def _action(self, text: str, keys: str, act: object) -> QAction:
        action = QAction(text, self, shortcut=QKeySequence(keys))
        action.setShortcutContext(Qt.ShortcutContext.WindowShortcut)
        action.triggered.connect(lambda _: act())  # type: ignore[operator]
        return action

    def _connect(self) -> None:
        controller = self.controller
        self.run_panel.run_asked.connect(self._run)
        self.run_panel.stop_asked.connect(controller.stop)
        self.farewell.leave.connect(self.leave)
        self.bridge.frame.connect(self._show_frame)
        controller.state_changed.connect(self._show_state)
        controller.opened.connect(self._show_bench)
        controller.readings.connect(self._show_readings)
        controller.made_safe.connect(self._show_safe)
        controller.ended.connect(self._show_end)
        controller.troubled.connect(self._show_trouble)
        controller.parted.connect(self._part)

    # ---- showing ---------------------------------------------------------------------------------------------------

    def _show_state(self, state: State) -> None:
        self.state_label.setText(f"State: {state.value}")
        self.run_panel.show_state(state)
        for action in (self.open_action, self.simulate_action):
            action.setEnabled(state is State.EMPTY)
        if state is State.RUNNING:
            self.outputs_label.setText("Outputs: in use by the campaign")

    def _show_bench(self, bench: Bench) -> None:
        station = bench.station
        self.banner.setVisible(bench.simulated)
        marked = " [SIMULATED]" if bench.simulated else ""
        self.setWindowTitle(f"{station.name}{marked} – labctl")
        self.station_label.setText(f"<b>{station.name}</b>{marked}")
        self.station_label.setToolTip(str(station.path or ""))
        self.outputs_label.setText("Outputs: as found, nothing was written yet")
        self.station_panel.show_bench(bench)
        self.trace_plot.show_channels(station.channels)
        self.run_panel.show_offers(self._campaigns(bench))
        self.outcome.log.note(f"Opened {station.name}{marked}: {', '.join(bench.identities) or 'no instruments'}")

    def _show_frame(self, frame: Frame) -> None:
        self.outcome.take(frame)
        self.learning_plot.take(frame.events)
        if self.trace_plot.isVisible():
            self.trace_plot.refresh()
        self.learning_plot.refresh()

    def _show_readings(self, readings: Readings) -> None:
        self.station_panel.show_readings(readings, complete=self.controller.state is State.READY)
        self.outcome.steps.tick()

    def _show_safe(self, report: SafeReport) -> None:
        text = read_back_text(report)
        known = {one.channel: one.read_back for one in report.channels if one.read_back is not None}
        self.station_panel.channels.show_values(known)
        if report.ok:
            values = ", ".join(f"{one.channel} {one.read_back:g} {one.unit}" for one in report.channels)
            self.outputs_label.setText(f"Outputs: all safe, read back: {values}")
            self.outcome.log.note(f"All outputs safe, read back: {values}")
        else:
            self.outputs_label.setText("Outputs: NOT ALL KNOWN TO BE SAFE")
            self._show_trouble(Trouble("Not all outputs are known to be safe", text, ""))
        self.outputs_label.setToolTip(text)

    def _show_trouble(self, trouble: Trouble) -> None:
        self.error_panel.tell(trouble)
        self.outcome.log.error(f"{trouble.headline}: {trouble.message}")

    def _show_end(self, ended: Ended) -> None:
        self.outcome.end(ended)
        self.trace_plot.refresh()

    def use_theme(self, name: str) -> None:
        """Change the appearance: "light" or "dark"."""
        self._theme = theme = THEMES[name]
        application = QApplication.instance()
        if isinstance(application, QApplication):
            apply_theme(application, theme)
        self.trace_plot.use_theme(theme)
        self.learning_plot.use_theme(theme)

    # ---- acting ----------------------------------------------------------------------------------------------------

    def _choose_station(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Open station", "", "Station files (*.toml);;All files (*)")
        if path:
            self.controller.open_station(Path(path))

    def _run(self, offer: Offer, folder: Path, seed: int) -> None:
        self.outcome.clear()
        self.learning_plot.clear()
        self.error_panel.hide()
        self.outcome.log.note(f"Run: {offer.title}, seed {seed}, into {folder}")
        self.controller.run(offer, folder=folder, seed=seed)

    # ---- parting ---------------------------------------------------------------------------------------------------

    def closeEvent(self, event: QCloseEvent) -> None:
        """Make the outputs safe first; the window closes when they were read back."""
        if self._may_close or self.controller.state is State.PARTED:
            self._save_geometry()
            event.accept()
            self.closed.emit()
            return
        event.ignore()
        self.controller.part()

    def _part(self, report: SafeReport | None) -> None:
        if report is None:
            if self.controller.parted_well:
                QTimer.singleShot(0, self.leave)  # Qt does not close a window again from within its closeEvent
            return
        self._show_safe(report)
        self.farewell.tell(report)
        if report.ok:
            QTimer.singleShot(self._farewell_ms, self.leave)

    def leave(self) -> None:
        """Close without further ado: what there was to make safe was made safe, or a person has read that it was not."""
        if not self._may_close:
            self._may_close = True
            self.close()

    def _restore_geometry(self) -> None:
        if self._settings is not None and self._settings.contains("geometry"):
            self.restoreGeometry(self._settings.value("geometry"))
            self._middle.restoreState(self._settings.value("middle"))
            self._right.restoreState(self._settings.value("right"))

    def _save_geometry(self) -> None:
        if self._settings is not None:
            self._settings.setValue("geometry", self.saveGeometry())
            self._settings.setValue("middle", self._middle.saveState())
            self._settings.setValue("right", self._right.saveState())


def _split(orientation: Qt.Orientation, *parts: tuple[QWidget, int]) -> QSplitter:
    splitter = QSplitter(orientation)
    splitter.setChildrenCollapsible(False)
    for number, (widget, share) in enumerate(parts):
        splitter.addWidget(widget)
        splitter.setStretchFactor(number, share)
    return splitter
