"""Import: data of other programs (CSV, HDF5, netCDF, .mat) as recordings; which column is what is chosen here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QComboBox, QGridLayout, QLabel, QVBoxLayout, QWidget

from gui.bridge import Ended
from gui.desk import Desk
from gui.panels.twins.page import Page
from gui.panels.twins.shelf import Shelf
from gui.panels.widgets import named, words
from gui.widgets.number_field import NumberField
from gui.widgets.path_choice import PathChoice
from gui.work import Work
from labctl.calls import FOLDER, call
from labctl.errors import UsageError
from labctl.job import Job
from labctl.outside_data.columns import FileColumns, columns_of

KINDS = "Tables and arrays (*.csv *.txt *.dat *.h5 *.hdf5 *.nc *.mat);;All files (*)"
NONE = "–"
EMPTY = "Choose a file of another program. It is looked at, and nothing in it is run."


class ImportPage(Page):
    """`imported` gives the files of the recordings that were written."""

    imported = Signal(object)

    def __init__(self, desk: Desk, shelf: Shelf) -> None:
        super().__init__(desk, shelf)
        self.file = PathChoice("File", "A CSV, HDF5, netCDF or .mat file of another program", kinds=KINDS)
        self.drive, self.response, self.time, self.trial, self.input = (QComboBox() for _ in range(5))
        named(self.drive, "Drive column", "What was driven; several: NAME,NAME")
        named(self.response, "Response column", "What was measured; several: NAME,NAME")
        named(self.time, "Time column", "Time stamps in seconds; without one, give the sampling rate")
        named(self.trial, "Trial column", "Equal values mark one trial; without one all rows are one")
        named(self.input, "Input column", "Equal values mark repeats of one drive; without one equal drives are found")
        tip = "Samples a second; needed where there is no time column"
        self.rate = NumberField("Sampling rate", tip, unit="Hz", low=1e-9, high=1e12, optional=True)
        tip = "From this row on the data are kept from the fit, to judge on; empty: all can be learned from"
        self.test_from = NumberField("Judge from row", tip, low=1, high=1e12, whole=True, optional=True)
        self.drive_unit, self.response_unit = QComboBox(), QComboBox()
        for combo, what in ((self.drive_unit, "drive"), (self.response_unit, "response")):
            combo.addItems(["", "V", "mV", "A", "mA", "T", "mT"])
            named(combo, f"Unit of the {what}", "As text; nothing is converted")
        for combo in (self.drive, self.response, self.drive_unit, self.response_unit):
            _make_editable(combo)
        self.simulated = QCheckBox("The data were simulated, not measured")
        named(self.simulated, "Simulated data", "The twin will say so")
        self.told = words("hint")
        self.told.setText(EMPTY)
        self.controls = self.control(text="Import", tip="Write the data as recordings into the runs folder")
        self.controls.started.connect(self._follow)
        self._columns: FileColumns | None = None
        self.file.changed.connect(self._look)
        self._lay_out()
        self._check()

    def choose(self, path: Path) -> None:
        """Look at this file."""
        self.file.set_path(path)

    def make(self) -> Job:
        """The import of the chosen columns."""
        if self._columns is None:
            raise UsageError(EMPTY)
        path, options = self._columns.path, self._options()
        drive, response = _names(self.drive), _names(self.response)
        if not drive or not response:
            raise UsageError("Choose the columns of drive and response")
        units = {name: self.drive_unit.currentText().strip() for name in drive}
        units |= {name: self.response_unit.currentText().strip() for name in response}
        units = {name: unit for name, unit in units.items() if unit}
        made = call(
            "labctl.campaigns.import_data:import_data",
            path,
            folder=FOLDER,
            drive=drive,
            response=response,
            **options,
            **({"units": units} if units else {}),
        )
        return Job(f"Import {path.name}", made, self.desk.new_folder(f"import-{path.stem}"))

    def _options(self) -> dict[str, Any]:
        options: dict[str, Any] = {}
        for name, combo in (("time", self.time), ("trial", self.trial), ("input_column", self.input)):
            if combo.currentText() not in ("", NONE):
                options[name] = combo.currentText()
        for field, title in ((self.rate, "Sampling rate"), (self.test_from, "Judge from row")):
            if field.trouble:
                raise UsageError(f"{title}: {field.trouble}")
        if self.rate.value is not None:
            options["rate_Hz"] = float(self.rate.value)
        elif "time" not in options:
            raise UsageError("Give the sampling rate, or choose a time column")
        if self.test_from.value is not None:
            first = int(self.test_from.value) - 1
            options["test_rows"] = (first, None)
        if self.simulated.isChecked():
            options["simulated"] = True
        return options

    def _look(self) -> None:
        path = self.file.path
        self._columns = None
        self._check()
        if path is None:
            self.told.setText(EMPTY)
            return

        def refused(error: BaseException) -> None:
            if path == self.file.path:
                self.told.setText(f"✗ {error}")

        self.desk.call(lambda: columns_of(path), done=self._looked, failed=refused, name=f"Looking at {path.name}")

    def _looked(self, found: FileColumns) -> None:
        if found.path != self.file.path:
            return
        self._columns = found
        wanted = (
            (self.drive, found.likely_drive, False),
            (self.response, found.likely_response, False),
            (self.time, found.likely_time, True),
            (self.trial, "", True),
            (self.input, "", True),
        )
        for combo, likely, optional in wanted:
            combo.clear()
            combo.addItems([*([NONE] if optional else []), *found.names])
            combo.setCurrentText(likely or (NONE if optional else ""))
        self.told.setText(
            f"{found.path.name} has {len(found.names)} columns of numbers. Check which is what, then import."
        )
        self._check()

    def _check(self) -> None:
        self.controls.block("" if self._columns is not None else "Choose a file of another program first")

    def _follow(self, work: Work) -> None:
        work.ended.connect(self._ended)

    def _ended(self, ended: Ended) -> None:
        if isinstance(ended.result, list):
            self.told.setText("✓ Imported; the recordings are ticked in the list on the left.")
            self.imported.emit(ended.result)

    def _lay_out(self) -> None:
        grid = QGridLayout()
        fields: tuple[tuple[str, QWidget], ...] = (
            ("Drive", self.drive), ("Unit", self.drive_unit),
            ("Response", self.response), ("Unit", self.response_unit),
            ("Time", self.time), ("or sampling rate", self.rate),
            ("Trial", self.trial), ("Input", self.input),
            ("Judge from row", self.test_from), ("", self.simulated),
        )  # fmt: skip
        for number, (text, widget) in enumerate(fields):
            label = QLabel(text)
            label.setBuddy(widget)
            grid.addWidget(label, number // 2, 2 * (number % 2))
            grid.addWidget(widget, number // 2, 2 * (number % 2) + 1)
        grid.setColumnStretch(1, 1)
        grid.setColumnStretch(3, 1)
        column = QVBoxLayout(self)
        column.addWidget(self.file)
        column.addWidget(self.told)
        column.addLayout(grid)
        column.addWidget(self.controls)
        column.addStretch(1)


def _make_editable(combo: QComboBox) -> None:
    combo.setEditable(True)
    edit = combo.lineEdit()
    if edit is not None:
        named(edit, combo.accessibleName(), combo.toolTip())


def _names(combo: QComboBox) -> list[str]:
    return [name.strip() for name in combo.currentText().split(",") if name.strip()]
