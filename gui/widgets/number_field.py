"""A field for a number with its unit: typed as people type numbers, refused at the field with what is allowed."""

from __future__ import annotations

import math

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QLineEdit, QWidget

from gui.panels.widgets import named

BAD = "bad"
"""Dynamic property of a field that cannot be taken as it is; the style sheet draws its border."""


class NumberField(QWidget):
    """A number in `unit`, between `low` and `high`; whole where asked for, empty where `optional`.

    `value` is None while what stands there is no such number, and `trouble` says why.
    """

    changed = Signal()

    def __init__(
        self,
        name: str,
        tip: str,
        *,
        unit: str = "",
        low: float = -math.inf,
        high: float = math.inf,
        whole: bool = False,
        optional: bool = False,
        value: float | None = None,
    ) -> None:
        super().__init__()
        self._low, self._high, self._whole, self._optional = low, high, whole, optional
        self._unit, self._tip = unit, tip
        self.edit = QLineEdit()
        named(self.edit, name, self._told())
        self.unit_label = QLabel(unit)
        if not unit:
            self.unit_label.hide()  # never show(): without a parent yet, it would be a window of its own for a moment
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.edit, 1)
        row.addWidget(self.unit_label)
        self.setFocusProxy(self.edit)
        if value is not None:
            self.set_value(value)
        self.edit.textChanged.connect(self._typed)
        self._typed()

    @property
    def value(self) -> float | None:
        """The number; None where there is none, or one that is not allowed."""
        return None if self.trouble else self._parsed()

    @property
    def trouble(self) -> str:
        """Why what stands there cannot be taken; empty if it can."""
        text = self.edit.text().strip()
        if not text:
            return "" if self._optional else "a number is missing"
        parsed = self._parsed()
        if parsed is None:
            return f"{text!r} is no {'whole ' if self._whole else ''}number"
        if not self._low <= parsed <= self._high:
            return f"{parsed:g}{self._unit and ' ' + self._unit} outside {self._range()}"
        return ""

    def set_value(self, value: float | None) -> None:
        """Show this number; None empties the field."""
        self.edit.setText("" if value is None else f"{int(value)}" if self._whole else f"{value:.10g}")

    def set_limits(self, low: float, high: float, unit: str | None = None) -> None:
        """Allow other numbers."""
        self._low, self._high = low, high
        if unit is not None:
            self._unit = unit
            self.unit_label.setText(unit)
            self.unit_label.setVisible(bool(unit))
        self._typed()

    def _parsed(self) -> float | None:
        try:
            number = float(self.edit.text().strip().replace(",", ".").replace("−", "-"))
        except ValueError:
            return None
        if not math.isfinite(number) or (self._whole and number != int(number)):
            return None
        return int(number) if self._whole else number

    def _range(self) -> str:
        unit = self._unit and f" {self._unit}"
        if math.isinf(self._low) and math.isinf(self._high):
            return "any number"
        if math.isinf(self._high):
            return f"at least {self._low:g}{unit}"
        if math.isinf(self._low):
            return f"at most {self._high:g}{unit}"
        return f"{self._low:g} … {self._high:g}{unit}"

    def _told(self) -> str:
        allowed = "" if math.isinf(self._low) and math.isinf(self._high) else f"\nAllowed: {self._range()}"
        return f"{self._tip}{allowed}"

    def _typed(self) -> None:
        trouble = self.trouble
        self.edit.setToolTip(f"{trouble}\n{self._told()}" if trouble else self._told())
        if self.edit.property(BAD) != bool(trouble):
            self.edit.setProperty(BAD, bool(trouble))
            self.edit.style().unpolish(self.edit)
            self.edit.style().polish(self.edit)
        self.changed.emit()
