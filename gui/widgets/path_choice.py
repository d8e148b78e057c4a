"""Fields for files and folders: typed, browsed for, or dropped."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QWidget

from gui.panels.widgets import button, named
from gui.widgets.file_dialogs import ask_for_file, ask_for_folder, ask_where_to_save


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
            ask_for_folder(self, self._name, start, self.set_path)
        elif self._what == "new":
            ask_where_to_save(self, self._name, start, self._kinds, self.set_path)
        else:
            ask_for_file(self, self._name, start, self._kinds, self.set_path)
