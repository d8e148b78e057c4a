"""Esc makes all outputs safe also where Qt gives it to something else: an open list, a menu, a dialog."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QApplication


class EscapeFilter(QObject):
    """Watches all keys of the application. The window's own shortcut takes Esc before it becomes a key press, so what
    is seen here are the others; they do what they always do (the list closes), too."""

    def __init__(self, make_safe: Callable[[], object], parent: QObject) -> None:
        super().__init__(parent)
        self._make_safe = make_safe
        self._handled: int | None = None
        application = QApplication.instance()
        if application is not None:
            application.installEventFilter(self)

    def eventFilter(self, _watched: QObject, event: QEvent) -> bool:
        """Look at a key press once, though it is offered to one widget after another; never take it away."""
        if event.type() == QEvent.Type.KeyPress and isinstance(event, QKeyEvent) and event.key() == Qt.Key.Key_Escape:
            stamp = event.timestamp()
            popup, modal = QApplication.activePopupWidget(), QApplication.activeModalWidget()
            if (popup is not None or modal is not None) and (stamp != self._handled or stamp == 0):
                self._handled = stamp
                self._make_safe()
        return False
