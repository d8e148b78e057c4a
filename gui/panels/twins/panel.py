"""The Twins panel: from recordings to a twin that can be trusted, and what it is worth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QSplitter, QTabWidget, QWidget

from gui.desk import Desk
from gui.panels.panel import Panel
from gui.panels.twins.compare_page import ComparePage
from gui.panels.twins.diagnose_page import DiagnosePage
from gui.panels.twins.fit_page import FitPage
from gui.panels.twins.import_page import ImportPage
from gui.panels.twins.page import Page
from gui.panels.twins.shelf import OWN, Shelf
from gui.panels.twins.stream_page import StreamPage
from gui.panels.twins.twin_page import TwinPage
from gui.theme import Theme
from labctl.job import Job

HELP = """
# Twins

A **twin** is a model of one device that was learned from its recordings: it foresees the response to a drive, and how sure
that is.

1. **Recordings** (left): tick under *Learn* what to learn from, under *Judge* what to judge on. The newest recording and its
   held-out counterpart are ticked already. ◌ marks simulated ones.
2. **Fit**: press *Fit*. The upper curve is the training loss, the lower one the score on inputs kept from training: lower is
   better, the dot marks the twin that is kept. *Stop* keeps the best so far.
3. **Twin**: what was measured beside what the twin foresees. The bands are where 50 % and 90 % of its free runs lie. Under
   *Coverage* the curve should lie on the dashed line; under *Gates* stands what it must show before a network that was
   optimised on it is applied to the device, and what to do where it does not.
4. *Use in a network* takes it to the Networks panel.

**Diagnose** says what noise, memory and drift the recordings show. **Compare** says which of several twins is better, and
whether that is more than chance. **Fit while recording** records no more than is needed. **Import** takes data of other
programs.
"""


class TwinsPanel(Panel):
    """The shelf on the left, pages on the right."""

    key = "twins"
    title = "Twins"
    tip = "Diagnose recordings, fit a twin to them, see how far it can be trusted"
    order = 30
    help = HELP

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(desk, parent)
        self.shelf = Shelf(desk)
        self.fit = FitPage(desk, self.shelf)
        self.diagnose = DiagnosePage(desk, self.shelf)
        self.twin = TwinPage(desk, self.shelf)
        self.compare = ComparePage(desk, self.shelf)
        self.stream = StreamPage(desk, self.shelf)
        self.imports = ImportPage(desk, self.shelf)
        self.pages = QTabWidget()
        named = (
            (self.fit, "Fit", "Train a twin on the ticked recordings, and judge it"),
            (self.twin, "Twin", "The chosen twin: predictions, residuals, coverage, spectra, gates"),
            (self.diagnose, "Diagnose", "What noise, memory and drift the recordings show"),
            (self.compare, "Compare", "Which of several twins is better, beyond chance"),
            (self.stream, "Fit while recording", "Record and fit at once, until the twin can be trusted"),
            (self.imports, "Import", "Data of other programs (CSV, HDF5, netCDF, .mat) as recordings"),
        )
        for page, title, tip in named:
            self.pages.setTabToolTip(self.pages.addTab(page, title), tip)
        splitter = QSplitter(Qt.Orientation.Horizontal)
        splitter.addWidget(self.shelf)
        splitter.addWidget(self.pages)
        splitter.setStretchFactor(0, 2)
        splitter.setStretchFactor(1, 3)
        splitter.setSizes([460, 660])
        splitter.setChildrenCollapsible(False)
        desk.remember(splitter, "twins/panel")
        row = QHBoxLayout(self)
        row.setContentsMargins(4, 4, 4, 4)
        row.addWidget(splitter)
        self._predict_next: Path | None = None
        self.fit.fitted.connect(self._fitted)
        self.stream.fitted.connect(self._fitted)
        self.shelf.loaded.connect(self._loaded)
        self.shelf.foreign.connect(self._foreign)
        self.imports.imported.connect(self.shelf.take)
        desk.runs_folder_changed.connect(lambda _: self.shelf.reload())
        self.shelf.reload()

    def take_files(self, files: Sequence[Path]) -> None:
        """Recordings are ticked, a twin is looked at."""
        self.shelf.take([Path(path) for path in files])
        if any(path.suffix not in OWN for path in files):
            return
        if any(path.suffix in (".json", ".safetensors") for path in files):
            self.pages.setCurrentWidget(self.twin)
        elif files:
            self.pages.setCurrentWidget(self.fit)

    def use_theme(self, theme: Theme) -> None:
        """Draw in these colours."""
        for page in (self.fit, self.twin, self.diagnose, self.compare, self.stream):
            page.use_theme(theme)

    def shown(self) -> None:
        """Files may have come meanwhile."""
        self.shelf.reload()

    def script_job(self) -> Job | None:
        """The job of the page that is looked at."""
        page = self.pages.currentWidget()
        return page.make() if isinstance(page, Page) else None

    def _foreign(self, path: Path) -> None:
        """A file of another program was added: its columns are to be chosen."""
        self.imports.choose(path)
        self.pages.setCurrentWidget(self.imports)

    def _fitted(self, path: Path) -> None:
        """Look at the new twin, and ask it for its predictions."""
        self._predict_next = path.with_suffix(".json").absolute()
        self.shelf.show_twin(path)

    def _loaded(self) -> None:
        twin = self.shelf.twin
        if self._predict_next is None or twin is None or twin.path != self._predict_next:
            return
        self._predict_next = None
        self.pages.setCurrentWidget(self.twin)
        self.twin.predict()
