"""Of questions that come faster than answers, only the newest is asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QObject, QTimer

from gui.desk import Desk

SETTLE_MS = 120
"""So long nothing is asked after a key: whoever types a number means all of its digits."""


class Newest(QObject):
    """Asks one question at a time in a thread; while it is asked, a newer one takes the place of any other that waits."""

    def __init__(self, desk: Desk, parent: QObject, *, done: Callable[[Any], None], name: str) -> None:
        super().__init__(parent)
        self._desk, self._done, self._name = desk, done, name
        self._wanted: Callable[[], Any] | None = None
        self._asked = False
        self._timer = QTimer(self, interval=SETTLE_MS, singleShot=True)
        self._timer.timeout.connect(self._ask)

    @property
    def busy(self) -> bool:
        """Whether an answer is still to come."""
        return self._asked or self._wanted is not None

    def ask(self, question: Callable[[], Any]) -> None:
        """Ask this, soon."""
        self._wanted = question
        self._timer.start()

    def forget(self) -> None:
        """Ask nothing that is not asked yet, and take no answer to what is."""
        self._wanted = None
        self._timer.stop()

    def _ask(self) -> None:
        if self._asked or self._wanted is None:
            return
        question, self._wanted = self._wanted, None
        self._asked = True
        self._desk.call(question, done=self._answered, failed=self._failed, name=self._name)

    def _answered(self, answer: Any) -> None:
        self._asked = False
        if self._wanted is None:
            self._done(answer)
        else:
            self._ask()

    def _failed(self, error: BaseException) -> None:
        self._asked = False
        self._desk.trouble(error, doing=self._name)
        self._ask()
