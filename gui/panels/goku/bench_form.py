"""Traces from the bench: a device under constant levels of its drive, or under a designed drive."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QFormLayout, QLineEdit, QVBoxLayout, QWidget

from gui.desk import Desk
from gui.panels.widgets import named
from gui.widgets.job_controls import JobControls
from gui.widgets.number_field import NumberField
from gui.work import Work, WorkState
from labctl.calls import BENCH, FOLDER, call
from labctl.errors import UsageError
from labctl.job import Job

DESIGNS = ("constant levels", "random-steps", "multisine", "prbs", "noise")
NO_BENCH = "No station is open: open one in the Station panel first"


class BenchForm(QWidget):
    """Records; `recorded` gives the files. The outputs are made safe afterwards, as after everything on the bench."""

    recorded = Signal(object)

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self.device, self.design = QComboBox(), QComboBox()
        named(self.device, "Device", "Which device of the station is recorded")
        named(self.design, "Drive", "How it is driven: constant levels show how it moves by itself")
        self.design.addItems(list(DESIGNS))
        self.levels = QLineEdit()
        named(self.levels, "Levels", "Constant drives, in the unit of the drive channel, as in 0.6, 0.9, 1.2")
        self.repeats = NumberField(
            "Trials", "Trials a level, or of the designed drive", low=1, high=1000, whole=True, value=4
        )
        self.samples = NumberField("Samples", "Samples a trial", low=4, high=100_000, whole=True, value=200)
        self.seed = NumberField("Seed", "The same seed gives the same drive", low=0, whole=True, value=0)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for label, field in (
            ("Device", self.device), ("Drive", self.design), ("Levels", self.levels), ("Trials", self.repeats),
            ("Samples", self.samples), ("Seed", self.seed),
        ):  # fmt: skip
            form.addRow(label, field)
        self.controls = JobControls(
            desk, self.job, text="Record", tip="Record the device; its outputs are made safe afterwards", panel="goku"
        )
        self.controls.started.connect(self._follow)
        column = QVBoxLayout(self)
        column.addLayout(form)
        column.addWidget(self.controls)
        column.addStretch(1)
        self.design.currentIndexChanged.connect(lambda _: self.levels.setEnabled(self.design.currentIndex() == 0))
        self.device.currentIndexChanged.connect(lambda _: self._suggest())
        desk.controller.state_changed.connect(self._look)
        self._look()

    def job(self) -> Job:
        """Raises UsageError, naming the field."""
        bench = self._desk.controller.bench
        if bench is None:
            raise UsageError(NO_BENCH)
        device = self.device.currentText()
        for field, name in ((self.repeats, "Trials"), (self.samples, "Samples"), (self.seed, "Seed")):
            if field.trouble:
                raise UsageError(f"{name}: {field.trouble}")
        if self.design.currentIndex() == 0:
            how: dict[str, Any] = {"levels": self._levels(), "n_repeats": self.repeats.value}
        else:
            how = {"design": self.design.currentText(), "n_trials": self.repeats.value}
        design = call("labctl.campaigns.characterise_goku:TracesDesign", n_samples=self.samples.value, **how)
        seed = int(self.seed.value or 0)
        return Job(
            f"Record traces of {device}",
            call(
                "labctl.campaigns.characterise_goku:record_traces",
                BENCH,
                device,
                folder=FOLDER,
                seed=seed,
                design=design,
            ),
            self._desk.new_folder(f"{device}-traces"),
            station=bench.station.path,
            seed=seed,
        )

    def _levels(self) -> tuple[float, ...]:
        try:
            levels = tuple(float(one) for one in self.levels.text().replace(";", ",").split(",") if one.strip())
        except ValueError:
            raise UsageError(f"Levels: {self.levels.text()!r} are no numbers; write them as in 0.6, 0.9, 1.2") from None
        if not levels:
            raise UsageError("Levels: give at least one, or choose another drive")
        return levels

    def _look(self, _state: object = None) -> None:
        bench = self._desk.controller.bench
        names = (
            [] if bench is None else [name for name, one in bench.station.devices.items() if one.drive and one.response]
        )
        if names != [self.device.itemText(k) for k in range(self.device.count())]:
            self.device.clear()
            self.device.addItems(names)
        self.controls.block(
            "" if names else NO_BENCH if bench is None else "The station has no device that is driven and measured"
        )

    def _suggest(self) -> None:
        """Three levels within the drive's limits, kept away from their ends."""
        bench, name = self._desk.controller.bench, self.device.currentText()
        if bench is None or not name:
            return
        channel = bench.station.channels[bench.station.devices[name].drive[0]]
        low, high = channel.limits
        self.levels.setText(", ".join(f"{low + share * (high - low):.3g}" for share in (0.25, 0.5, 0.75)))
        self.levels.setToolTip(f"Constant drives of {channel.name} in {channel.unit}, within {low:g} … {high:g}")

    def _follow(self, work: Work) -> None:
        def ended(_: object) -> None:
            if work.state is WorkState.DONE:
                self.recorded.emit(sorted(Path(work.job.folder).glob("*-traces*.h5")))

        work.ended.connect(ended)
