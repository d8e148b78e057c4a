"""The fourth page: what an automaton is worth, how sensitive it is, and how other programs get it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtGui import QPixmap, QResizeEvent
from PySide6.QtWidgets import QComboBox, QFormLayout, QHBoxLayout, QLabel, QSizePolicy, QSplitter, QVBoxLayout, QWidget

from gui.bridge import Ended
from gui.desk import Desk
from gui.models.rows import Column, RowsModel
from gui.opening import open_folder, open_page
from gui.panels.nca.data_form import DataForm
from gui.panels.tables import table
from gui.panels.widgets import button, named, relabel, words
from gui.widgets.job_controls import JobControls
from gui.widgets.number_field import NumberField
from gui.widgets.path_choice import PathChoice
from gui.work import Work
from labctl.calls import FOLDER, Call, call, perform
from labctl.errors import UsageError
from labctl.job import Job
from labctl.nca_table import FigureRow, evaluation_rows, plain_rows, search_rows

PANEL = "nca"
EVALUATE, SEEK, RUN, EXPORT = "Evaluate", "Seek the most sensitive start", "Run on and write a film", "Export"
_TIPS = {
    EVALUATE: "Judge it on the source of the first page: free runs, patterns, symmetry, healing; writes a page",
    SEEK: "The change of the start that its run feels most, beside random changes of the same size",
    RUN: "Go on from the last frame of the source, as far as you like, and write NPZ and GIF",
    EXPORT: "A folder that NumPy alone runs, or one step as ONNX",
}
_VERBS = {EVALUATE: "Evaluate", SEEK: "Seek", RUN: "Run on", EXPORT: "Export"}
_ROWS: Mapping[str, Callable[[Mapping[str, Any]], list[FigureRow]]] = {
    EVALUATE: evaluation_rows,
    SEEK: search_rows,
    RUN: plain_rows,
    EXPORT: plain_rows,
}


class JudgeTab(QWidget):
    """One action at a time, its figures in a table, its pages and pictures one click away."""

    def __init__(self, desk: Desk, source: DataForm) -> None:
        super().__init__()
        self._desk, self._source = desk, source
        self.model = PathChoice("Automaton to judge", "File of an automaton (.json)", kinds="Automata (*.json)")
        self.action = QComboBox()
        for name, tip in _TIPS.items():
            self.action.addItem(name)
            self.action.setItemData(self.action.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
        named(self.action, "Action", "What to do with the automaton")
        self.frames = NumberField("Frames to run", "How many frames; empty: as the action usually does", low=1, high=100_000,
                                  whole=True, optional=True)  # fmt: skip
        self.change = NumberField("Size of the change", "Of the start that is sought, in the automaton's unit", low=1e-6, high=1e6,
                                value=0.5)  # fmt: skip
        self.updates = NumberField("Updates", "Of the search; more find more", low=1, high=10_000, whole=True, value=20)
        self.form_of_export = QComboBox()
        self.form_of_export.addItems(["numpy", "onnx"])
        named(self.form_of_export, "Kind of export", "numpy: a folder; onnx: a file")
        self.tip = words("hint")
        self.controls = JobControls(desk, self.job, text="Do it", tip="Do it with the automaton above (Ctrl+Return)", panel=PANEL,
                                    keys="Ctrl+Return")  # fmt: skip
        self.controls.started.connect(self._started)
        self.rows = RowsModel(
            (
                Column("Figure", "What was found out", lambda row: row.what, hint=lambda row: row.meaning),
                Column("Value", "How much", lambda row: row.value, hint=lambda row: f"{row.value}\n{row.meaning}"),
                Column("Meaning", "What it says, with its unit", lambda row: row.meaning),
            )
        )
        self.table = table(self.rows, name="Figures of the automaton", stretch=1, widths={0: 170, 2: 190})
        self.picture = _Picture()
        self.page = button("Open page …", "Open the page with pictures in the browser", self._open)
        self.place = button("Open folder …", "Open the folder of the files", self._open_folder)
        self._files: list[Path] = []
        self._lay_out()
        self.action.currentTextChanged.connect(lambda _: self._show())
        self._show()
        self._show_files(None)

    def job(self) -> Job:
        """The chosen action; raises UsageError."""
        if self.model.path is None:
            raise UsageError("choose the file of an automaton, or train one on the second page")
        name, action = self.model.path.stem, self.action.currentText()
        made = {EVALUATE: self._evaluation, SEEK: self._search, RUN: self._run, EXPORT: self._export}[action](
            self.model.path
        )
        return Job(f"{action}: {name}", made, self._desk.new_folder(f"{action.split()[0].lower()}-{name}"), seed=0)

    def _evaluation(self, model: Path) -> Call:
        frames = self._frames()
        settings = call("labctl.campaigns.evaluate_nca:EvaluationSettings", n_frames=frames)
        options = {} if frames is None else {"settings": settings}
        target = "labctl.campaigns.nca_files:evaluate_nca_file"
        return call(target, model, self._source.data(), seed=0, folder=FOLDER, **options)

    def _search(self, model: Path) -> Call:
        size, updates = self.change.value, self.updates.value
        if size is None or updates is None:
            raise UsageError(f"Size and updates: {self.change.trouble or self.updates.trouble}")
        settings = call(
            "labctl.campaigns.seek_nca:SeekSettings",
            n_frames=self._frames(),
            bound={"size": size},
            search={"n_updates": int(updates)},
        )
        target = "labctl.campaigns.nca_files:seek_nca_file"
        return call(target, model, self._source.data(), seed=0, settings=settings, folder=FOLDER)

    def _run(self, model: Path) -> Call:
        settings = call("labctl.campaigns.run_nca:RunSettings", n_frames=self._frames() or 100)
        perform(settings)
        target = "labctl.campaigns.nca_files:run_nca_file"
        return call(target, model, self._source.data(), seed=0, settings=settings, folder=FOLDER)

    def _export(self, model: Path) -> Call:
        kind = self.form_of_export.currentText()
        return call("labctl.campaigns.nca_files:export_nca_file", model, folder=FOLDER, kind=kind)

    def _frames(self) -> int | None:
        if self.frames.trouble:
            raise UsageError(f"Frames to run: {self.frames.trouble}")
        return None if self.frames.value is None else int(self.frames.value)

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.addRow("Automaton", self.model)
        form.addRow("Action", self.action)
        form.addRow("", self.tip)
        form.addRow("Frames", self.frames)
        form.addRow("Size", self.change)
        form.addRow("Updates", self.updates)
        form.addRow("Kind", self.form_of_export)
        self._form = form
        left = QWidget()
        column = QVBoxLayout(left)
        column.setContentsMargins(0, 0, 4, 0)
        column.addLayout(form)
        column.addStretch(1)
        column.addWidget(self.controls)
        files = QHBoxLayout()
        files.addStretch(1)
        files.addWidget(self.page)
        files.addWidget(self.place)
        results = QSplitter(Qt.Orientation.Vertical)
        results.addWidget(self.table)
        results.addWidget(self.picture)
        right = QWidget()
        rows = QVBoxLayout(right)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addWidget(results, 1)
        rows.addLayout(files)
        split = QSplitter(Qt.Orientation.Horizontal)
        split.addWidget(left)
        split.addWidget(right)
        split.setStretchFactor(1, 1)
        split.setSizes([380, 740])
        QVBoxLayout(self).addWidget(split)

    def _show(self) -> None:
        action = self.action.currentText()
        self.tip.setText(_TIPS[action])
        relabel(self.controls.start_button, _VERBS[action])
        self.controls.start_button.setAccessibleName(_VERBS[action])
        for widget, actions in (
            (self.frames, (EVALUATE, SEEK, RUN)), (self.change, (SEEK,)), (self.updates, (SEEK,)), (self.form_of_export, (EXPORT,)),
        ):  # fmt: skip
            self._form.setRowVisible(widget, action in actions)

    def _started(self, work: Work) -> None:
        action = self.action.currentText()
        work.ended.connect(lambda ended: self._ended(action, work, ended))

    def _ended(self, action: str, work: Work, ended: Ended) -> None:
        if isinstance(ended.result, dict):
            self.rows.reset(_ROWS[action](ended.result))
        self._show_files(work.job.folder)

    def _show_files(self, folder: Path | None) -> None:
        self._files = sorted(folder.glob("*")) if folder is not None and folder.is_dir() else []
        pages = [one for one in self._files if one.suffix == ".html"]
        self.page.setEnabled(bool(pages))
        self.page.setToolTip(
            "Open the page with pictures in the browser" if pages else "There is no page: evaluate first"
        )
        self.place.setEnabled(bool(self._files))
        self.place.setToolTip("Open the folder of the files" if self._files else "There are no files yet")
        self.picture.show_file(next((one for one in self._files if one.suffix == ".png"), None))

    def _open(self) -> None:
        for one in self._files:
            if one.suffix == ".html":
                open_page(self._desk, one, below=one.parent)

    def _open_folder(self) -> None:
        if self._files:
            open_folder(self._desk, self._files[0].parent)


class _Picture(QLabel):
    """A picture of a file, as large as there is room; hidden where there is none."""

    def __init__(self) -> None:
        super().__init__()
        named(self, "Picture of the result", "As it was written to the folder")
        self._pixels = QPixmap()
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)
        self.setMinimumHeight(180)

    def show_file(self, path: Path | None) -> None:
        """None: nothing."""
        self._pixels = QPixmap() if path is None else QPixmap(str(path))
        self.setVisible(not self._pixels.isNull())
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """As large as there is room."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        if not self._pixels.isNull():
            mode = Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
            self.setPixmap(self._pixels.scaled(self.size(), *mode))
