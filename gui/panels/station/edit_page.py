"""Edit the station file: a tree of entries, a form for one, and what will be saved beside it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtGui import QFontDatabase
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QMenu,
    QPlainTextEdit,
    QPushButton,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from gui.controller import State
from gui.desk import Desk
from gui.panels.station.draft import DraftEditor
from gui.panels.station.entry_form import EntryForm
from gui.panels.station.entry_tree import EntryTree
from gui.panels.station.field_editors import GONE
from gui.panels.widgets import button, named, words
from gui.theme import Theme
from gui.widgets.file_dialogs import ask_where_to_save
from labctl.bench import Bench
from labctl.calls import Call, call
from labctl.errors import LabctlError, UsageError
from labctl.station_editing import StationDraft, fresh_name
from labctl.station_new import example_entry, new_station_text

ADDED = {
    "instrument": "Instrument",
    "output": "Output channel (set, with limits and ramp)",
    "input": "Input channel (measured)",
    "device": "Device",
}
UNSAVED = "station/unsaved"
FREE = (State.EMPTY, State.READY)


class EditPage(QWidget):
    """Changes a draft, undoably; only Save writes, and only what is valid."""

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self.editor = DraftEditor(desk.undo, self)
        self.tree, self.form = EntryTree(), EntryForm()
        self.told = words("told")
        self.told.setAccessibleName("State of the station file")
        self.difference = QPlainTextEdit()
        self.difference.setReadOnly(True)
        self.difference.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.difference.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        named(self.difference, "Changes to be saved", "Lines with - are in the file now, lines with + will be")
        self._make_buttons()
        self._lay_out()
        self.tree.chosen.connect(lambda _: self._show_entry())
        self.editor.changed.connect(self._keep)
        self.form.edited.connect(self._edited)
        self.form.renamed.connect(self._renamed)
        self.form.half_typed.connect(self._show_buttons)
        self.editor.changed.connect(self._show)
        desk.remember(self.middle, "station/edit")
        self._restore()
        self._show()

    def _make_buttons(self) -> None:
        self.add_button = QPushButton("&Add")
        named(self.add_button, "Add an entry", "Add an instrument, a channel or a device")
        menu = QMenu(self.add_button)
        self.add_actions = {kind: menu.addAction(title) for kind, title in ADDED.items()}
        for kind, action in self.add_actions.items():
            action.triggered.connect(lambda _=False, kind=kind: self.add(kind))
        self.add_button.setMenu(menu)
        self.copy_button = button("&Duplicate", "Add an entry like the chosen one", self.duplicate)
        self.remove_button = button("Re&move", "Remove the chosen entry (undo: Ctrl+Z)", self.remove)
        self.first_button = button(
            "&Go to the first problem", "Show the field with the first problem", self._to_problem
        )
        self.save_button = button("&Save", "", self.save)
        self.save_as_button = button("Save as …", "", self._choose_file)
        self.revert_button = button("Re&vert", "", self.revert)
        self.script_button = button("Scri&pt …", "", self._show_script, name="Show the changes as a script")
        self.reopen_button = button("Reopen &with these", "", self.reopen)

    def _lay_out(self) -> None:
        left = QWidget()
        column = QVBoxLayout(left)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.tree, 1)
        row = QHBoxLayout()
        for one in (self.add_button, self.copy_button, self.remove_button):
            row.addWidget(one)
        column.addLayout(row)
        right = QWidget()
        column = QVBoxLayout(right)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(QLabel("<b>What Save will change</b>"))
        column.addWidget(self.difference, 1)
        self.middle = QSplitter(Qt.Orientation.Horizontal)
        for number, part in enumerate((left, self.form, right)):
            self.middle.addWidget(part)
            self.middle.setStretchFactor(number, (1, 2, 2)[number])
        self.middle.setSizes([250, 480, 380])
        self.middle.setChildrenCollapsible(False)
        row = QHBoxLayout()
        row.addWidget(self.first_button)
        row.addStretch(1)
        for one in (self.script_button, self.revert_button, self.save_as_button, self.save_button, self.reopen_button):
            row.addWidget(one)
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 4, 4, 4)
        column.addWidget(self.told)
        column.addWidget(self.middle, 1)
        column.addLayout(row)

    def _restore(self) -> None:
        """Go on with what was not saved when the window was closed."""
        stored = self._desk.settings.value(UNSAVED) if self._desk.settings is not None else None
        try:
            path, text, found = _kept(str(stored)) if stored else ("", "", "")
            if text:
                self.editor.load(StationDraft(text, Path(path) if path else None, found))
                self._desk.note(f"Changes of {path or 'a new station'} that were not saved are in the editor still")
        except (ValueError, LabctlError) as error:  # stored by another version, or by hand
            self._desk.note(f"Changes of a station that were not saved cannot be read: {error}")

    def _keep(self) -> None:
        """What is not saved outlives the window, however that ends."""
        if self._desk.settings is not None:
            draft = self.editor.draft
            kept = json.dumps([str(draft.path or ""), draft.text, draft.found]) if self.editor.dirty else ""
            self._desk.settings.setValue(UNSAVED, kept)

    # ---- files -----------------------------------------------------------------------------------------------------

    def show_bench(self, bench: Bench | None) -> None:
        """Edit the file of the opened station, unless another one has changes that are not saved."""
        path = bench.station.path if bench is not None else None
        if path is not None and not self.editor.dirty:
            self.open_file(path)

    def open_file(self, path: Path) -> None:
        """Edit a file; one that is being edited already stays as it is, with what can be undone."""
        if self.editor.dirty and self.editor.path == path:
            return

        def done(draft: StationDraft) -> None:
            known = self.editor.path == path and (self.editor.dirty or self.editor.draft.found == draft.found)
            if not known:
                self.editor.load(draft)

        self._desk.call(lambda: StationDraft.read(path), done=done, name=f"Reading {path.name}")

    def new(self) -> None:
        """Begin with a small valid station."""
        self.editor.load(StationDraft.of_text(new_station_text()))

    def save(self) -> None:
        """Write the file, if it is valid; one that has none yet is asked where."""
        if self.editor.path is None:
            self._choose_file()
        else:
            self.save_to(None)

    def save_to(self, path: Path | None) -> None:
        """Write it there, or where it was read."""
        draft = self.editor.draft

        def done(saved: StationDraft) -> None:
            self.editor.saved(saved)
            self._desk.note(f"Saved {saved.path}; the file of before is {saved.path}.bak")

        self._desk.call(lambda: draft.save(path), done=done, name="Saving the station")

    def revert(self) -> None:
        """Go back to what is in the file, undoably."""
        draft = self.editor.draft
        if draft.found is not None:
            self.editor.apply("revert the station", replace(draft, text=draft.found))

    def reopen(self) -> None:
        """Open the station of the file: outputs are made safe first where one is open."""
        path, controller = self.editor.path, self._desk.controller
        if path is None:
            return
        if controller.bench is None:
            controller.open_station(path)
        else:
            controller.reopen(path)

    # ---- changes ---------------------------------------------------------------------------------------------------

    def add(self, kind: str) -> None:
        """Add an entry to begin from."""
        section, name, entry = example_entry(kind, self.editor.draft.tables)
        where = (section, fresh_name(list(self.editor.draft.value((section,)) or {}), name))
        self._change(f"add {'.'.join(where)}", lambda draft: draft.with_value(where, entry))
        self.tree.choose(where)

    def duplicate(self) -> None:
        """Add an entry like the chosen one."""
        where = self.tree.where
        if len(where) == 2:
            other = fresh_name(list(self.editor.draft.value(where[:1]) or {}), where[1])
            self._change(f"duplicate {'.'.join(where)}", lambda draft: draft.with_copy(*where, other))
            self.tree.choose((where[0], other))

    def remove(self) -> None:
        """Remove the chosen entry."""
        where = self.tree.where
        if len(where) == 2:
            self._change(f"remove {'.'.join(where)}", lambda draft: draft.without(where))

    def _renamed(self, name: str) -> None:
        where = self.tree.where
        if len(where) == 2:
            self._change(f"rename {'.'.join(where)}", lambda draft: draft.renamed(*where, name))
            if self.editor.draft.value((where[0], name)) is not None:
                self.tree.choose((where[0], name))

    def _edited(self, key: str, value: Any) -> None:
        where = (*self.tree.where, *key.split("."))

        def change(draft: StationDraft) -> StationDraft:
            if value is not GONE:
                return draft.with_value(where, value)
            above = draft.value(where[:-1])
            alone = isinstance(above, dict) and set(above) == {where[-1]} and "." in key
            return draft.without(where[:-1] if alone else where)

        if value is GONE and self.editor.draft.value(where) is None:
            return
        self._change(f"edit {'.'.join(where)}", change, merge=".".join(where))

    def _change(self, what: str, change: Callable[[StationDraft], StationDraft], *, merge: str = "") -> None:
        why = self._why_not()
        if why or not self.editor.there:
            self._show()
            return
        try:
            self.editor.apply(what, change(self.editor.draft), merge=merge)
        except (LabctlError, TypeError) as error:
            self._desk.trouble(error, doing=f"Editing the station: {what}")
            self._show()

    # ---- showing ---------------------------------------------------------------------------------------------------

    def show_state(self, _: State) -> None:
        """The bench is free, or not."""
        self._show_buttons()

    def use_theme(self, theme: Theme) -> None:
        """The palette does it."""

    def _show(self) -> None:
        editor = self.editor
        self.tree.show_entries(editor.draft.tables if editor.there else {}, editor.problems)
        self._show_entry()
        text = editor.draft.difference() if editor.there else ""
        if self.difference.toPlainText() != text:
            self.difference.setPlainText(text)
        self._show_buttons()

    def _show_entry(self) -> None:
        where = self.tree.where
        here = where if where == ("station",) or len(where) == 2 else ()
        self.form.show_entry(self.editor.draft, here if self.editor.there else (), self.editor.problems)
        self._show_buttons()

    def _why_not(self) -> str:
        state = self._desk.controller.state
        if state in (State.RUNNING, State.STOPPING):
            return "A campaign is running on this station: it can be edited when that has ended"
        return "" if state in FREE else f"Not now: {state.value}"

    def _show_buttons(self) -> None:
        editor, why = self.editor, self._why_not()
        nothing = "" if editor.there else "No station file is being edited: open or begin one"
        entry = "" if len(self.tree.where) == 2 else "Choose an instrument, channel or device in the tree first"
        wrong = f"{len(editor.problems)} problem{'s' if len(editor.problems) != 1 else ''} first: see the marked fields"
        half = f"{self.form.unfinished}: its lines cannot be taken yet" if self.form.unfinished else ""
        saving = why or nothing or (wrong if editor.problems else "") or half
        same = "" if editor.dirty else "Nothing has changed"
        new = "Save it first: this station has no file yet" if editor.path is None else ""
        self.form.allow_editing(not why)
        for one, lacking, tip in (
            (self.add_button, why or nothing, "Add an instrument, a channel or a device"),
            (self.copy_button, why or nothing or entry, "Add an entry like the chosen one"),
            (self.remove_button, why or nothing or entry, "Remove the chosen entry (undo: Ctrl+Z)"),
            (self.first_button, "" if editor.problems else "There is no problem", "Show the first problem's field"),
            (self.save_button, saving or same, "Write the file; that of before is kept beside it, as .bak"),
            (self.save_as_button, saving, "Write another file"),
            (self.revert_button, why or same or new, "Back to what is in the file (undo: Ctrl+Z)"),
            (self.script_button, saving or same or new, "Show these changes as a Python script"),
            (self.reopen_button, self._why_not_reopen(why or nothing, new), self._reopen_tip()),
        ):
            one.setEnabled(not lacking)
            one.setToolTip(lacking or tip)
        self.reopen_button.setText("Open &with these" if self._desk.controller.bench is None else "Reopen &with these")
        self.told.setText(why or nothing or self._told())

    def _told(self) -> str:
        editor = self.editor
        where = str(editor.path) if editor.path else "A new station, not saved yet"
        gone = editor.path is not None and not editor.path.exists()
        state = "changed, not saved" if editor.dirty else "its file is GONE: Save as … keeps it" if gone else "saved"
        problems = editor.problems
        first = (
            f" · ✖ {len(problems)} wrong, first: {'.'.join(map(str, problems[0].where))}: {problems[0].message}"
            if problems
            else ""
        )
        brief = ""
        if self._desk.controller.simulation_pid is not None and self._is_open():
            brief = " · this window's own simulation: the file goes with it, Save as keeps it"
        return f"{where} · {state}{first}{brief}"

    def _is_open(self) -> bool:
        bench = self._desk.controller.bench
        return bench is not None and bench.station.path == self.editor.path

    def _why_not_reopen(self, why: str, new: str) -> str:
        path = self.editor.path
        if self.editor.dirty or (path is not None and not path.exists()):
            return why or new or "Save first: the station is opened from its file"
        return why or new

    def _reopen_tip(self) -> str:
        if self._desk.controller.bench is None:
            return "Open the station of this file"
        return "Make all outputs safe, close every connection, and open the station of this file"

    # ---- asking ----------------------------------------------------------------------------------------------------

    def _choose_file(self) -> None:
        start = str(self.editor.path or "station.toml")
        ask_where_to_save(self, "Save station", start, "Station files (*.toml);;All files (*)", self.save_to)

    def _show_script(self) -> None:
        if self.editor.path is not None:
            self._desk.show_script(self.calls(), title=f"Edit {self.editor.path.name}")

    def calls(self) -> list[Call]:
        """The changes to the file as it was read. Raises UsageError where there is no file yet."""
        if self.editor.path is None:
            raise UsageError("save the station first: a script changes its file")
        change, remove = self.editor.draft.edits()
        return [call("labctl.station_editing:edit_station", self.editor.path, change=change, remove=remove)]

    def _to_problem(self) -> None:
        if self.editor.problems:
            where = tuple(map(str, self.editor.problems[0].where))
            depth = 1 if where[0] == "station" else 2
            self.tree.choose(where[:depth])
            self.form.focus_field(".".join(where[depth : depth + 2]))


def _kept(stored: str) -> tuple[str, str, str]:
    """(path, text, what the file held) as `_keep` wrote them. Raises ValueError for anything else, JSON or not."""
    match json.loads(stored):
        case [str(path), str(text), str(found)]:
            return path, text, found
    raise ValueError("what is kept is no path with two texts")
