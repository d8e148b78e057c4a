"""What was inferred: the table, the intervals, the verdict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PySide6.QtWidgets import QHBoxLayout, QSplitter, QVBoxLayout, QWidget

from gui.desk import Desk
from gui.models.rows import Column, RowsModel
from gui.opening import open_folder, open_page
from gui.panels.goku.forest_plot import ForestPlot
from gui.panels.tables import table
from gui.panels.widgets import button, words
from gui.theme import Theme
from labctl.goku_study import GokuStudy

NO_REPORT = "There is no report yet: fit first"


class ParametersView(QWidget):
    """A row for each parameter of each trace."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._folder: Path | None = None
        self._study: GokuStudy | None = None
        self.model = RowsModel(
            [
                Column("Trace", "Which trace, or part of it", lambda row: row[0].trace),
                Column("Parameter", "Of the equation", lambda row: row[1].parameter),
                Column("Value", "Median, with the 90 % interval in brackets", lambda row: row[1].as_text(), right=True),
                Column(
                    "True",
                    "Of simulated traces only",
                    lambda row: "" if row[2] is None else f"{row[2]:.4g}",
                    right=True,
                ),
                Column(
                    "Trusted",
                    "Whether the numbers stand for what the data say",
                    lambda row: "yes" if row[0].trusted else f"NO: {row[0].why}",
                    hint=lambda row: "yes" if row[0].trusted else f"NO: {row[0].why}",
                ),
            ]
        )
        self.table = table(self.model, name="Inferred parameters", stretch=4, widths={0: 130, 1: 118, 2: 206, 3: 70})
        self.forest = ForestPlot(desk.theme)
        self.words = words("headline")
        self.words.setAccessibleName("Verdict")
        self.report_button = button("Open &report", NO_REPORT, self._open_report)
        self.folder_button = button("Open folder", NO_REPORT, self._open_folder)
        row = QHBoxLayout()
        row.addWidget(self.words, 1)
        row.addWidget(self.report_button)
        row.addWidget(self.folder_button)
        both = QSplitter()
        both.addWidget(self.table)
        both.addWidget(self.forest)
        both.setSizes([660, 420])
        both.setChildrenCollapsible(False)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 4, 0, 0)
        column.addLayout(row)
        column.addWidget(both, 1)
        self.show_study(None)

    def show_study(self, study: GokuStudy | None, folder: Path | None = None) -> None:
        """Show this one, of a file in `folder`; None: nothing yet."""
        self._study, self._folder = study, folder
        self.model.reset([] if study is None else _rows(study))
        self.forest.show_study(study)
        self.words.setText(_verdict(study))
        there = study is not None and bool(_report(study))
        self.report_button.setEnabled(there)
        self.report_button.setToolTip(
            f"Open {_report(study)} in the browser" if study is not None and there else NO_REPORT
        )
        self.folder_button.setEnabled(folder is not None)
        self.folder_button.setToolTip(f"Where model, tables and report are: {folder}" if folder else NO_REPORT)

    def use_theme(self, theme: Theme) -> None:
        """Draw in these colours."""
        self.forest.use_theme(theme)

    def _open_report(self) -> None:
        if self._study is not None and self._folder is not None:
            open_page(self._desk, Path(_report(self._study)), below=self._folder)

    def _open_folder(self) -> None:
        if self._folder is not None:
            open_folder(self._desk, self._folder)


def _report(study: GokuStudy) -> str:
    return study.files.get("report") or study.files.get("report of the fit", "")


def _rows(study: GokuStudy) -> list[tuple[Any, ...]]:
    rows = []
    for number, row in enumerate(study.rows):
        for one in row.estimates:
            truth = study.truth.get(one.parameter, ())
            rows.append((row, one, truth[number] if number < len(truth) else None))
    return rows


def _example(study: GokuStudy) -> str:
    row = next(row for row in study.rows if not row.trusted)
    return f"{row.trace}: {row.why}"


def _verdict(study: GokuStudy | None) -> str:
    if study is None:
        return "Nothing is inferred yet: press Fit and infer."
    lines = ["SIMULATED traces."] if study.simulated else []
    if study.stage == "judged":
        lines.append(
            "So far from the first three quarters of each trace; whole traces are being inferred, or it was stopped."
        )
    left = sum(not row.trusted for row in study.rows)
    lines.append(
        f"{left} of {len(study.rows)} traces are NOT TO BE TRUSTED ({_example(study)})."
        if left
        else f"{len(study.rows)} trace{'s' * (len(study.rows) != 1)}, all to be trusted."
    )
    if study.verdict:
        lines.append(study.verdict[:1].upper() + study.verdict[1:] + ".")
    return " ".join(lines)
