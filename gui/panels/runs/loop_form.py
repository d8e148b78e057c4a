"""A new campaign: close the loop on the open bench, with its few options."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QCheckBox, QGridLayout, QGroupBox, QHBoxLayout, QLabel, QLineEdit, QVBoxLayout, QWidget

from gui.controller import State
from gui.desk import Desk
from gui.panels.widgets import named
from gui.widgets.job_controls import JobControls
from gui.widgets.number_field import NumberField
from labctl.bench import Bench
from labctl.calls import BENCH, FOLDER, call
from labctl.errors import UsageError
from labctl.job import Job

LARGEST_SEED = 2**31 - 1
SHARED = "One measurement from end to end: characterise, fit twins, optimise networks, apply them, measure, report"


class LoopForm(QGroupBox):
    """Which devices, how long, which seed; the controls start the closed loop with its report."""

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__("New campaign: close the loop", parent)
        self._desk = desk
        self.setToolTip(SHARED)
        self.devices: dict[str, QCheckBox] = {}
        self.seed = NumberField(
            "Seed of the loop", "Seed of all random choices", low=0, high=LARGEST_SEED, whole=True, value=1
        )
        self.fit_s = NumberField(
            "Training time of a twin",
            "Longest training of each twin; empty: as the bench calls for",
            unit="s",
            low=1,
            optional=True,
        )
        self.optimise_s = NumberField(
            "Optimising time of a task",
            "Longest optimisation of each task; empty: as it calls for",
            unit="s",
            low=1,
            optional=True,
        )
        self.override = QLineEdit()
        self.override.setPlaceholderText("only if a twin fails its gates: why go on")
        tip = "A reason to apply networks even if a twin does not pass its gates; kept with all that is measured"
        named(self.override, "Reason to override gates", tip)
        self.controls = JobControls(
            desk, self.job, text="Close the loop", tip=f"{SHARED} (Ctrl+Return)", panel="runs", keys="Ctrl+Return"
        )
        self._lay_out()
        desk.remember(self.fit_s.edit, "runs/loop_fit_s")
        desk.remember(self.optimise_s.edit, "runs/loop_optimise_s")
        desk.controller.opened.connect(self._show_bench)
        desk.controller.state_changed.connect(lambda _: self._block())
        self._show_bench(desk.controller.bench)
        self._block()

    def job(self) -> Job:
        """The loop as the form has it; raises UsageError."""
        chosen = tuple(name for name, box in self.devices.items() if box.isChecked())
        if self.devices and not chosen:
            raise UsageError("no device is ticked: tick at least one")
        for field, name in ((self.seed, "Seed"), (self.fit_s, "Train up to"), (self.optimise_s, "Optimise up to")):
            if field.trouble:
                raise UsageError(f"{name}: {field.trouble}")
        options = {
            "devices": chosen if len(chosen) < len(self.devices) else None,
            "max_fit_s": self.fit_s.value,
            "optimise_budget_s": self.optimise_s.value,
            "override_gates": self.override.text().strip() or None,
        }
        settings = call(
            "labctl.loop_options:loop_settings", BENCH, **{k: v for k, v in options.items() if v is not None}
        )
        seed = int(self.seed.value or 0)
        loop = call(
            "labctl.campaigns.reported_loop:close_the_loop_and_report",
            BENCH,
            folder=FOLDER,
            seed=seed,
            settings=settings,
        )
        return Job("Close the loop", loop, self._desk.new_folder("loop"), seed=seed)

    def _lay_out(self) -> None:
        grid = QGridLayout()
        self._boxes = QHBoxLayout()
        self._none = QLabel("no station open")
        self._boxes.addWidget(self._none)
        self._boxes.addStretch(1)
        for column, (text, field) in enumerate(
            (("Seed", self.seed), ("Train up to", self.fit_s), ("Optimise up to", self.optimise_s))
        ):
            label = QLabel(text)
            label.setBuddy(field)
            grid.addWidget(label, 0, 2 * column)
            grid.addWidget(field, 0, 2 * column + 1)
        grid.addWidget(QLabel("Devices"), 1, 0)
        grid.addLayout(self._boxes, 1, 1, 1, 2)
        label = QLabel("Override gates")
        label.setBuddy(self.override)
        grid.addWidget(label, 1, 3, Qt.AlignmentFlag.AlignRight)
        grid.addWidget(self.override, 1, 4, 1, 2)
        column_layout = QVBoxLayout(self)
        column_layout.addLayout(grid)
        column_layout.addWidget(self.controls)

    def _show_bench(self, bench: Bench | None) -> None:
        for box in self.devices.values():
            box.deleteLater()
        self.devices = {}
        names = [] if bench is None else [name for name, one in bench.station.devices.items() if len(one.drive) == 1]
        for place, name in enumerate(names):
            box = QCheckBox(name)
            box.setChecked(True)
            named(box, f"Device {name}", f"Whether {name} takes part in the loop")
            self._boxes.insertWidget(place, box)
            self.devices[name] = box
        self._none.setVisible(not names)

    def _block(self) -> None:
        closed = self._desk.controller.bench is None or self._desk.controller.state is State.EMPTY
        if closed:
            self._show_bench(None)
        self.controls.block(
            "No station is open: open one in the Station panel, or the simulated bench (Ctrl+Shift+O)" if closed else ""
        )
