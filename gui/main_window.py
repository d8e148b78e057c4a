"""The window: one top bar, the list of panels, the panel that is shown, help, log. What panels do is theirs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QSettings, Qt, Signal
from PySide6.QtGui import QCloseEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import QHBoxLayout, QMainWindow, QSplitter, QVBoxLayout, QWidget

from gui.desk import Desk
from gui.panels.messages import ErrorPanel, Farewell
from gui.shell.about import About
from gui.shell.appearance import Appearance
from gui.shell.bench_told import BenchTold
from gui.shell.esc_anywhere import EscAnywhere
from gui.shell.help_pane import HelpPane
from gui.shell.help_texts import KEYS, help_of
from gui.shell.logbook import Logbook
from gui.shell.menus import Menus
from gui.shell.navigation import BUSY, MOST_KEYS, Navigation
from gui.shell.panel_entries import PanelEntry, found_panels
from gui.shell.panel_stack import PanelStack
from gui.shell.parting import Parting
from gui.shell.safe_again import SafeAgain
from gui.shell.scripts import Scripts
from gui.shell.settings import Kept
from gui.shell.simulated_files import SimulatedFiles
from gui.shell.stations import RUNS, Stations
from gui.shell.top_bar import TopBar
from gui.shell.unsafe_notice import UnsafeNotice
from gui.theme import Theme
from gui.trouble import Trouble
from gui.work import Work
from labctl.errors import UsageError
from labctl.guardian import Guardian

if TYPE_CHECKING:
    from gui.panels.panel import Panel

FAREWELL_MS = 2500
"""How long the window shows what was read back before it closes by itself."""
DEFAULT_SIZE = (1280, 800)
FIRST_PANEL = "start"


class MainWindow(QMainWindow):
    """One bench; any number of panels, each made when it is first wanted. `panels` are those of the entry points, if not given."""

    closed = Signal()

    def __init__(
        self,
        *,
        runs_folder: Path | None = None,
        theme: Theme | None = None,
        settings: QSettings | None = None,
        farewell_ms: int = FAREWELL_MS,
        panels: Sequence[PanelEntry] | None = None,
        guarded: bool = False,
    ) -> None:
        super().__init__()
        self.kept = Kept(settings)
        self.appearance = Appearance(self.kept, theme=theme, parent=self)
        self.desk = Desk(
            runs_folder=runs_folder or Path(self.kept.text(RUNS) or "labctl-runs").absolute(),
            theme=self.appearance.theme,
            settings=settings,
            parent=self,
        )
        self.controller = self.desk.controller
        if guarded:  # a process of its own makes safe if this one is killed
            self.controller.guardian = lambda bench: Guardian(bench, reports=self.desk.runs_folder)
        self.entries = tuple(found_panels() if panels is None else panels)
        self.logbook = Logbook(self.desk, self)
        self.log = self.logbook.lines
        self.top_bar = TopBar(self.make_safe)
        self.safe_button, self.banner = self.top_bar.safe_button, self.top_bar.banner
        self.unsafe_notice = UnsafeNotice(self.desk)
        self.error_panel, self.farewell, self.help_pane = ErrorPanel(), Farewell(), HelpPane()
        self.navigation = Navigation(self.entries, self.desk.theme)
        self.stack = PanelStack(self.entries, lambda kind: kind(self.desk))
        self.stations = Stations(self.desk, self.kept, self)
        self.scripts = Scripts(self.desk, self.stack, self)
        self.parting = Parting(self, farewell_ms=farewell_ms)
        self._lay_out()
        self.menus = Menus(self, self.menuBar())
        self.safe_again = SafeAgain(self.controller, self.log, self)
        self.bench_told = BenchTold(self)
        self.esc_anywhere = EscAnywhere(self.desk.bridge, self.make_safe, self)
        self._connect()
        self.appearance.apply()
        self._restore()
        self.navigation.setFocus()  # not the safe button, which would be pressed by a space meant for something else

    # ---- building --------------------------------------------------------------------------------------------------

    def _lay_out(self) -> None:
        self.setWindowTitle("labctl")
        self.resize(*DEFAULT_SIZE)
        self._beside = QSplitter(Qt.Orientation.Horizontal)
        self._beside.addWidget(self.stack)
        self._beside.addWidget(self.help_pane)
        self._beside.setStretchFactor(0, 1)
        self._beside.setChildrenCollapsible(False)
        self._beside.setSizes([800, 320])
        self._above = QSplitter(Qt.Orientation.Vertical)
        self._above.addWidget(self._beside)
        self._above.addWidget(self.logbook.dock)
        self._above.setStretchFactor(0, 1)
        self._above.setChildrenCollapsible(False)
        self._above.setSizes([560, 150])
        middle = QHBoxLayout()
        middle.setSpacing(0)
        middle.addWidget(self.navigation)
        middle.addWidget(self._above, 1)
        whole = QWidget()
        column = QVBoxLayout(whole)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        for widget in (self.top_bar, self.unsafe_notice, self.farewell, self.error_panel):
            column.addWidget(widget)
        column.addLayout(middle, 1)
        column.addWidget(self.logbook.row)
        self.setCentralWidget(whole)
        for number in range(1, MOST_KEYS + 1):
            keys = QShortcut(QKeySequence(f"Ctrl+{number}"), self)
            keys.activated.connect(lambda number=number: self.navigation.choose_number(number))

    def _connect(self) -> None:
        desk = self.desk
        desk.troubled.connect(self.show_trouble)
        desk.panel_asked.connect(self.show_panel)
        desk.work_started.connect(self._follow)
        desk.work_ended.connect(lambda _: self._mark_busy())
        desk.simulated_changed.connect(self._show_simulated)
        self.appearance.changed.connect(self._use_theme)
        self.simulated_files = SimulatedFiles(desk, self.stack)
        self.navigation.chosen.connect(self.show_panel)
        self.stack.failed.connect(self.show_trouble)
        self.logbook.shown.connect(self.menus.actions["log"].setChecked)
        self.stations.recent_changed.connect(self.show_recent)

    # ---- panels ----------------------------------------------------------------------------------------------------

    def show_panel(self, key: str, files: Sequence[Path] = ()) -> Panel | None:
        """Go to a panel, loading it if need be, and hand it files; None where it cannot be loaded, which it then shows."""
        if all(entry.key != key for entry in self.entries):
            self.desk.trouble(
                UsageError(f"there is no panel {key!r}; there are {self._keys()}"), doing="Going to a panel"
            )
            return None
        self.stack.show_key(key)
        self.navigation.show_chosen(key)
        panel = self.stack.current
        if panel is not None and files:
            panel.take_files(files)
            self.desk.look_for_simulated(key, files)
        if not self.help_pane.isHidden():
            self.show_help()
        return panel

    def toggle_help(self) -> None:
        """Show the help for the panel, or hide it."""
        if self.help_pane.isVisible():
            self.help_pane.hide()
        else:
            self.show_help()

    def show_help(self) -> None:
        """Show the help for the panel that is shown."""
        entry = next(entry for entry in self.entries if entry.key == self.stack.key)
        panel = self.stack.current
        self.help_pane.tell(
            help_of(type(panel), entry.key, entry.title) if panel else f"# {entry.title}\n\n{entry.tip}"
        )

    def show_keys(self) -> None:
        """Show all keys."""
        self.help_pane.tell(KEYS)

    def show_about(self) -> None:
        """Show versions and licence."""
        About(self).show()

    def _keys(self) -> str:
        return ", ".join(entry.key for entry in self.entries)

    # ---- showing ---------------------------------------------------------------------------------------------------

    def show_trouble(self, trouble: Trouble) -> None:
        """Show an error over the panel, and log it."""
        self.error_panel.tell(trouble)
        self.log.error(f"{trouble.headline}: {trouble.message}")

    def _show_simulated(self, simulated: dict[str, str]) -> None:
        titles = {entry.key: entry.title for entry in self.entries}
        self.top_bar.show_simulated_files({titles.get(key, key): what for key, what in simulated.items()})

    def _follow(self, work: Work) -> None:
        self.error_panel.hide()
        work.changed.connect(self._mark_busy)
        self._mark_busy()

    def _mark_busy(self) -> None:
        self.navigation.panels.mark({work.panel: BUSY for work in self.desk.busy_works if work.panel})

    def show_recent(self, paths: Sequence[str]) -> None:
        """Offer these stations in the menu."""
        self.menus.show_recent(paths, self.stations.open)
        self.menus.allow_opening(self.controller.state)

    # ---- appearance ------------------------------------------------------------------------------------------------

    def use_theme(self, choice: str) -> None:
        """Change the appearance: "light", "dark" or "system"."""
        self.appearance.choose(choice)

    def _use_theme(self, theme: Theme) -> None:
        self.navigation.panels.use_theme(theme)
        self.desk.use_theme(theme)

    def toggle_log(self) -> None:
        """Show or hide the log."""
        self.logbook.row.log_button.toggle()

    # ---- acting ----------------------------------------------------------------------------------------------------

    def make_safe(self) -> None:
        """Stop what uses the bench, and bring every output to its safe value."""
        self.desk.stop_bench_works()
        self.controller.make_safe()

    def stop_everything(self) -> None:
        """Stop every work, on the bench and apart."""
        self.desk.stop_all()

    # ---- parting ---------------------------------------------------------------------------------------------------

    def closeEvent(self, event: QCloseEvent) -> None:
        """Make the outputs safe first; the window closes when they were read back and no work is left."""
        if self.parting.may_close:
            try:
                self._keep()
            except Exception as error:  # noqa: BLE001 - whatever cannot be kept: the window closes, and says so in the log
                self.log.error(f"What was arranged could not be kept: {error}")
            self.logbook.close()
            event.accept()
            self.closed.emit()
            return
        event.ignore()
        self.parting.begin()

    def leave(self) -> None:
        """Close without further ado: what there was to make safe was made safe, or a person has read that it was not."""
        self.parting.leave()

    def _restore(self) -> None:
        for splitter, key in ((self._beside, "beside"), (self._above, "above")):
            if (blob := self.kept.blob(f"window/{key}")) is not None:
                splitter.restoreState(blob)
        if (blob := self.kept.blob("window/geometry")) is not None:
            self.restoreGeometry(blob)
        self.help_pane.hide()
        self.logbook.row.log_button.setChecked(self.kept.flag("window/log"))
        self.show_recent(self.stations.recent)
        known = [entry.key for entry in self.entries]
        if known:
            first = FIRST_PANEL if FIRST_PANEL in known else known[0]
            self.show_panel(self.kept.text("window/panel", first, allowed=known))

    def _keep(self) -> None:
        self.desk.keep_state()
        self.kept.keep("window/geometry", self.saveGeometry())
        self.kept.keep("window/beside", self._beside.saveState())
        self.kept.keep("window/above", self._above.saveState())
        self.kept.keep("window/log", self.logbook.row.log_button.isChecked())
        self.kept.keep("window/panel", self.stack.key)
