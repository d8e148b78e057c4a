"""The first page: the task, the devices with their twins, the drawing of the network, and the same as tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from gui.desk import Desk
from gui.panels.networks.boxes import allow, group, row, split
from gui.panels.networks.devices_box import DevicesBox
from gui.panels.networks.document import NetworkDocument
from gui.panels.networks.file_row import FileRow
from gui.panels.networks.graph_view import GraphView, Picked
from gui.panels.networks.layout import auto_layout
from gui.panels.networks.selection_form import SelectionForm
from gui.panels.networks.tables_box import TablesBox
from gui.panels.networks.task_box import TaskBox
from gui.panels.networks.task_example import TaskExample
from gui.panels.widgets import button, words
from gui.theme import Theme
from labctl.network_editing import NetworkDraft, add_layer, move, set_task, take_layers
from labctl.network_schema import INPUT
from labctl.task_preview import TaskPreview

NODES_OF_A_NEW_LAYER = 6
ADD_TIP = "One more layer on the chosen device, hearing nothing yet"
GO_ON_TIP = "Go on to the page that optimises this network on the twins"


class NetworkPage(QWidget):
    """Edits the document. `go_on`: a person wants to optimise it."""

    go_on = Signal()

    def __init__(self, desk: Desk, document: NetworkDocument, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._desk, self._document = desk, document
        self._looked, self._wants_usual = False, True
        self._usual: NetworkDraft | None = None
        self.example = TaskExample(desk, self)
        self.file_row = FileRow(desk, document)
        self.task_box = TaskBox(desk.theme)
        self.devices = DevicesBox(desk, document)
        self.graph = GraphView(document, desk.theme)
        self.tables = TablesBox(document, self.graph)
        self.form = SelectionForm(document)
        self.state = words()
        self.add = button("Add layer", ADD_TIP, self._add_layer)
        self.tidy = button("Tidy up", "Put all boxes where they would stand by themselves", self._tidy)
        self.optimise = button("Optimise →", GO_ON_TIP, self.go_on.emit, name="Go on to Optimise")
        self.optimise.setObjectName("main")
        self._lay_out()
        self._connect()
        self._show()

    # ---- building --------------------------------------------------------------------------------------------------

    def _lay_out(self) -> None:
        left = split(Qt.Orientation.Vertical, (group("1  Task", self.task_box), 3), (self.devices, 2))
        middle = QWidget()
        column = QVBoxLayout(middle)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(row(self.add, self.tidy))
        column.addWidget(self.graph, 1)
        next_step = QHBoxLayout()
        next_step.addWidget(self.state, 1)
        next_step.addWidget(self.optimise)
        column.addLayout(next_step)
        right = split(Qt.Orientation.Vertical, (self.tables, 3), (group("Chosen", self.form), 2))
        self.parts = split(Qt.Orientation.Horizontal, (left, 3), (middle, 6), (right, 3))
        self.parts.setSizes([290, 520, 310])
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 4, 4, 4)
        column.addWidget(self.file_row)
        column.addWidget(self.parts, 1)
        self._desk.remember(self.parts, "networks/parts")

    def _connect(self) -> None:
        self._document.changed.connect(self._show)
        self._document.refused.connect(lambda why: self._say(f"✗ {why}"))
        self._desk.controller.opened.connect(lambda _: self._show())
        self.task_box.chosen.connect(self._choose_task)
        self.task_box.run_asked.connect(self._run_own_task)
        self.graph.picked.connect(self._picked)
        self.graph.edit_asked.connect(self.form.edit)
        self.devices.looked.connect(self._preview)
        self.devices.looked.connect(self._show)
        self.devices.usual_asked.connect(self._take_usual)
        self.file_row.opened.connect(self._opened)
        self.file_row.begun.connect(self._begun)
        self.file_row.said.connect(self._say)

    # ---- showing ---------------------------------------------------------------------------------------------------

    def shown(self) -> None:
        """The page is looked at: see what twins there are, and draw an example of the task."""
        if not self._looked:
            self._looked = True
            self._preview()
            self.devices.look()

    def take_twins(self, paths: Sequence[Path]) -> None:
        """Choose these twins for their devices."""
        self._looked = True
        self._preview()
        self.devices.look(paths)

    def use_theme(self, theme: Theme) -> None:
        """Draw in these colours."""
        self.graph.use_theme(theme)
        self.task_box.use_theme(theme)

    def _show(self) -> None:
        draft = self._document.draft
        self.task_box.show_task(draft.task)
        self.form.show_conditions(self._set_points())
        self.form.show_devices(self.devices.devices)
        why = "" if self.devices.devices else "Add a twin, or open a station, so that there is a device"
        allow(self.add, ADD_TIP, why)
        self._picked(self.graph.chosen())
        problem = self._document.problem()
        allow(self.optimise, GO_ON_TIP, problem)
        self._say(f"⚠ {problem}" if problem else self._ready_words())

    def _ready_words(self) -> str:
        draft, counts = self._document.draft, self._document.in_words
        usual = self._usual is not None and draft.tables.get("layers") == self._usual.tables["layers"]
        head = f"The usual network for {draft.task.rpartition(':')[2]}: {counts}" if usual else counts
        doubts = self.devices.doubts
        if doubts:
            return f"⚠ {head}; but {'; '.join(doubts)}.\nIt can be optimised; applying it will ask for a reason"
        return f"✓ {head}.\nNext step: Optimise →"

    def _set_points(self) -> dict[str, str]:
        """Set-points of the network's devices, and those that it names, with their units."""
        bench, draft = self._desk.controller.bench, self._document.draft
        found = {str(name): "" for name in draft.tables.get("conditions", {})}
        if bench is None:
            return found
        for device in draft.devices:
            known = bench.station.devices.get(device)
            for name in known.conditions if known is not None else ():
                found[name] = bench.station.channels[name].unit
        return found

    def _picked(self, what: Picked) -> None:
        self.form.show_picked(what)
        self.tables.show_picked(what)

    def _say(self, text: str) -> None:
        self.state.setText("\n".join(text.splitlines()[:2]))
        self.state.setToolTip(text)

    # ---- the task and its usual network ----------------------------------------------------------------------------

    def _preview(self) -> None:
        """Draw an example of the task; and the usual network where nothing is drawn yet."""
        task, devices = self.task_box.task, tuple(self._document.draft.twins)
        if not self.example.may_run(task):
            self.task_box.show_preview(None)
        elif self.example.ask(task, devices, done=self._previewed) and self._document.empty and devices:
            self._say("… the usual network for the task is being looked up")

    def _previewed(self, usual: NetworkDraft | None, preview: TaskPreview) -> None:
        self.task_box.show_preview(preview)
        self._usual = usual
        if usual is not None and self._document.empty and self._wants_usual:
            self._put(usual)
        self._show()

    def _choose_task(self, task: str) -> None:
        if task != self._document.draft.task:
            self._document.edit(f"task {task}", lambda draft: set_task(draft, task))
        self._preview()

    def _run_own_task(self) -> None:
        self.example.run_own(self.task_box.task)
        self._preview()

    def _take_usual(self) -> None:
        task, devices = self.task_box.task, tuple(self._document.draft.twins)
        if not task:
            self._say("✗ choose a task first")
        elif not self.example.may_run(task):
            self._say(f"✗ the usual network for a task of your own needs its file run: {self.task_box.run.text()}")
        else:
            self.example.ask(task, devices, done=self._usual_wanted, again=True)

    def _usual_wanted(self, usual: NetworkDraft | None, preview: TaskPreview) -> None:
        self.task_box.show_preview(preview)
        self._usual = usual
        if usual is not None:
            self._put(usual)
        self._show()

    def _put(self, usual: NetworkDraft) -> None:
        self._document.edit(f"usual network for {usual.task}", lambda draft: take_layers(draft, usual))

    # ---- acting ----------------------------------------------------------------------------------------------------

    def _add_layer(self) -> None:
        device, draft = self.devices.chosen, self._document.draft
        number = len(draft.layers) + 1
        while f"layer_{number}" in draft.layers:
            number += 1
        name = f"layer_{number}"
        listens = () if draft.layers else (INPUT,)
        place = self.graph.mapToScene(self.graph.viewport().rect().center())
        spot = (place.x() + 20.0 * (number % 5), place.y() + 90.0)
        added = self._document.edit(
            f"add {name}",
            lambda one: add_layer(one, name, {device: NODES_OF_A_NEW_LAYER}, listens_to=listens, position=spot),
        )
        if added:
            self.graph.choose(Picked(layer=name))

    def _tidy(self) -> None:
        self._document.edit("tidy up", lambda one: move(one, auto_layout(one)))
        self.graph.fit()

    def _begun(self) -> None:
        self._wants_usual = False
        self._show()

    def _opened(self) -> None:
        self.graph.fit()
        self.example.forget()
        self.devices.look(choose=not self._document.draft.twins)
