"""The usual network for a task and an example of it, as labctl tells them; only the newest question counts."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject

from gui.desk import Desk
from gui.panels.networks.boxes import while_there
from gui.panels.networks.jobs import performed_apart, preview_call
from labctl.calls import perform
from labctl.network_editing import NetworkDraft
from labctl.own_task import is_own_task
from labctl.task_preview import TaskPreview

Found = Callable[[NetworkDraft | None, TaskPreview], None]


class TaskExample(QObject):
    """Asks in a thread; for a task of one's own, whose file is run, in a process of its own, and only when that was asked."""

    def __init__(self, desk: Desk, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self._asked: tuple[str, tuple[str, ...]] | None = None
        self._run: set[str] = set()

    def may_run(self, task: str) -> bool:
        """Whether asking about it runs nothing that a person has not wanted run."""
        return bool(task) and (not is_own_task(task) or task in self._run)

    def run_own(self, task: str) -> None:
        """A person wants the file of this task run."""
        self._run.add(task)
        self._asked = None

    def forget(self) -> None:
        """The next question is asked again, even if it is the same."""
        self._asked = None

    def ask(self, task: str, devices: tuple[str, ...], *, done: Found, again: bool = False) -> bool:
        """`done` has the usual network (None without devices) and the example; False where it is not asked: a task that may
        not be run, or what was asked last, unless `again`."""
        if not self.may_run(task) or (not again and self._asked == (task, devices)):
            return False
        asked = self._asked = (task, devices)
        wanted = preview_call(task, devices)
        self._desk.call(
            performed_apart(wanted) if is_own_task(task) else lambda: perform(wanted),
            done=while_there(self, lambda found: done(*found) if self._asked == asked else None),
            failed=self._failed,
            name="An example of the task",
        )
        return True

    def _failed(self, error: BaseException) -> None:
        self._asked = None
        self._desk.trouble(error, doing="An example of the task")
