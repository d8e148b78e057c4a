"""The third page: what applying a network would change, a person's leave, and promised beside measured."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QCheckBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QSpinBox,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from gui.bridge import Ended
from gui.controller import State
from gui.desk import Desk
from gui.panels.networks.boxes import allow, lift
from gui.panels.networks.jobs import deploy_job
from gui.panels.networks.looking import Looked, Looking
from gui.panels.networks.measured_box import MeasuredBox
from gui.panels.networks.tables import ApplyModel
from gui.panels.tables import table
from gui.panels.widgets import button, named, words
from gui.theme import Theme
from gui.widgets.job_controls import JobControls
from gui.widgets.path_choice import PathChoice
from gui.work import Work
from labctl.apply_table import ApplyRow
from labctl.errors import UsageError
from labctl.job import Job
from labctl.safety import SafeReport

LOOK_TIP = "Read every output back, and compare; writes to no output"
LOOKED = "I have looked at this table, and the bench may be driven like that"


class ApplyPage(QWidget):
    """Nothing is written to an output before the box is ticked and the button pressed."""

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self.looking = Looking(desk, self)
        self._after, self._outputs = "", ""
        self.network = PathChoice("Network", "Folder of an optimised network", what="folder")
        self.look = button("Read what would change", LOOK_TIP, self._look)
        self.rivals = QCheckBox("comparison networks, too")
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
        self.measured = MeasuredBox(desk)
        self._applied: tuple[ApplyRow, ...] = ()
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
        self.parts = QSplitter(Qt.Orientation.Vertical)
        self.parts.addWidget(upper)
        self.parts.addWidget(self.measured)
        self.parts.setSizes([300, 300])
        self.parts.setChildrenCollapsible(False)
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 4, 4, 4)
        column.addLayout(first)
        column.addWidget(self.parts, 1)
        self._desk.remember(self.parts, "networks/apply_parts")

    def _connect(self) -> None:
        self.network.changed.connect(self._forget)
        self.rivals.toggled.connect(lambda _: self._forget())
        self.looking.changed.connect(self._looked_anew)
        self._desk.controller.made_safe.connect(self._tell_outputs)
        self.confirm.toggled.connect(lambda _: self._show())
        self.reason.textChanged.connect(lambda _: self._show())
        self._desk.controller.state_changed.connect(lambda _: self._show())
        self.controls.started.connect(self._follow)

    # ---- looking ---------------------------------------------------------------------------------------------------

    def show_network(self, folder: Path) -> None:
        """This network is to be applied."""
        self.network.set_path(folder)

    def arrive(self) -> None:
        """Somebody comes to look: read what would change, which drives nothing, so that a person looks, ticks, applies."""
        if self._can_look() and self.looking.looked is None and not self._after:
            self._look()

    def _forget(self) -> None:
        """What was read is of another network, or of another moment."""
        self._after = self._outputs = ""
        self.rows.reset(())
        self.looking.forget()

    def _can_look(self) -> bool:
        ready = self._desk.controller.bench is not None and self._desk.controller.state is State.READY
        return ready and self.network.path is not None and not self.looking.reading

    def _look(self) -> None:
        if self._can_look() and self.network.path is not None:
            self._after = self._outputs = ""
            self.looking.read(self.network.path, rivals=self.rivals.isChecked())

    def _looked_anew(self) -> None:
        looked = self.looking.looked
        if looked is not None:
            self.rows.reset(looked.table.rows)
        elif not self._after:
            self.rows.reset(())
        self.confirm.setChecked(False)
        self._show()

    # ---- leave -----------------------------------------------------------------------------------------------------

    def why_not(self) -> str:
        """Why it cannot be applied now; "" if it can."""
        state, looked = self._desk.controller.state, self.looking.looked
        if self._desk.controller.bench is None:
            return "No station is open: open one in the Station panel"
        if self.network.path is None:
            return "Choose the folder of an optimised network"
        if looked is None:
            return "Being read …" if self.looking.reading else self.looking.void or "Read what would change first"
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
        looked = self.looking.looked
        ready = self._desk.controller.bench is not None and self._desk.controller.state is State.READY
        why = "Choose the folder of an optimised network" if ready else "Open a station first, and let it be ready"
        allow(self.look, LOOK_TIP, "" if self._can_look() else "Being read …" if self.looking.reading else why)
        gated = looked is not None and bool(looked.faults)
        self.reason.setVisible(gated)
        self.reason_label.setVisible(gated)
        allowed = looked is not None and looked.table.ok
        allow(self.confirm, "Applying writes to the outputs of the bench", "" if allowed else self.why_not())
        self.controls.block(self.why_not())
        lift(self.look, looked is None)
        lift(self.controls.start_button, looked is not None)
        self.told.setText(self._told())

    def _told(self) -> str:
        looked = self.looking.looked
        if self.looking.reading:
            return "… the outputs are being read back; nothing is driven"
        if looked is None:
            return "\n".join(one for one in (self._after, self._outputs) if one) or self.looking.void
        lines = [f"✗ {one}" for one in looked.table.problems]
        lines += [f"✗ {row.channel}: {row.refused}" for row in looked.table.rows if not row.ok]
        lines += [f"⚠ {one}" for one in (*looked.table.notes, *looked.faults)]
        return "\n".join(lines[:4]) or "✓ Everything lies within the limits; the twins passed their gates"

    def job(self) -> Job:
        """What the button does; raises UsageError while it may not be done."""
        why, bench, folder = self.why_not(), self._desk.controller.bench, self.network.path
        if why or bench is None or folder is None:
            raise UsageError(why)
        looked = self.looking.looked
        if looked is None:
            raise UsageError("Read what would change first")
        self._applied = tuple(looked.table.rows)
        reason = self.reason.text().strip() if looked.faults else None
        return deploy_job(
            self._desk.new_folder("deployment"),
            folder,
            station=bench.station.path,
            n_repeats=self.repeats.value(),
            rivals=self.rivals.isChecked(),
            override=reason,
            confirmed=looked.fingerprint,
        )

    # ---- following -------------------------------------------------------------------------------------------------

    def _follow(self, work: Work) -> None:
        """The table stays to be read beside what is measured; another deployment wants another look."""
        self._after, self._outputs = "▶ This is being applied and measured", ""
        self.looking.forget()
        self.rows.reset(self._applied)
        self.measured.follow(work)
        work.ended.connect(lambda ended: self._end(work, ended))
        self._show()

    def _end(self, work: Work, ended: Ended) -> None:
        when = datetime.now().astimezone().strftime("%H:%M")
        head = "✓ Applied and measured" if ended.error is None else "■ Stopped" if ended.stopped else "✗ Broken off"
        self._after = f"{head} at {when}; the table shows what was applied. Before another one, read again"
        self._outputs = self._outputs or "… the outputs are being made safe"
        self._show()
        self.measured.end(work.job.folder, ended)

    def _tell_outputs(self, report: SafeReport) -> None:
        """However a deployment ended, the bench was made safe afterwards: say what was read back."""
        if not self._after:
            return
        unsafe = [one.channel for one in report.channels if not one.ok] or ["see the log"]
        self._outputs = (
            "All outputs are safe, read back"
            if report.ok
            else f"⚠ OUTPUTS NOT KNOWN TO BE SAFE: {', '.join(unsafe)}. Switch off by hand"
        )
        self._show()
        self.told.setToolTip(str(report))

    def show_deployment(self, folder: Path) -> None:
        """Show what a deployment left in this folder."""
        self.measured.show_deployment(folder)

    def use_theme(self, theme: Theme) -> None:
        """Draw in these colours."""
        self.measured.use_theme(theme)
