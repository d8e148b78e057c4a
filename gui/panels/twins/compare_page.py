"""Compare: the ticked twins side by side on recordings that none of them has seen."""

from __future__ import annotations

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QVBoxLayout

from gui.bridge import Ended
from gui.desk import Desk
from gui.models.rows import Column, RowsModel
from gui.panels.tables import table
from gui.panels.twins.jobs import compare_job, trouble_judging
from gui.panels.twins.page import Page
from gui.panels.twins.shelf import Shelf
from gui.panels.widgets import words
from gui.work import Work
from labctl.campaigns.compare_twins import ComparedTwin, Comparison
from labctl.job import Job

SEED = 1
EMPTY = (
    "Tick two twins or more in the list on the left, and a recording under Judge that none of them was trained on; then "
    "press Compare. It says which foresees the device better, and whether that is more than chance."
)


class ComparePage(Page):
    """A button, a table, and the verdict."""

    def __init__(self, desk: Desk, shelf: Shelf) -> None:
        super().__init__(desk, shelf)
        self.what, self.verdict = words("hint"), words("headline")
        self.verdict.setAccessibleName("Which twin is better")
        self.controls = self.control(text="Compare", tip="Ask each ticked twin for free runs, input by input")
        self.controls.started.connect(self._follow)
        self.model = compared_model(self)
        view = table(self.model, name="Twins compared", stretch=0, widths=dict.fromkeys(range(1, 9), 92))
        column = QVBoxLayout(self)
        column.addWidget(self.what)
        column.addWidget(self.controls)
        column.addWidget(self.verdict)
        column.addWidget(view, 1)
        shelf.twins.ticked.connect(self._check)
        shelf.recordings.ticked.connect(self._check)
        self._check()

    def make(self) -> Job:
        """The comparison of what is ticked."""
        return compare_job(
            self.shelf.twins.compared,
            self.shelf.recordings.judged_on,
            seed=SEED,
            folder=self.desk.new_folder("compare"),
        )

    def _check(self) -> None:
        twins, judging = self.shelf.twins.compared, self.shelf.recordings.judged_on
        why = "" if len(twins) > 1 else "Tick two twins or more, in the list on the left"
        why = why or next((one for twin in twins if (one := trouble_judging(twin, judging))), "")
        self.controls.block(why)
        names, files = ", ".join(twin.name for twin in twins), ", ".join(card.path.name for card in judging)
        self.what.setText(EMPTY if why else f"Compares {names} on {files}.")

    def _follow(self, work: Work) -> None:
        self.verdict.setText("")
        self.model.reset(())
        work.ended.connect(self._ended)

    def _ended(self, ended: Ended) -> None:
        if isinstance(ended.result, Comparison):
            found = ended.result
            mark = "SIMULATED recordings: " if found.simulated else ""
            self.verdict.setText(f"{mark}{found.verdict} ({found.n_inputs} inputs, {found.n_trials} trials)")
            self.model.reset(found.twins)


def compared_model(parent: QObject | None = None) -> RowsModel:
    """Rows are `ComparedTwin`s, the best first."""
    return RowsModel(
        (
            Column("Twin", "The best first", lambda one: one.twin),
            Column("Score", "Free-run CRPS in spreads of the response; lower is better", _score, right=True),
            Column(
                "To the best",
                "Difference to the best twin, input by input, ± its standard error",
                _difference,
                right=True,
            ),
            Column("Worse?", "Whether it is worse than the best by more than chance", _worse),
            Column(
                "Coverage",
                "Share of measured values in its 90 % interval",
                lambda one: f"{one.coverage_90:.3f}",
                right=True,
            ),
            Column(
                "Spread", "Its spread over the device's; ideal is 1", lambda one: _figure(one.std_ratio), right=True
            ),
            Column("Memory", "Lag-1 autocorrelation of its noise less the device's; ideal is 0", _memory, right=True),
            Column(
                "Gates", "Passed here, on these recordings", lambda one: "✓ passed" if one.gates_passed else "✗ failed"
            ),
            Column("Data (s)", "Device time of the recordings it was fitted to (s)", _seconds, right=True),
        ),
        parent,
    )


def _figure(value: float | None, form: str = ".3f") -> str:
    return "–" if value is None else format(value, form)


def _score(one: ComparedTwin) -> str:
    return "diverges" if one.score is None else f"{one.score:.4f}"


def _difference(one: ComparedTwin) -> str:
    return f"{_figure(one.difference, '+.4f')} ± {_figure(one.difference_error, '.4f')}"


def _worse(one: ComparedTwin) -> str:
    return "✗ worse" if one.beyond_chance else "✓ not told apart" if one.difference else "✓ best"


def _memory(one: ComparedTwin) -> str:
    return _figure(one.lag1_difference, "+.3f")


def _seconds(one: ComparedTwin) -> str:
    return _figure(one.device_seconds, ".2f")
