"""A Qt table model over a list of rows, described by its columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt
from PySide6.QtGui import QColor

Index = QModelIndex | QPersistentModelIndex
ROOT = QModelIndex()


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its title, what it means (tooltip of the header), and the text of a row's cell.

    `hint` is the tooltip of a cell; `colour` its text colour, where None leaves the usual one.
    """

    title: str
    meaning: str
    text: Callable[[Any], str]
    right: bool = False
    hint: Callable[[Any], str] | None = None
    colour: Callable[[Any], str | None] | None = None


class RowsModel(QAbstractTableModel):
    """Rows are any objects; `columns` say what to show of them."""

    def __init__(self, columns: Sequence[Column], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._columns = tuple(columns)
        self.rows: list[Any] = []

    def reset(self, rows: Iterable[Any]) -> None:
        """Show other rows."""
        self.beginResetModel()
        self.rows = list(rows)
        self.endResetModel()

    def extend(self, rows: Sequence[Any], *, at_most: int | None = None) -> None:
        """Append rows; the oldest go where there would be more than `at_most`."""
        if not rows:
            return
        fresh = list(rows if at_most is None else rows[-at_most:])
        surplus = 0 if at_most is None else len(self.rows) + len(fresh) - at_most
        if surplus > 0:
            self.beginRemoveRows(ROOT, 0, surplus - 1)
            del self.rows[:surplus]
            self.endRemoveRows()
        self.beginInsertRows(ROOT, len(self.rows), len(self.rows) + len(fresh) - 1)
        self.rows.extend(fresh)
        self.endInsertRows()

    def changed(self, rows: Iterable[int]) -> None:
        """Tell the views that these rows (by number) show something else now."""
        for row in rows:
            self.dataChanged.emit(self.index(row, 0), self.index(row, len(self._columns) - 1))

    def rowCount(self, parent: Index = ROOT) -> int:
        """Rows of the table; a cell has none."""
        return 0 if parent.isValid() else len(self.rows)

    def columnCount(self, parent: Index = ROOT) -> int:
        """Columns of the table."""
        return 0 if parent.isValid() else len(self._columns)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """What a view asks of a cell."""
        if not index.isValid():
            return None
        column, row = self._columns[index.column()], self.rows[index.row()]
        match role:
            case Qt.ItemDataRole.DisplayRole | Qt.ItemDataRole.AccessibleTextRole:
                return column.text(row)
            case Qt.ItemDataRole.ToolTipRole:
                return (column.hint or column.text)(row)
            case Qt.ItemDataRole.TextAlignmentRole:
                return _side(column) | Qt.AlignmentFlag.AlignVCenter
            case Qt.ItemDataRole.ForegroundRole:
                colour = column.colour(row) if column.colour else None
                return QColor(colour) if colour else None
        return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Titles of the columns, and what they mean as tooltips."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        column = self._columns[section]
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return column.title
            case Qt.ItemDataRole.ToolTipRole:
                return column.meaning
            case Qt.ItemDataRole.TextAlignmentRole:
                return _side(column) | Qt.AlignmentFlag.AlignVCenter
        return None


def _side(column: Column) -> Qt.AlignmentFlag:
    return Qt.AlignmentFlag.AlignRight if column.right else Qt.AlignmentFlag.AlignLeft
