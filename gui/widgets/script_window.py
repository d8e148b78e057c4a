"""The script window: what the window does, as Python, to copy or save."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtGui import QFontDatabase, QGuiApplication
from PySide6.QtWidgets import QDialog, QHBoxLayout, QPlainTextEdit, QVBoxLayout, QWidget

from gui.panels.widgets import button, named, words
from gui.widgets.file_dialogs import ask_where_to_save


class ScriptWindow(QDialog):
    """Shows one script; stays open beside the window. `failed` gets what went wrong in saving."""

    def __init__(
        self, title: str, text: str, *, failed: Callable[[BaseException], None], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._failed = failed
        self.setWindowTitle(f"Script: {title}")
        self.resize(820, 520)
        told = words()
        told.setText("This script does the same. Save it and run it with: python FILE.py")
        self.text = QPlainTextEdit(text)
        self.text.setReadOnly(True)
        self.text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.text.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        named(self.text, "Script", "The script; Ctrl+A and Ctrl+C copy it")
        self.copy_button = button("&Copy", "Copy the script to the clipboard", self.copy)
        self.save_button = button("&Save as …", "Save the script as a Python file", self._choose)
        self.close_button = button("Close", "Close this window", self.close)
        row = QHBoxLayout()
        row.addStretch(1)
        for one in (self.copy_button, self.save_button, self.close_button):
            row.addWidget(one)
        column = QVBoxLayout(self)
        column.addWidget(told)
        column.addWidget(self.text, 1)
        column.addLayout(row)

    def copy(self) -> None:
        """To the clipboard."""
        QGuiApplication.clipboard().setText(self.text.toPlainText())

    def save(self, path: Path) -> None:
        """As a file; what goes wrong is told."""
        try:
            path.write_text(self.text.toPlainText(), encoding="utf-8")
        except OSError as error:
            self._failed(error)

    def _choose(self) -> None:
        ask_where_to_save(self, "Save the script", "measurement.py", "Python (*.py)", self.save)
