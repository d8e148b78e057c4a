"""What the window says about errors and when it closes: in place, never in a dialog that would cover the safe button."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPlainTextEdit, QVBoxLayout, QWidget

from gui.panels.widgets import button, words
from gui.trouble import Trouble
from labctl.safety import SafeReport

MOST_LINES = 6


class ErrorPanel(QFrame):
    """The newest error, what to do about it, and its details on request; hidden while there is none."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("error")
        self.setAccessibleName("Error")
        self.headline = words("headline")
        self.message = words("message")
        self.details = QPlainTextEdit()
        self.details.setReadOnly(True)
        self.details.setMaximumHeight(130)
        self.details.setAccessibleName("Details of the error")
        self._more = button("Details", "What lies beneath the error")
        self._more.setCheckable(True)
        self._more.toggled.connect(self.details.setVisible)
        copy = button(
            "Copy", "Copy the error with its details", lambda: QGuiApplication.clipboard().setText(self.text())
        )
        dismiss = button("Dismiss", "Hide this; it stays in the log", self.hide)
        top = QHBoxLayout()
        top.addWidget(self.headline, 1)
        for control in (self._more, copy, dismiss):
            top.addWidget(control)
        column = QVBoxLayout(self)
        column.setContentsMargins(10, 6, 10, 8)
        column.addLayout(top)
        column.addWidget(self.message)
        column.addWidget(self.details)
        self.hide()

    def tell(self, trouble: Trouble) -> None:
        """Show an error."""
        self.headline.setText(f"⚠ {trouble.headline}")
        lines = trouble.message.splitlines() or [""]
        self.message.setText("\n".join(lines[:MOST_LINES] + (["…"] if len(lines) > MOST_LINES else [])))
        rest = "\n".join(lines) if len(lines) > MOST_LINES else ""
        self.details.setPlainText("\n\n".join(part for part in (rest, trouble.details) if part))
        self._more.setVisible(bool(self.details.toPlainText()))
        self._more.setChecked(False)
        self.details.hide()
        self.show()

    def text(self) -> str:
        """All of it, for the clipboard."""
        return "\n".join((self.headline.text(), self.message.text(), self.details.toPlainText())).strip()


class Farewell(QFrame):
    """What was read back when the window made the outputs safe before closing."""

    leave = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("farewell")
        self.headline = words("headline")
        self.message = words("message")
        self._button = button("Close now", "Close the window", self.leave.emit)
        row = QHBoxLayout()
        row.addWidget(self.headline, 1)
        row.addWidget(self._button)
        column = QVBoxLayout(self)
        column.setContentsMargins(10, 6, 10, 8)
        column.addLayout(row)
        column.addWidget(self.message)
        self.hide()

    def tell(self, report: SafeReport) -> None:
        """Show the report; an output that is not safe keeps the window until a person has read it."""
        self.headline.setText(
            "✔ All outputs are at their safe values, read back. The window closes."
            if report.ok
            else "⚠ NOT ALL OUTPUTS ARE KNOWN TO BE SAFE. Switch off by hand what is named here, then close."
        )
        self.message.setText(read_back_text(report))
        self._button.setText("Close now" if report.ok else "Close anyway")
        self.show()


def read_back_text(report: SafeReport) -> str:
    """One line an output: what was read back."""
    return "\n".join([*map(str, report.channels), *report.problems])
