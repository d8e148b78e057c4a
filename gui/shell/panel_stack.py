"""Where panels are shown: made when first wanted; one that fails to load shows why in its place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QPlainTextEdit, QStackedWidget, QVBoxLayout, QWidget

from gui.panels.widgets import button, named, words
from gui.shell.panel_entries import PanelEntry
from gui.theme import Theme
from gui.trouble import Trouble, trouble_of

if TYPE_CHECKING:
    from gui.panels.panel import Panel


class FailedPage(QWidget):
    """In the place of a panel that could not be loaded: what went wrong, and a button to try again."""

    def __init__(self, trouble: Trouble, again: Callable[[], object], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.headline = words("headline")
        self.headline.setText(f"⚠ {trouble.headline}")
        message = words("message")
        message.setText(f"{trouble.message}\n\nEverything else in the window goes on working.")
        details = QPlainTextEdit(trouble.details)
        details.setReadOnly(True)
        named(details, "Details of the error", "What a developer will ask for")
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 24, 24, 24)
        for widget in (self.headline, message, button("Try again", "Load this panel once more", again)):
            column.addWidget(widget)
        column.addWidget(details, 1)


class PanelStack(QStackedWidget):
    """Holds one page a panel. `make(class)` builds a panel; `failed(Trouble)` is emitted when one cannot be loaded."""

    failed = Signal(object)
    loaded = Signal(str)

    def __init__(
        self, entries: Sequence[PanelEntry], make: Callable[[type[Panel]], Panel], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._entries = {entry.key: entry for entry in entries}
        self._make = make
        self._panels: dict[str, Panel] = {}
        self._failed: dict[str, FailedPage] = {}
        self.key = ""

    @property
    def panels(self) -> dict[str, Panel]:
        """The panels that are loaded, by key."""
        return dict(self._panels)

    @property
    def current(self) -> Panel | None:
        """The panel that is shown, unless it failed to load."""
        return self._panels.get(self.key)

    def show_key(self, key: str) -> None:
        """Show a panel, loading it if need be; raises KeyError for one that does not exist."""
        entry = self._entries[key]
        if key not in self._panels and key not in self._failed:
            self._load(entry)
        if key == self.key:
            return
        before = self.current
        self.key = key
        if before is not None:
            self._told(before.hidden)
        self.setCurrentWidget(self._panels.get(key) or self._failed[key])
        if self.current is not None:
            self._told(self.current.shown)

    def panel(self, key: str) -> Panel | None:
        """A panel, loaded if need be without being shown; None if that fails. Raises KeyError for an unknown one."""
        if key not in self._panels and key not in self._failed:
            self._load(self._entries[key])
        return self._panels.get(key)

    def use_theme(self, theme: Theme) -> None:
        """Tell all panels that were loaded; the others ask for it when they are."""
        for panel in self._panels.values():
            self._told(lambda panel=panel: panel.use_theme(theme))  # type: ignore[misc]

    def _load(self, entry: PanelEntry) -> None:
        try:
            panel = self._make(entry.load())
        except Exception as error:  # noqa: BLE001 - whatever a panel's code does: the window and its safe button stay
            trouble = trouble_of(error, doing=f"Loading the panel {entry.title}")
            page = FailedPage(trouble, lambda: self._again(entry))
            self._failed[entry.key] = page
            self.addWidget(page)
            self.failed.emit(trouble)
            return
        self._panels[entry.key] = panel
        self.addWidget(panel)
        self.loaded.emit(entry.key)

    def _again(self, entry: PanelEntry) -> None:
        page = self._failed.pop(entry.key)
        self.removeWidget(page)
        page.deleteLater()
        shown, self.key = self.key == entry.key, ""
        if shown:
            self.show_key(entry.key)

    def _told(self, tell: Callable[[], object]) -> None:
        try:
            tell()
        except Exception as error:  # noqa: BLE001 - a panel's fault is shown and must not keep the others from the screen
            self.failed.emit(trouble_of(error, doing="In a panel"))
