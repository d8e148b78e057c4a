"""The list of panels on the left: icons, short names, Ctrl+1 … Ctrl+9."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QAbstractListModel, QEvent, QItemSelectionModel, QModelIndex, QObject, QSize, Qt, Signal
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QAbstractItemView, QListView, QWidget

from gui.models.rows import ROOT, Index
from gui.shell.icons import icon
from gui.shell.panel_entries import PanelEntry
from gui.theme import Theme

MOST_KEYS = 9
BUSY = "▶"
"""The mark of a panel whose work runs."""
ICON_LINES = 1.5
"""Height of an icon in lines of text."""


class NavigationModel(QAbstractListModel):
    """One row a panel; `marks` are short texts behind a panel's name, such as what runs there."""

    def __init__(self, entries: Sequence[PanelEntry], theme: Theme, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.entries = tuple(entries)
        self._marks: dict[str, str] = {}
        self._icons: dict[str, QIcon] = {}
        self.use_theme(theme)

    def use_theme(self, theme: Theme) -> None:
        """Draw the icons in the theme's colours."""
        self._icons = {entry.key: icon(entry.key, theme.text, "#FFFFFF") for entry in self.entries}
        self._all_changed()

    def mark(self, marks: dict[str, str]) -> None:
        """Show these marks and no others."""
        if marks != self._marks:
            self._marks = dict(marks)
            self._all_changed()

    def rowCount(self, parent: Index = ROOT) -> int:
        """One row a panel."""
        return 0 if parent.isValid() else len(self.entries)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Name, icon, what it is for, and its keys."""
        if not index.isValid():
            return None
        entry = self.entries[index.row()]
        keys = f" (Ctrl+{index.row() + 1})" if index.row() < MOST_KEYS else ""
        mark = self._marks.get(entry.key, "")
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return f"{entry.title}  {mark}".rstrip()
            case Qt.ItemDataRole.AccessibleTextRole:
                return f"{entry.title} {mark}".rstrip()
            case Qt.ItemDataRole.DecorationRole:
                return self._icons[entry.key]
            case Qt.ItemDataRole.ToolTipRole | Qt.ItemDataRole.AccessibleDescriptionRole:
                return f"{entry.tip}{keys}"
        return None

    def _all_changed(self) -> None:
        if self.entries:
            self.dataChanged.emit(self.index(0), self.index(len(self.entries) - 1))


class Navigation(QListView):
    """Emits `chosen(key)` when a person goes to another panel."""

    chosen = Signal(str)

    def __init__(self, entries: Sequence[PanelEntry], theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.panels = NavigationModel(entries, theme, self)
        self.setModel(self.panels)
        self.setObjectName("navigation")
        self.setAccessibleName("Panels")
        self.setToolTip("Panels of the window: choose with the arrow keys, or Ctrl and a number")
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.selectionModel().currentChanged.connect(self._choose)
        self._fit()

    def show_chosen(self, key: str) -> None:
        """Mark a panel as the one shown, without announcing it."""
        rows = [row for row, entry in enumerate(self.panels.entries) if entry.key == key]
        index = self.panels.index(rows[0]) if rows else QModelIndex()
        self.selectionModel().blockSignals(True)
        self.selectionModel().setCurrentIndex(index, QItemSelectionModel.SelectionFlag.ClearAndSelect)
        self.selectionModel().blockSignals(False)
        self.viewport().update()

    def choose_number(self, number: int) -> None:
        """Go to the panel of this place, from 1; nothing happens where there is none."""
        if 1 <= number <= len(self.panels.entries):
            self.setCurrentIndex(self.panels.index(number - 1))

    def changeEvent(self, event: QEvent) -> None:
        """Another text size needs another width."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._fit()

    def _choose(self, index: QModelIndex) -> None:
        if index.isValid():
            self.chosen.emit(self.panels.entries[index.row()].key)

    def _fit(self) -> None:
        if not hasattr(self, "panels"):  # Qt asks before there is anything to show
            return
        line = self.fontMetrics().lineSpacing()
        self.setIconSize(QSize(round(ICON_LINES * line), round(ICON_LINES * line)))
        names = [self.fontMetrics().horizontalAdvance(f"{entry.title}  {BUSY}") for entry in self.panels.entries]
        self.setFixedWidth(max(names, default=60) + round((ICON_LINES + 2.2) * line))
