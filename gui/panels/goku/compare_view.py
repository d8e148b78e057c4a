"""Which of several equations says best how the traces go on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtGui import QStandardItem, QStandardItemModel
from PySide6.QtWidgets import QHBoxLayout, QLabel, QListView, QSplitter, QVBoxLayout, QWidget

from gui.bridge import Ended
from gui.desk import Desk
from gui.models.rows import Column, RowsModel
from gui.panels.tables import table
from gui.panels.widgets import named, words
from gui.widgets.job_controls import JobControls
from gui.work import Work
from labctl.calls import FOLDER, Call, call
from labctl.errors import UsageError
from labctl.goku_told import EquationTold
from labctl.job import Job

THIS = "the equation of step 1"


class CompareView(QWidget):
    """Candidates to be ticked; the outcome as a table. All must show the same channels."""

    def __init__(
        self,
        desk: Desk,
        *,
        called: Callable[[], str],
        source: Callable[[], Call],
        measured: Callable[[], Call],
        wishes: Callable[[], Call | None],
        seed: Callable[[], int],
    ) -> None:
        super().__init__()
        self._desk = desk
        self._known: tuple[EquationTold, ...] = ()
        self._called = called
        self._source, self._measured, self._wishes, self._seed = source, measured, wishes, seed
        self.candidates = QStandardItemModel()
        self.list = QListView()
        self.list.setModel(self.candidates)
        named(
            self.list,
            "Candidates",
            "Equations to compare; tick with the mouse or the space bar. Each is fitted to the same channels",
        )
        self.rows = RowsModel(
            [
                Column("Equation", "The best first", lambda row: row["equation"]),
                Column("Parameters", "How many are inferred", lambda row: str(row["parameters"]), right=True),
                Column("Log density", "Of what was held back (nats a sample)", _figure_of("log_density"), right=True),
                Column("To the best", "Difference with its standard error", lambda row: row["to_the_best"], right=True),
                Column("NRMSE", "Error of the forecast; less is better", _figure_of("nrmse"), right=True),
                Column("Not trusted", "Traces whose numbers say little", lambda row: str(row["not_trusted"]), right=True),
            ]
        )  # fmt: skip
        self.table = table(
            self.rows, name="Equations compared", stretch=0, widths={1: 90, 2: 100, 3: 150, 4: 80, 5: 90}
        )
        self.words = words("headline")
        self.words.setAccessibleName("Verdict of the comparison")
        self.words.setText(
            "Tick two equations or more and press Compare: each is fitted to the first 70 % of every trace and judged on the rest."
        )
        self.controls = JobControls(
            desk,
            self.job,
            text="&Compare",
            tip="Fit every ticked equation and judge it on what was held back",
            panel="goku",
        )
        self.controls.started.connect(self._follow)
        left = QWidget()
        column = QVBoxLayout(left)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(QLabel("Candidates"))
        column.addWidget(self.list, 1)
        right = QWidget()
        column = QVBoxLayout(right)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.words)
        column.addWidget(self.table, 1)
        both = QSplitter()
        both.addWidget(left)
        both.addWidget(right)
        both.setSizes([230, 800])
        both.setChildrenCollapsible(False)
        row = QHBoxLayout()
        row.addWidget(self.controls)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 4, 0, 0)
        column.addWidget(both, 1)
        column.addLayout(row)

    def show_equations(self, known: Sequence[EquationTold]) -> None:
        """Those there are; that of step 1 is always one, and ticked."""
        self._known = tuple(known)
        names = [one.name for one in known]
        ticked = set(self._ticked()) or {THIS}
        self.candidates.clear()
        for name in (THIS, *names):
            item = QStandardItem(name)
            item.setEditable(False)
            item.setCheckable(True)
            item.setCheckState(Qt.CheckState.Checked if name in ticked else Qt.CheckState.Unchecked)
            self.candidates.appendRow(item)

    def job(self) -> Job:
        """Raises UsageError."""
        names = self._ticked()
        if len(names) < 2:
            raise UsageError("tick at least two equations to compare")
        measured, wishes = self._measured(), self._wishes() or call("labctl.goku_channels:Wishes")
        chosen: dict[str, Any] = {}
        for name in names:
            if name == THIS:
                chosen[f"{self._called()} (step 1)"] = (self._source(), wishes)
            else:
                told = next(one for one in self._known if one.name == name)
                chosen[name] = (call("labctl.goku_equation:equation_named", name), wishes_for(told, wishes))
        made = call("labctl.campaigns.study_goku:compared_goku", chosen, measured, seed=self._seed(), folder=FOLDER)
        return Job(f"Compare {len(names)} equations", made, self._desk.new_folder("goku-comparison"), seed=self._seed())

    def _ticked(self) -> list[str]:
        items = [self.candidates.item(row) for row in range(self.candidates.rowCount())]
        return [item.text() for item in items if item.checkState() == Qt.CheckState.Checked]

    def _follow(self, work: Work) -> None:
        self.rows.reset([])
        self.words.setText("Comparing …")
        work.ended.connect(self._show)

    def _show(self, ended: Ended) -> None:
        if ended.error is not None:
            self.words.setText("Nothing was compared." if ended.stopped else f"✗ {ended.error}")
            return
        outcome: Mapping[str, Any] = ended.result
        simulated = "SIMULATED traces. " if outcome["simulated"] else ""
        self.words.setText(f"{simulated}{outcome['verdict']}.")
        self.rows.reset(outcome["rows"])


def wishes_for(told: EquationTold, wishes: Call) -> Call:
    """The same channels and drives for another equation: outputs of the same names, else in order. Raises UsageError."""
    channels: Mapping[str, str] = wishes.options.get("observe", {})
    outputs = [one.name for one in told.outputs]
    if not set(channels.values()) <= set(outputs):
        if len(outputs) < len(channels):
            raise UsageError(
                f"{told.name} has {len(outputs)} output{'s' * (len(outputs) != 1)}, and {len(channels)} channels are used: "
                "set some to 'not used' in 2 Traces"
            )
        channels = dict(zip(channels, outputs, strict=False))
    driving: Mapping[str, str] = wishes.options.get("drive_as", {})
    drives = [one.name for one in told.drives]
    if len(drives) != len(driving):
        has, given = (f"{n} drive{'s' * (n != 1)}" if n else "no drive" for n in (len(drives), len(driving)))
        raise UsageError(f"{told.name} has {has}, and the equation of step 1 has {given}: they cannot be compared")
    if set(driving.values()) != set(drives):
        raise UsageError(f"{told.name} is driven by {', '.join(drives)}: candidates need drives of the same names")
    return call("labctl.goku_channels:Wishes", **{**wishes.options, "observe": dict(channels)})


def _figure_of(name: str) -> Callable[[Any], str]:
    def text(row: Mapping[str, Any]) -> str:
        value = row[name]
        return "–" if value is None else f"{value:.4g}"

    return text
