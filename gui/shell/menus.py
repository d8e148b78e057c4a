"""The menus of the window. What they do is the window's; what they are called, and their keys, is written here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject
from PySide6.QtGui import QAction, QActionGroup, QKeySequence, QUndoStack
from PySide6.QtWidgets import QMenu, QMenuBar

from gui.controller import State
from gui.shell.appearance import CHOICES, STEP_PERCENT, USUAL_PERCENT
from labctl.simulation import BUNDLED

if TYPE_CHECKING:
    from gui.main_window import MainWindow

BENCHES = {
    "demo": "a leaky integrator and a bistable oscillator: the demo",
    "closed_loop": "slow devices that can be live all at once",
    "oscillator": "two oscillators, for GOKU",
    "reaction_cell": "a reaction watched by a camera, for NCA",
}


class Menus(QObject):
    """All menus of a window; `actions` by name, for those that are enabled and disabled."""

    def __init__(self, window: MainWindow, bar: QMenuBar) -> None:
        super().__init__(window)
        self._window = window
        self.actions: dict[str, QAction] = {}
        self._recent_menu = QMenu("&Recent stations", window)
        self._recent_menu.setToolTipsVisible(True)
        self._file(bar.addMenu("&File"))
        self._edit(bar.addMenu("&Edit"), window.desk.undo)
        self._bench(bar.addMenu("&Bench"))
        self._view(bar.addMenu("&View"))
        self._help(bar.addMenu("&Help"))

    def show_recent(self, paths: Sequence[str], opened: Callable[[Path], object]) -> None:
        """List the stations that were opened last."""
        self._recent_menu.clear()
        for number, path in enumerate(paths, start=1):
            action = self._recent_menu.addAction(f"&{number} {Path(path).name}")
            action.setToolTip(path)
            action.triggered.connect(lambda _=False, path=path: opened(Path(path)))
        self._recent_menu.setEnabled(bool(paths))

    def allow_opening(self, state: State) -> None:
        """A window has one station; another takes its place, or it is closed, only while nothing uses it."""
        allowed = state in (State.EMPTY, State.READY)
        self.actions["close"].setEnabled(state is State.READY)
        for name in ("open", *(f"simulated {bench}" for bench in BUNDLED)):
            self.actions[name].setEnabled(allowed)
        self._recent_menu.setEnabled(allowed and not self._recent_menu.isEmpty())

    def _file(self, menu: QMenu) -> None:
        window = self._window
        self._add(menu, "open", "&Open station …", "Ctrl+O", window.stations.choose)
        benches = menu.addMenu("Open &simulated bench")
        benches.setToolTipsVisible(True)
        for name in BUNDLED:
            keys = "Ctrl+Shift+O" if name == BUNDLED[0] else ""
            action = self._add(
                benches,
                f"simulated {name}",
                name.replace("_", " "),
                keys,
                partial(window.stations.open_simulated, name),
            )
            action.setToolTip(BENCHES.get(name, name))
        menu.addMenu(self._recent_menu)
        self._add(menu, "close", "C&lose station", "Ctrl+W", window.controller.close_station)
        menu.addSeparator()
        self._add(menu, "runs folder", "Runs &folder …", "", window.stations.choose_runs_folder)
        menu.addSeparator()
        self._add(menu, "script", "Show as s&cript …", "Ctrl+Shift+S", window.scripts.show_panel)
        self._add(menu, "save script", "Save as scrip&t …", "", window.scripts.save_panel)
        menu.addSeparator()
        self._add(menu, "quit", "&Quit", "Ctrl+Q", window.close)

    def _edit(self, menu: QMenu, undo: QUndoStack) -> None:
        for made, keys in (
            (undo.createUndoAction(menu, "&Undo"), "Ctrl+Z"),
            (undo.createRedoAction(menu, "&Redo"), ""),
        ):
            made.setShortcuts([QKeySequence(keys)] if keys else [QKeySequence("Ctrl+Shift+Z"), QKeySequence("Ctrl+Y")])
            menu.addAction(made)

    def _bench(self, menu: QMenu) -> None:
        window = self._window
        self._add(menu, "safe", "&All outputs safe", "Esc", window.make_safe)
        self._add(menu, "stop", "&Stop everything that runs", "Ctrl+.", window.stop_everything)

    def _view(self, menu: QMenu) -> None:
        window = self._window
        group = QActionGroup(self)
        for choice in CHOICES:
            action = self._add(menu, choice, f"&{choice.capitalize()}", "", partial(window.use_theme, choice))
            action.setCheckable(True)
            action.setChecked(choice == window.appearance.choice)
            group.addAction(action)
        menu.addSeparator()
        looks = window.appearance
        for name, text, keys, step in (
            ("larger", "L&arger text", "Ctrl++", STEP_PERCENT),
            ("smaller", "S&maller text", "Ctrl+-", -STEP_PERCENT),
        ):
            action = self._add(menu, name, text, keys, partial(looks.step_text, step))
            if step > 0:
                action.setShortcuts([QKeySequence(keys), QKeySequence("Ctrl+=")])
        self._add(menu, "usual", "&Usual text", "Ctrl+0", lambda: looks.resize_text(USUAL_PERCENT))
        menu.addSeparator()
        log = self._add(menu, "log", "L&og", "Ctrl+L", window.toggle_log)
        log.setCheckable(True)

    def _help(self, menu: QMenu) -> None:
        window = self._window
        self._add(menu, "help", "&Help for this panel", "F1", window.toggle_help)
        self._add(menu, "start", "&Start here", "", lambda: window.show_panel("start"))
        self._add(menu, "keys", "&Keys", "", window.show_keys)
        self._add(menu, "about", "&About labctl", "", window.show_about)

    def _add(self, menu: QMenu, name: str, text: str, keys: str, act: Callable[[], object]) -> QAction:
        action = menu.addAction(text)
        if keys:
            action.setShortcut(QKeySequence(keys))
        action.triggered.connect(lambda *_: act())
        self.actions[name] = action
        return action
