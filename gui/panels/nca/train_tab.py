"""The second page: train an automaton, see its loss and its free runs, and how it does meanwhile."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QCheckBox, QComboBox, QFormLayout, QLineEdit, QSplitter, QVBoxLayout, QWidget

from gui.bridge import Ended, Frame
from gui.desk import Desk
from gui.panels.nca.data_form import DataForm
from gui.panels.nca.scrolled import scrolled
from gui.panels.widgets import named, words
from gui.plots.learning_plot import LearningPlot
from gui.theme import Theme
from gui.widgets.job_controls import JobControls
from gui.widgets.number_field import NumberField
from gui.work import Work
from labctl.calls import FOLDER, Call, call, perform
from labctl.campaigns.nca_settings import PRESETS
from labctl.errors import UsageError
from labctl.events import Figures, Warned
from labctl.job import Job

PANEL = "nca"
_PRESETS = {
    "as the source wants": "",
    "fields of an equation (pde)": "pde",
    "camera images (images)": "images",
    "pictures that become one another (morph)": "morph",
    "as published (4000 epochs)": "as-published",
}
_CURVES = {"train_loss": "loss in training", "validation": "free-run error (sd of the data)"}
_USUAL_S = 40.0
_STEPS = {"pde": 32, "images": 16, "morph": 32, "as-published": 32}


class TrainTab(QWidget):
    """`grew(path)`: there is an automaton, or a better one than before. `trained(path, outcome)`: the training ended well."""

    grew = Signal(object)
    trained = Signal(object, object)
    began = Signal()

    def __init__(self, desk: Desk, source: DataForm) -> None:
        super().__init__()
        self._desk, self._source = desk, source
        self._watched: Path | None = None
        self._written_ns = 0
        self._ticks = 0
        self.told = words("hint")
        self.verdict = words()
        self.preset = QComboBox()
        for title, name in _PRESETS.items():
            self.preset.addItem(title, name)
        named(self.preset, "Preset", "What the automaton sees of its neighbours, and how it is trained")
        self.seconds = NumberField(
            "Training time",
            "The training ends by then; longer is better",
            unit="s",
            low=0.2,
            high=86_400.0,
            value=_USUAL_S,
        )
        self.steps = NumberField(
            "Steps a frame", "Of the automaton, from frame to frame: a change travels one cell a step; empty: as usual",
            low=1, high=1000, whole=True, optional=True,
        )  # fmt: skip
        self.hidden = NumberField(
            "Hidden channels", "Of every cell, beside those that are seen; empty: as the preset has it", low=0, high=64,
            whole=True, optional=True,
        )  # fmt: skip
        self.seed = NumberField("Seed", "Of all random choices", low=0, high=2**31 - 1, whole=True, value=1)
        self.clip = QCheckBox("Keep within bounds")
        self.clip.setChecked(True)
        named(self.clip, "Keep within bounds", "Cells stay in the range of the data: such a rule cannot run away")
        self.readable = QCheckBox("Read the rule as terms")
        named(
            self.readable,
            "Read the rule as terms",
            "At the end also say the rule as reaction and diffusion; takes longer",
        )
        self.name = QLineEdit("automaton")
        named(self.name, "Name of the automaton", "Its files are named so")
        self.controls = JobControls(
            desk, self.job, text="Train", tip="Train on the source of the first page, and show it running (Ctrl+Return)",
            panel=PANEL, keys="Ctrl+Return",
        )  # fmt: skip
        self.controls.started.connect(self._started)
        self.learning = LearningPlot(desk.theme)
        self._lay_out()
        source.changed.connect(self._show)
        self.preset.currentIndexChanged.connect(lambda _: self._show())
        desk.bridge.tick.connect(self._tick)
        self._show()

    def add_preview(self, view: QWidget) -> None:
        """Show the automaton that grows beside the curves."""
        self._right.addWidget(view)
        self._right.setSizes([300, 260])

    def use_theme(self, theme: Theme) -> None:
        """Draw in these colours."""
        self.learning.use_theme(theme)

    def say(self, text: str) -> None:
        """What came of the training, in a sentence."""
        self.verdict.setText(text)

    def job(self) -> Job:
        """The training as it stands in the form; raises UsageError."""
        data = self._source.data()
        name = self.name.text().strip()
        if not name or "/" in name or name.startswith("."):
            raise UsageError(f"Name of the automaton: {name!r} cannot be the name of a file")
        seed = int(self._number(self.seed))
        training = self._training()
        perform(training)  # its own checks
        evaluation = call("labctl.campaigns.evaluate_nca:EvaluationSettings", readable=self.readable.isChecked())
        made = call(
            "labctl.campaigns.nca_files:train_nca",
            name,
            data,
            seed=seed,
            training=training,
            folder=FOLDER,
            evaluation=evaluation,
        )
        return Job(f"Train {name}", made, self._desk.new_folder(f"nca-{name}"), seed=seed)

    def steps_per_frame(self) -> int:
        """Of the automaton, as it would be trained now."""
        given, equation = self.steps.value, self._source.equation
        return int(given) if given else equation.steps_per_frame if equation else _STEPS[self._preset()]

    def _preset(self) -> str:
        return str(self.preset.currentData()) or ("pde" if self._source.kind.currentIndex() == 0 else "images")

    def _training(self) -> Call:
        preset = self._preset()
        spec: dict[str, object] = {"bounds": "clip"} if self.clip.isChecked() else {}
        if (hidden := self._optional(self.hidden)) is not None:
            spec["hidden"] = int(hidden)
        fit: dict[str, object] = {"max_seconds": self._number(self.seconds)}
        if PRESETS[preset][1].get("steps_per_frame") != self.steps_per_frame():
            self._optional(self.steps)
            fit["steps_per_frame"] = self.steps_per_frame()
        return call("labctl.campaigns.nca_settings:NcaTraining", preset=preset, spec=spec, fit=fit)

    def _number(self, field: NumberField) -> float:
        value = self._optional(field)
        if value is None:
            raise UsageError(f"{field.edit.accessibleName()}: a number is missing")
        return value

    def _optional(self, field: NumberField) -> float | None:
        if field.trouble:
            raise UsageError(f"{field.edit.accessibleName()}: {field.trouble}")
        return field.value

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("Preset", self.preset)
        form.addRow("At most", self.seconds)
        form.addRow("Steps a frame", self.steps)
        form.addRow("Hidden", self.hidden)
        form.addRow("Seed", self.seed)
        form.addRow("Name", self.name)
        form.addRow(self.clip)
        form.addRow(self.readable)
        inner = QWidget()
        rows = QVBoxLayout(inner)
        rows.setContentsMargins(0, 0, 4, 0)
        rows.addWidget(self.told)
        rows.addLayout(form)
        rows.addWidget(self.verdict)
        rows.addStretch(1)
        left = QWidget()
        column = QVBoxLayout(left)
        column.setContentsMargins(0, 0, 4, 0)
        column.addWidget(scrolled(inner), 1)
        column.addWidget(self.controls)
        self._right = QSplitter(Qt.Orientation.Vertical)
        self._right.addWidget(self.learning)
        split = QSplitter(Qt.Orientation.Horizontal)
        split.addWidget(left)
        split.addWidget(self._right)
        split.setStretchFactor(1, 1)
        split.setSizes([400, 720])
        QVBoxLayout(self).addWidget(split)

    def _show(self) -> None:
        self.told.setText(_source_in_words(self._source))
        usual = self._source.equation.steps_per_frame if self._source.equation else _STEPS[self._preset()]
        self.steps.edit.setPlaceholderText(f"usually {usual}")
        self.hidden.edit.setPlaceholderText(f"usually {PRESETS[self._preset()][0]['hidden']}")

    def _started(self, work: Work) -> None:
        self.learning.clear()
        self.verdict.setText("")
        folder, name = work.job.folder, str(work.job.call.arguments[0])
        self._watched, self._written_ns = folder / f"{name}.json", 0
        work.frame.connect(self._take)
        work.ended.connect(lambda ended: self._ended(folder / f"{name}.json", ended))
        self.began.emit()

    def _take(self, frame: Frame) -> None:
        self.learning.take(_renamed(event) for event in frame.events if isinstance(event, Figures))
        for event in frame.events:
            if isinstance(event, Warned):
                self._desk.note(f"{event.key}: {event.message}")

    def _tick(self) -> None:
        """Draw; and look now and then whether there is a better automaton."""
        self.learning.refresh()
        self._ticks += 1
        if self._watched is not None and self._ticks % 30 == 0:
            self._look(self._watched)

    def _look(self, path: Path) -> None:
        try:
            written_ns = path.stat().st_mtime_ns
        except OSError:
            return
        if written_ns != self._written_ns:
            self._written_ns = written_ns
            self.grew.emit(path)

    def _ended(self, path: Path, ended: Ended) -> None:
        self._watched = None
        if ended.error is not None and not ended.stopped:
            return
        if path.exists():
            outcome = ended.result if isinstance(ended.result, dict) else {}
            self.trained.emit(path, outcome)


def _renamed(event: Figures) -> Figures:
    """The curves that are worth a look, by names for people."""
    return replace(event, values={words: event.values[name] for name, words in _CURVES.items() if name in event.values})


def _source_in_words(source: DataForm) -> str:
    kind = source.kind.currentIndex()
    if kind == 0:
        size = source.cells.edit.text()
        return (
            f"Learns from: {source.pde.currentText()}, {source.n_trials.edit.text()} sequences of {source.n_frames.edit.text()} "
            f"frames, {size} × {size} cells (SIMULATED). The first page changes it."
        )
    path = source.path.path
    return f"Learns from: {path.name if path is not None else 'no images yet'}. The first page changes it."
