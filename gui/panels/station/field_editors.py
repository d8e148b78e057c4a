"""A widget for one field of the station file: shows what stands there, tells what was typed, and what is wrong with it."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from typing import Any

from PySide6.QtCore import QEvent, Signal
from PySide6.QtGui import QFontDatabase, QKeyEvent, QKeySequence, QStandardItem, QStandardItemModel, QWheelEvent
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QLineEdit, QPlainTextEdit, QVBoxLayout, QWidget

from gui.panels.widgets import named, words
from gui.widgets.number_field import BAD
from labctl.station_form import FormField
from labctl.toml_text import dotted_lines, value_text

GONE = object()
"""What `edited` carries where a field was emptied."""
NOT_GIVEN = "(not given)"
MOST_LINES = 9


def _is_undo(event: QEvent) -> bool:
    keys = QKeySequence.StandardKey
    if event.type() != QEvent.Type.ShortcutOverride or not isinstance(event, QKeyEvent):
        return False
    return event.matches(keys.Undo) or event.matches(keys.Redo)


class Lines(QPlainTextEdit):
    """Several lines, as high as its text, within reason; Ctrl+Z is the window's, as for `Line`."""

    def __init__(self) -> None:
        super().__init__()
        self.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.setTabChangesFocus(True)
        self.setUndoRedoEnabled(False)
        self._fit()
        self.textChanged.connect(self._fit)

    def show_text(self, text: str) -> None:
        """Show a text, unless it is there already: the cursor stays then."""
        if self.toPlainText() != text:
            self.setPlainText(text)
        self._fit()

    def event(self, event: QEvent) -> bool:
        """Keys that would be its own undo are the window's."""
        if _is_undo(event):
            event.ignore()
            return False
        return super().event(event)

    def _fit(self) -> None:
        lines = min(max(2, self.document().blockCount() + 1), MOST_LINES)
        self.setFixedHeight(lines * self.fontMetrics().lineSpacing() + 10)


class Line(QLineEdit):
    """A line that leaves Ctrl+Z to the window: it undoes changes of the station, in whatever field they were made."""

    def event(self, event: QEvent) -> bool:
        """Keys that would be a line's own undo are the window's."""
        if _is_undo(event):
            event.ignore()
            return False
        return super().event(event)


class Choice(QComboBox):
    """A choice that the mouse wheel does not change: it scrolls the form, and changes nothing by the way."""

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Left to the form."""
        event.ignore()


class FieldEditor(QWidget):
    """`edited` carries the new value, or GONE; `show_value` shows one without telling of it."""

    edited = Signal(object)
    half_typed = Signal()

    def __init__(self, field: FormField, names: Callable[[str], Sequence[str]]) -> None:
        super().__init__()
        self.field = field
        self._names = names
        self._shown: Any = GONE
        self.inputs: list[QLineEdit | QComboBox | Lines] = []
        self.unfinished = ""
        """Why what stands in a field of several lines is not taken yet."""
        self.trouble = words("trouble")
        self.trouble.setAccessibleName(f"What is wrong with {field.key}")
        self.trouble.hide()
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        self._build(row)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(1)
        column.addLayout(row)
        column.addWidget(self.trouble)
        self.setFocusProxy(self.inputs[0])
        self.show_trouble("")

    def show_value(self, value: Any) -> None:
        """Show what stands in the file; GONE for nothing. What is being typed stays as it is typed."""
        if self._shown is not GONE and value is not GONE and repr(value) == repr(self._shown):
            return
        if value is GONE and self._shown is GONE and not any(_text(one) for one in self.inputs):
            self._fill_choices(None)
            return
        self._shown = value
        for one in self.inputs:
            one.blockSignals(True)
        self._put(value)
        for one in self.inputs:
            one.blockSignals(False)

    def show_trouble(self, trouble: str) -> None:
        """Show what is wrong beneath the field; "" for nothing."""
        trouble = self.unfinished or trouble
        told = "\n".join(part for part in (trouble, self.field.told, self._default()) if part)
        for one in self.inputs:
            named(one, self.field.key, told)
            if one.property(BAD) != bool(trouble):
                one.setProperty(BAD, bool(trouble))
                one.style().unpolish(one)
                one.style().polish(one)
        self.trouble.setText(f"✖ {trouble}" if trouble else "")
        self.trouble.setVisible(bool(trouble))

    def _default(self) -> str:
        return f"If left out: {self.field.default}" if self.field.default else ""

    # ---- building --------------------------------------------------------------------------------------------------

    def _build(self, row: QHBoxLayout) -> None:
        kind = self.field.kind
        if kind in ("choice", "yes_no", "suggested", "names"):
            box = Choice()
            if kind in ("suggested", "names"):
                box.setEditable(True)
                box.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
                line = Line()
                box.setLineEdit(line)
                line.setPlaceholderText(self._placeholder())
                line.textEdited.connect(lambda _: self._typed())
                box.activated.connect(lambda _: self._activated(box))
            else:
                box.currentIndexChanged.connect(lambda _: self._typed())
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            box.setMinimumContentsLength(8)
            self.inputs.append(box)
            row.addWidget(box, 1)
            self._fill_choices(None)
            return
        if kind == "table":
            lines = Lines()
            lines.setPlaceholderText("a line each, as in the file: key = value")
            lines.textChanged.connect(self._typed)
            self.inputs.append(lines)
            row.addWidget(lines, 1)
            return
        for number in range(2 if kind == "pair" else 1):
            line = Line()
            line.setPlaceholderText(("lowest", "highest")[number] if kind == "pair" else self._placeholder())
            line.textEdited.connect(lambda _: self._typed())
            if number:
                row.addWidget(QLabel("…"))
            self.inputs.append(line)
            row.addWidget(line, 1)

    def _placeholder(self) -> str:
        hint = {"toml": "as in the file: { key = value }", "names": "names, with commas between"}.get(
            self.field.kind, ""
        )
        return self.field.default or hint

    def _fill_choices(self, value: Any) -> None:
        """What may be chosen depends on what else stands in the file."""
        box = self.inputs[0]
        if not isinstance(box, QComboBox):
            return
        choices = list(self._names(self.field.names_of) if self.field.names_of else self.field.choices)
        if self.field.kind == "yes_no":
            choices = ["true", "false"]
        if not box.isEditable():
            default = f" {self.field.default}" if self.field.default else ""
            if not self.field.required or value is None:
                choices.insert(0, f"{NOT_GIVEN}{default}" if not self.field.required else NOT_GIVEN)
            if value is not None and str(value) not in choices:
                choices.append(str(value))
        if [box.itemText(number) for number in range(box.count())] == choices:
            return
        text = box.currentText()
        was_blocked = box.blockSignals(True)
        model = QStandardItemModel(box)
        for one in choices:
            model.appendRow(QStandardItem(one))
        box.setModel(model)
        if box.isEditable():
            box.setEditText(text)
        box.blockSignals(was_blocked)

    # ---- value and text --------------------------------------------------------------------------------------------

    def _put(self, value: Any) -> None:
        given = value is not GONE
        if self.field.kind == "pair":
            two = list(value) if given and isinstance(value, list) else []
            for number, line in enumerate(self.inputs):
                _set_text(line, _written(two[number]) if number < len(two) and two[number] != "" else "")
            return
        box = self.inputs[0]
        if isinstance(box, Lines):
            self.unfinished = ""
            box.show_text(dotted_lines(value) if isinstance(value, dict) else "" if not given else value_text(value))
            return
        if self.field.kind in ("choice", "yes_no"):
            shown = value_text(value) if isinstance(value, bool) else str(value)
            self._fill_choices(shown if given else None)
            assert isinstance(box, QComboBox)
            box.setCurrentIndex(max(0, box.findText(shown)) if given else 0)
            return
        self._fill_choices(None)
        if not given:
            text = ""
        elif self.field.kind == "names" and isinstance(value, list):
            text = ", ".join(str(one) for one in value)
        elif self.field.kind == "toml":
            text = value_text(value)
        else:
            text = _written(value)
        _set_text(box, text)

    def _typed(self) -> None:
        try:
            self._shown = self._read()
        except tomllib.TOMLDecodeError as error:
            self.unfinished = f"not taken yet: {error}"
            self.show_trouble("")
            self.half_typed.emit()
            return
        self.unfinished = ""
        self.edited.emit(self._shown)

    def _activated(self, box: QComboBox) -> None:
        """A suggestion was chosen: of names one more, else in place of what stands there."""
        chosen = box.itemText(box.currentIndex())
        if self.field.kind == "names" and isinstance(self._shown, list) and chosen not in self._shown:
            box.setEditText(", ".join([*map(str, self._shown), chosen]))
        else:
            box.setEditText(chosen)
        self._typed()

    def _read(self) -> Any:  # noqa: PLR0911 - one return for each kind of field
        kind, text = self.field.kind, _text(self.inputs[0]).strip()
        if kind == "table":
            return tomllib.loads(text) or GONE
        if kind == "pair":
            two = [_text(one).strip() for one in self.inputs]
            return GONE if not any(two) else [_number(one) for one in two]
        if kind in ("choice", "yes_no") and text.startswith(NOT_GIVEN):
            return GONE
        if not text:
            return GONE
        if kind == "yes_no":
            return text == "true"
        if kind == "names":
            return [one.strip() for one in text.split(",") if one.strip()]
        if kind in ("number", "whole"):
            return _number(text)
        if kind == "toml":
            try:
                tables = tomllib.loads(f"x = {text}")
            except tomllib.TOMLDecodeError:
                return text
            return tables["x"] if set(tables) == {"x"} else text
        return _as_text(text)


def _number(text: str) -> Any:
    """A number where it is one; else the text, which the schema refuses with the words for it."""
    plain = text.replace("−", "-")
    try:
        return int(plain)
    except ValueError:
        try:
            return float(plain)
        except ValueError:
            return text


def _written(value: Any) -> str:
    """How a value is shown in a line: line ends as in the file (\\n), and "" for an empty text."""
    if isinstance(value, str):
        return value_text(value)[1:-1].replace('\\"', '"') or '""'
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _as_text(text: str) -> str:
    """What a line says: \\n is a line end, "" an empty text."""
    if text == '""':
        return ""
    try:
        read = tomllib.loads('x = "' + text.replace('"', '\\"') + '"')["x"]
    except tomllib.TOMLDecodeError:
        return text
    return str(read)


def _text(one: QLineEdit | QComboBox | Lines) -> str:
    if isinstance(one, Lines):
        return one.toPlainText()
    return one.text() if isinstance(one, QLineEdit) else one.currentText()


def _set_text(one: QLineEdit | QComboBox | Lines, text: str) -> None:
    if isinstance(one, QLineEdit):
        one.setText(text)
        one.setCursorPosition(0)
    elif isinstance(one, QComboBox):
        one.setEditText(text)
