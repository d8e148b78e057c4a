"""Which task the network is for, with one example of it: what goes in, and what is to come out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from gui.panels.networks.until_drawn import UntilDrawn
from gui.panels.widgets import button, named, words
from gui.plots.band_plot import Band, BandPlot
from gui.theme import Theme
from gui.widgets.path_choice import PathChoice
from labctl.own_task import is_own_task
from labctl.task_names import TASK_WORDS
from labctl.task_preview import TaskPreview

OWN = "a task of your own …"
OWN_WARNING = "Your file is RUN as a program, here and wherever the network is optimised. Choose only what you trust."
MOST_SHOWN = 3


class TaskBox(QWidget):
    """`chosen` has the task: a name, or FILE.py:ClassName. `run_asked`: a person wants the file run, to see an example."""

    chosen = Signal(str)
    run_asked = Signal()

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.choice = QComboBox()
        for name, told in TASK_WORDS.items():
            self.choice.addItem(name, name)
            self.choice.setItemData(self.choice.count() - 1, told, Qt.ItemDataRole.ToolTipRole)
        self.choice.addItem(OWN, "")
        named(self.choice, "Task", "What the network is to learn")
        self.told = words("dim")
        self.file = PathChoice("File of your task", "A Python file with a class of a task", kinds="Python (*.py)")
        self.class_name = QComboBox(editable=True)
        named(self.class_name, "Class of your task", "Name of the class in the file")
        self.warning = words()
        self.warning.setText(f"⚠ {OWN_WARNING}")
        self.own = QWidget()
        own = QVBoxLayout(self.own)
        own.setContentsMargins(0, 0, 0, 0)
        row = QHBoxLayout()
        row.addWidget(QLabel("Class"))
        row.addWidget(self.class_name, 1)
        own.addWidget(self.warning)
        own.addWidget(self.file)
        own.addLayout(row)
        self.run = button("Run it and show an example", "Runs your file in a process of its own", self.run_asked.emit)
        own.addWidget(self.run)
        self.plot = BandPlot(
            theme, name="Example of the task", tip="One example: the input, and what the network is to say"
        )
        self.plot.set_labels(bottom="step", left="")
        self.plot.plot.getAxis("left").setWidth(36)
        self.plot.setMinimumHeight(90)
        self.shown = UntilDrawn(self.plot, "… an example of the task")
        self.plot.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.choice)
        column.addWidget(self.told)
        column.addWidget(self.own)
        column.addWidget(self.shown, 1)
        self.choice.currentIndexChanged.connect(lambda _: self._choose())
        self.file.changed.connect(self._file_named)
        self.class_name.editTextChanged.connect(lambda _: self._choose())
        self.show_task("narma10")

    @property
    def task(self) -> str:
        """The chosen task; "" while one of your own is not named in full."""
        if self.choice.currentData():
            return str(self.choice.currentData())
        path, name = self.file.path, self.class_name.currentText().strip()
        named_task = f"{path.absolute()}:{name}" if path else ""
        return named_task if is_own_task(named_task) else ""

    def show_task(self, task: str) -> None:
        """Show this task, without telling anyone."""
        if task == self.task:
            self._show_words()
            return
        self.blockSignals(True)
        number = self.choice.findData(task)
        self.choice.setCurrentIndex(number if number >= 0 else self.choice.count() - 1)
        if number < 0:
            path, _, name = task.rpartition(":")
            self.file.set_path(path)
            self.class_name.setEditText(name)
        self.blockSignals(False)
        self._show_words()

    def show_preview(self, preview: TaskPreview | None) -> None:
        """Draw this example."""
        self.shown.show_drawn(preview is not None)
        self.shown.say(
            "… an example of the task" if self.choice.currentData() else "An example appears once it was run"
        )
        if preview is None:
            self.plot.clear()
            return
        steps = np.arange(len(preview.inputs), dtype=np.float64)
        bands = [Band("input", steps, preview.inputs[:, 0], colour=2, dashed=True)]
        for number in range(min(preview.targets.shape[1], MOST_SHOWN)):
            name = "target" if preview.targets.shape[1] == 1 else f"target {number + 1}"
            bands.append(Band(name, steps, preview.targets[:, number], colour=number))
        self.plot.show_bands(bands)
        self.told.setToolTip(
            f"{preview.n_training_trials} training and {preview.n_heldout_trials} held-out examples of {preview.n_steps} "
            f"steps; judged by {preview.metric}"
        )

    def use_theme(self, theme: Theme) -> None:
        """Draw in these colours."""
        self.plot.use_theme(theme)

    def _choose(self) -> None:
        self._show_words()
        if self.task:
            self.chosen.emit(self.task)

    def _show_words(self) -> None:
        name = self.choice.currentData()
        self.own.setVisible(not name)
        self.told.setText(TASK_WORDS.get(name, "") if name else "FILE.py and the class in it; see Help")

    def _file_named(self) -> None:
        path = self.file.path
        names = _classes(path) if path is not None and path.suffix == ".py" and path.is_file() else []
        self.class_name.blockSignals(True)
        self.class_name.clear()
        self.class_name.addItems(names)
        self.class_name.blockSignals(False)
        self._choose()


def _classes(path: Path) -> list[str]:
    """Names of the classes of a Python file, by reading it, not by running it."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    names = [
        line.removeprefix("class ").split("(")[0].split(":")[0].strip() for line in lines if line.startswith("class ")
    ]
    return [name for name in names if name.isidentifier() and not name.startswith("_")]
