"""Watches which files the panels show, so that simulated data says so over every panel."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, QTimer

from gui.desk import Desk
from gui.shell.panel_stack import PanelStack
from gui.widgets.path_choice import PathChoice
from gui.work import Work
from labctl.calls import Call

SETTLE_MS = 300
"""Who types a path is let finish."""


class SimulatedFiles(QObject):
    """Looks into the files that are chosen in panels, and those that their works read and write."""

    def __init__(self, desk: Desk, stack: PanelStack) -> None:
        super().__init__(desk)
        self._desk, self._stack = desk, stack
        self._changed: set[str] = set()
        self._timer = QTimer(self, singleShot=True, interval=SETTLE_MS)
        self._timer.timeout.connect(self._look)
        stack.loaded.connect(self._watch)
        desk.work_started.connect(self._take)
        desk.work_ended.connect(self._take_results)

    def _watch(self, key: str) -> None:
        for choice in self._stack.panels[key].findChildren(PathChoice):
            choice.changed.connect(lambda key=key: self._ask(key))
        self._ask(key)

    def _ask(self, key: str) -> None:
        self._changed.add(key)
        self._timer.start()

    def _look(self) -> None:
        keys, self._changed = self._changed, set()
        for key in keys:
            choices = self._stack.panels[key].findChildren(PathChoice)
            paths = [choice.path for choice in choices if choice.path is not None and choice.isEnabled()]
            if paths:
                self._desk.look_for_simulated(key, paths)

    def _take(self, work: Work) -> None:
        if work.panel:
            self._desk.look_for_simulated(work.panel, list(_paths(work.job.call)))

    def _take_results(self, work: Work) -> None:
        if work.panel:
            self._desk.look_for_simulated(work.panel, [work.job.folder])


def _paths(value: object) -> list[Path]:
    match value:
        case Path():
            return [value]
        case Call():
            return _paths([*value.arguments, *value.options.values()])
        case dict():
            return _paths(list(value.values()))
        case list() | tuple():
            return [path for one in value for path in _paths(one)]
    return []
