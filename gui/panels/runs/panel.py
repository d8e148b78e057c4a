"""The panel Campaigns and runs: what waits and runs, and everything that was measured, learned and found out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtWidgets import QTabWidget, QVBoxLayout, QWidget

from gui.desk import Desk
from gui.panels.panel import Panel
from gui.panels.runs.browser_page import BrowserPage
from gui.panels.runs.queue_page import QueuePage
from gui.theme import Theme
from labctl.job import JOB_FILE, Job

HELP = """
# Campaigns and runs

**Queue**: whatever any panel starts stands here. Jobs with the bench run one at a time, the others in processes of their own.

* *Close the loop* measures, learns, optimises, applies and reports in one go.
* A job that waits can be moved (Alt+Up, Alt+Down) or removed (Del); one that runs can rest or be stopped; one that is over can
  be started again, into a fresh folder. *interrupted* is what ran when the program ended.
* A job that reads the files of another one waits for it. No job with the bench starts while an output is not known to be safe.
* *Hold* begins nothing more. The same queue can be run without the window: `labctl queue run FOLDER`.

**Files**: everything below the runs folder. Search for words in names, outcomes and notes; click a column to sort.

* *Provenance* says what a file was made from and what was made from it; double click goes there.
* *Open* goes to the panel where it is worked with. *Script …* shows the run as Python: exact where its job was stored, else
  rebuilt from what the file says, and it says so. *Export …* writes zip, CSV, netCDF or a page.
"""


class RunsPanel(Panel):
    """Two pages: queue and files."""

    key = "runs"
    title = "Campaigns and runs"
    tip = "What is waiting and running, and everything that was measured"
    order = 70
    help = HELP

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(desk, parent)
        self.queue = QueuePage(desk)
        self.browser = BrowserPage(desk)
        self.pages = QTabWidget()
        self.pages.setAccessibleName("Pages of campaigns and runs")
        for page, title, tip in (
            (self.queue, "Queue", "What waits, runs and ran"),
            (self.browser, "Files", "Everything below the runs folder"),
        ):
            self.pages.setTabToolTip(self.pages.addTab(page, title), tip)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.pages)
        self.browser.job_asked.connect(self._queue_job)
        self.pages.currentChanged.connect(lambda _: self.shown())

    def take_files(self, files: Sequence[Path]) -> None:
        """A job is queued; of anything else the first is looked at."""
        for path in map(Path, files):
            if path.name.startswith(Path(JOB_FILE).stem) and path.suffix == ".json":
                self._queue_job(path)
                return
            self.pages.setCurrentWidget(self.browser)
            self.browser.show_path(path)
            return

    def use_theme(self, theme: Theme) -> None:
        """Draw in these colours."""
        self.queue.use_theme(theme)
        self.browser.use_theme(theme)

    def shown(self) -> None:
        """Files may have come meanwhile."""
        self.queue.renew()
        if self.pages.currentWidget() is self.browser:
            self.browser.shown()

    def script_job(self) -> Job | None:
        """The chosen job, or the loop as the form has it."""
        row = self.queue.row
        if row is not None:
            return row.job
        return self.queue.loop.job()

    def _queue_job(self, path: Path) -> None:
        self.pages.setCurrentWidget(self.queue)
        self.queue.load(path)
