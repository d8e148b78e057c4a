"""The browser of runs: everything below the runs folder, searched, sorted, looked at."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QAbstractItemView, QHBoxLayout, QSplitter, QVBoxLayout, QWidget

from gui.desk import Desk
from gui.panels.runs.file_view import FileView
from gui.panels.runs.files_model import SORTED_BY, FilesModel
from gui.panels.runs.filters import Filters
from gui.panels.tables import table
from gui.panels.widgets import button, plain
from gui.theme import Theme
from labctl.runs_catalogue import RunsCatalogue, Scanned
from labctl.runs_file import RunFile
from labctl.runs_provenance import Provenance
from labctl.runs_search import search

TOLD_EVERY_S = 1.5
"""How often the table grows while a folder is read for the first time."""


class BrowserPage(QWidget):
    """Filters above, the table on the left, the chosen file on the right. `job_asked` with a job file to be queued."""

    job_asked = Signal(object)

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.desk = desk
        self.entries: tuple[RunFile, ...] = ()
        self.provenance = Provenance(())
        self._root = desk.runs_folder
        self._scan: threading.Event | None = None
        self._stale = True
        self._wanted: str | None = None
        self._asked = 0
        self._sorting = (0, True)
        self._remaining = 0
        self.filters = Filters(desk)
        self.model = FilesModel(desk.theme, self)
        self.view = table(self.model, name="Runs", stretch=2, widths={0: 86, 1: 84, 3: 84, 4: 88}, lines=2)
        self.view.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.view.setTextElideMode(Qt.TextElideMode.ElideRight)
        header = self.view.horizontalHeader()
        header.setSectionsClickable(True)
        header.setSortIndicatorShown(True)
        header.setSortIndicator(0, Qt.SortOrder.DescendingOrder)
        header.sectionClicked.connect(self._sort)
        self.file = FileView(desk)
        self.count = plain()
        self.count.setAccessibleName("How many files are shown")
        self.again_button = button(
            "↻", "Look again what lies below the runs folder (F5)", self.reload, name="Look again", keys="F5"
        )
        self.again_button.setMaximumWidth(36)
        self._lay_out()
        self.filters.changed.connect(self.refresh)
        self.view.selectionModel().currentRowChanged.connect(lambda *_: self._choose())
        self.view.doubleClicked.connect(lambda _: self.file.open())
        self.file.went.connect(self.go_to)
        self.file.job_asked.connect(self.job_asked)
        desk.files_changed.connect(self._changed)
        desk.runs_folder_changed.connect(lambda _: self._changed())
        enter = QShortcut(QKeySequence(Qt.Key.Key_Return), self.view)
        enter.setContext(Qt.ShortcutContext.WidgetShortcut)
        enter.activated.connect(self.file.open)
        find = QShortcut(QKeySequence(QKeySequence.StandardKey.Find), self)
        find.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        find.activated.connect(self.filters.search.setFocus)

    @property
    def entry(self) -> RunFile | None:
        """The chosen file."""
        number = self.view.selectionModel().currentIndex().row()
        return self.model.rows[number] if 0 <= number < len(self.model.rows) else None

    def shown(self) -> None:
        """Look for files, if there may be others than before."""
        if self._stale:
            self.reload()

    def reload(self) -> None:
        """Look for files, in a thread; what is known already is there at once, the rest as it is read."""
        if self._scan is not None:
            self._scan.set()
        self._stale = False
        stop = self._scan = threading.Event()
        root = self.desk.runs_folder.absolute()

        def look() -> None:
            told_s = 0.0
            for scanned in RunsCatalogue(root).scan(stop=stop.is_set):
                if scanned.remaining and time.monotonic() - told_s < TOLD_EVERY_S:
                    continue
                told_s = time.monotonic()
                provenance = Provenance(scanned.entries)
                self.desk.bridge.tell(lambda scanned=scanned, known=provenance: self._take(stop, root, scanned, known))  # type: ignore[misc]

        self.desk.call(
            look,
            done=lambda _: self._looked(stop),
            failed=lambda error: self._failed(stop, error),
            name="Looking for runs",
        )

    def refresh(self) -> None:
        """Show what fits the filters, sorted."""
        self._asked += 1
        asked, entries, wanted = self._asked, self.entries, self.filters.wanted
        column, backwards = self._sorting

        def find() -> list[RunFile]:
            return sorted(search(entries, wanted), key=SORTED_BY[column], reverse=backwards)

        self.desk.call(find, done=lambda found: self._show(asked, found), name="Searching runs")

    def go_to(self, entry: RunFile) -> None:
        """Choose this file, whatever the filters leave out."""
        names = [one.file for one in self.model.rows]
        if entry.file in names:
            self.view.selectRow(names.index(entry.file))
            self.view.scrollTo(self.model.index(names.index(entry.file), 0))
            return
        self._wanted = entry.file
        self.filters.clear()

    def show_path(self, path: Path) -> None:
        """Choose the file at this path, once it is known."""
        root = self.desk.runs_folder.absolute()
        if root in path.absolute().parents:
            self._wanted = path.absolute().relative_to(root).as_posix()
            self.reload()

    def use_theme(self, theme: Theme) -> None:
        """Draw in these colours."""
        self.model.use_theme(theme)
        self.file.use_theme(theme)

    # ---- inside ----------------------------------------------------------------------------------------------------

    def _lay_out(self) -> None:
        above = QHBoxLayout()
        above.addWidget(self.filters, 1)
        above.addWidget(self.again_button)
        left = QWidget()
        column = QVBoxLayout(left)
        column.setContentsMargins(0, 0, 4, 0)
        column.addWidget(self.view, 1)
        column.addWidget(self.count)
        self.splitter = QSplitter(Qt.Orientation.Horizontal)
        self.splitter.addWidget(left)
        self.splitter.addWidget(self.file)
        self.splitter.setStretchFactor(0, 3)
        self.splitter.setStretchFactor(1, 2)
        self.splitter.setSizes([660, 440])
        self.splitter.setChildrenCollapsible(False)
        self.desk.remember(self.splitter, "runs/browser")
        whole = QVBoxLayout(self)
        whole.setContentsMargins(4, 4, 4, 4)
        whole.addLayout(above)
        whole.addWidget(self.splitter, 1)

    def _changed(self) -> None:
        self._stale = True
        if self.isVisible():
            self.reload()

    def _take(self, stop: threading.Event, root: Path, scanned: Scanned, provenance: Provenance) -> None:
        if self._scan is not stop:
            return  # another look began meanwhile
        self._root, self.entries, self.provenance = root, scanned.entries, provenance
        self._remaining = scanned.remaining
        self.refresh()

    def _looked(self, stop: threading.Event) -> None:
        if self._scan is stop:
            self._scan = None

    def _failed(self, stop: threading.Event, error: BaseException) -> None:
        self._looked(stop)
        self.desk.trouble(error, doing="Looking for runs")

    def _show(self, asked: int, found: list[RunFile]) -> None:
        if asked != self._asked:
            return
        chosen = self._wanted or (self.entry.file if self.entry else "")
        before = self.entry
        names = [one.file for one in found]
        self.view.selectionModel().blockSignals(True)
        self.model.reset(found)
        if chosen in names:
            self._wanted = None
            row = names.index(chosen)
            self.view.selectRow(row)
            self.view.scrollTo(self.model.index(row, 0))
        self.view.selectionModel().blockSignals(False)
        if self.entry != before:
            self._choose()
        left = f", {self._remaining} more being read …" if self._remaining else ""
        nothing = (
            "  Nothing is measured here yet: record something, or open the simulated bench." if not self.entries else ""
        )
        self.count.setText(f"{len(found)} of {len(self.entries)} files{left}{nothing}")

    def _choose(self) -> None:
        self.file.show_file(self.entry, self.provenance, self._root)

    def _sort(self, column: int) -> None:
        before, backwards = self._sorting
        self._sorting = (column, not backwards if column == before else column == 0)
        order = Qt.SortOrder.DescendingOrder if self._sorting[1] else Qt.SortOrder.AscendingOrder
        self.view.horizontalHeader().setSortIndicator(column, order)
        self.refresh()
