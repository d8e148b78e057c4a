"""Fields for files and folders: typed, browsed for, or dropped."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QWidget

from gui.panels.widgets import button, named


class PathChoice(QWidget):
    """One file (`what="file"`), one to be written ("new"), or a folder; `changed` says that there is another path."""

    changed = Signal()

    def __init__(self, name: str, tip: str, *, what: str = "file", kinds: str = "All files (*)") -> None:
        super().__init__()
        self._name, self._what, self._kinds = name, what, kinds
        self.edit = QLineEdit()
        named(self.edit, name, tip)
        self.edit.textChanged.connect(lambda _: self.changed.emit())
        self.browse = button("…", f"Browse: {tip}", self._browse, name=f"Browse for {name.lower()}")
        self.browse.setMaximumWidth(36)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.edit, 1)
        row.addWidget(self.browse)
        self.setAcceptDrops(True)
        self.setFocusProxy(self.edit)

    @property
    def path(self) -> Path | None:
        """What was chosen; None for nothing."""
        text = self.edit.text().strip()
        return Path(text).expanduser() if text else None

    def set_path(self, path: Path | str) -> None:
        """Choose this."""
        self.edit.setText(str(path))

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Files can be dropped here."""
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Take the first file."""
        self.set_path(event.mimeData().urls()[0].toLocalFile())

    def _browse(self) -> None:
        start = self.edit.text()
        if self._what == "folder":
            path = QFileDialog.getExistingDirectory(self, self._name, start)
        elif self._what == "new":
            path, _ = QFileDialog.getSaveFileName(self, self._name, start, self._kinds)
        else:
            path, _ = QFileDialog.getOpenFileName(self, self._name, start, self._kinds)
        if path:
            self.set_path(path)
