"""The entries of a station file as a tree: the station, its instruments, channels and devices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from PySide6.QtCore import QItemSelectionModel, QModelIndex, Qt, Signal
from PySide6.QtGui import QStandardItem, QStandardItemModel
from PySide6.QtWidgets import QAbstractItemView, QTreeView, QWidget

from gui.panels.widgets import named
from labctl.file_problems import Problem
from labctl.station_editing import SECTIONS

WHERE_ROLE = Qt.ItemDataRole.UserRole + 1


class EntryTree(QTreeView):
    """`chosen` carries an entry: ("channels", "gate"), ("station",)."""

    chosen = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        named(self, "Entries of the station file", "✖ marks entries with something wrong in them")
        self._model = QStandardItemModel(self)
        self.setModel(self._model)
        self.setHeaderHidden(True)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.selectionModel().currentChanged.connect(self._current)
        self._entries: tuple[tuple[str, ...], ...] = ()

    def show_entries(self, tables: Mapping[str, Any], problems: Sequence[Problem]) -> None:
        """Show what there is, with a mark where something is wrong."""
        entries: list[tuple[str, ...]] = [("station",)]
        for section in SECTIONS:
            table = tables.get(section, {})
            entries.append((section,))
            entries += [(section, name) for name in table] if isinstance(table, Mapping) else []
        if tuple(entries) != self._entries:
            chosen = self.where
            self._entries = tuple(entries)
            self._rebuild()
            self.choose(chosen if chosen in entries else ("station",))
        wrong = {tuple(map(str, one.where[:2])) for one in problems}
        for where in self._entries:
            self._show_mark(where, wrong)

    @property
    def where(self) -> tuple[str, ...]:
        """The chosen entry; () for none, or for the title of a section."""
        where = self.currentIndex().data(WHERE_ROLE)
        return tuple(where) if where else ()

    def choose(self, where: tuple[str, ...]) -> None:
        """Choose an entry."""
        index = self._index(where)
        if index.isValid():
            self.selectionModel().setCurrentIndex(index, QItemSelectionModel.SelectionFlag.ClearAndSelect)
            self.scrollTo(index)

    def _rebuild(self) -> None:
        self.selectionModel().blockSignals(True)
        self._model.clear()
        parents: dict[str, QStandardItem] = {}
        for where in self._entries:
            item = QStandardItem(where[-1] if len(where) == 2 else where[0].capitalize())
            item.setData(list(where), WHERE_ROLE)
            if len(where) == 2:
                parents[where[0]].appendRow(item)
            else:
                item.setSelectable(where == ("station",))
                parents[where[0]] = item
                self._model.appendRow(item)
        self.selectionModel().blockSignals(False)
        self.expandAll()

    def _show_mark(self, where: tuple[str, ...], wrong: set[tuple[str, ...]]) -> None:
        bad = (
            where in wrong
            if len(where) == 2
            else any((one[:1] == where and len(one) < 2) or one[:1] == ("station",) == where for one in wrong)
        )
        name = where[-1] if len(where) == 2 else where[0].capitalize()
        item = self._model.itemFromIndex(self._index(where))
        text = f"✖ {name}" if bad else name
        if item is not None and item.text() != text:
            item.setText(text)

    def _index(self, where: tuple[str, ...]) -> QModelIndex:
        for row in range(self._model.rowCount()):
            item = self._model.item(row)
            if item.data(WHERE_ROLE) == list(where):
                return item.index()
            for below in range(item.rowCount()):
                if item.child(below).data(WHERE_ROLE) == list(where):
                    return item.child(below).index()
        return QModelIndex()

    def _current(self, index: QModelIndex) -> None:
        where = index.data(WHERE_ROLE)
        if where:
            self.chosen.emit(tuple(where))
