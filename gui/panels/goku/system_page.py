"""Step 1: which equation. A list with formulas, or one's own text; ranges and known values; a simulated preview."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QItemSelectionModel, QModelIndex, Qt, QTimer, Signal
from PySide6.QtGui import QFontDatabase
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QScrollArea,
    QSplitter,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from gui.desk import Desk
from gui.models.rows import Column, RowsModel
from gui.panels.goku.asking import Asker
from gui.panels.goku.equation_editor import EquationEditor
from gui.panels.goku.quantities_model import QuantitiesModel
from gui.panels.tables import table
from gui.panels.widgets import button, named, words
from gui.plots.band_plot import Band, BandPlot
from gui.theme import Theme
from labctl.calls import Call, call
from labctl.errors import UsageError
from labctl.goku_example import SimulatedTraces
from labctl.goku_told import EquationTold

OWN = "Write your own …"
FIRST = "damped_pendulum"
PREVIEW_MS = 300
_LISTED, _WRITTEN = [200, 320], [370, 150]  # of text and table
SHOWN_TRACES = 3
_PREVIEW: dict[str, Any] = {"n_traces": SHOWN_TRACES, "n_samples": 200, "noise": 0.001}


class SystemPage(QWidget):
    """`changed` whenever another equation, range or known value is meant."""

    changed = Signal()

    def __init__(self, desk: Desk, asker: Asker) -> None:
        super().__init__()
        self._desk, self._asker = desk, asker
        self.told: EquationTold | None = None
        self._made: SimulatedTraces | None = None
        self._trouble = "the equations are being loaded"
        self._timer = QTimer(self, singleShot=True, interval=PREVIEW_MS)
        self._timer.timeout.connect(self._preview)
        self.systems = RowsModel(
            [
                Column(
                    "Equation",
                    "Equations of known form; the last is your own",
                    lambda one: one.name,
                    hint=lambda one: one.title,
                )
            ]
        )
        self._list = table(self.systems, name="Equations", stretch=0)
        self._list.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.list = self._list
        self.quantities = QuantitiesModel(desk.undo.push, self)
        self._build()
        self._list.selectionModel().currentRowChanged.connect(self._chosen)
        self.quantities.edited.connect(self._edited)
        self.quantities.option_edited.connect(self._options_edited)
        self.quantities.refused.connect(lambda why: self._say(f"✗ {why}"))
        self.editor.checked.connect(self._written)

    def _build(self) -> None:
        self.own_button = button(
            "&Write your own", "Write an equation as text; a working example stands there to begin with", self.write_own
        )
        left = QWidget()
        column = QVBoxLayout(left)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._list, 1)
        column.addWidget(self.own_button)
        self.title, self.formulas, self.words = words("headline"), words(), words()
        self.formulas.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.formulas.setAccessibleName("Formulas")
        shown = QWidget()
        column = QVBoxLayout(shown)
        column.setContentsMargins(0, 0, 0, 0)
        for one in (self.title, self.formulas, self.words):
            column.addWidget(one)
        column.addStretch(1)
        self.editor = EquationEditor(self._desk, self._asker)
        self._top = QStackedWidget()
        area = QScrollArea(widgetResizable=True)
        area.setFrameShape(QScrollArea.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(shown)
        self._top.addWidget(area)
        self._top.addWidget(self.editor)
        self.table = table(
            self.quantities, name="Quantities of the equation", stretch=0, widths={1: 82, 2: 104, 3: 64, 4: 64, 5: 92}
        )
        self.table.setEditTriggers(
            QAbstractItemView.EditTrigger.DoubleClicked
            | QAbstractItemView.EditTrigger.EditKeyPressed
            | QAbstractItemView.EditTrigger.AnyKeyPressed
        )
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectItems)
        self.line = words()
        self.line.setAccessibleName("About the equation")
        lower = QWidget()
        column = QVBoxLayout(lower)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.table, 1)
        column.addWidget(self.line)
        middle = QSplitter(Qt.Orientation.Vertical)
        middle.addWidget(self._top)
        middle.addWidget(lower)
        middle.setStretchFactor(0, 2)
        middle.setStretchFactor(1, 3)
        middle.setChildrenCollapsible(False)
        self._middle = middle
        whole = QSplitter()
        for number, (part, stretch) in enumerate(((left, 0), (middle, 3), (self._preview_box(), 2))):
            whole.addWidget(part)
            whole.setStretchFactor(number, stretch)
        whole.setSizes([170, 540, 400])
        whole.setChildrenCollapsible(False)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 6, 0, 0)
        column.addWidget(whole)
        self._desk.remember(whole, "goku/system")

    def _preview_box(self) -> QWidget:
        self.plot = BandPlot(
            self._desk.theme, name="Simulated preview", tip="Traces simulated with parameters drawn from the ranges"
        )
        self.output = QComboBox()
        named(self.output, "Output shown", "Which output of the equation is drawn")
        self.output.currentIndexChanged.connect(lambda _: self._draw())
        self.again_button = button("Draw again", "Other parameters from the same ranges", self._again)
        self._seed = 0
        row = QHBoxLayout()
        row.addWidget(QLabel("SIMULATED preview of"))
        row.addWidget(self.output, 1)
        row.addWidget(self.again_button)
        box = QWidget()
        column = QVBoxLayout(box)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(row)
        column.addWidget(self.plot, 1)
        return box

    # ---- what is meant -----------------------------------------------------------------------------------------------

    @property
    def is_own(self) -> bool:
        """Whether the text counts."""
        return self._top.currentWidget() is self.editor

    @property
    def trouble(self) -> str:
        """Why it cannot be used as it is; empty where it can."""
        if self.is_own and self.editor.checking:
            return "the equation is being checked"
        return self._trouble

    def source(self) -> Call:
        """The equation as it is meant. Raises UsageError."""
        if self.told is None or self.trouble:
            raise UsageError(f"1 System: {self.trouble or 'choose an equation'}")
        chosen: dict[str, Any] = {"ranges": self.quantities.ranges(), "held": self.quantities.held()}
        chosen = {name: value for name, value in chosen.items() if value}
        if self.is_own:
            return call("labctl.goku_equation:equation_written", self.editor.text, **chosen)
        own: dict[str, Any] = next((one.options for one in self.systems.rows if one.name == self.told.name), {})
        options = {name: value for name, value in self.quantities.options().items() if value != own.get(name)}
        return call(
            "labctl.goku_equation:equation_named", self.told.name, **({"options": options} if options else {}), **chosen
        )

    def load(self) -> None:
        """Ask which equations there are, once."""
        if self.systems.rows:
            return
        self._say("Loading the equations …")
        self._asker.ask("Loading the equations", call("labctl.goku_told:equations_told"), self._loaded)

    def choose(self, name: str) -> None:
        """Choose one of the list."""
        for number, one in enumerate(self.systems.rows):
            if one.name == name:
                index = self.systems.index(number, 0)
                self._list.selectionModel().setCurrentIndex(
                    index, QItemSelectionModel.SelectionFlag.ClearAndSelect | QItemSelectionModel.SelectionFlag.Rows
                )

    def write_own(self) -> None:
        """Show the text."""
        self._list.clearSelection()
        self._list.selectionModel().clearCurrentIndex()
        self._top.setCurrentWidget(self.editor)
        self._middle.setSizes(_WRITTEN)
        self._show(None, "the equation is being checked")
        self.editor.begin()
        self.editor.check()
        self.editor.edit.setFocus()

    def use_theme(self, theme: Theme) -> None:
        """Draw in these colours."""
        self.plot.use_theme(theme)

    # ---- answers ----------------------------------------------------------------------------------------------------

    def _loaded(self, told: tuple[EquationTold, ...]) -> None:
        self.systems.reset(told)
        if not self.is_own:
            self.choose(FIRST)

    def _chosen(self, now: QModelIndex, _before: QModelIndex) -> None:
        if now.isValid():
            self._top.setCurrentIndex(0)
            self._middle.setSizes(_LISTED)
            self._show(self.systems.rows[now.row()])

    def _written(self) -> None:
        if self.is_own:
            problem = self.editor.problem
            self._show(self.editor.told, str(problem) if problem else "")

    def _show(self, told: EquationTold | None, trouble: str = "") -> None:
        self.told, self._trouble = told, trouble
        if told is None:
            self.quantities.reset([])
            self._made = None
            self.plot.clear()
            self._say("")
        else:
            self.title.setText(f"{told.name}: {told.title}" if told.title else told.name)
            self.formulas.setText("\n".join(told.formulas))
            self.words.setText(told.words)
            self.quantities.show_equation(told)
            alike = f" No data can tell these changes of it: {', '.join(told.alike)}." if told.alike else ""
            self._say(f"Outputs: {', '.join(one.name for one in told.outputs)}.{_driven(told)}{alike}")
            self.output.blockSignals(True)
            self.output.clear()
            self.output.addItems([f"{one.name} ({one.unit})" if one.unit else one.name for one in told.outputs])
            self.output.blockSignals(False)
            self._timer.start()
        self.changed.emit()

    def _edited(self) -> None:
        """A range or a known value."""
        self._say("")
        self._timer.start()
        self.changed.emit()

    def _options_edited(self) -> None:
        """Other options may mean other parameters."""
        if self.told is not None and not self.is_own:
            source = call("labctl.goku_equation:equation_named", self.told.name, options=self.quantities.options())
            self._asker.ask(
                "Reading the options", call("labctl.goku_told:equation_told", source), self._show, self._refused
            )

    def _refused(self, error: BaseException) -> None:
        self._trouble = str(error)
        self._say(f"✗ {error}")
        self.changed.emit()

    def _again(self) -> None:
        self._seed += 1
        self._preview()

    def _preview(self) -> None:
        if self.told is None:
            return
        if not self.is_own:
            self._trouble = ""  # what was refused before may be mended
        try:
            source = self.source()
        except UsageError:
            return
        design = call("labctl.goku_example:ExampleDesign", **_PREVIEW)
        question = call("labctl.goku_example:simulated_traces", source, seed=self._seed, design=design)
        self._asker.ask("Simulating a preview", question, self._simulated, self._refused)

    def _simulated(self, made: SimulatedTraces) -> None:
        self._made = made
        self._draw()

    def _draw(self) -> None:
        channel = self.output.currentIndex()
        if self._made is None or not 0 <= channel < self._made.values.shape[2]:
            self.plot.clear()
            return
        made = self._made
        self.plot.set_labels(bottom="time", left=made.names[channel], bottom_unit="s", left_unit=made.units[channel])
        self.plot.show_bands(
            [Band(f"draw {k + 1}", made.times_s, made.values[k, :, channel], colour=k) for k in range(len(made.values))]
        )

    def _say(self, text: str) -> None:
        self.line.setText(text)
        self.line.setVisible(bool(text))


def _driven(told: EquationTold) -> str:
    return f" Driven by {', '.join(one.name for one in told.drives)}." if told.drives else ""
