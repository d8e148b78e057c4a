"""Esc makes all outputs safe wherever the keys go: a popup, a menu, a dialog, the editor of a table's cell."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QGuiApplication, QKeyEvent, QWindow
from PySide6.QtWidgets import QApplication, QWidget

from gui.bridge import Bridge


class EscAnywhere(QObject):
    """Sees Esc before whatever has the keys, and lets it pass: what is open may close as well.

    It watches the application's windows and popups, not the application: of those it hears only what concerns them, so that
    a stream of events of widgets costs nothing. Popups take the keys without having the focus; they are looked for at every
    tick.
    """

    def __init__(self, bridge: Bridge, make_safe: Callable[[], object], parent: QWidget) -> None:
        super().__init__(parent)
        self._make_safe = make_safe
        self.popup: QWidget | None = None
        """The popup that has the keys, as of the last tick."""
        application = QGuiApplication.instance()
        if isinstance(application, QGuiApplication):
            application.focusWindowChanged.connect(self._watch)
            self._watch(application.focusWindow())
        bridge.tick.connect(self._look_for_popup)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Act on Esc, and pass everything on."""
        if event.type() is QEvent.Type.KeyPress and isinstance(event, QKeyEvent):
            self._act_on(event)
        return super().eventFilter(watched, event)

    def _act_on(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape and not event.isAutoRepeat():
            self._make_safe()

    def _watch(self, window: QWindow | None) -> None:
        if window is not None:
            window.installEventFilter(self)

    def _look_for_popup(self) -> None:
        popup = QApplication.activePopupWidget()
        if popup is self.popup:
            return
        self.popup = popup
        if popup is not None:
            self._watch(popup.windowHandle())
            for widget in (popup, *popup.findChildren(QWidget)):
                widget.installEventFilter(self)
