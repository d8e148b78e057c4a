"""Fit while recording: the open bench records a device in rounds, the twin is trained meanwhile, until it can be trusted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtWidgets import QComboBox, QGridLayout, QLabel, QSplitter, QTabWidget, QVBoxLayout

from gui.bridge import Ended, Frame
from gui.controller import State
from gui.desk import Desk
from gui.models.rows import Column, RowsModel
from gui.panels.tables import table
from gui.panels.twins.fit_page import CHOICES
from gui.panels.twins.fit_plot import FitPlot
from gui.panels.twins.jobs import stream_job
from gui.panels.twins.page import MoreOptions, Page, number_of, seed_field, whole_of
from gui.panels.twins.shelf import Shelf
from gui.panels.widgets import named, words
from gui.plots.band_plot import Band, BandPlot
from gui.theme import Theme
from gui.widgets.number_field import NumberField
from gui.widgets.settings_form import SettingsForm
from gui.work import Work
from labctl.campaigns.stream_design import StreamDesign
from labctl.events import Event, Reported
from labctl.job import Job

CLOSED = "No station is open: open one in the Station panel first"
DEVICE_SECONDS = 60.0
ROUND = re.compile(r"^stream/.*/round\d+$")
MORE = ("n_first", "n_trials", "n_samples", "n_inputs", "n_heldout_samples", "n_repeats", "low", "high", "fit_seconds")
LABELS = {
    "n_first": "Trials in the first round",
    "n_trials": "Trials a round",
    "n_samples": "Samples a trial",
    "n_inputs": "Held-out inputs",
    "n_heldout_samples": "Samples of a held-out input",
    "n_repeats": "Repeats of each at first",
    "low": "Lowest drive",
    "high": "Highest drive",
    "fit_seconds": "Training a round, at most (s)",
}
TOLD = {
    "low": "In the unit of the drive channel; empty: the channel's limit",
    "high": "In the unit of the drive channel; empty: the channel's limit",
    "fit_seconds": "Wall time of training between two judgements",
}
LIMITS = {name: (1.0, 100_000.0) for name in MORE if name.startswith("n_")} | {"fit_seconds": (0.1, 3600.0)}


@dataclass(frozen=True, slots=True)
class Round:
    """One judgement of the twin in the making."""

    number: int
    device_seconds: float
    coverage_90: float
    std_ratio: float | None
    score: float
    verdict: str


class StreamPage(Page):
    """`fitted` gives the file of the twin that came of it."""

    fitted = Signal(object)

    def __init__(self, desk: Desk, shelf: Shelf) -> None:
        super().__init__(desk, shelf)
        self.device, self.choice, self.drives = QComboBox(), QComboBox(), QComboBox()
        named(self.device, "Device", "The device of the open station that is recorded")
        named(self.choice, "How it is built", "As the first round calls for, plain, or as published")
        named(self.drives, "Drives", "What is played: random steps, or those where an ensemble of twins disagrees most")
        for text, choice in CHOICES:
            self.choice.addItem(text, choice)
        self.drives.addItem("random steps", "random")
        self.drives.addItem("chosen where twins disagree", "chosen")
        tip = "Device time at most: it ends before, as soon as the twin passes its gates"
        self.budget = NumberField("Device time at most", tip, unit="s", low=0.01, high=1e6, value=DEVICE_SECONDS)
        tip = "Wall time at most, looked at between rounds; empty: no limit"
        self.wall = NumberField("Wall time at most", tip, unit="s", low=0.1, high=1e7, optional=True)
        self.seed = seed_field()
        halves = (MORE[:5], MORE[5:])
        forms = [SettingsForm(StreamDesign, only=half, labels=LABELS, told=TOLD, limits=LIMITS) for half in halves]
        self.more = MoreOptions(*forms, tip="How much is recorded at a time; the defaults are sensible")
        self.controls = self.control(
            text="Record and fit", tip="Play drives on the device and learn from what comes back"
        )
        self.controls.started.connect(self._follow)
        self.told = words()
        self.rounds = rounds_model(self)
        self.plot = BandPlot(
            desk.theme,
            name="Coverage by round",
            tip="Share of measured values in the twin's 90 % interval, after each round",
        )
        self.plot.set_labels(bottom="Device time (s)", left="Coverage (%)")
        self.training = FitPlot(desk.theme)
        self._lay_out()
        desk.controller.state_changed.connect(self._station)
        self._station()

    def make(self) -> Job:
        """Record and fit, with what stands in the form."""
        bench, device = self.desk.controller.bench, self.device.currentText()
        budget: dict[str, Any] = {"device_seconds": float(number_of(self.budget, "Device time at most"))}
        if self.wall.trouble or self.wall.value is not None:
            budget["wall_seconds"] = float(number_of(self.wall, "Wall time at most"))
        return stream_job(
            device if bench is not None else "",
            design=self.more.values(),
            budget=budget,
            settings={"choice": self.choice.currentData()},
            drives=self.drives.currentData(),
            seed=whole_of(self.seed, "Seed"),
            folder=self.desk.new_folder(f"stream-{device}"),
            station=None if bench is None else bench.station.path,
        )

    def use_theme(self, theme: Theme) -> None:
        """Draw in these colours."""
        self.plot.use_theme(theme)
        self.training.use_theme(theme)

    def _station(self, _: object = None) -> None:
        controller = self.desk.controller
        devices = (
            []
            if controller.bench is None
            else [name for name, one in controller.bench.station.devices.items() if one.drive]
        )
        if devices != [self.device.itemText(number) for number in range(self.device.count())]:
            self.device.clear()
            self.device.addItems(devices)
        ready = controller.bench is not None and controller.state in (State.READY, State.RUNNING)
        self.controls.block("" if ready and devices else CLOSED if not ready else "This station has no device to drive")

    def _follow(self, work: Work) -> None:
        self.rounds.reset(())
        self.plot.clear()
        self.training.clear()
        self.told.setText("")
        work.frame.connect(self._take)
        work.ended.connect(self._ended)

    def _take(self, frame: Frame) -> None:
        self.training.take(event for event in frame.events if not event.key.endswith("/gates"))
        found = rounds_in(frame.events)
        if found:
            self.rounds.extend(found)
            self._draw()

    def _draw(self) -> None:
        rows: Sequence[Round] = self.rounds.rows
        x = np.array([row.device_seconds for row in rows])
        y = np.array([100 * row.coverage_90 for row in rows])
        self.plot.show_bands(
            [
                Band("ideal", x, np.full(len(x), 90.0), 2, dashed=True),
                Band("coverage", x, y, 0),
                Band("each round", x, y, 0, points=True),
            ]
        )

    def _ended(self, ended: Ended) -> None:
        streamed = ended.result
        path = getattr(getattr(streamed, "fitted", None), "path", None)
        if isinstance(path, Path):
            mark = "✓" if streamed.passed else "✗"
            self.told.setText(f"{mark} {streamed.ended}, after {streamed.device_seconds:.3g} s of device time.")
            self.fitted.emit(path)
        elif ended.stopped:
            self.told.setText("Stopped. What was recorded is in the list on the left; fit a twin to it.")

    def _lay_out(self) -> None:
        grid = QGridLayout()
        fields = (
            ("Device", self.device), ("Device time at most", self.budget),
            ("Built", self.choice), ("Wall time at most", self.wall),
            ("Drives", self.drives), ("Seed", self.seed),
        )  # fmt: skip
        for number, (text, widget) in enumerate(fields):
            label = QLabel(text)
            label.setBuddy(widget)
            grid.addWidget(label, number // 2, 2 * (number % 2))
            grid.addWidget(widget, number // 2, 2 * (number % 2) + 1)
        grid.setColumnStretch(1, 1)
        grid.setColumnStretch(3, 1)
        below = QTabWidget()
        below.setDocumentMode(True)
        judged = QSplitter(Qt.Orientation.Vertical)
        judged.addWidget(self.plot)
        judged.addWidget(table(self.rounds, name="Rounds", stretch=5, widths=dict.fromkeys(range(5), 100)))
        below.setTabToolTip(below.addTab(judged, "Rounds"), "How the twin was judged after each round")
        below.setTabToolTip(below.addTab(self.training, "Training"), "Loss and held-out score while it trains")
        column = QVBoxLayout(self)
        column.addLayout(grid)
        column.addWidget(self.more)
        column.addWidget(self.controls)
        column.addWidget(self.told)
        column.addWidget(below, 1)


def rounds_in(events: Sequence[Event]) -> list[Round]:
    """The judgements among these events."""
    found = []
    for event in events:
        if isinstance(event, Reported) and ROUND.search(event.key):
            told = event.outcome
            failed = ", ".join(str(one).replace("_", " ") for one in told["failed"])
            found.append(
                Round(
                    told["number"],
                    told["device_seconds"],
                    told["coverage_90"],
                    told["std_ratio"],
                    told["free_run_score"],
                    "✓ passed" if told["passed"] else f"✗ {failed}",
                )
            )
    return found


def rounds_model(parent: QObject | None = None) -> RowsModel:
    """Rows are `Round`s."""
    return RowsModel(
        (
            Column("Round", "Judgement number", lambda row: str(row.number), right=True),
            Column("Device time", "Recorded until then (s)", lambda row: f"{row.device_seconds:.3g} s", right=True),
            Column("Coverage", "Of the 90 % interval", lambda row: f"{100 * row.coverage_90:.1f} %", right=True),
            Column("Spread", "Twin's over the device's; ideal is 1", _spread, right=True),
            Column("Score", "Free-run score, lower is better", lambda row: f"{row.score:.4f}", right=True),
            Column("Gates", "Which were not passed", lambda row: row.verdict),
        ),
        parent,
    )


def _spread(row: Round) -> str:
    return "–" if row.std_ratio is None else f"{row.std_ratio:.3f}"
