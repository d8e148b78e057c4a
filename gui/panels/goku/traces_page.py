"""Step 2: the traces. Files with their columns, gaps marked; or recorded on the bench; or a simulated example."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import (
    QAbstractItemView,
    QGroupBox,
    QHBoxLayout,
    QScrollArea,
    QSplitter,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from gui.desk import Desk
from gui.models.rows import Column, RowsModel
from gui.panels.goku.asking import Asker
from gui.panels.goku.bench_form import BenchForm
from gui.panels.goku.columns_form import ColumnsForm
from gui.panels.goku.traces_plot import TracesPlot
from gui.panels.goku.wiring_form import WiringForm
from gui.panels.tables import table
from gui.panels.widgets import button, words
from gui.theme import Theme
from gui.widgets.file_dialogs import ask_for_files
from labctl.calls import Call, call, perform
from labctl.errors import UsageError
from labctl.goku_told import EquationTold
from labctl.goku_traces import FileTold, TracesTold, look_at, traces_told

KINDS = "Traces (*.h5 *.hdf5 *.nc *.csv *.txt *.dat *.mat);;All files (*)"
READ_MS = 150
_SCROLL_BAR = 24
NONE_YET = "no traces yet: add files, record some, or press Example"


class TracesPage(QWidget):
    """`changed` when other traces are meant, or their channels show something else."""

    changed = Signal()

    def __init__(self, desk: Desk, asker: Asker) -> None:
        super().__init__()
        self._desk, self._asker = desk, asker
        self._told: EquationTold | None = None
        self.traces: TracesTold | None = None
        self._trouble = NONE_YET
        self._looked: tuple[FileTold, ...] = ()
        self.files = RowsModel([Column("File", "Where the traces are", lambda path: path.name, hint=str)])
        self.columns, self.wiring, self.plot = ColumnsForm(), WiringForm(), TracesPlot(desk.theme)
        self.bench = BenchForm(desk)
        self._timer = QTimer(self, singleShot=True, interval=READ_MS)
        self._timer.timeout.connect(self._read)
        self._build()
        self.columns.changed.connect(self._timer.start)
        self.wiring.changed.connect(self.changed)
        self.bench.recorded.connect(self.use_files)

    def _build(self) -> None:
        self.add_button = button("&Add files …", "Recordings (.h5), CSV, HDF5, netCDF or .mat", self._choose)
        self.remove_button = button(
            "Remove", "Take the chosen file out of the list; it stays where it is", self._remove
        )
        self.list = table(self.files, name="Files of traces", stretch=0)
        self.list.setMaximumHeight(110)
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        row = QHBoxLayout()
        row.addWidget(self.add_button)
        row.addWidget(self.remove_button)
        row.addStretch(1)
        self.line = words()
        self.line.setAccessibleName("What is wrong with the traces")
        self.columns_box, self.wiring_box = (
            _box("Columns of the file", self.columns),
            _box("What the channels show", self.wiring),
        )
        files = QWidget()
        column = QVBoxLayout(files)
        column.addLayout(row)
        for one in (self.list, self.line, self.columns_box, self.wiring_box):
            column.addWidget(one)
        column.addStretch(1)
        self.sources = QTabWidget()
        self.sources.setAccessibleName("Where the traces come from")
        for name, page, tip in (
            ("Files", files, "Traces that were measured before"),
            ("Record on the bench", self.bench, "Let a device of the opened station run, and take its traces"),
        ):
            area = QScrollArea(widgetResizable=True)
            area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
            area.setFrameShape(QScrollArea.Shape.NoFrame)
            area.setWidget(page)
            area.setMinimumWidth(page.minimumSizeHint().width() + _SCROLL_BAR)
            self.sources.setTabToolTip(self.sources.addTab(area, name), tip)
        whole = QSplitter()
        whole.addWidget(self.sources)
        whole.addWidget(self.plot)
        whole.setStretchFactor(0, 2)
        whole.setStretchFactor(1, 3)
        whole.setSizes([440, 660])
        whole.setChildrenCollapsible(False)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 6, 0, 0)
        column.addWidget(whole)
        self._desk.remember(whole, "goku/traces")
        self._show_boxes()
        self._say("")

    # ---- what is meant -----------------------------------------------------------------------------------------------

    @property
    def trouble(self) -> str:
        """Why these traces cannot be taken; empty where they can."""
        return self._trouble

    def measured(self) -> Call:
        """The traces. Raises UsageError."""
        if self._trouble:
            raise UsageError(f"2 Traces: {self._trouble}")
        return call("labctl.goku_traces:read_measured", list(self.files.rows), **self._options())

    def wishes(self) -> Call | None:
        """What the channels show. Raises UsageError."""
        return self.wiring.wishes()

    def reading(self) -> dict[str, Any]:
        """How columns were read, as a model keeps it."""
        kept = {
            name: value for name, value in self._options().items() if name in ("response", "drive", "time", "trial")
        }
        return {**kept, **({"dt": self._options()["dt_s"]} if "dt_s" in self._options() else {})}

    def use_equation(self, told: EquationTold | None) -> None:
        """Channels show outputs of this one."""
        self._told = told
        self._wire()

    def use_files(self, paths: Sequence[Path]) -> None:
        """These in place of those that are there."""
        self.files.reset(paths)
        self.sources.setCurrentIndex(0)
        self._look()

    def add_files(self, paths: Sequence[Path]) -> None:
        """These as well."""
        known = set(self.files.rows)
        self.files.extend([path for path in paths if path not in known])
        self._look()

    def use_theme(self, theme: Theme) -> None:
        """Draw in these colours."""
        self.plot.use_theme(theme)

    # ---- files ------------------------------------------------------------------------------------------------------

    def _choose(self) -> None:
        ask_for_files(self, "Traces", self._desk.runs_folder, KINDS, self.add_files)

    def _remove(self) -> None:
        chosen = {index.row() for index in self.list.selectionModel().selectedRows()} or {len(self.files.rows) - 1}
        self.files.reset([path for number, path in enumerate(self.files.rows) if number not in chosen])
        self._look()

    def _look(self) -> None:
        paths = list(self.files.rows)
        self._looked = tuple(one for one in self._looked if one.path in paths)
        self._set(None, "the files are being read" if paths else NONE_YET)
        self._show_boxes()
        # also where there are none: what was asked before counts no more
        self._asker.read("Looking at the files", lambda: look_at(paths), self._looked_at, self._failed)

    def _looked_at(self, told: tuple[FileTold, ...]) -> None:
        if not told:
            return
        before = self._looked
        self._looked = told
        other = next((one for one in told if not one.own), None)
        if other is not None and other not in before:
            self.columns.show_file(other)
        self._show_boxes()
        self._read()

    def _show_boxes(self) -> None:
        self.columns_box.setVisible(any(not one.own for one in self._looked))
        self.remove_button.setEnabled(bool(self.files.rows))
        self.remove_button.setToolTip(
            "Take the chosen file out of the list; it stays where it is"
            if self.files.rows
            else "There is no file to remove"
        )

    def _options(self) -> dict[str, Any]:
        return self.columns.options() if any(not one.own for one in self._looked) else {}

    def _read(self) -> None:
        try:
            asked = call("labctl.goku_traces:read_measured", list(self.files.rows), **self._options())
        except UsageError as error:
            self._failed(error)
            return
        self._asker.read("Reading the traces", lambda: traces_told(perform(asked)), self._have, self._failed)

    def _have(self, told: TracesTold) -> None:
        self._set(told, "")

    def _failed(self, error: BaseException) -> None:
        self._set(None, str(error))

    def _set(self, told: TracesTold | None, trouble: str) -> None:
        self.traces, self._trouble = told, trouble
        self.plot.show_traces(told)
        self._say("" if told is not None else trouble)
        self._wire()
        self.changed.emit()

    def _wire(self) -> None:
        told = self.traces
        channels = [] if told is None else list(zip(told.names, told.units, strict=True))
        self.wiring.show_choices(
            self._told if told is not None else None, channels, [] if told is None else list(told.drive_names)
        )
        self.wiring_box.setVisible(bool(channels) and self._told is not None)

    def _say(self, trouble: str) -> None:
        calm = trouble in ("", NONE_YET, "the files are being read")
        self.line.setText(
            trouble[:1].upper() + trouble[1:] + "." if calm and trouble else f"✗ {trouble}" if trouble else ""
        )
        self.line.setVisible(bool(trouble))


def _box(title: str, inner: QWidget) -> QGroupBox:
    box = QGroupBox(title)
    column = QVBoxLayout(box)
    column.addWidget(inner)
    return box
