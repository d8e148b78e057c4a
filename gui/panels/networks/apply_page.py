"""The third page: what applying a network would change, a person's leave, and promised beside measured."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QCheckBox,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QSpinBox,
    QSplitter,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from gui.bridge import Ended
from gui.controller import State
from gui.desk import Desk
from gui.panels.networks.jobs import deploy_job, performed_apart, proposal_call
from gui.panels.networks.results import PromiseModel
from gui.panels.networks.tables import ApplyModel
from gui.panels.networks.traces_view import TracesView
from gui.panels.tables import table
from gui.panels.widgets import button, named, words
from gui.plots.drive_response import DriveResponsePlot
from gui.theme import Theme
from gui.widgets.job_controls import JobControls
from gui.widgets.path_choice import PathChoice
from gui.work import Work
from labctl.apply_table import ApplyTable, apply_table
from labctl.clearance import shortcomings
from labctl.errors import UsageError
from labctl.job import Job
from labctl.network_card import Traces, read_traces
from labctl.proposal import Proposal

OUTCOME, TRACES = "deployment.json", "traces.safetensors"
LOOKED = "I have looked at this table, and the bench may be driven like that"


@dataclass(frozen=True, slots=True)
class Looked:
    """What was read before a person was asked: for which network, what would change, what its gates lack."""

    network: Path
    table: ApplyTable
    faults: tuple[str, ...]
    rivals: bool


class ApplyPage(QWidget):
    """Nothing is written to an output before the box is ticked and the button pressed."""

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self._looked: Looked | None = None
        self._reading, self._after = False, ""
        self.network = PathChoice("Network", "Folder of an optimised network", what="folder")
        self.look = button(
            "Read what would change", "Read every output back, and compare; writes to no output", self._look
        )
        self.rivals = QCheckBox("rivals too")
        self.rivals.setChecked(True)
        self.rivals.setToolTip("Measure the reservoir and the unoptimised network as well, for comparison")
        self.repeats = QSpinBox(minimum=1, maximum=1000, value=3)
        named(self.repeats, "Repeats", "How often the held-out examples are played; their spread is the measured one")
        self.rows = ApplyModel(self)
        self.rows_view = table(
            self.rows, name="What would change", stretch=6, widths={0: 130, 1: 80, 2: 90, 3: 150, 4: 110, 5: 70}
        )
        self.told = words()
        self.reason = QLineEdit()
        named(self.reason, "Reason to apply it although gates were not passed",
              "Kept with everything that is measured")  # fmt: skip
        self.reason_label = QLabel("Reason to apply it all the same")
        self.confirm = QCheckBox(LOOKED)
        self.confirm.setToolTip("Applying writes to the outputs of the bench")
        self.controls = JobControls(
            desk, self.job, text="Apply and measure", panel="networks",
            tip="Bring set-points there, play the network, measure; the outputs end safe",
        )  # fmt: skip
        self.results = PromiseModel(self)
        self.results_view = table(self.results, name="Promised beside measured", stretch=0, widths={1: 70, 2: 120})
        self.traces = TracesView(desk.theme, name="Target, promised and measured")
        self.live = DriveResponsePlot(desk.bridge.box.samples, desk.theme)
        self.shown = QStackedWidget()
        self.outcome_label = words()
        self._lay_out()
        self._connect()
        self._show()

    def _lay_out(self) -> None:
        first = QHBoxLayout()
        first.addWidget(QLabel("Network"))
        first.addWidget(self.network, 1)
        first.addWidget(QLabel("Repeats"))
        first.addWidget(self.repeats)
        first.addWidget(self.rivals)
        first.addWidget(self.look)
        upper = QWidget()
        column = QVBoxLayout(upper)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.rows_view, 1)
        column.addWidget(self.told)
        row = QHBoxLayout()
        row.addWidget(self.reason_label)
        row.addWidget(self.reason, 1)
        column.addLayout(row)
        column.addWidget(self.confirm)
        column.addWidget(self.controls)
        measured = QGroupBox("Promised beside measured")
        column = QVBoxLayout(measured)
        column.addWidget(self.results_view, 1)
        column.addWidget(self.outcome_label)
        lower = QSplitter(Qt.Orientation.Horizontal)
        lower.addWidget(measured)
        self.shown.addWidget(self.traces)
        self.shown.addWidget(self.live)
        lower.addWidget(self.shown)
        lower.setSizes([430, 660])
        self.parts = QSplitter(Qt.Orientation.Vertical)
        self.parts.addWidget(upper)
        self.parts.addWidget(lower)
        self.parts.setSizes([300, 300])
        for splitter in (lower, self.parts):
            splitter.setChildrenCollapsible(False)
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 4, 4, 4)
        column.addLayout(first)
        column.addWidget(self.parts, 1)
        self._desk.remember(self.parts, "networks/apply_parts")

    def _connect(self) -> None:
        self.network.changed.connect(self._forget)
        self.rivals.toggled.connect(lambda _: self._forget())
        self.confirm.toggled.connect(lambda _: self._show())
        self.reason.textChanged.connect(lambda _: self._show())
        self._desk.controller.state_changed.connect(lambda _: self._show())
        self.controls.started.connect(self._follow)

    # ---- looking ---------------------------------------------------------------------------------------------------

    def show_network(self, folder: Path) -> None:
        """This network is to be applied."""
        self.network.set_path(folder)

    def _forget(self) -> None:
        """What was read is of another network, or of another moment."""
        self._looked, self._after = None, ""
        self.rows.reset(())
        self.confirm.setChecked(False)
        self._show()

    def _look(self) -> None:
        bench, folder, rivals = self._desk.controller.bench, self.network.path, self.rivals.isChecked()
        if bench is None or folder is None:
            return
        self._forget()
        self._reading = True
        read = performed_apart(proposal_call(folder))
        self._show()

        def work() -> Looked:
            proposal: Proposal = read()
            faults = [one for name in proposal.devices for one in shortcomings(name, proposal.gates.get(name, {}))]
            return Looked(folder, apply_table(bench, proposal, rivals=rivals), tuple(faults), rivals)

        self._desk.call(work, done=self._have_looked, failed=self._not_looked, name="Reading what would change")

    def _have_looked(self, looked: Looked) -> None:
        self._reading = False
        if looked.network == self.network.path and looked.rivals == self.rivals.isChecked():
            self._looked = looked
            self.rows.reset(looked.table.rows)
        self._show()

    def _not_looked(self, error: BaseException) -> None:
        self._reading = False
        self._show()
        self._desk.trouble(error, doing="Reading what would change")

    # ---- leave -----------------------------------------------------------------------------------------------------

    def why_not(self) -> str:
        """Why it cannot be applied now; "" if it can."""
        state, looked = self._desk.controller.state, self._looked
        if self._desk.controller.bench is None:
            return "No station is open: open one in the Station panel"
        if self.network.path is None:
            return "Choose the folder of an optimised network"
        if looked is None:
            return "Being read …" if self._reading else "Read what would change first"
        in_the_way = [
            f"Refused: {looked.table.why_not()}" * (not looked.table.ok),
            f"{looked.faults[0]}. Type a reason to apply it all the same" if self._lacks_reason(looked) else "",
            "Tick the box once you have looked at the table" * (not self.confirm.isChecked()),
            "" if state in (State.READY, State.RUNNING) else f"The bench is not ready: {state.value}",
        ]
        return next((why for why in in_the_way if why), "")

    def _lacks_reason(self, looked: Looked) -> bool:
        return bool(looked.faults) and not self.reason.text().strip()

    def _show(self) -> None:
        bench, looked = self._desk.controller.bench, self._looked
        ready = bench is not None and self._desk.controller.state is State.READY
        can_look = ready and self.network.path is not None and not self._reading
        self.look.setEnabled(can_look)
        why = "Choose the folder of an optimised network" if ready else "Open a station first, and let it be ready"
        self.look.setToolTip("Read every output back, and compare; writes to no output" if can_look else why)
        gated = looked is not None and bool(looked.faults)
        self.reason.setVisible(gated)
        self.reason_label.setVisible(gated)
        allowed = looked is not None and looked.table.ok
        self.confirm.setEnabled(allowed)
        self.confirm.setToolTip("Applying writes to the outputs of the bench" if allowed else self.why_not())
        self.controls.block(self.why_not())
        self.told.setText(self._told())

    def _told(self) -> str:
        looked = self._looked
        if self._reading:
            return "… the outputs are being read back"
        if looked is None:
            return self._after
        lines = [f"✗ {one}" for one in looked.table.problems]
        lines += [f"✗ {row.channel}: {row.refused}" for row in looked.table.rows if not row.ok]
        lines += [f"⚠ {one}" for one in (*looked.table.notes, *looked.faults)]
        return "\n".join(lines[:4]) or "✓ Everything lies within the limits; the twins passed their gates"

    def job(self) -> Job:
        """What the button does; raises UsageError while it may not be done."""
        why, bench, folder = self.why_not(), self._desk.controller.bench, self.network.path
        if why or bench is None or folder is None:
            raise UsageError(why)
        reason = self.reason.text().strip() if self._looked is not None and self._looked.faults else None
        return deploy_job(
            self._desk.new_folder("deployment"),
            folder,
            station=bench.station.path,
            n_repeats=self.repeats.value(),
            rivals=self.rivals.isChecked(),
            override=reason,
        )

    # ---- following -------------------------------------------------------------------------------------------------

    def _follow(self, work: Work) -> None:
        self.outcome_label.setText("")
        self.results.reset(())
        self.traces.show_traces(None)
        bench = self._desk.controller.bench
        if bench is not None:
            self.live.show_channels(bench.station.channels)
        self.shown.setCurrentWidget(self.live)
        work.frame.connect(lambda _: self.live.refresh() if self.live.isVisible() else None)
        work.ended.connect(lambda ended: self._end(work, ended))

    def _end(self, work: Work, ended: Ended) -> None:
        self.shown.setCurrentWidget(self.traces)
        self.confirm.setChecked(False)  # what was read is of before; another deployment wants another look
        self._looked = None
        self.rows.reset(())
        self._after = (
            "The outputs were made safe after the deployment. Before another one, read again what would change"
        )
        self._show()
        if ended.error is None:
            self.show_deployment(work.job.folder)

    def show_deployment(self, folder: Path) -> None:
        """Show what a deployment left in this folder."""

        def work() -> tuple[dict[str, Any], Traces]:
            return json.loads((folder / OUTCOME).read_text(encoding="utf-8")), read_traces(folder / TRACES)

        self._desk.call(work, done=lambda found: self._show_outcome(*found), name="Reading the deployment")

    def _show_outcome(self, outcome: dict[str, Any], traces: Traces) -> None:
        self.results.show_outcome(outcome)
        self.traces.show_traces(traces)
        told = [
            f"{outcome['task']}, {outcome['metric']}, lower is better; {outcome['device_seconds']:.3g} s of device time"
        ]
        if outcome["simulated"]:
            told.append("SIMULATED devices")
        if outcome["clearance"].get("override"):
            told.append(f"applied although gates were not passed, because: {outcome['clearance']['override']}")
        self.outcome_label.setText("\n".join(told))

    def use_theme(self, theme: Theme) -> None:
        """Draw in these colours."""
        self.traces.use_theme(theme)
        self.live.use_theme(theme)
