"""The left side of the Twins panel: recordings to learn from and to judge on, and the twins there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import QItemSelectionModel, Qt, Signal
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QSplitter,
    QTreeView,
    QVBoxLayout,
    QWidget,
)

from gui.desk import Desk
from gui.panels.tables import table
from gui.panels.twins.boxes import BoxDelegate
from gui.panels.twins.recordings_model import DEVICE, JUDGE, LEARN, NAME, TRIALS, WHEN, RecordingsModel
from gui.panels.twins.twins_model import TwinsModel
from gui.panels.widgets import button, words
from gui.widgets.file_dialogs import ask_for_files
from labctl.recording_cards import recordings_below
from labctl.twin_cards import TwinCard, twins_below

KINDS = (
    "Recordings and twins (*.h5 *.json *.safetensors);;Data of other programs (*.csv *.txt *.nc *.mat);;All files (*)"
)
OWN = (".h5", ".json", ".safetensors")
"""Endings of our own files; others are imported."""


class Shelf(QWidget):
    """Reads the runs folder in a thread whenever files change; `chosen` gives the twin that is looked at, or
    None, `foreign` a file of another program that was added."""

    chosen = Signal(object)
    foreign = Signal(object)
    loaded = Signal()

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self.recordings = RecordingsModel(self)
        self.twins = TwinsModel(self)
        self._extra: list[Path] = []
        self._wanted_twin: Path | None = None
        self._wanted_recordings: list[Path] = []
        self._loading = self._again = False
        self.tree = self._tree()
        self.twins_view = table(self.twins, name="Twins", stretch=0, widths={1: 100, 2: 84, 3: 56})
        self.twins_view.setItemDelegateForColumn(0, BoxDelegate(self.twins_view))
        self.twins_view.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.twins_view.selectionModel().currentRowChanged.connect(lambda *_: self.chosen.emit(self.twin))
        self.told = words("hint")
        add = button("Add files …", "Recordings (.h5) and twins (.json) from elsewhere", self._add)
        again = button("↻", "Look again what the runs folder holds (F5)", self.reload, name="Reload", keys="F5")
        again.setMaximumWidth(36)
        splitter = QSplitter(Qt.Orientation.Vertical)
        splitter.addWidget(_titled("Recordings", [add, again], self.tree, self.told))
        splitter.addWidget(_titled("Twins", [], self.twins_view))
        splitter.setStretchFactor(0, 3)
        splitter.setStretchFactor(1, 2)
        splitter.setChildrenCollapsible(False)
        desk.remember(splitter, "twins/shelf")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(splitter)
        self.recordings.ticked.connect(self._tell)
        desk.files_changed.connect(self.reload)

    @property
    def twin(self) -> TwinCard | None:
        """The twin that is looked at."""
        row = self.twins_view.selectionModel().currentIndex().row()
        return self.twins.rows[row] if 0 <= row < len(self.twins.rows) else None

    def show_twin(self, path: Path) -> None:
        """Look at this twin, once the list has it."""
        self._wanted_twin = path.with_suffix(".json").absolute()
        self.reload()

    def take(self, paths: Sequence[Path]) -> None:
        """Add files from elsewhere: recordings are ticked, the last twin is looked at."""
        for path in paths:
            if path.suffix not in OWN:
                self.foreign.emit(path)
        paths = [path for path in paths if path.suffix in OWN]
        self._extra = list(dict.fromkeys([*self._extra, *(Path(path).absolute() for path in paths)]))
        self._wanted_recordings = [
            Path(path).absolute() for path in paths if path.suffix not in (".json", ".safetensors")
        ]
        twins = [path for path in paths if path.suffix in (".json", ".safetensors")]
        if twins:
            self._wanted_twin = twins[-1].with_suffix(".json").absolute()
        self.reload()

    def reload(self) -> None:
        """Look again; one look at a time."""
        if self._loading:
            self._again = True
            return
        self._loading = True
        folder, recordings, twins = self._desk.runs_folder, list(self.recordings.cards), list(self.twins.rows)
        lists = [path for path in self._extra if path.suffix in (".json", ".safetensors")]
        others = [path for path in self._extra if path not in lists]

        def look() -> Callable[[], None]:
            cards = recordings_below(folder, extra=others, known=recordings)
            found = twins_below(folder, extra=lists, known=twins)
            return lambda: self._show(folder, cards, found)

        self._desk.call(look, done=self._looked, failed=self._failed, name="Reading the runs folder")

    def _looked(self, show: Callable[[], None]) -> None:
        self._loading = False
        show()
        if self._again:
            self._again = False
            self.reload()

    def _failed(self, error: BaseException) -> None:
        self._loading = False
        self._desk.trouble(error, doing="Reading the runs folder")

    def _show(self, folder: Path, recordings: Sequence[object], twins: Sequence[TwinCard]) -> None:
        if list(recordings) != self.recordings.cards or self._wanted_recordings:
            self.recordings.reset(recordings, root=folder)  # type: ignore[arg-type]
            self.tree.expandAll()
            for row in range(self.recordings.rowCount()):
                self.tree.setFirstColumnSpanned(row, self.tree.rootIndex(), True)
            if self._wanted_recordings:
                self.recordings.choose(self._wanted_recordings)
                self._wanted_recordings = []
            for index in self.recordings.folded:
                self.tree.collapse(index)
        before = self.twin
        if list(twins) != self.twins.rows:
            self.twins.show_cards(twins)
        wanted = self._wanted_twin or (before.path if before is not None else None)
        row = self.twins.row_of(wanted) if wanted is not None else 0 if twins else -1
        if row >= 0:
            self._wanted_twin = None
            self.twins_view.selectionModel().setCurrentIndex(
                self.twins.index(row, 0),
                QItemSelectionModel.SelectionFlag.ClearAndSelect | QItemSelectionModel.SelectionFlag.Rows,
            )
        self.chosen.emit(self.twin)
        self._tell()
        self.loaded.emit()

    def _tell(self) -> None:
        if not self.recordings.cards:
            self.told.setText("No recordings yet: make some in the Record panel, or add files")
            return
        learn, judge = (len(some) for some in (self.recordings.learned_from, self.recordings.judged_on))
        other = f"{judge} to judge on" if judge else "none to judge on: a part is kept from the fit"
        self.told.setText(f"Ticked: {learn} to learn from, {other}")

    def _add(self) -> None:
        ask_for_files(self, "Add recordings and twins", self._desk.runs_folder, KINDS, self.take)

    def _tree(self) -> QTreeView:
        tree = QTreeView()
        tree.setModel(self.recordings)
        tree.setAccessibleName("Recordings")
        tree.setUniformRowHeights(True)
        tree.setAlternatingRowColors(True)
        tree.setIndentation(10)
        tree.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        tree.setStyleSheet("QTreeView::item { padding: 3px 2px; }")
        tree.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        for column in (LEARN, JUDGE):
            tree.setItemDelegateForColumn(column, BoxDelegate(tree))
        header = tree.header()
        header.setStretchLastSection(False)
        metrics = tree.fontMetrics()
        for column, sample in ((LEARN, "Learn "), (JUDGE, "Judge "), (DEVICE, "duffing ◌ "), (TRIALS, "240 × 236 ")):
            tree.setColumnWidth(column, metrics.horizontalAdvance(sample) + 8)
        tree.setColumnWidth(WHEN, metrics.horizontalAdvance("00-00 ") + 8)
        header.setMinimumSectionSize(36)
        header.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Stretch)
        return tree


def _titled(title: str, buttons: Sequence[QWidget], *below: QWidget) -> QWidget:
    whole = QWidget()
    row = QHBoxLayout()
    label = QLabel(title)
    label.setObjectName("headline")
    row.addWidget(label)
    row.addStretch(1)
    for one in buttons:
        row.addWidget(one)
    column = QVBoxLayout(whole)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(4)
    column.addLayout(row)
    for number, one in enumerate(below):
        column.addWidget(one, 0 if number else 1)
    return whole
