"""A form made from a dataclass: a row for each field, its type says which widget, its default what stands there first.

form = SettingsForm(FitSettings, only=("max_seconds", "choice"), choices={"choice": ("diagnosed", "plain")},
                    told={"max_seconds": "Training time, all together (s)"})
settings = form.call("labctl.campaigns.fit_twin:FitSettings")     # the fields that differ from their defaults
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QComboBox, QFormLayout, QLineEdit, QWidget

from gui.panels.widgets import named
from gui.widgets.number_field import NumberField
from labctl.calls import Call, call
from labctl.errors import UsageError


@dataclasses.dataclass(frozen=True, slots=True)
class Field:
    """A row: `value` gives what stands there or raises UsageError, `show` puts something there."""

    widget: QWidget
    value: Callable[[], Any]
    show: Callable[[Any], None]
    default: Any


class SettingsForm(QWidget):
    """Rows for the fields of `settings` (a dataclass) that a form can hold: numbers, texts, yes or no, choices.

    only: which fields, in this order; all that can be shown where not given. labels, told: words for the rows and their
    tooltips. choices: fields that take one of these. units, limits: of numbers.
    """

    changed = Signal()

    def __init__(
        self,
        settings: type[Any],
        *,
        only: Sequence[str] | None = None,
        labels: Mapping[str, str] | None = None,
        told: Mapping[str, str] | None = None,
        choices: Mapping[str, Sequence[str]] | None = None,
        units: Mapping[str, str] | None = None,
        limits: Mapping[str, tuple[float, float]] | None = None,
    ) -> None:
        super().__init__()
        self._labels, self._told = labels or {}, told or {}
        self._choices, self._units, self._limits = choices or {}, units or {}, limits or {}
        self.fields: dict[str, Field] = {}
        self.form = QFormLayout(self)
        self.form.setContentsMargins(0, 0, 0, 0)
        self.form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        hints = typing.get_type_hints(settings)
        known = {item.name: item for item in dataclasses.fields(settings)}
        for name in only if only is not None else known:
            made = self._row(name, hints[name], _default(known[name]))
            if made is not None:
                self.fields[name] = made
                self.form.addRow(self.label(name), made.widget)

    def label(self, name: str) -> str:
        """The words of a row."""
        return self._labels.get(name, name.replace("_", " ").capitalize())

    def values(self, *, all_fields: bool = False) -> dict[str, Any]:
        """What differs from its default, or all of it; raises UsageError, naming the field and what is allowed."""
        found = {}
        for name, row in self.fields.items():
            value = row.value()
            if all_fields or value != row.default:
                found[name] = value
        return found

    def call(self, target: str) -> Call:
        """A call that makes the settings."""
        return call(target, **self.values())

    def show_values(self, values: Mapping[str, Any]) -> None:
        """Put these into their rows."""
        for name, value in values.items():
            if name in self.fields:
                self.fields[name].show(value)

    def _row(self, name: str, hint: Any, default: Any) -> Field | None:
        kind, optional = _plain(hint)
        if name in self._choices:
            return self._choice(name, default)
        if kind is bool:
            return self._check(name, default)
        if kind in (int, float):
            return self._number(name, default, whole=kind is int, optional=optional)
        if kind is str:
            return self._text(name, default, optional=optional)
        return None

    def _name(self, widget: QWidget, name: str) -> None:
        named(widget, self.label(name), self._told.get(name, self.label(name)))

    def _choice(self, name: str, default: Any) -> Field:
        box = QComboBox()
        for one in self._choices[name]:
            box.addItem(str(one), one)
        self._name(box, name)
        box.currentIndexChanged.connect(lambda _: self.changed.emit())

        def show(value: Any) -> None:
            box.setCurrentIndex(max(box.findData(value), 0))

        show(default)
        return Field(box, box.currentData, show, default)

    def _check(self, name: str, default: Any) -> Field:
        box = QCheckBox()
        self._name(box, name)
        box.setChecked(bool(default))
        box.toggled.connect(lambda _: self.changed.emit())
        return Field(box, box.isChecked, lambda value: box.setChecked(bool(value)), default)

    def _number(self, name: str, default: Any, *, whole: bool, optional: bool) -> Field:
        low, high = self._limits.get(name, (float("-inf"), float("inf")))
        number = default if isinstance(default, (int, float)) else None
        field = NumberField(
            self.label(name),
            self._told.get(name, self.label(name)),
            unit=self._units.get(name, ""),
            low=low,
            high=high,
            whole=whole,
            optional=optional,
            value=number,
        )
        field.changed.connect(self.changed)

        def value() -> Any:
            if field.trouble:
                raise UsageError(f"{self.label(name)}: {field.trouble}")
            return field.value

        return Field(field, value, field.set_value, default)

    def _text(self, name: str, default: Any, *, optional: bool) -> Field:
        edit = QLineEdit("" if default is None else str(default))
        self._name(edit, name)
        edit.textChanged.connect(lambda _: self.changed.emit())

        def value() -> Any:
            return (edit.text().strip() or None) if optional else edit.text().strip()

        return Field(edit, value, lambda text: edit.setText("" if text is None else str(text)), default)


def _default(item: dataclasses.Field[Any]) -> Any:
    if item.default is not dataclasses.MISSING:
        return item.default
    return item.default_factory() if item.default_factory is not dataclasses.MISSING else None


def _plain(hint: Any) -> tuple[Any, bool]:
    """(the type, whether None is allowed too)."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        kinds = [one for one in typing.get_args(hint) if one is not type(None)]
        return (kinds[0] if len(kinds) == 1 else None), len(kinds) < len(typing.get_args(hint))
    return hint, False
