"""Which lines of the log are shown: all, or those from a severity on, that hold a text."""

from __future__ import annotations

from PySide6.QtCore import QObject, QSortFilterProxyModel

from gui.models.log import Line, LogModel
from gui.models.rows import Index

SEVERITIES = {
    "everything": ("note", "WARNING", "ERROR"),
    "warnings and errors": ("WARNING", "ERROR"),
    "errors": ("ERROR",),
}


class LogFilter(QSortFilterProxyModel):
    """Stands between the log and its table."""

    def __init__(self, log: LogModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._log = log
        self._levels = SEVERITIES["everything"]
        self._text = ""
        self.setSourceModel(log)

    def show_severity(self, name: str) -> None:
        """Show lines of this severity, one of `SEVERITIES`."""
        self._levels = SEVERITIES[name]
        self.invalidate()

    def show_text(self, text: str) -> None:
        """Show lines that hold this text, in any case of letters; all for an empty one."""
        self._text = text.casefold().strip()
        self.invalidate()

    def lines(self) -> list[Line]:
        """The lines that are shown."""
        return [self._log.rows[self.mapToSource(self.index(row, 0)).row()] for row in range(self.rowCount())]

    def filterAcceptsRow(self, source_row: int, _source_parent: Index) -> bool:
        """Whether a line is shown."""
        line: Line = self._log.rows[source_row]
        return line.level in self._levels and (not self._text or self._text in line.text.casefold())
