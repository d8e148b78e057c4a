"""The network that is being edited in the panel: one draft, its file, and every change with its way back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, QSettings, Signal
from PySide6.QtGui import QUndoCommand, QUndoStack

from labctl.errors import LabctlError
from labctl.kept_draft import draft_from_json, draft_to_json
from labctl.network_editing import NetworkDraft, checked, deaf_layers, load_draft, new_draft, nodes_of, save_draft

Change = Callable[[NetworkDraft], NetworkDraft]
KEPT = "networks/draft"


class NetworkDocument(QObject):
    """`changed` follows every change; `refused` has why one could not be made.

    With settings, what is drawn is kept in them, saved or not, and is there again at the next start.
    """

    changed = Signal()
    refused = Signal(str)

    def __init__(self, undo: QUndoStack, parent: QObject | None = None, *, settings: QSettings | None = None) -> None:
        super().__init__(parent)
        self._undo, self._settings = undo, settings
        self.draft: NetworkDraft = new_draft("narma10")
        self.path: Path | None = None
        self.saved: NetworkDraft = self.draft
        self._checked: tuple[NetworkDraft, str] | None = None
        self._take_up()
        self.changed.connect(self._keep)

    @property
    def modified(self) -> bool:
        """Whether something was changed since the file was read or written."""
        return self.draft != self.saved

    @property
    def empty(self) -> bool:
        """Whether there is no layer yet."""
        return not self.draft.layers

    @property
    def in_words(self) -> str:
        """How many nodes are on which device."""
        counts: dict[str, int] = {}
        for layer in self.draft.layers:
            for device, count in nodes_of(self.draft, layer).items():
                counts[device] = counts.get(device, 0) + count
        return ", ".join(f"{count} nodes on {device}" for device, count in counts.items())

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
        if self._checked is None or self._checked[0] is not self.draft:
            self._checked = (self.draft, self._find_problem())
        return self._checked[1]

    def _find_problem(self) -> str:
        if self.empty and not self.draft.twins:
            return (
                "The network has no layer yet: fit a twin in the Twins panel, or add one here; the usual network then comes "
                "by itself"
            )
        if self.empty:
            return "The network has no layer yet: add one, or take the usual network for the task"
        deaf = deaf_layers(self.draft)
        if deaf:
            return f"{', '.join(deaf)} hears nothing yet: connect something to it (drag from the port at a box's right)"
        try:
            checked(self.draft, path=self.path)
        except LabctlError as error:
            return str(error)
        lacking = [device for device in self.draft.devices if device not in self.draft.twins]
        return f"No twin is chosen for {', '.join(lacking)}: add it on the first page" if lacking else ""

    def open(self, path: Path, draft: NetworkDraft) -> None:
        """Edit another file, which was read."""
        self.path, self.saved = path, draft
        self.show(draft)

    def begin_anew(self) -> None:
        """Without a file from now on."""
        self.path = None
        self.changed.emit()

    def save(self, path: Path) -> None:
        """Write the file; raises NetworkFileError for a draft that is not whole."""
        save_draft(self.draft, path)
        self.path, self.saved = path, self.draft
        self.changed.emit()

    def show(self, draft: NetworkDraft) -> None:
        """Have this draft from now on, without a way back."""
        self.draft = draft
        self.changed.emit()

    def _keep(self) -> None:
        if self._settings is not None:
            self._settings.setValue(KEPT, draft_to_json(self.draft, self.path))

    def _take_up(self) -> None:
        """What was drawn when the window was closed. What cannot be read any more is begun anew."""
        text = self._settings.value(KEPT, "") if self._settings is not None else ""
        if not isinstance(text, str) or not text:
            return
        try:
            self.draft, self.path = draft_from_json(text)
        except LabctlError:
            return
        try:
            self.saved = self.saved if self.path is None else load_draft(self.path)
        except (LabctlError, OSError):
            self.path = None


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
