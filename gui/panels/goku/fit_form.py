"""How long and how to fit: what stands there is good for a first try."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from gui.desk import Desk
from gui.panels.widgets import button, named
from gui.widgets.file_dialogs import ask_for_file
from gui.widgets.number_field import NumberField
from labctl.calls import Call, call
from labctl.errors import UsageError

NEW = "train a new one"
SHARES = (
    ("each its own", "none", "Every trace has parameters of its own"),
    ("all the same", "all", "All traces have one set of parameters"),
    ("same per file", "file", "Traces of one file share their parameters"),
    ("same per conditions", "conditions", "Traces of equal conditions share their parameters"),
)


class FitForm(QWidget):
    """`changed` when anything is; calls and numbers raise UsageError that names the field."""

    changed = Signal()

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self.seconds = NumberField(
            "Training time",
            "Wall time of the training; judging and inferring come on top",
            unit="s",
            low=0.1,
            high=86_400,
            value=20.0,
        )
        self.refine_seconds = NumberField(
            "Inference time",
            "Wall time of the refinement of all traces, at most",
            unit="s",
            low=0.1,
            high=86_400,
            value=120.0,
        )
        self.seed = NumberField(
            "Seed", "The same seed gives the same fit where time does not end it", low=0, whole=True, value=0
        )
        self.share, self.training, self.model = QComboBox(), QComboBox(), QComboBox()
        for words, value, tip in SHARES:
            self.share.addItem(words, value)
            self.share.setItemData(self.share.count() - 1, tip, 3)  # ToolTipRole
        self.anyway = QCheckBox("even where values look impossible")
        named(
            self.anyway,
            "Train even where values look impossible",
            "Values far from all that the equation gives in its ranges (millivolts for volts, say) are refused\n"
            "before the training; tick this where that is meant",
        )
        self.anyway.toggled.connect(lambda _: self.changed.emit())
        self.training.addItem("simulations", "simulated")
        self.training.addItem("the traces themselves", "measured")
        named(
            self.share,
            "Parameters of the traces",
            "Whether traces have parameters in common: several bias levels of one device do",
        )
        named(
            self.training,
            "Train on",
            "Simulations of the equation (a few traces suffice), or the measured traces (wants many)",
        )
        named(
            self.model,
            "Model",
            "Train a new one, or infer with one that is there: of an earlier fit, or kept when a fit was stopped",
        )
        self.model.addItem(NEW)
        self.choose_button = button(
            "…", "Choose a model that was fitted before (.json)", self._choose, name="Choose a model"
        )
        self.choose_button.setMaximumWidth(36)
        for field in (self.seconds, self.refine_seconds, self.seed):
            field.setMaximumWidth(130)
            field.changed.connect(self.changed)
        for box in (self.share, self.training, self.model):
            box.currentIndexChanged.connect(lambda _: self._look())
        self._build()
        kept: tuple[tuple[QWidget, str], ...] = (
            (self.seconds.edit, "seconds"),
            (self.refine_seconds.edit, "refine_seconds"),
            (self.share, "share"),
        )
        for one, key in kept:
            desk.remember(one, f"goku/{key}")

    def _build(self) -> None:
        first, second = QHBoxLayout(), QHBoxLayout()
        for row, pairs in (
            (
                first,
                (
                    ("Train for", self.seconds),
                    ("infer for at most", self.refine_seconds),
                    ("seed", self.seed),
                    ("train on", self.training),
                ),
            ),
            (second, (("Parameters of the traces", self.share), ("Model", self.model))),
        ):
            for label, field in pairs:
                row.addWidget(QLabel(label))
                row.addWidget(field)
        second.addWidget(self.choose_button)
        first.addWidget(self.anyway)
        first.addStretch(1)
        second.setStretch(3, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(first)
        column.addLayout(second)

    @property
    def model_path(self) -> Path | None:
        """The model to infer with; None: a new one."""
        data = self.model.currentData()
        return Path(data) if data else None

    def use_model(self, path: Path) -> None:
        """Infer with this one."""
        place = self.model.findData(str(path))
        if place < 0:
            self.model.addItem(f"{path.parent.name}/{path.name}", str(path))
            place = self.model.count() - 1
        self.model.setCurrentIndex(place)

    def train_anew(self) -> None:
        """No model that is there."""
        self.model.setCurrentIndex(0)

    def fitting(self) -> Call:
        """GokuSettings."""
        settings: dict[str, Any] = {
            "max_seconds": self._number(self.seconds, "Training time"),
            "share": self.share.currentData(),
        }
        if self.anyway.isChecked():
            settings["anyway"] = True
        if self.training.currentData() != "simulated":
            settings["training"] = self.training.currentData()
        return call("labctl.campaigns.goku_settings:GokuSettings", **settings)

    def inferring(self) -> Call:
        """InferSettings."""
        seconds = self._number(self.refine_seconds, "Inference time")
        return call("labctl.campaigns.goku_settings:InferSettings", share=self.share.currentData(), max_seconds=seconds)

    def seed_number(self) -> int:
        """The seed."""
        return int(self._number(self.seed, "Seed"))

    def _number(self, field: NumberField, name: str) -> float:
        if field.trouble or field.value is None:
            raise UsageError(f"{name}: {field.trouble}")
        return field.value

    def _choose(self) -> None:
        ask_for_file(self, "Model of an equation", self._desk.runs_folder, "Models (*.json)", self.use_model)

    def _look(self) -> None:
        new = self.model_path is None
        for field in (self.seconds, self.training, self.anyway):
            field.setEnabled(new)
        self.changed.emit()
