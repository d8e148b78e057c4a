"""The second page: optimise the network on the twins, live, and see what is promised."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QCheckBox, QGroupBox, QHBoxLayout, QLabel, QSpinBox, QSplitter, QVBoxLayout, QWidget

from gui.bridge import Ended, Frame
from gui.desk import Desk
from gui.panels.networks.boxes import allow, lift, while_there
from gui.panels.networks.document import NetworkDocument
from gui.panels.networks.jobs import optimise_job
from gui.panels.networks.results import PromiseModel
from gui.panels.networks.traces_view import TracesView
from gui.panels.networks.until_drawn import UntilDrawn
from gui.panels.tables import table
from gui.panels.widgets import button, named, words
from gui.plots.learning_plot import LearningPlot
from gui.theme import Theme
from gui.widgets.job_controls import JobControls
from gui.widgets.number_field import NumberField
from gui.work import Work
from labctl.calls import Call, call
from labctl.errors import UsageError
from labctl.events import Figures, Warned
from labctl.job import Job
from labctl.network_card import NetworkCard, read_card
from labctl.network_editing import standing_alone, text_of
from labctl.unfinished import STATE

LARGEST_SEED = 2**31 - 1
DEFAULT_SECONDS = 30.0
"""All 220 iterations of the usual network of one device took 19 s on two idle cores; with a limit of 15 s it lost 7 %."""


class OptimisePage(QWidget):
    """`finished` has the folder of the optimised network; `apply_asked`: a person wants to apply it."""

    finished = Signal(object)
    apply_asked = Signal()

    def __init__(self, desk: Desk, document: NetworkDocument, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._desk, self._document = desk, document
        self._resumable: tuple[Path, str] | None = None
        self.card: NetworkCard | None = None
        self.seconds = NumberField(
            "Time for the optimiser", "After so much wall time it ends; empty: as many iterations as the task's plan has. "
            "Searching the reservoir and judging come on top", unit="s", low=0.5, high=1e6, optional=True,
            value=DEFAULT_SECONDS,
        )  # fmt: skip
        self.seed = QSpinBox(maximum=LARGEST_SEED, value=1)
        named(self.seed, "Seed", "Seed of first weights and noise; examples have a seed of their own")
        self.limits = QCheckBox("within the open station's limits")
        self.limits.setChecked(True)
        self.limits.setToolTip("Drives stay within the limits of the station that is open, besides the fitted ranges")
        self.controls = JobControls(
            desk, self.job, text="Optimise", panel="networks", keys="Ctrl+Return",
            tip="Train the network on the twins, with their noise (Ctrl+Return)",
        )  # fmt: skip
        self.controls.started.connect(self._follow)
        self.resume = button("Go on", "Go on where the last one was stopped", self._go_on)
        self.learning = LearningPlot(desk.theme)
        self.curves = UntilDrawn(
            self.learning, "Press Optimise: the errors of the network on the twins appear here, live"
        )
        self.traces = TracesView(
            desk.theme,
            name="Held-out predictions of the twins beside their target",
            empty="What the twins promise appears here, beside its target, once the network is optimised",
        )
        self.promises = PromiseModel(self)
        self.promises_view = table(self.promises, name="Promised", stretch=0, widths={1: 70, 2: 130})
        self.told = words()
        self.deploy = button("Apply to the bench …", "Go on to the page that applies it", self._ask_apply)
        self._lay_out()
        document.changed.connect(self._show)
        self._show()

    def _lay_out(self) -> None:
        row = QHBoxLayout()
        row.addWidget(QLabel("Time"))
        row.addWidget(self.seconds)
        self.seconds.setMaximumWidth(self.fontMetrics().averageCharWidth() * 18)
        row.addWidget(QLabel("Seed"))
        row.addWidget(self.seed)
        row.addWidget(self.limits)
        row.addStretch(1)
        row.addWidget(self.resume)
        result = QGroupBox("Promised by the twins, on held-out examples")
        column = QVBoxLayout(result)
        column.addWidget(self.promises_view, 1)
        column.addWidget(self.told)
        column.addWidget(self.deploy)
        upper = QSplitter(Qt.Orientation.Horizontal)
        upper.addWidget(self.curves)
        upper.addWidget(result)
        upper.setStretchFactor(0, 3)
        upper.setStretchFactor(1, 2)
        upper.setSizes([620, 470])
        self.parts = QSplitter(Qt.Orientation.Vertical)
        self.parts.addWidget(upper)
        self.parts.addWidget(self.traces)
        for splitter in (upper, self.parts):
            splitter.setChildrenCollapsible(False)
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 4, 4, 4)
        column.addLayout(row)
        column.addWidget(self.controls)
        column.addWidget(self.parts, 1)
        self._desk.remember(self.parts, "networks/optimise_parts")
        self._desk.remember(self.seconds.edit, "networks/seconds")
        self._desk.remember(self.seed, "networks/seed")

    # ---- the job ---------------------------------------------------------------------------------------------------

    def job(self) -> Job:
        """What the button does; raises UsageError for what is missing, NetworkFileError for a network that is not whole."""
        return self._job(self._desk.new_folder(f"network-{self._task_word()}"))

    def _job(self, folder: Path) -> Job:
        document, draft = self._document, self._document.draft
        problem = document.problem()
        if problem:
            raise UsageError(problem)
        if self.seconds.trouble:
            raise UsageError(f"Time for the optimiser: {self.seconds.trouble}")
        saved = document.path is not None and not document.modified
        return optimise_job(
            folder,
            {device: draft.twins[device] for device in draft.devices},
            title=f"Optimise {self._task_word()}",
            network=document.path if saved else None,
            text=None if saved else text_of(standing_alone(draft, document.path)),
            station=self._station(),
            seconds=self.seconds.value,
            seed=self.seed.value(),
        )

    def _station(self) -> Path | Call | None:
        bench, simulated = self._desk.controller.bench, self._desk.controller.simulated_name
        if bench is None or not self.limits.isChecked():
            return None
        if simulated:  # its own file goes when the bench does; the limits are those of the file that it was filled from
            return call("labctl.simulation:bundled_station_file", simulated)
        path = bench.station.path
        return path if path is not None and path.is_file() else None

    def _task_word(self) -> str:
        return self._document.draft.task.rpartition(":")[2] or "network"

    def _go_on(self) -> None:
        if self._resumable is not None:
            folder, _ = self._resumable
            self.controls.follow(self._desk.start(self._job(folder), panel="networks"))

    # ---- following -------------------------------------------------------------------------------------------------

    def _follow(self, work: Work) -> None:
        text, self.card = text_of(self._document.draft), None
        self.promises.reset(())
        self.traces.show_traces(None)
        self.learning.clear()
        self.curves.say("… preparing: processes are started, twins are read")
        self.curves.show_drawn(False)
        self.told.setText("")
        self._resumable = None
        self._show()
        work.frame.connect(self._take)
        work.ended.connect(lambda ended: self._end(work, ended, text))

    def _take(self, frame: Frame) -> None:
        self.learning.take(frame.events)
        if any(isinstance(event, Figures) for event in frame.events):
            self.curves.show_drawn(True)
        self.learning.refresh()
        warned = [event.message for event in frame.events if isinstance(event, Warned)]
        if warned:
            self.told.setText("\n".join(f"⚠ {one}" for one in warned))

    def _end(self, work: Work, ended: Ended, text: str) -> None:
        self.learning.refresh()
        if ended.error is not None:
            if (work.job.folder / STATE).is_file():
                self._resumable = (work.job.folder, text)
            self._show()
            return
        self.show_network(work.job.folder, told=True)

    def show_network(self, folder: Path, *, told: bool = False) -> None:
        """Show what is promised of the network in this folder."""

        def done(card: NetworkCard) -> None:
            self.card = card
            self.promises.show_card(card)
            self.traces.show_traces(card.traces)
            faults = [f"⚠ {one}" for one in card.faults]
            self.told.setText("\n".join([*faults[:3], f"Lower is better ({card.metric})."]))
            self.told.setToolTip("\n".join(faults))
            self._show()
            if told:
                self.finished.emit(folder)

        self._desk.call(lambda: read_card(folder), done=while_there(self, done), name="Reading the network")

    def _show(self) -> None:
        self.controls.block(self._document.problem())
        can = self._resumable is not None and self._resumable[1] == text_of(self._document.draft)
        self.resume.setEnabled(can)
        why = "Nothing was stopped" if self._resumable is None else "The network was changed since it was stopped"
        self.resume.setToolTip("Go on where the last one was stopped: its state was kept" if can else why)
        allow(self.deploy, "Go on to the page that applies it", "" if self.card else "Optimise a network first")
        lift(self.deploy, self.card is not None)
        lift(self.controls.start_button, self.card is None)

    def _ask_apply(self) -> None:
        if self.card is not None:
            self.finished.emit(self.card.folder)
            self.apply_asked.emit()

    def use_theme(self, theme: Theme) -> None:
        """Draw in these colours."""
        self.learning.use_theme(theme)
        self.traces.use_theme(theme)
