"""The row above the drawing: new, open, save, undo, and which file it is."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QWidget
from shiboken6 import isValid

from gui.desk import Desk
from gui.panels.networks.boxes import allow, while_there
from gui.panels.networks.document import NetworkDocument
from gui.panels.widgets import button
from gui.widgets.file_dialogs import ask_for_file, ask_where_to_save
from labctl.errors import LabctlError
from labctl.network_editing import NetworkDraft, load_draft

KINDS = "Networks (*.toml);;All files (*)"


class FileRow(QWidget):
    """`opened`: another file is edited. `begun`: a person wants an empty network. `said`: why something was not done."""

    opened = Signal()
    begun = Signal()
    said = Signal(str)

    def __init__(self, desk: Desk, document: NetworkDocument, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._desk, self._document = desk, document
        self._last_folder = Path()
        self.new = button("New", "Begin an empty network", self._new)
        self.open = button("Open …", "Open a network file", self._open)
        self.save = button("Save", "Save the network file", self._save)
        self.save_as = button("Save as …", "Save under another name", self._save_as)
        self.undo = button("Undo", "Take back the last change (Ctrl+Z)", desk.undo.undo)
        self.redo = button("Redo", "Do it again (Ctrl+Shift+Z)", desk.undo.redo)
        self.label = QLabel()
        self.label.setAccessibleName("File of the network")
        self.label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        line = QHBoxLayout(self)
        line.setContentsMargins(0, 0, 0, 0)
        for one in (self.new, self.open, self.save, self.save_as, self.undo, self.redo):
            line.addWidget(one)
        line.addWidget(self.label, 1)
        document.changed.connect(self.refresh)
        desk.undo.indexChanged.connect(lambda _: self._show_undo())
        self.refresh()

    def refresh(self) -> None:
        """Say which file it is, and what can be undone."""
        path = self._document.path
        mark = " (changed; kept, but not in the file)" if self._document.modified and path is not None else ""
        self.label.setText(f"{path.name}{mark}" if path else "" if self._document.empty else "kept, in no file yet")
        self.label.setToolTip(
            str(path or "It has no file yet; it is there again at the next start, and can be optimised")
        )
        self._show_undo()

    def open_file(self, path: Path) -> None:
        """Edit this network file."""

        def done(draft: NetworkDraft) -> None:
            self._document.open(path, draft)
            self._last_folder = path.parent
            self.opened.emit()

        self._desk.call(
            lambda: load_draft(path),
            done=while_there(self, done),
            failed=lambda error: self._desk.trouble(error, doing=f"Opening {path.name}"),
            name="Opening a network",
        )

    def save_file(self, path: Path) -> None:
        """Write the network there."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._document.save(path)
        except (LabctlError, OSError) as error:
            self.said.emit(f"✗ not saved: {error}")
            return
        self._last_folder = path.parent
        self._desk.note(f"Saved {path}")

    def _show_undo(self) -> None:
        stack = self._desk.undo
        if not isValid(stack):  # it says once more that it changed while the window goes
            return
        allow(self.undo, f"Undo {stack.undoText()} (Ctrl+Z)", "" if stack.canUndo() else "Nothing to undo")
        allow(self.redo, f"Redo {stack.redoText()} (Ctrl+Shift+Z)", "" if stack.canRedo() else "Nothing to redo")

    def _new(self) -> None:
        draft = self._document.draft
        self._document.edit("new network", lambda _: NetworkDraft({"task": draft.task, "layers": {}}, draft.twins))
        self._document.begin_anew()
        self.begun.emit()

    def _open(self) -> None:
        ask_for_file(self, "Open network", self._last_folder, KINDS, self.open_file)

    def _save(self) -> None:
        if self._document.path is None:
            self._save_as()
        else:
            self.save_file(self._document.path)

    def _save_as(self) -> None:
        start = self._document.path or self._desk.runs_folder / "network.toml"
        ask_where_to_save(
            self,
            "Save network",
            start,
            KINDS,
            lambda path: self.save_file(path if path.suffix else Path(f"{path}.toml")),
        )
