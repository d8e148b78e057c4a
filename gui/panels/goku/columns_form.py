"""Which column of another program's file is what. Recordings of labctl's own say it themselves."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QStandardItem, QStandardItemModel
from PySide6.QtWidgets import QCheckBox, QComboBox, QFormLayout, QListView, QWidget

from gui.panels.widgets import named
from gui.widgets.number_field import NumberField
from labctl.errors import UsageError
from labctl.goku_traces import FileTold

NONE = "none"


class ColumnsForm(QWidget):
    """`options` are those of labctl.goku_traces:read_measured; `changed` when another column was chosen."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.response, self.drive = (
            _Checks("Measured columns", "What was measured"),
            _Checks("Drive columns", "What drove it, if anything did"),
        )
        self.time, self.trial = QComboBox(), QComboBox()
        named(
            self.time,
            "Time column",
            "Time stamps in seconds, or in the unit that the file gives; none where samples are evenly spaced",
        )
        named(self.trial, "Trial column", "Equal values are one trace; none where the file is one trace")
        self.dt = NumberField("Time between samples", "Where no column has the time", unit="s", low=0.0, optional=True)
        self.simulated = QCheckBox("the data were simulated")
        named(self.simulated, "Simulated", "Everything that comes of them will say so")
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Measured", self.response.view)
        form.addRow("Drive", self.drive.view)
        form.addRow("Time", self.time)
        form.addRow("or, evenly,", self.dt)
        form.addRow("Trial", self.trial)
        form.addRow("", self.simulated)
        self._quiet = False
        for checks in (self.response, self.drive):
            checks.model.itemChanged.connect(lambda _: self._tell())
        for box in (self.time, self.trial):
            box.currentIndexChanged.connect(lambda _: self._tell())
        self.dt.changed.connect(self._tell)
        self.simulated.toggled.connect(lambda _: self._tell())

    def show_file(self, told: FileTold) -> None:
        """Its columns, with what their names tell."""
        self._quiet = True
        names = [one.name for one in told.columns]
        roles = {one.name: one.role for one in told.columns}
        for checks, role in ((self.response, "response"), (self.drive, "drive")):
            checks.show(names, {name for name in names if roles[name] == role})
        for box, role in ((self.time, "time"), (self.trial, "trial")):
            box.clear()
            box.addItems([NONE, *names])
            box.setCurrentText(next((name for name in names if roles[name] == role), NONE))
        self._quiet = False

    def options(self) -> dict[str, Any]:
        """Raises UsageError, naming the row."""
        time, trial = self.time.currentText(), self.trial.currentText()
        response = self.response.checked()
        if not response:
            raise UsageError("no column was measured: tick one beside Measured")
        if time in ("", NONE) and self.dt.value is None:
            raise UsageError(
                "say which column is the time, or the time between samples"
                + (f" ({self.dt.trouble})" if self.dt.trouble else "")
            )
        found: dict[str, Any] = {"response": response}
        if self.drive.checked():
            found["drive"] = self.drive.checked()
        if time not in ("", NONE):
            found["time"] = time
        else:
            found["dt_s"] = self.dt.value
        if trial not in ("", NONE):
            found["trial"] = trial
        return {**found, **({"simulated": True} if self.simulated.isChecked() else {})}

    def _tell(self) -> None:
        if not self._quiet:
            self.changed.emit()


class _Checks:
    """Names to be ticked."""

    LINES = 3

    def __init__(self, name: str, tip: str) -> None:
        self.model = QStandardItemModel()
        self.view = QListView()
        self.view.setModel(self.model)
        self.view.setMaximumHeight(self.LINES * self.view.fontMetrics().lineSpacing() + 22)
        named(self.view, name, f"{tip}; tick with the mouse or the space bar")

    def show(self, names: list[str], ticked: set[str]) -> None:
        """These, some of them ticked."""
        self.model.clear()
        for name in names:
            item = QStandardItem(name)
            item.setEditable(False)
            item.setCheckable(True)
            item.setCheckState(Qt.CheckState.Checked if name in ticked else Qt.CheckState.Unchecked)
            self.model.appendRow(item)

    def checked(self) -> list[str]:
        """The ticked ones."""
        items = [self.model.item(row) for row in range(self.model.rowCount())]
        return [item.text() for item in items if item.checkState() == Qt.CheckState.Checked]
