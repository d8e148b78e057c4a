"""The panel: a known equation, measured traces, and what the traces say of its parameters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtWidgets import QPlainTextEdit, QTabWidget, QVBoxLayout, QWidget

from gui.bridge import Ended, Frame
from gui.desk import Desk
from gui.panels.goku.asking import Asker
from gui.panels.goku.compare_view import CompareView
from gui.panels.goku.course_view import CourseView
from gui.panels.goku.fit_form import FitForm
from gui.panels.goku.parameters_view import ParametersView
from gui.panels.goku.system_page import SystemPage
from gui.panels.goku.told_view import ToldView
from gui.panels.goku.traces_page import TracesPage
from gui.panels.panel import Panel
from gui.panels.widgets import button, named
from gui.plots.learning_plot import LearningPlot
from gui.theme import Theme
from gui.widgets.job_controls import JobControls
from gui.work import Work
from labctl.calls import FOLDER, call
from labctl.errors import UsageError
from labctl.events import Reported, Warned
from labctl.goku_study import GokuStudy, is_study, open_study
from labctl.job import Job

STUDY = ".study.h5"
SYSTEM, TRACES, FIT = range(3)
MOST_LINES = 200
EXAMPLE_TIP = "Simulated traces of this equation, marked SIMULATED, to try everything on"
_HELP = """
**GOKU** infers the parameters of an equation whose form you know from measured traces, with 90 % intervals.

1. **System**: choose an equation, or write your own. Ranges are what is believed possible before the data.
2. **Traces**: files, or recorded on the bench. *Example* makes simulated ones, marked SIMULATED.
3. **Fit and results**: press *Fit and infer*. A network is trained on simulations of the equation, then each trace is
   refined by its own likelihood.

Look at *Course* first: does the band hold what was held back? Then at *Parameters*, and at *What the data tell*.
"""


class GokuPanel(Panel):
    """Three steps, one main button."""

    key = "goku"
    title = "GOKU"
    order = 50
    tip = "Infer the parameters of a known equation from measured traces"
    help = _HELP

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(desk, parent)
        self._asker = Asker(desk, self)
        self._examples = 0
        self._example: Work | None = None
        self.study: GokuStudy | None = None
        self.system, self.traces = SystemPage(desk, self._asker), TracesPage(desk, self._asker)
        self.form, self.learning = FitForm(desk), LearningPlot(desk.theme)
        self.parameters, self.course, self.told = (
            ParametersView(desk),
            CourseView(desk.theme),
            ToldView(desk.theme),
        )
        self.compare = CompareView(
            desk,
            called=lambda: self.system.told.name if self.system.told else "",
            source=self.system.source,
            measured=self.traces.measured,
            wishes=self.traces.wishes,
            seed=self.form.seed_number,
        )
        self.controls = JobControls(
            desk,
            self._job,
            text="&Fit and infer",
            tip="Train for these traces, judge, infer the parameters and write a report; Stop keeps the best so far",
            panel=self.key,
            keys="Ctrl+Return",
        )
        self._build()
        self.controls.started.connect(self._follow)
        self.system.changed.connect(self._system_changed)
        self.traces.changed.connect(self._look)
        self.form.changed.connect(self._look)
        self._look()

    def _build(self) -> None:
        self.warnings = QPlainTextEdit()
        self.warnings.setReadOnly(True)
        self.warnings.setMaximumBlockCount(MOST_LINES)
        self.warnings.setMaximumHeight(96)
        self.warnings.setPlaceholderText("Remarks about traces, training and results come here")
        named(self.warnings, "Remarks", "What wants saying about traces, training and results")
        learning = QWidget()
        column = QVBoxLayout(learning)
        column.setContentsMargins(0, 4, 0, 0)
        column.addWidget(self.learning, 1)
        column.addWidget(self.warnings)
        self.results = QTabWidget()
        self.results.setAccessibleName("Results")
        for page, name, tip in (
            (learning, "Training", "Loss while the network is trained, and remarks"),
            (self.parameters, "Parameters", "What was inferred, with 90 % intervals"),
            (self.course, "Course", "Reconstruction and forecast beside what was measured"),
            (self.told, "What the data tell", "Which parameters the traces tell, and which only together"),
            (self.compare, "Compare equations", "Other equations on the same traces"),
        ):
            self.results.setTabToolTip(self.results.addTab(page, name), tip)
        fit = QWidget()
        column = QVBoxLayout(fit)
        column.setContentsMargins(0, 6, 0, 0)
        column.addWidget(self.form)
        column.addWidget(self.results, 1)
        self.steps = QTabWidget()
        self.steps.setAccessibleName("Steps")
        self.steps.setDocumentMode(True)
        for page, tip in (
            (self.system, "The equation, its parameters and their ranges"),
            (self.traces, "What was measured: files, or recorded on the bench"),
            (fit, "Train, infer, and what came out"),
        ):
            self.steps.setTabToolTip(self.steps.addTab(page, ""), tip)
        self.example_button = button("&Example", EXAMPLE_TIP, self.example)
        self.steps.setCornerWidget(self.example_button)
        column = QVBoxLayout(self)
        column.addWidget(self.steps, 1)
        column.addWidget(self.controls)

    # ---- what a panel is ---------------------------------------------------------------------------------------------

    def shown(self) -> None:
        """The equations are asked for when somebody looks."""
        self.system.load()

    def use_theme(self, theme: Theme) -> None:
        """Draw in these colours."""
        for one in (self.system, self.traces, self.learning, self.parameters, self.course, self.told):
            one.use_theme(theme)

    def take_files(self, files: Sequence[Path]) -> None:
        """Traces, a study, or a model."""
        models = [path for path in files if path.suffix == ".json"]
        studies = [path for path in files if path.name.endswith(STUDY)]
        for path in models[:1]:
            self.form.use_model(path)
            self.steps.setCurrentIndex(FIT)
        for path in studies[:1]:
            self._open(path)
        traces = [path for path in files if path not in (*models, *studies)]
        if traces:
            self.traces.add_files(traces)
            self.steps.setCurrentIndex(TRACES)

    def script_job(self) -> Job | None:
        """Of the step that is looked at: the example's traces, a recording on the bench, a comparison; else fit and infer."""
        step = self.steps.currentWidget()
        if step is self.system:
            return self.example_job()
        if step is self.traces and self.traces.bench.isVisible():
            return self.traces.bench.job()
        if self.steps.currentIndex() == FIT and self.results.currentWidget() is self.compare:
            return self.compare.job()
        return self._job()

    def busy(self) -> str:
        """Why the panel should not be left; it can be at any time."""
        return ""

    # ---- doing -------------------------------------------------------------------------------------------------------

    def example(self) -> None:
        """Simulated traces in place of those that are there; where they are under way, stop that."""
        if self._example is not None and not self._example.over:
            self._example.stop()
            return
        try:
            job = self.example_job()
        except UsageError as error:
            self.desk.trouble(error, doing="Making an example")
            return
        self._examples += 1
        self._example = self.desk.start(job, panel=self.key)
        self._example.ended.connect(self._example_ended)
        self._look()

    def example_job(self) -> Job:
        """Simulated traces of the equation as it stands. Raises UsageError."""
        seed = self._examples + 1
        made = call("labctl.goku_example:example_into", self.system.source(), folder=FOLDER, seed=seed)
        return Job("Simulate an example", made, self.desk.new_folder("goku-example"), seed=seed)

    def _example_ended(self, ended: Ended) -> None:
        self._look()
        if isinstance(ended.result, Path):
            self._have_example(ended.result)

    def _have_example(self, path: Path) -> None:
        self.traces.use_files([path])
        self.form.train_anew()
        self.steps.setCurrentIndex(TRACES)
        self.desk.note(f"SIMULATED traces of the equation: {path}")
        self.desk.files_changed.emit()

    def _job(self) -> Job:
        """Raises UsageError, naming step and field."""
        measured, seed, model = self.traces.measured(), self.form.seed_number(), self.form.model_path
        if model is not None:
            made = call(
                "labctl.campaigns.study_goku:study_with_model", model, measured, seed=seed, folder=FOLDER,
                inferring=self.form.inferring(),
            )  # fmt: skip
            return Job(f"Infer with {model.stem}", made, self.desk.new_folder(model.stem), seed=seed)
        source = self.system.source()
        assert self.system.told is not None
        name = "".join(one if one.isalnum() or one in "-_" else "_" for one in self.system.told.name)
        reading = self.traces.reading()
        made = call(
            "labctl.campaigns.study_goku:study_goku", name, measured, source, self.traces.wishes(), seed=seed, folder=FOLDER,
            fitting=self.form.fitting(), inferring=self.form.inferring(), **({"reading": reading} if reading else {}),
        )  # fmt: skip
        return Job(f"Fit {self.system.told.name}", made, self.desk.new_folder(name), seed=seed)

    def _follow(self, work: Work) -> None:
        self.steps.setCurrentIndex(FIT)
        self.results.setCurrentIndex(0)
        self.learning.clear()
        self.warnings.clear()
        self._show(None)
        work.frame.connect(self._take)
        work.ended.connect(lambda ended: self._ended(work, ended))

    def _take(self, frame: Frame) -> None:
        self.learning.take(frame.events)
        self.learning.refresh()
        for event in frame.events:
            if isinstance(event, Warned):
                self.warnings.appendPlainText(event.message)
            elif isinstance(event, Reported):
                for path in event.files:
                    if path.endswith(STUDY):
                        self._open(Path(path))

    def _ended(self, work: Work, ended: Ended) -> None:
        if not ended.stopped:
            return
        kept = [path for path in work.job.folder.glob("*.json") if path.with_suffix(".safetensors").exists()]
        if kept and self.form.model_path is None:
            self.form.use_model(kept[0])
            self.warnings.appendPlainText(
                f"Stopped. The best network so far is kept ({kept[0].name}), and chosen as Model: Fit and infer now infers with it."
            )
        elif not kept and self.form.model_path is None:
            self.warnings.appendPlainText("Stopped before there was a network to keep.")

    def _open(self, path: Path) -> None:
        self._asker.read("Reading the results", lambda: _study(path), lambda study: self._show_new(study, path.parent))

    def _show_new(self, study: GokuStudy, folder: Path) -> None:
        first = self.study is None
        self._show(study, folder)
        if study.stage == "judged" and self._running():
            self.warnings.appendPlainText(f"Judged: {study.words[0]}. Now every trace is inferred.")
        self.steps.setCurrentIndex(FIT)
        if first:
            self.results.setCurrentWidget(self.parameters)

    def _running(self) -> bool:
        return self.controls.work is not None and not self.controls.work.over

    def _show(self, study: GokuStudy | None, folder: Path | None = None) -> None:
        self.study = study
        self.parameters.show_study(study, folder)
        for view in (self.course, self.told):
            view.show_study(study)

    # ---- what can be done now ----------------------------------------------------------------------------------------

    def _system_changed(self) -> None:
        self.traces.use_equation(self.system.told)
        known = [self.compare.candidates.item(row).text() for row in range(self.compare.candidates.rowCount())]
        names = [one.name for one in self.system.systems.rows]
        if known[1:] != names:
            self.compare.show_equations(self.system.systems.rows)
        if self.form.model_path is not None:
            self.form.train_anew()
        self._look()

    def _look(self) -> None:
        """Titles of the steps, and why the main button cannot be pressed."""
        told, traces = self.system.told, self.traces.traces
        self.steps.setTabText(
            SYSTEM, f"1  System: {told.name if told else 'own, not finished' if self.system.is_own else 'none yet'}"
        )
        self.steps.setTabText(TRACES, f"2  Traces: {len(traces.traces) if traces else 'none yet'}")
        self.steps.setTabText(FIT, "3  Fit and results")
        can = self.system.told is not None and not self.system.trouble
        simulating = self._example is not None and not self._example.over
        self.example_button.setText("Stop &example" if simulating else "&Example")
        self.example_button.setEnabled(can or simulating)
        why = "" if can else self.system.trouble or "Choose an equation first"
        self.example_button.setToolTip(
            "The example is being simulated: stop that" if simulating else why or EXAMPLE_TIP
        )
        if self.form.model_path is None and not can:
            self.controls.block(f"1 System: {self.system.trouble or 'choose an equation'}")
        elif self.traces.trouble:
            self.controls.block(f"2 Traces: {self.traces.trouble}")
        else:
            self.controls.block("")


def _study(path: Path) -> GokuStudy:
    if not is_study(path):
        raise UsageError(f"{path} holds no study of an equation")
    return open_study(path)
