"""The fourth page: what else can be done with a network on the bench, each with a form of its main options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QScrollArea,
    QSpinBox,
    QSplitter,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from gui.bridge import Ended, Frame
from gui.controller import State
from gui.desk import Desk
from gui.models.results import FiguresModel
from gui.models.steps import StepsModel
from gui.panels.networks.document import NetworkDocument
from gui.panels.networks.offered import HOME, OFFERED, Offered
from gui.panels.networks.until_drawn import UntilDrawn
from gui.panels.tables import ProgressDelegate, table
from gui.panels.widgets import named, words
from gui.plots.learning_plot import LearningPlot
from gui.theme import Theme
from gui.widgets.job_controls import JobControls
from gui.widgets.number_field import NumberField
from gui.widgets.path_choice import PathChoice
from gui.work import Work
from labctl.calls import BENCH, FOLDER, call
from labctl.errors import UsageError
from labctl.events import Figures, Reported, Warned
from labctl.job import Job
from labctl.network_editing import standing_alone, text_of

CONFIRM = "The bench may be driven as the station's limits allow"
LARGEST_SEED = 2**31 - 1


class BenchPage(QWidget):
    """Choose a campaign, fill its form, start it; its steps and figures stand in tables."""

    def __init__(self, desk: Desk, document: NetworkDocument, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._desk, self._document = desk, document
        self.choice = QComboBox()
        self.choice.addItems([one.title for one in OFFERED])
        named(self.choice, "Campaign", "What to do with the network on the bench")
        self.told = words("dim")
        self.network = PathChoice("Network", "Folder of an optimised network", what="folder")
        self.network_label = QLabel("Network")
        self.fields: list[dict[str, NumberField]] = []
        self.flags: list[dict[str, QCheckBox]] = []
        self.forms = QStackedWidget()
        self.seed = QSpinBox(maximum=LARGEST_SEED, value=1)
        named(self.seed, "Seed", "Seed of all random choices")
        self.reason = QLineEdit()
        named(
            self.reason,
            "Reason, if gates were not passed",
            "Needed where a twin did not pass its gates; kept with the outcome",
        )
        self.confirm = QCheckBox(CONFIRM)
        self.confirm.setToolTip("It plays many networks; none leaves the limits of the station. The outputs end safe")
        self.controls = JobControls(
            desk, self.job, text="Start", panel="networks", tip="Play and train; the outputs end safe"
        )
        self.steps = StepsModel(self)
        self.figures = FiguresModel(self)
        self.learning = LearningPlot(desk.theme)
        self.curves = UntilDrawn(self.learning, "Its steps appear above, what is learned here, its figures below")
        self.warned = words()
        self._lay_out()
        self._connect()
        self._choose(0)

    def _make_forms(self) -> None:
        """A page of the stack for every campaign that is offered."""
        for one in OFFERED:
            page = QWidget()
            form = QFormLayout(page)
            form.setContentsMargins(0, 0, 0, 0)
            self.fields.append({option.name: option.field() for option in one.options})
            for option in one.options:
                form.addRow(option.title, self.fields[-1][option.name])
            self.flags.append({})
            for name, (text, tip) in one.flags.items():
                box = QCheckBox(text)
                box.setToolTip(tip)
                self.flags[-1][name] = box
                form.addRow(box)
            self.forms.addWidget(page)

    def _lay_out(self) -> None:
        self._make_forms()
        left = QWidget()
        column = QVBoxLayout(left)
        column.setContentsMargins(4, 0, 6, 0)
        head = QFormLayout()
        head.addRow("Do", self.choice)
        column.addLayout(head)
        column.addWidget(self.told)
        column.addWidget(self.network_label)
        column.addWidget(self.network)
        column.addWidget(self.forms)
        tail = QFormLayout()
        tail.addRow("Seed", self.seed)
        tail.addRow("Reason", self.reason)
        column.addLayout(tail)
        column.addStretch(1)
        scroll = QScrollArea(widgetResizable=True)
        scroll.setFrameShape(QScrollArea.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(left)
        scroll.viewport().setAutoFillBackground(False)
        left.setAutoFillBackground(False)
        steps = table(self.steps, name="Steps", stretch=0, widths={1: 80, 2: 60, 3: 150})
        steps.setItemDelegateForColumn(1, ProgressDelegate(steps))
        figures = table(self.figures, name="Figures", stretch=2, widths={0: 170, 1: 150})
        right = QSplitter(Qt.Orientation.Vertical)
        for widget in (steps, self.curves, figures):
            right.addWidget(widget)
        right.setSizes([130, 300, 130])
        self.parts = QSplitter(Qt.Orientation.Horizontal)
        self.parts.addWidget(scroll)
        self.parts.addWidget(right)
        self.parts.setSizes([330, 760])
        for splitter in (right, self.parts):
            splitter.setChildrenCollapsible(False)
        row = QHBoxLayout()
        row.addWidget(self.confirm)
        row.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 4, 4, 4)
        column.addWidget(self.parts, 1)
        column.addWidget(self.warned)
        column.addLayout(row)
        column.addWidget(self.controls)

    def _connect(self) -> None:
        self.choice.currentIndexChanged.connect(self._choose)
        self.network.changed.connect(self._show)
        self.confirm.toggled.connect(lambda _: self._show())
        self._document.changed.connect(self._show)
        self._desk.controller.state_changed.connect(lambda _: self._show())
        self.controls.started.connect(self._follow)

    # ---- the job ---------------------------------------------------------------------------------------------------

    @property
    def offered(self) -> Offered:
        """The campaign that is chosen."""
        return OFFERED[self.choice.currentIndex()]

    def show_network(self, folder: Path) -> None:
        """This network is to be used."""
        self.network.set_path(folder)

    def why_not(self) -> str:
        """Why it cannot be started now; "" if it can."""
        draft, offered = self._document.draft, self.offered
        lacking = [name for name in draft.devices if name not in draft.twins]
        in_the_way = [
            "" if self._desk.controller.bench is not None else "No station is open: open one in the Station panel",
            "Choose the folder of an optimised network" if offered.optimised and self.network.path is None else "",
            "" if offered.optimised else self._document.problem(),
            f"No twin is chosen for {', '.join(lacking)}: add it on the first page" if lacking else "",
            "" if draft.twins else "No twin is chosen: add them on the first page",
            "" if self.confirm.isChecked() else "Tick the box: this drives the bench",
            "" if self._desk.controller.state in (State.READY, State.RUNNING) else "The bench is not ready",
        ]
        return next((why for why in in_the_way if why), "")

    def job(self) -> Job:
        """What the button does; raises UsageError while it may not be done, or for a field that cannot be taken."""
        why, bench = self.why_not(), self._desk.controller.bench
        if why or bench is None:
            raise UsageError(why)
        number, offered, draft = self.choice.currentIndex(), self.offered, self._document.draft
        options: dict[str, Any] = {"seed": self.seed.value()}
        for option in offered.options:
            entry = self.fields[number][option.name]
            if entry.trouble:
                raise UsageError(f"{option.title}: {entry.trouble}")
            if entry.value is not None:
                options[option.name] = int(entry.value) if option.whole else entry.value
        options |= {name: True for name, box in self.flags[number].items() if box.isChecked()}
        if self.reason.text().strip():
            options["override"] = self.reason.text().strip()
        function = f"{HOME}:{offered.function}"
        if offered.optimised:
            made = call(function, BENCH, self.network.path, dict(draft.twins), folder=FOLDER, **options)
        else:
            twins = {name: draft.twins[name] for name in draft.devices}
            made = call(
                function,
                BENCH,
                twins,
                folder=FOLDER,
                text=text_of(standing_alone(draft, self._document.path)),
                **options,
            )
        folder = self._desk.new_folder(offered.function.removesuffix("_into").replace("_", "-"))
        return Job(offered.title, made, folder, bench.station.path, seed=self.seed.value())

    # ---- showing ---------------------------------------------------------------------------------------------------

    def _choose(self, number: int) -> None:
        self.forms.setCurrentIndex(number)
        self.told.setText(self.offered.told)
        self.network.setVisible(self.offered.optimised)
        self.network_label.setVisible(self.offered.optimised)
        self._show()

    def _show(self) -> None:
        self.controls.block(self.why_not())

    def _follow(self, work: Work) -> None:
        self.steps.clear()
        self.figures.reset(())
        self.learning.clear()
        self.curves.show_drawn(False)
        self.warned.setText("")
        work.frame.connect(self._take)
        work.ended.connect(self._end)

    def _take(self, frame: Frame) -> None:
        self.steps.take(frame.events)
        self.learning.take(frame.events)
        if any(isinstance(event, Figures) for event in frame.events):
            self.curves.show_drawn(True)
        self.learning.refresh()
        for event in frame.events:
            if isinstance(event, Reported):
                self.figures.take(event.key, event.outcome, event.files)
            elif isinstance(event, Warned):
                self.warned.setText(f"⚠ {event.message}")

    def _end(self, _ended: Ended) -> None:
        self.steps.break_off()
        self.learning.refresh()
        self.confirm.setChecked(False)

    def use_theme(self, theme: Theme) -> None:
        """Draw in these colours."""
        self.learning.use_theme(theme)
