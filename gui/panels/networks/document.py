"""The network that is being edited in the panel: one draft, its file, and every change with its way back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QUndoCommand, QUndoStack

from labctl.errors import LabctlError
from labctl.network_editing import NetworkDraft, checked, load_draft, new_draft, save_draft

Change = Callable[[NetworkDraft], NetworkDraft]


class NetworkDocument(QObject):
    """`changed` follows every change; `refused` has why one could not be made."""

    changed = Signal()
    refused = Signal(str)

    def __init__(self, undo: QUndoStack, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._undo = undo
        self.draft: NetworkDraft = new_draft("narma10")
        self.path: Path | None = None
        self.saved: NetworkDraft = self.draft

    @property
    def modified(self) -> bool:
        """Whether something was changed since the file was read or written."""
        return self.draft != self.saved

    @property
    def empty(self) -> bool:
        """Whether there is no layer yet."""
        return not self.draft.layers

    def edit(self, what: str, change: Change) -> bool:
        """Change the draft, with a way back; False, and `refused`, where it cannot be changed like that."""
        try:
            after = change(self.draft)
        except LabctlError as error:
            self.refused.emit(str(error))
            return False
        if after != self.draft:
            self._undo.push(_Edit(self, what, self.draft, after))
        return True

    def problem(self) -> str:
        """What is wrong with the draft as it is; "" if it can be optimised."""
        if self.empty:
            return "The network has no layer yet: add one, or take the usual network for the task"
        try:
            checked(self.draft, path=self.path)
        except LabctlError as error:
            return str(error)
        return ""

    def open(self, path: Path) -> None:
        """Edit another file; raises NetworkFileError."""
        draft = load_draft(path)
        self.path, self.saved = path, draft
        self.show(draft)

    def save(self, path: Path) -> None:
        """Write the file; raises NetworkFileError for a draft that is not whole."""
        save_draft(self.draft, path)
        self.path, self.saved = path, self.draft
        self.changed.emit()

    def show(self, draft: NetworkDraft) -> None:
        """Have this draft from now on, without a way back."""
        self.draft = draft
        self.changed.emit()


class _Edit(QUndoCommand):
    """One change: the draft before, and after."""

    def __init__(self, document: NetworkDocument, what: str, before: NetworkDraft, after: NetworkDraft) -> None:
        super().__init__(what)
        self._document, self._before, self._after = document, before, after

    def undo(self) -> None:
        """As it was."""
        self._document.show(self._before)

    def redo(self) -> None:
        """As it was changed."""
        self._document.show(self._after)
