"""The Networks panel: from twins to a network on the bench, page by page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtWidgets import QTabWidget, QVBoxLayout, QWidget

from gui.desk import Desk
from gui.panels.networks.apply_page import ApplyPage
from gui.panels.networks.bench_page import BenchPage
from gui.panels.networks.document import NetworkDocument
from gui.panels.networks.help_text import HELP
from gui.panels.networks.measured_box import OUTCOME
from gui.panels.networks.network_page import NetworkPage
from gui.panels.networks.optimise_page import OptimisePage
from gui.panels.panel import Panel
from gui.theme import Theme
from labctl.job import Job

TIPS = (
    "Task, twins, and the drawing of the network",
    "Train the network on the twins, and see what is promised",
    "What would change on the bench, a person's leave, promised beside measured",
    "What else can be done with a network on the bench",
)


class NetworksPanel(Panel):
    """Draw a network of devices, optimise it on their twins, apply it, measure it."""

    key = "networks"
    title = "Networks"
    tip = "Join twins to a network, optimise it, apply it to the bench"
    order = 40
    help = HELP

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(desk, parent)
        self.document = NetworkDocument(desk.undo, self, settings=desk.settings)
        self.network_page = NetworkPage(desk, self.document)
        self.optimise_page = OptimisePage(desk, self.document)
        self.apply_page = ApplyPage(desk)
        self.bench_page = BenchPage(desk, self.document)
        self.pages = QTabWidget()
        self.pages.setAccessibleName("Pages of the panel")
        self.pages.addTab(self.network_page, "&1  Network")
        self.pages.addTab(self.optimise_page, "&2  Optimise")
        self.pages.addTab(self.apply_page, "&3  Apply and measure")
        self.pages.addTab(self.bench_page, "&4  More")
        for number, tip in enumerate(TIPS):
            self.pages.setTabToolTip(number, tip)
        self.optimise_page.finished.connect(self.apply_page.show_network)
        self.optimise_page.finished.connect(self.bench_page.show_network)
        self.network_page.go_on.connect(self._go_on)
        self.optimise_page.apply_asked.connect(lambda: self.pages.setCurrentWidget(self.apply_page))
        self.pages.currentChanged.connect(lambda _: self._arrive())
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.pages)

    def shown(self) -> None:
        """Look for twins when it is first looked at."""
        self.network_page.shown()
        self._arrive()

    def _arrive(self) -> None:
        if self.isVisible() and self.pages.currentWidget() is self.apply_page:
            self.apply_page.arrive()

    def _go_on(self) -> None:
        self.pages.setCurrentWidget(self.optimise_page)
        self.optimise_page.controls.start_button.setFocus()

    def use_theme(self, theme: Theme) -> None:
        """Draw in these colours."""
        for page in (self.network_page, self.optimise_page, self.apply_page, self.bench_page):
            page.use_theme(theme)

    def take_files(self, files: Sequence[Path]) -> None:
        """Network files, twins, folders of networks and of deployments."""
        twins = []
        for given in files:
            path = given.parent if given.name in ("network.json", OUTCOME) else given
            if path.suffix == ".toml":
                self.network_page.file_row.open_file(path)
                self.pages.setCurrentWidget(self.network_page)
            elif (path / "network.json").is_file():
                self.optimise_page.show_network(path)
                self.apply_page.show_network(path)
                self.bench_page.show_network(path)
                self.pages.setCurrentWidget(self.apply_page)
            elif (path / OUTCOME).is_file():
                self.apply_page.show_deployment(path)
                self.pages.setCurrentWidget(self.apply_page)
            else:
                twins.append(path)
        if twins:
            self.network_page.take_twins(twins)
            self.pages.setCurrentWidget(self.network_page)

    def script_job(self) -> Job | None:
        """Of the page that is shown; of the drawing, optimising it. Raises LabctlError for what is missing."""
        page = self.pages.currentWidget()
        return page.job() if isinstance(page, OptimisePage | ApplyPage | BenchPage) else self.optimise_page.job()
