"""The table of an equation's quantities: ranges to be narrowed or widened, values that are known, options."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QUndoCommand

from gui.models.rows import ROOT, Column, Index, RowsModel
from labctl.goku_told import EquationTold, QuantityTold

FROM, TO, KNOWN = 3, 4, 5
Kind = str
PARAMETER, STATE, OPTION = "parameter", "initial state", "option"


@dataclass(frozen=True, slots=True)
class QuantityRow:
    """One quantity as it stands in the table. known: of a parameter, its value; of an option, what is chosen."""

    told: QuantityTold
    kind: Kind
    low: float | None
    high: float | None
    known: Any = None

    @property
    def is_element(self) -> bool:
        """Whether it is one of an array, whose range is that of all."""
        return "[" in self.told.name

    @property
    def range_changed(self) -> bool:
        """Whether the range is another one than the equation's own."""
        return (self.low, self.high) != (self.told.low, self.told.high)


class QuantitiesModel(RowsModel):
    """Parameters, initial states and options of an equation. `edited` when something changes; `refused` says why not."""

    edited = Signal()
    option_edited = Signal()
    refused = Signal(str)

    def __init__(self, push: Callable[[QUndoCommand], None], parent: QObject | None = None) -> None:
        self._push = push
        super().__init__(
            (
                Column("Quantity", "Name in the equation", lambda row: row.told.name, hint=_hint),
                Column("Kind", "What it is", lambda row: row.kind, hint=_hint),
                Column("Unit", "In which it is given", lambda row: row.told.unit),
                Column("From", "Lowest value that is believed possible: nothing below is inferred. Double-click to change",
                       lambda row: _number(row.low, row), right=True, hint=_range_hint),
                Column("To", "Highest value that is believed possible: nothing above is inferred. Double-click to change",
                       lambda row: _number(row.high, row), right=True, hint=_range_hint),
                Column("Known value", "A parameter that is known is held, not inferred; an option's choice. Empty: unknown",
                       _known, right=True, hint=_known_hint),
            ),
            parent,
        )  # fmt: skip

    def show_equation(self, told: EquationTold) -> None:
        """Its own ranges and options."""
        parameters = [QuantityRow(one, PARAMETER, one.low, one.high) for one in told.parameters]
        states = [QuantityRow(one, STATE, one.low, one.high) for one in told.states]
        options = [
            QuantityRow(QuantityTold(name, "", None, None), OPTION, None, None, value)
            for name, value in told.options.items()
        ]
        self.reset([*parameters, *states, *options])

    def ranges(self) -> dict[str, tuple[float, float]]:
        """Those that were changed and whose value is not known."""
        held = self.held()
        return {
            row.told.name: (row.low, row.high)
            for row in self.rows
            if row.kind != OPTION and row.range_changed and row.told.name not in held
        }

    def held(self) -> dict[str, float]:
        """Known parameters."""
        return {row.told.name: row.known for row in self.rows if row.kind == PARAMETER and row.known is not None}

    def options(self) -> dict[str, Any]:
        """All options, as plain data."""
        return {row.told.name: row.known for row in self.rows if row.kind == OPTION}

    def flags(self, index: Index) -> Qt.ItemFlag:
        """Ranges and known values can be edited."""
        flags = super().flags(index)
        return flags | Qt.ItemFlag.ItemIsEditable if self._editable(index) else flags

    def _editable(self, index: Index) -> bool:
        row: QuantityRow = self.rows[index.row()]
        if index.column() == KNOWN:
            return row.kind != STATE
        return index.column() in (FROM, TO) and row.kind != OPTION and not row.is_element

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """An editor begins with what stands there."""
        if role == Qt.ItemDataRole.EditRole:
            return super().data(index, Qt.ItemDataRole.DisplayRole).removesuffix(" …")
        return super().data(index, role)

    def setData(self, index: Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        """Take what was typed, or say why not."""
        if role != Qt.ItemDataRole.EditRole or not self._editable(index):
            return False
        row: QuantityRow = self.rows[index.row()]
        try:
            changed = _edited(row, index.column(), str(value).strip())
        except ValueError as error:
            self.refused.emit(f"{row.told.name}: {error}")
            return False
        if changed != row:
            self._push(_Edit(self, index.row(), row, changed))
        return True

    def put(self, number: int, row: QuantityRow) -> None:
        """Show this in a row. For undo."""
        if number >= len(self.rows) or self.rows[number].told.name != row.told.name:
            return  # another equation is shown by now
        option = row.kind == OPTION
        self.rows[number] = row
        self.changed((number,))
        (self.option_edited if option else self.edited).emit()

    def rowCount(self, parent: Index = ROOT) -> int:
        """Rows."""
        return super().rowCount(parent)


class _Edit(QUndoCommand):
    """One cell."""

    def __init__(self, model: QuantitiesModel, number: int, before: QuantityRow, after: QuantityRow) -> None:
        super().__init__(f"{after.told.name} of the equation")
        self._model, self._number, self._before, self._after = model, number, before, after

    def redo(self) -> None:
        """Do it."""
        self._model.put(self._number, self._after)

    def undo(self) -> None:
        """Take it back."""
        self._model.put(self._number, self._before)


def _edited(row: QuantityRow, column: int, text: str) -> QuantityRow:
    """Raises ValueError, in words."""
    if column == KNOWN and row.kind == OPTION:
        return replace(row, known=_option(text, row.known))
    if column == KNOWN:
        return replace(row, known=_float(text) if text else None)
    if not text:  # the equation's own again
        return replace(row, low=row.told.low) if column == FROM else replace(row, high=row.told.high)
    value = _float(text)
    low, high = (value, row.high) if column == FROM else (row.low, value)
    if low is not None and high is not None and not low < high:
        raise ValueError(f"the range {low:g} to {high:g} is empty; the first must lie below the second")
    if row.told.scale == "log" and (low is None or low <= 0.0):
        raise ValueError("any factor is as likely as another here, so the range must lie above 0")
    return replace(row, low=low, high=high)


def _float(text: str) -> float:
    try:
        value = float(text.replace(",", ".").replace("−", "-"))
    except ValueError:
        raise ValueError(f"{text!r} is no number") from None
    if not math.isfinite(value):
        raise ValueError(f"{text} is not finite")
    return value


def _option(text: str, now: Any) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    if isinstance(now, bool) and not isinstance(value, bool):
        raise ValueError("write true or false")
    return value


def _number(value: float | None, row: QuantityRow) -> str:
    if row.kind == OPTION:
        return ""
    return "open" if value is None else f"{value:.6g}"


def _known(row: QuantityRow) -> str:
    if row.known is None:
        return "null" if row.kind == OPTION else ""
    return json.dumps(row.known) if row.kind == OPTION else f"{row.known:g}"


def _hint(row: QuantityRow) -> str:
    scale = "\nEvery factor within the range is as likely as another" if row.told.scale == "log" else ""
    return f"{row.told.name}{f' ({row.told.unit})' if row.told.unit else ''}, {row.kind}{scale}"


def _range_hint(row: QuantityRow) -> str:
    if row.kind == OPTION:
        return "An option has no range"
    if row.is_element:
        return "One of an array: its range is that of all of them, and is changed in a script (--range)"
    low, high = ("open" if end is None else f"{end:g}" for end in (row.told.low, row.told.high))
    own = f"{low} to {high}"
    return f"The equation's own range is {own} {row.told.unit}. Double-click to change; empty: the own one again"


def _known_hint(row: QuantityRow) -> str:
    match row.kind:
        case "option":
            return "Double-click to choose: true, false, a number, or null"
        case "initial state":
            return "Where a trace begins is always inferred with the rest"
    return f"Double-click and type the value ({row.told.unit or 'no unit'}) if it is known; empty: it is inferred"
