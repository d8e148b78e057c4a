"""Which channel shows which output of the equation, and what drives it."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QFormLayout, QHBoxLayout, QLabel, QWidget

from gui.panels.widgets import named
from gui.widgets.number_field import NumberField
from labctl.calls import Call, call
from labctl.errors import UsageError
from labctl.goku_told import EquationTold

NOT_USED = "not used"


class WiringForm(QWidget):
    """A row a channel (output, gain) and a row a drive of the equation. Set anew by `show_choices`; `changed` by hand."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.outputs: dict[str, QComboBox] = {}
        self.gains: dict[str, NumberField] = {}
        self.drives: dict[str, QComboBox] = {}
        self._shown: object = None
        self._form = QFormLayout(self)
        self._form.setContentsMargins(0, 0, 0, 0)
        self._form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)

    def show_choices(
        self, told: EquationTold | None, channels: Sequence[tuple[str, str]], sources: Sequence[str]
    ) -> None:
        """channels: (name, unit) of what was measured; sources: drive channels and conditions. Sensible choices stand there."""
        outputs = [] if told is None else [one.name for one in told.outputs]
        wanted = (tuple(outputs), tuple(channels), tuple(sources), () if told is None else told.drives)
        if wanted == self._shown:
            return
        self._shown = wanted
        while self._form.rowCount():
            self._form.removeRow(0)
        self.outputs, self.gains, self.drives = {}, {}, {}
        if told is None:
            return
        names = [name for name, _ in channels]
        alike = [name for name in names if name in outputs]
        for number, (name, unit) in enumerate(channels):
            default = name if name in outputs else ""
            if not alike and number < len(outputs):
                default = outputs[number]
            self._add_channel(name, unit, outputs, default)
        for number, one in enumerate(told.drives):
            box = QComboBox()
            box.addItems(list(sources))
            named(
                box, f"Drive {one.name}", f"Which channel of the data is the drive {one.name} ({one.unit or 'no unit'})"
            )
            box.setCurrentIndex(sources.index(one.name) if one.name in sources else min(number, len(sources) - 1))
            box.currentIndexChanged.connect(lambda _: self.changed.emit())
            self.drives[one.name] = box
            self._form.addRow(f"drive {one.name} is", box)

    def wishes(self) -> Call | None:
        """For labctl.goku_channels:Wishes. Raises UsageError, naming the row."""
        if not self.outputs:
            return None
        used = {name: box.currentText() for name, box in self.outputs.items() if box.currentText() != NOT_USED}
        if not used:
            raise UsageError("2 Traces: no channel shows an output of the equation; choose one beside a channel")
        gains: dict[str, float] = {}
        for name in used:
            field = self.gains[name]
            if field.trouble or field.value == 0.0:
                raise UsageError(f"2 Traces: gain of {name}: {field.trouble or 'it must not be zero'}")
            if field.value != 1.0:
                gains[name] = float(field.value or 1.0)
        driving: dict[str, str] = {}
        for drive, box in self.drives.items():
            if not box.currentText():
                raise UsageError(f"2 Traces: the equation is driven by {drive}, and the data have no drive channel")
            driving[box.currentText()] = drive
        chosen = {"observe": used, "gains": gains, "drive_as": driving}
        return call("labctl.goku_channels:Wishes", **{name: value for name, value in chosen.items() if value})

    def _add_channel(self, name: str, unit: str, outputs: Sequence[str], default: str) -> None:
        box = QComboBox()
        box.addItems([*outputs, NOT_USED])
        box.setCurrentText(default or NOT_USED)
        named(
            box,
            f"Output shown by {name}",
            f"Which output of the equation the channel {name} ({unit or 'no unit'}) shows",
        )
        box.currentIndexChanged.connect(lambda _: self.changed.emit())
        tip = f"{name} = gain · output: how many {unit or 'of its units'} one unit of the output gives; 1 where the units agree"
        gain = NumberField(f"Gain of {name}", tip, value=1.0)
        gain.setMaximumWidth(90)
        gain.changed.connect(self.changed)
        row = QWidget()
        line = QHBoxLayout(row)
        line.setContentsMargins(0, 0, 0, 0)
        line.addWidget(box, 1)
        line.addWidget(QLabel("× gain"))
        line.addWidget(gain)
        self.outputs[name], self.gains[name] = box, gain
        self._form.addRow(f"{name}{f' ({unit})' if unit else ''} shows", row)
