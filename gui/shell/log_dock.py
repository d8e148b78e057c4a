"""The log at the bottom: its newest line always, all of it on request, by severity and text, to be copied."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from gui.models.log import LogModel, text_of
from gui.panels.tables import table
from gui.panels.widgets import button, named
from gui.shell.log_filter import SEVERITIES, LogFilter


class LogDock(QWidget):
    """The table of the log with what filters it; emits `file_asked` when a person wants the log file."""

    file_asked = Signal()

    def __init__(self, log: LogModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.log = log
        self.shown = LogFilter(log, self)
        self.severity = QComboBox()
        self.severity.addItems(list(SEVERITIES))
        named(self.severity, "Severity of the log", "Which lines are shown")
        self.severity.currentTextChanged.connect(self.shown.show_severity)
        self.search = QLineEdit()
        self.search.setPlaceholderText("lines that hold …")
        self.search.setClearButtonEnabled(True)
        named(self.search, "Search the log", "Show only lines that hold this text")
        self.search.textChanged.connect(self.shown.show_text)
        self.view = table(self.shown, name="Log", stretch=2, widths={0: 76, 1: 84})
        self.view.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.copy_button = button("Copy", "Copy the lines that are shown", self.copy)
        self._lay_out()
        log.rowsInserted.connect(self._follow)

    def copy(self) -> None:
        """Put the shown lines on the clipboard."""
        QGuiApplication.clipboard().setText(text_of(self.shown.lines()))

    def _lay_out(self) -> None:
        where = button("Log file", "Show the log file in its folder: it keeps what was seen here", self.file_asked.emit)
        row = QHBoxLayout()
        row.addWidget(self.severity)
        row.addWidget(self.search, 1)
        for control in (self.copy_button, where):
            row.addWidget(control)
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 2, 4, 2)
        column.setSpacing(3)
        column.addLayout(row)
        column.addWidget(self.view, 1)

    def _follow(self) -> None:
        bar = self.view.verticalScrollBar()
        if self.isVisible() and bar.value() >= bar.maximum() - 2:  # who reads further up is left in peace
            self.view.scrollToBottom()
