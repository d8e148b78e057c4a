"""Questions of the panel: to the process that knows the equations, or to a thread that reads files. The newest of a kind counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from PySide6.QtWidgets import QWidget
from shiboken6 import isValid

from gui.desk import Desk
from labctl.calls import Call
from labctl.errors import LabctlError
from labctl.goku_helper import Helper


class OutOfDateError(LabctlError):
    """Something newer was asked meanwhile."""


class Asker:
    """Answers come in Qt's thread, unless something newer of the same kind was asked, or the asking widget is gone."""

    def __init__(self, desk: Desk, owner: QWidget) -> None:
        self._desk, self._owner = desk, owner
        self._helper = Helper()
        self._newest: Counter[str] = Counter()
        owner.destroyed.connect(self._helper.close)

    def ask(
        self,
        kind: str,
        question: Call,
        done: Callable[[Any], None],
        failed: Callable[[BaseException], None] | None = None,
    ) -> None:
        """The result of a call that needs the equations."""
        self.read(kind, lambda: self._helper.ask(question), done, failed)

    def read(
        self,
        kind: str,
        function: Callable[[], Any],
        done: Callable[[Any], None],
        failed: Callable[[BaseException], None] | None = None,
    ) -> None:
        """The result of a function that only reads files."""
        self._newest[kind] += 1
        number = self._newest[kind]

        def work() -> Any:
            if number != self._newest[kind]:
                raise OutOfDateError(kind)
            return function()

        def told(answer: Any) -> None:
            if number == self._newest[kind] and isValid(self._owner):
                done(answer)

        def refused(error: BaseException) -> None:
            if number != self._newest[kind] or not isValid(self._owner):
                return
            if failed is not None:
                failed(error)
            else:
                self._desk.trouble(error, doing=kind)

        self._desk.call(work, done=told, failed=refused, name=kind)
