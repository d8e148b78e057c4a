"""One twin: what it foresees beside what was measured, residuals, coverage, spectra, its gates, and how it came about."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QSignalBlocker, Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QComboBox, QGridLayout, QHBoxLayout, QLabel, QTabWidget, QVBoxLayout, QWidget

from gui.bridge import Ended
from gui.desk import Desk
from gui.opening import open_page
from gui.panels.tables import table
from gui.panels.twins.evidence_plots import MEAN, CoverageView, PredictedView, ResidualsView, SpectraView
from gui.panels.twins.jobs import check_job, judging_for, predict_job, trouble_judging
from gui.panels.twins.page import Page, scrolled
from gui.panels.twins.shelf import Shelf
from gui.panels.twins.twins_model import SYMBOLS, gate_in_words, gates_model
from gui.panels.widgets import button, named, words
from gui.theme import Theme
from gui.work import Work
from labctl.errors import LabctlError
from labctl.job import Job
from labctl.recording_cards import RecordingCard
from labctl.twin_cards import TwinCard
from labctl.twin_prediction import TwinPrediction

SEED = 1
JUDGE_TIP = (
    "Judge its gates on the recordings ticked under Judge, and keep the verdict with it; right click: as a script"
)


class TwinPage(Page):
    """Follows the twin chosen on the shelf; `controls` ask it for its predictions."""

    def __init__(self, desk: Desk, shelf: Shelf) -> None:
        super().__init__(desk, shelf)
        self.twin: TwinCard | None = None
        self.prediction: TwinPrediction | None = None
        self.title, self.told = words("headline"), words()
        self.title.setAccessibleName("The twin and its verdict")
        self.told.setAccessibleName("What the predictions are of")
        self.controls = self.control(
            text="Predict",
            tip="Free runs of the twin beside the recordings ticked under Judge (Ctrl+Return)",
            keys="Ctrl+Return",
        )
        self.controls.started.connect(self._follow)
        self.judge = button("Judge", JUDGE_TIP, self._judge)
        self.judge_script = QAction("Script of judging …", self)
        self.judge_script.triggered.connect(lambda: self._with_judging(self.desk.show_script))
        self.judge.addAction(self.judge_script)
        self.judge.setContextMenuPolicy(Qt.ContextMenuPolicy.ActionsContextMenu)
        self.report = button("Report", "Open its report in the browser", self._open_report)
        self.use = button("Use in a network", "Take it to the Networks panel", self._use)
        self.input, self.channel, self.repeat = QComboBox(), QComboBox(), QComboBox()
        named(self.input, "Input", "The held-out input that is drawn")
        named(self.channel, "Response channel", "The response that is drawn")
        named(self.repeat, "Repeat", "The mean of all repeats of the input, or one of them")
        self.predicted, self.residuals = PredictedView(desk.theme), ResidualsView(desk.theme)
        self.coverage, self.spectra = CoverageView(desk.theme), SpectraView(desk.theme)
        self.gates = gates_model(self)
        self.origin = words()
        self.tabs = QTabWidget()
        self._lay_out()
        for combo, action in ((self.input, self._input_chosen), (self.channel, self._draw), (self.repeat, self._draw)):
            combo.currentIndexChanged.connect(lambda _, action=action: action())
        self.tabs.currentChanged.connect(lambda _: self._draw())
        shelf.chosen.connect(self.show_twin)
        shelf.recordings.ticked.connect(self._check)
        self.show_twin(None)

    def make(self) -> Job:
        """The predictions of the twin."""
        name = self.twin.name if self.twin is not None else ""
        return predict_job(self.twin, self._recordings(), seed=SEED, folder=self.desk.new_folder(f"predict-{name}"))

    def show_twin(self, twin: TwinCard | None) -> None:
        """Another twin, or the same with another verdict."""
        other = twin is None or self.twin is None or twin.path != self.twin.path
        self.twin = twin
        if twin is None:
            self.title.setText("No twin yet: fit one, or choose one in the list on the left")
        else:
            mark = "SIMULATED recordings. " if twin.simulated else ""
            self.title.setText(f"{SYMBOLS[twin.verdict]} {mark}{twin.in_short}")
            self.title.setToolTip(twin.in_words)
        self.gates.reset(twin.rows if twin is not None else ())
        self.origin.setText("" if twin is None else _origin(twin))
        if other:
            self._show_prediction(None)
        self._check()

    def predict(self) -> None:
        """Start the predictions, where that is possible; quietly not where it is not."""
        if not trouble_judging(self.twin, self._recordings()) and self.isVisible():
            self.controls.start()

    def use_theme(self, theme: Theme) -> None:
        """Draw in these colours."""
        for view in (self.predicted, self.residuals, self.coverage, self.spectra):
            view.use_theme(theme)

    def _recordings(self) -> list[RecordingCard]:
        recordings = self.shelf.recordings
        return [] if self.twin is None else judging_for(self.twin, recordings.judged_on, recordings.cards)

    def _check(self) -> None:
        twin = self.twin
        chosen = self._recordings()
        if twin is not None and not chosen and self.shelf.recordings.judged_on:
            chosen = self.shelf.recordings.judged_on  # of another device: said as the reason
        why = trouble_judging(twin, chosen)
        self.controls.block(why)
        _enable(self.judge, why, JUDGE_TIP)
        no_report = "" if twin is not None and twin.report is not None else "There is no report of this twin"
        _enable(self.report, no_report, "Open its report in the browser")
        usable = "Choose a twin first" if twin is None else twin.problem
        _enable(self.use, usable, "Take it to the Networks panel")

    # ---- what comes back --------------------------------------------------------------------------------------------

    def _follow(self, work: Work) -> None:
        work.ended.connect(self._ended)

    def _ended(self, ended: Ended) -> None:
        found, work = ended.result, self.controls.work
        if not isinstance(found, TwinPrediction) or self.twin is None or work is None:
            return
        if work.job.call.arguments[0] == self.twin.path:  # another one may be looked at by now
            self._show_prediction(found)

    def _show_prediction(self, prediction: TwinPrediction | None) -> None:
        self.prediction = prediction
        with QSignalBlocker(self.input), QSignalBlocker(self.channel):
            self.input.clear()
            self.channel.clear()
            if prediction is not None:
                self.input.addItems([one.label for one in prediction.inputs])
                self.channel.addItems(prediction.response_names)
        for view in (self.predicted, self.residuals, self.coverage, self.spectra):
            view.clear()
        if prediction is None:
            self.told.setText("Press Predict to see what it foresees of the recordings ticked under Judge.")
        else:
            mark = "SIMULATED recordings: " if prediction.simulated else ""
            left = prediction.n_inputs - len(prediction.inputs)
            more = f"; the last {left} are not drawn" if left else ""
            self.told.setText(
                f"{mark}{prediction.n_trials} trials of {prediction.n_inputs} inputs that it was not trained on{more}; "
                f"{prediction.n_draws} free runs each"
            )
        self._input_chosen()

    def _input_chosen(self) -> None:
        with QSignalBlocker(self.repeat):
            self.repeat.clear()
            number = self.input.currentIndex()
            if self.prediction is not None and number >= 0:
                n_repeats = len(self.prediction.inputs[number].measured)
                if n_repeats > 1:
                    self.repeat.addItem("mean of all", MEAN)
                for one in range(n_repeats):
                    self.repeat.addItem(f"repeat {one + 1}", one)
        for combo in (self.input, self.channel, self.repeat):
            combo.setEnabled(combo.count() > 1)
        self._draw()

    def _draw(self) -> None:
        """What is visible only."""
        prediction, number, channel = self.prediction, self.input.currentIndex(), self.channel.currentIndex()
        if prediction is None or number < 0 or channel < 0:
            return
        one, repeat, view = prediction.inputs[number], self.repeat.currentData(), self.tabs.currentWidget()
        if view is self.predicted:
            self.predicted.show_input(prediction, one, channel, repeat)
        elif view is self.residuals:
            self.residuals.show_input(prediction, one, channel, repeat)
        elif view is self.coverage:
            self.coverage.show_channel(prediction, channel)
        elif view is self.spectra:
            self.spectra.show_channel(prediction, channel)

    # ---- buttons ----------------------------------------------------------------------------------------------------

    def _judge(self) -> None:
        self._with_judging(lambda job: self.controls.follow(self.desk.start(job, panel="twins")))

    def _with_judging(self, act: Callable[[Job], object]) -> None:
        name = self.twin.name if self.twin is not None else ""
        try:
            job = check_job(self.twin, self._recordings(), seed=SEED, folder=self.desk.new_folder(f"judge-{name}"))
        except LabctlError as error:
            self.desk.trouble(error, doing="Judging the twin")
            return
        act(job)

    def _open_report(self) -> None:
        if self.twin is not None and self.twin.report is not None:
            open_page(self.desk, self.twin.report, below=self.twin.path.parent)

    def _use(self) -> None:
        if self.twin is not None:
            self.desk.show_panel("networks", files=[self.twin.path])

    def _gates_page(self) -> QWidget:
        view = table(self.gates, name="Gates", stretch=4, widths={0: 104, 1: 160, 2: 84, 3: 140})
        about = words()
        about.setAccessibleName("The chosen gate in words")
        about.setText("Choose a gate to read what it asks.")

        def tell() -> None:
            row = view.selectionModel().currentIndex().row()
            if 0 <= row < len(self.gates.rows):
                about.setText(gate_in_words(self.gates.rows[row]))

        view.selectionModel().currentRowChanged.connect(lambda *_: tell())
        whole = QWidget()
        column = QVBoxLayout(whole)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(view, 1)
        column.addWidget(about)
        return whole

    def _lay_out(self) -> None:
        buttons = QHBoxLayout()
        buttons.addWidget(self.title, 1)
        for one in (self.judge, self.report, self.use):
            buttons.addWidget(one)
        grid = QGridLayout()
        for number, (text, combo) in enumerate(
            (("Input", self.input), ("Channel", self.channel), ("Show", self.repeat))
        ):
            label = QLabel(text)
            label.setBuddy(combo)
            combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            combo.setMinimumContentsLength(12)
            grid.addWidget(label, 0, 2 * number)
            grid.addWidget(combo, 0, 2 * number + 1)
            grid.setColumnStretch(2 * number + 1, 1)
        gates = self._gates_page()
        pages: tuple[tuple[QWidget, str, str], ...] = (
            (self.predicted, "Measured and predicted", "One input, with the bands of the twin's free runs"),
            (
                self.residuals,
                "Residuals",
                "What the twin does not foresee: is it as much, and of the kind, that it expects?",
            ),
            (self.coverage, "Coverage", "Whether its intervals hold as many measured values as they promise"),
            (self.spectra, "Spectra", "Power over frequency, measured and predicted"),
            (gates, "Gates", "What it must show before anything optimised on it is applied"),
            (scrolled(self.origin), "How it was made", "Its recordings, and why it is built as it is"),
        )
        for page, title, tip in pages:
            self.tabs.setTabToolTip(self.tabs.addTab(page, title), tip)
        self.tabs.setDocumentMode(True)
        column = QVBoxLayout(self)
        column.addLayout(buttons)
        column.addWidget(self.controls)
        column.addWidget(self.told)
        column.addLayout(grid)
        column.addWidget(self.tabs, 1)


def _enable(one: QWidget, why_not: str, tip: str) -> None:
    one.setEnabled(not why_not)
    one.setToolTip(why_not or tip)


def _origin(twin: TwinCard) -> str:
    """Files, recordings and reasons in words."""
    lines = [
        f"File: {twin.path}",
        f"Fitted (UTC): {twin.made_utc[:19].replace('T', ' ')}",
        f"Drives {', '.join(twin.drives)}; responses {', '.join(twin.responses)}; {twin.dt_s:g} s a sample",
        f"Learned from: {', '.join(str(path) for path in twin.fitted_to) or 'not known'}",
        f"Judged on: {', '.join(str(path) for path in twin.judged_on) or 'not judged'}",
    ]
    return "\n\n".join([*lines, *(f"• {reason}" for reason in twin.reasons)])
