"""The lower half of the third page: live samples while it plays, then promised beside measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGroupBox, QSplitter, QStackedWidget, QVBoxLayout, QWidget

from gui.bridge import Ended
from gui.controller import State
from gui.desk import Desk
from gui.panels.networks.boxes import while_there
from gui.panels.networks.results import PromiseModel
from gui.panels.networks.traces_view import TracesView
from gui.panels.networks.until_drawn import UntilDrawn
from gui.panels.tables import table
from gui.panels.widgets import words
from gui.plots.drive_response import DriveResponsePlot
from gui.theme import Theme
from gui.work import Work
from labctl.measured_below import measured_below
from labctl.network_card import Traces, read_traces

OUTCOME, TRACES = "deployment.json", "traces.safetensors"
EMPTY = "Target, promise and what the device did appear here once the network was measured"


class MeasuredBox(QSplitter):
    """Figures at the left, traces at the right."""

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(Qt.Orientation.Horizontal, parent)
        self._desk = desk
        self.results = PromiseModel(self)
        self.results_view = table(self.results, name="Promised beside measured", stretch=0, widths={1: 70, 2: 120})
        self.outcome_label = words()
        self.traces = TracesView(desk.theme, name="Target, promised and measured", empty=EMPTY)
        self.live = DriveResponsePlot(desk.bridge.box.samples, desk.theme)
        self.shown = QStackedWidget()
        self.shown.addWidget(self.traces)
        self.playing = UntilDrawn(
            self.live, "… the network is read; drive and response appear here as soon as it plays"
        )
        self.shown.addWidget(self.playing)
        measured = QGroupBox("Promised beside measured")
        column = QVBoxLayout(measured)
        column.addWidget(self.results_view, 1)
        column.addWidget(self.outcome_label)
        self.addWidget(measured)
        self.addWidget(self.shown)
        self.setSizes([430, 660])
        self.setChildrenCollapsible(False)

    def follow(self, work: Work) -> None:
        """Show the samples of this work as they come."""
        self.outcome_label.setText("")
        self.results.reset(())
        self.traces.show_traces(None)
        if self._desk.controller.state is State.READY:
            self._desk.bridge.box.samples.clear()  # what is left of a recording before is not of this deployment
        bench = self._desk.controller.bench
        if bench is not None:
            self.live.show_channels(bench.station.channels)
        self.playing.show_drawn(False)
        self.shown.setCurrentWidget(self.playing)
        work.frame.connect(lambda _: self._refresh())

    def _refresh(self) -> None:
        self.playing.show_drawn(self._desk.bridge.box.samples.total > 0)
        if self.live.isVisible():
            self.live.refresh()

    def end(self, folder: Path, ended: Ended) -> None:
        """Show what came of it; and what there is where it did not come to its end."""
        self.shown.setCurrentWidget(self.traces)
        if ended.error is None:
            self.show_deployment(folder)
            return
        why = "" if ended.stopped else f"{ended.error}\n"
        self._desk.call(
            lambda: measured_below(folder).in_words,
            done=while_there(
                self, lambda told: self.outcome_label.setText(f"{why}{told}. No score: it was not played to its end")
            ),
            name="Counting what was measured",
        )

    def show_deployment(self, folder: Path) -> None:
        """Show what a deployment left in this folder."""

        def work() -> tuple[dict[str, Any], Traces]:
            return json.loads((folder / OUTCOME).read_text(encoding="utf-8")), read_traces(folder / TRACES)

        self._desk.call(
            work, done=while_there(self, lambda found: self._show_outcome(*found)), name="Reading the deployment"
        )

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
