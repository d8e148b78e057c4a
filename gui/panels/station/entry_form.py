"""The form of one entry of the station file: a row for each field, errors beneath it as one types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QFormLayout, QLabel, QScrollArea, QVBoxLayout, QWidget

from gui.panels.station.field_editors import GONE, FieldEditor, Line
from gui.panels.widgets import named, plain, words
from labctl.file_problems import Problem
from labctl.station_editing import StationDraft
from labctl.station_form import FormField, fields_for, label_of

MORE_TIP = "Show the fields that few need: terminators, line settings, options and the like"


class EntryForm(QScrollArea):
    """`edited` carries (key within the entry, value or GONE); `renamed` the entry's new name."""

    edited = Signal(str, object)
    renamed = Signal(str)
    half_typed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWidgetResizable(True)
        self.setAccessibleName("Fields of the chosen entry")
        self.editors: dict[str, FieldEditor] = {}
        self._labels: dict[str, QLabel] = {}
        self._draft = StationDraft("")
        self._where: tuple[str, ...] = ()
        self._keys: tuple[str, ...] = ()
        self.headline = plain()
        self.headline.setObjectName("headline")
        self.trouble = words("trouble")
        self.trouble.setAccessibleName("What is wrong with the entry")
        self.name_edit = Line()
        named(
            self.name_edit,
            "Name of the entry",
            "Its name in the file: letters, digits, _ and -. Renamed wherever it is named",
        )
        self.name_edit.editingFinished.connect(self._name_typed)
        self.more = QCheckBox("More fields")
        named(self.more, "More fields", MORE_TIP)
        self.more.toggled.connect(lambda _: self._build(keep=True))
        self._form = QFormLayout()
        self._form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        self._inside = QWidget()
        column = QVBoxLayout(self._inside)
        for one in (self.headline, self.trouble):
            column.addWidget(one)
        column.addLayout(self._form)
        column.addWidget(self.more)
        column.addStretch(1)
        self.setWidget(self._inside)

    def show_entry(self, draft: StationDraft, where: tuple[str, ...], problems: Sequence[Problem]) -> None:
        """Show an entry: ("channels", "gate"), or ("station",)."""
        another = where != self._where
        self._draft, self._where = draft, where
        entry = self._entry()
        if another or self._wanted(entry, problems) != self._keys:
            self._build(keep=not another, problems=problems)
        self._show_values(entry)
        self._show_problems(problems)

    @property
    def unfinished(self) -> str:
        """The field whose lines cannot be taken yet; "" for none."""
        return next((key for key, one in self.editors.items() if one.unfinished), "")

    def allow_editing(self, allowed: bool) -> None:
        """Whether the fields take anything."""
        self._inside.setEnabled(allowed)

    def focus_field(self, key: str) -> None:
        """Go to a field, showing it if it is among those that few need."""
        if key not in self.editors and not self.more.isChecked():
            self.more.setChecked(True)
        editor = self.editors.get(key) or next(
            (one for name, one in self.editors.items() if name.split(".")[0] == key), None
        )
        if editor is not None:
            self.ensureWidgetVisible(editor)
            editor.setFocus()

    def _entry(self) -> Mapping[str, Any]:
        value = self._draft.value(self._where) if self._where else None
        return value if isinstance(value, Mapping) else {}

    def _fields(self, entry: Mapping[str, Any]) -> tuple[FormField, ...]:
        return fields_for(self._where[0], entry) if self._where else ()

    def _wanted(self, entry: Mapping[str, Any], problems: Sequence[Problem] = ()) -> tuple[str, ...]:
        wrong = {
            str(one.where[len(self._where)])
            for one in problems
            if self._here(one) and len(one.where) > len(self._where)
        }
        return tuple(
            one.key
            for one in self._fields(entry)
            if one.usual or self.more.isChecked() or _value(entry, one) is not GONE or one.path[0] in wrong
        )

    def _build(self, *, keep: bool, problems: Sequence[Problem] = ()) -> None:
        """Rows anew, but those that stay keep their widgets, and with them what is being typed."""
        entry = self._entry()
        self._keys = self._wanted(entry, problems)
        old = self.editors if keep else {}
        gone = {key: one for key, one in self.editors.items() if old.get(key) is not one or key not in self._keys}
        for key in gone:
            self.editors[key].hide()
        while self._form.rowCount():
            row = self._form.takeRow(0)
            label = row.labelItem.widget() if row.labelItem is not None else None
            if label is not None:
                label.hide()
                label.deleteLater()
        for one in gone.values():
            one.deleteLater()
        self.editors, self._labels = {}, {}
        if len(self._where) == 2:
            self._form.addRow(QLabel("Name"), self.name_edit)
        self.name_edit.setVisible(len(self._where) == 2)
        fields = {one.key: one for one in self._fields(entry)}
        for key in self._keys:
            editor = old[key] if key in old and key not in gone else self._editor(fields[key])
            self.editors[key] = editor
            label = self._labels[key] = QLabel()
            label.setBuddy(editor)
            label.setToolTip(fields[key].told)
            self._form.addRow(label, editor)
            editor.show()
        self.more.setVisible(any(not one.usual for one in fields.values()))
        self._show_values(entry)

    def _editor(self, field: FormField) -> FieldEditor:
        editor = FieldEditor(field, self._names)
        editor.edited.connect(lambda value: self.edited.emit(field.key, value))
        editor.half_typed.connect(self.half_typed)
        return editor

    def _names(self, section: str) -> list[str]:
        table = self._draft.tables.get(section, {}) if self._draft.text else {}
        return list(table) if isinstance(table, Mapping) else []

    def _show_values(self, entry: Mapping[str, Any]) -> None:
        self.headline.setText(_headline(self._where))
        if len(self._where) == 2 and not self.name_edit.hasFocus():
            self.name_edit.setText(self._where[1])
        for key, editor in self.editors.items():
            editor.show_value(_value(entry, editor.field))
            self._labels[key].setText(label_of(editor.field, str(entry.get("unit", ""))))

    def _show_problems(self, problems: Sequence[Problem]) -> None:
        told: dict[str, list[str]] = {}
        whole: list[str] = []
        for one in problems:
            if not self._here(one):
                continue
            rest = [str(part) for part in one.where[len(self._where) :]]
            key = next((".".join(rest[:length]) for length in (2, 1) if ".".join(rest[:length]) in self.editors), "")
            key = key or next((name for name in self.editors if rest and name.split(".")[0] == rest[0]), "")
            (told.setdefault(key, []) if key else whole).append(one.message)
        for key, editor in self.editors.items():
            editor.show_trouble("; ".join(told.get(key, [])))
        self.trouble.setText("\n".join(f"✖ {one}" for one in whole))
        self.trouble.setVisible(bool(whole))

    def _here(self, problem: Problem) -> bool:
        return bool(self._where) and tuple(map(str, problem.where[: len(self._where)])) == self._where

    def _name_typed(self) -> None:
        if len(self._where) == 2 and self.name_edit.text().strip() != self._where[1]:
            self.renamed.emit(self.name_edit.text().strip())


def _value(entry: Mapping[str, Any], field: FormField) -> Any:
    inner: Any = entry
    for part in field.path:
        if not isinstance(inner, Mapping) or part not in inner:
            return GONE
        inner = inner[part]
    return inner


def _headline(where: tuple[str, ...]) -> str:
    if len(where) == 2:
        return f"{where[0].capitalize().removesuffix('s')} {where[1]}"
    return "The station" if where else "Nothing is chosen"
