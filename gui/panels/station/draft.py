"""The station file that is being edited: every change can be undone; widgets only show it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QUndoCommand, QUndoStack

from labctl.file_problems import Problem
from labctl.station_editing import StationDraft

MERGE_ID = 71
EMPTY = StationDraft("")


class DraftEditor(QObject):
    """Holds the draft; `changed` says that the text is another one, `loaded` that the file is."""

    changed = Signal()
    loaded = Signal()

    def __init__(self, undo: QUndoStack, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._undo = undo
        self.draft = EMPTY
        self.problems: tuple[Problem, ...] = ()
        self.file = 0
        """Counts the files that were loaded; commands on one before have nothing to undo."""

    @property
    def path(self) -> Path | None:
        """Where it is saved."""
        return self.draft.path

    @property
    def there(self) -> bool:
        """Whether there is anything to edit."""
        return bool(self.draft.text)

    @property
    def dirty(self) -> bool:
        """Whether something is not saved yet."""
        return self.there and self.draft.changed

    def load(self, draft: StationDraft) -> None:
        """Edit another file."""
        self.file += 1
        self._show(draft)
        self.loaded.emit()

    def saved(self, draft: StationDraft) -> None:
        """It is in the file now."""
        self._show(replace(draft, text=self.draft.text))

    def apply(self, what: str, draft: StationDraft, *, merge: str = "") -> None:
        """Change it, undoably; changes in a row with the same `merge` are undone together."""
        if draft.text != self.draft.text:
            self._undo.push(_Change(self, what, self.draft.text, draft.text, merge))

    def use_text(self, text: str) -> None:
        """For the commands."""
        self._show(replace(self.draft, text=text))

    def _show(self, draft: StationDraft) -> None:
        self.draft = draft
        self.problems = draft.problems() if draft.text else ()
        self.changed.emit()


class _Change(QUndoCommand):
    """From one text to another."""

    def __init__(self, editor: DraftEditor, what: str, before: str, after: str, merge: str) -> None:
        super().__init__(what)
        self._editor, self._before, self._after, self._merge = editor, before, after, merge
        self._file = editor.file

    def id(self) -> int:
        """All may merge, if they are of the same field."""
        return MERGE_ID if self._merge else -1

    def mergeWith(self, other: QUndoCommand) -> bool:
        """Letters typed one after another into one field."""
        if not isinstance(other, _Change) or other._merge != self._merge or other._file != self._file:
            return False
        self._after = other._after
        return True

    def redo(self) -> None:
        """The text afterwards."""
        self._use(self._after)

    def undo(self) -> None:
        """The text of before."""
        self._use(self._before)

    def _use(self, text: str) -> None:
        if self._editor.file == self._file:
            self._editor.use_text(text)
        else:
            self.setObsolete(True)
