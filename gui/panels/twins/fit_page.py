"""Fit: a name, a time, a choice, and a button that works as it stands; then loss and held-out scores while it trains."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QGridLayout, QLabel, QLineEdit, QVBoxLayout

from gui.bridge import Ended, Frame
from gui.desk import Desk
from gui.panels.twins.fit_plot import FitPlot
from gui.panels.twins.jobs import fit_job, trouble_of
from gui.panels.twins.page import MoreOptions, Page, number_of, seed_field, whole_of
from gui.panels.twins.shelf import Shelf
from gui.panels.widgets import named, words
from gui.theme import Theme
from gui.widgets.number_field import NumberField
from gui.widgets.settings_form import SettingsForm
from gui.work import Work
from labctl.campaigns.fit_settings import PRESETS, FitSettings
from labctl.job import Job

SECONDS = 30.0
CHOICES = (
    ("as diagnosed", "diagnosed"),
    ("plain", "plain"),
    *((f"preset: {name.replace('_', ' ')}", name) for name in PRESETS),
)
EMPTY = "Press Fit: it diagnoses the recordings, trains a twin that suits them, and judges it on what it never saw."
MORE = ("response_delays", "drive_delays", "ensemble", "held_out_fraction", "n_calibration_draws")
LABELS = {
    "response_delays": "Earlier responses seen",
    "drive_delays": "Earlier drives seen",
    "ensemble": "Twins of other seeds",
    "held_out_fraction": "Share kept to judge on",
    "n_calibration_draws": "Free runs an input",
}
TOLD = {
    "response_delays": "How many earlier samples of the response the twin sees; empty: as diagnosed",
    "drive_delays": "How many earlier samples of the drive the twin sees; empty: as diagnosed",
    "ensemble": "How many twins of different seeds are trained; the first is judged and used; empty: one",
    "held_out_fraction": "Kept from the fit to judge it, where no recording is ticked under Judge; empty: a fifth or more",
    "n_calibration_draws": "Free runs of the twin for each held-out input, when it is judged",
}
LIMITS = {
    "response_delays": (0, 200),
    "drive_delays": (0, 200),
    "ensemble": (1, 20),
    "held_out_fraction": (0.01, 0.9),
    "n_calibration_draws": (39, 2000),
}


class FitPage(Page):
    """`fitted` gives the file of a twin that was fitted, or kept when the fit was stopped."""

    fitted = Signal(object)

    def __init__(self, desk: Desk, shelf: Shelf) -> None:
        super().__init__(desk, shelf)
        self.name = QLineEdit()
        self.name.setPlaceholderText("the device's name")
        named(self.name, "Name of the twin", "Its files are called so; letters, digits, - and _")
        tip = "Wall time of all training together; diagnosis, judgement and report come on top"
        self.seconds = NumberField("Training time", tip, unit="s", low=0.1, high=1e6, value=SECONDS)
        self.seed = seed_field()
        self.choice = QComboBox()
        for text, choice in CHOICES:
            self.choice.addItem(text, choice)
        named(self.choice, "How it is built", "As the recordings call for (best to begin with), plain, or as published")
        halves = (MORE[:3], MORE[3:])
        forms = [SettingsForm(FitSettings, only=half, labels=LABELS, told=TOLD, limits=LIMITS) for half in halves]
        self.more = MoreOptions(*forms, tip="Show what is rarely needed; the defaults are sensible")
        self.what = words("hint")
        self.controls = self.control(
            text="Fit", tip="Fit a twin to the recordings ticked under Learn (Ctrl+Return)", keys="Ctrl+Return"
        )
        self.controls.stop_button.setToolTip("Stop and keep the best twin so far; it can be judged afterwards")
        self.controls.started.connect(self._follow)
        self.plot = FitPlot(desk.theme)
        self.told = words()
        self.told.setAccessibleName("Outcome of the fit")
        self.told.setText(EMPTY)
        for widget, key in ((self.seconds.edit, "seconds"), (self.choice, "choice"), (self.more.fold, "more")):
            desk.remember(widget, f"twins/fit/{key}")
        self._lay_out()
        self._job: Job | None = None
        self._report: str = ""
        shelf.recordings.ticked.connect(self._check)
        self._check()

    @property
    def twin_name(self) -> str:
        """As typed, else the device's."""
        training = self.shelf.recordings.learned_from
        device = training[0].device or re.sub(r"[^A-Za-z0-9_-]+", "-", training[0].path.stem) if training else ""
        return self.name.text().strip() or device

    def make(self) -> Job:
        """The fit of what is ticked."""
        recordings = self.shelf.recordings
        settings: dict[str, Any] = {
            "choice": self.choice.currentData(),
            "max_seconds": float(number_of(self.seconds, "Training time")),
            **self.more.values(),
        }
        name = self.twin_name
        return fit_job(
            name,
            recordings.learned_from,
            recordings.judged_on,
            settings,
            seed=whole_of(self.seed, "Seed"),
            folder=self.desk.new_folder(f"fit-{name}"),
        )

    def use_theme(self, theme: Theme) -> None:
        """Draw in these colours."""
        self.plot.use_theme(theme)

    def _follow(self, work: Work) -> None:
        self._job = work.job
        self.plot.clear()
        self.told.setText("")
        work.frame.connect(self._take)
        work.ended.connect(self._ended)

    def _take(self, frame: Frame) -> None:
        self.plot.take(frame.events)

    def _ended(self, ended: Ended) -> None:
        path = getattr(ended.result, "path", None)
        if isinstance(path, Path):
            gates = "✓ passed its gates" if ended.result.passed else "✗ did not pass its gates: see the tab Twin, Gates"
            self.told.setText(f"The twin {ended.result.device} {gates}.")
            self.fitted.emit(path)
        elif ended.stopped and self._job is not None:
            kept = self._kept(self._job)
            self.told.setText(
                "Stopped. The best twin so far was kept; it was not judged yet: press Judge in the tab Twin."
                if kept
                else "Stopped before there was a twin to keep."
            )
            if kept is not None:
                self.fitted.emit(kept)

    @staticmethod
    def _kept(job: Job) -> Path | None:
        path = job.folder / f"{job.call.arguments[0]}.json"
        return path if path.is_file() else None

    def _check(self) -> None:
        recordings = self.shelf.recordings
        training, judging = recordings.learned_from, recordings.judged_on
        self.controls.block(trouble_of(training, judging))
        self.name.setPlaceholderText(self.twin_name or "the device's name")
        learn = ", ".join(card.path.name for card in training) or "nothing"
        judge = ", ".join(card.path.name for card in judging) or "a part of it that is kept from the fit"
        self.what.setText(f"Learns from {learn}; is judged on {judge}.")

    def _lay_out(self) -> None:
        grid = QGridLayout()
        fields = (("Name", self.name), ("Training time", self.seconds), ("Built", self.choice), ("Seed", self.seed))
        for number, (text, widget) in enumerate(fields):
            label = QLabel(text)
            label.setBuddy(widget)
            grid.addWidget(label, number // 2, 2 * (number % 2))
            grid.addWidget(widget, number // 2, 2 * (number % 2) + 1)
        grid.setColumnStretch(1, 3)
        grid.setColumnStretch(3, 2)
        column = QVBoxLayout(self)
        column.addLayout(grid)
        column.addWidget(self.more)
        column.addWidget(self.what)
        column.addWidget(self.controls)
        column.addWidget(self.told)
        column.addWidget(self.plot, 1)
