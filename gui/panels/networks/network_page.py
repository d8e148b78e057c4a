"""The first page: the task, the devices with their twins, the drawing of the network, and the same as tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QComboBox,
    QFileDialog,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QSplitter,
    QVBoxLayout,
    QWidget,
)
from shiboken6 import isValid

from gui.desk import Desk
from gui.panels.networks.document import NetworkDocument
from gui.panels.networks.graph_view import GraphView, Picked, remove
from gui.panels.networks.jobs import performed_apart, preview_call
from gui.panels.networks.layout import auto_layout
from gui.panels.networks.selection_form import SelectionForm
from gui.panels.networks.tables import ConnectionsModel, DevicesModel, LayersModel, card_path, sources_for
from gui.panels.networks.task_box import TaskBox
from gui.panels.tables import table
from gui.panels.widgets import button, named, words
from gui.theme import Theme
from labctl.errors import LabctlError, UsageError
from labctl.network_editing import NetworkDraft, add_layer, connect, move, set_twin, set_value
from labctl.network_schema import INPUT
from labctl.own_task import is_own_task
from labctl.task_preview import TaskPreview
from labctl.twin_cards import TwinCard, twins_below

NODES_OF_A_NEW_LAYER = 6
KINDS = "Networks (*.toml);;All files (*)"


class NetworkPage(QWidget):
    """Edits the document."""

    def __init__(self, desk: Desk, document: NetworkDocument, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._desk, self._document = desk, document
        self._cards: dict[Path, TwinCard] = {}
        self._looked, self._wants_usual, self._asked = False, True, ""
        self._last_folder = Path()
        self.task_box = TaskBox(desk.theme)
        self.devices = DevicesModel(self)
        self.connections = ConnectionsModel(self)
        self.layers = LayersModel(self)
        self.graph = GraphView(document, desk.theme)
        self.form = SelectionForm(document)
        self.file_label = QLabel()
        self.state = words()
        self._make_tables()
        self._make_buttons()
        self._lay_out()
        self._connect()
        self._show()

    # ---- building --------------------------------------------------------------------------------------------------

    def _make_tables(self) -> None:
        self.devices_view = table(self.devices, name="Devices and their twins", stretch=1, widths={0: 78, 2: 52})
        self.connections_view = table(self.connections, name="Connections", stretch=2, widths={0: 74, 1: 74, 3: 64})
        self.layers_view = table(self.layers, name="Layers", stretch=1, widths={0: 74})
        for view in (self.connections_view, self.layers_view):
            keys = QShortcut(QKeySequence(Qt.Key.Key_Delete), view)
            keys.setContext(Qt.ShortcutContext.WidgetShortcut)
            keys.activated.connect(lambda: remove(self._document, self.graph.chosen()))
        self.source = QComboBox()
        self.target = QComboBox()
        named(self.source, "From", "Whom the layer is to hear")
        named(self.target, "To", "The layer that is to hear")

    def _make_buttons(self) -> None:
        self.new = button("New", "Begin an empty network", self._new)
        self.open = button("Open …", "Open a network file", self._open)
        self.save = button("Save", "Save the network file", self._save)
        self.save_as = button("Save as …", "Save under another name", self._save_as)
        self.undo = button("Undo", "Take back the last change (Ctrl+Z)", self._desk.undo.undo)
        self.redo = button("Redo", "Do it again (Ctrl+Shift+Z)", self._desk.undo.redo)
        self.usual = button(
            "Usual network", "Replace the layers by the network that is usual for the task, on the devices with twins",
            self._take_usual,
        )  # fmt: skip
        self.add = button("Add layer", "One more layer on the chosen device, hearing nothing yet", self._add_layer)
        self.tidy = button("Tidy up", "Put all boxes where they would stand by themselves", self._tidy)
        self.add_twin = button("Add twin …", "Choose the file of a device's twin", self._choose_twin)
        self.connect_button = button("Connect", "Let the layer hear it", self._connect_chosen)

    def _lay_out(self) -> None:
        top = QHBoxLayout()
        for one in (self.new, self.open, self.save, self.save_as, self.undo, self.redo):
            top.addWidget(one)
        top.addWidget(self.file_label, 1)
        self.file_label.setAccessibleName("File of the network")
        self.file_label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        task = _group("1  Task", self.task_box)
        devices = _group("2  Devices and twins", self.devices_view, _row(self.add_twin, self.usual))
        left = _split(Qt.Orientation.Vertical, (task, 3), (devices, 2))
        middle = QWidget()
        column = QVBoxLayout(middle)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(_row(self.add, self.tidy))
        column.addWidget(self.graph, 1)
        column.addWidget(self.state)
        ends = QHBoxLayout()
        ends.addWidget(QLabel("From"))
        ends.addWidget(self.source, 1)
        ends.addWidget(QLabel("To"))
        ends.addWidget(self.target, 1)
        ends.addWidget(self.connect_button)
        tables = _group("Layers and connections", self.layers_view, self.connections_view, ends)
        right = _split(Qt.Orientation.Vertical, (tables, 3), (_group("Chosen", self.form), 2))
        self.parts = _split(Qt.Orientation.Horizontal, (left, 3), (middle, 6), (right, 3))
        self.parts.setSizes([290, 520, 310])
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 4, 4, 4)
        column.addLayout(top)
        column.addWidget(self.parts, 1)
        self._desk.remember(self.parts, "networks/parts")

    def _connect(self) -> None:
        self._document.changed.connect(self._show)
        self._document.refused.connect(lambda why: self._say(f"✗ {why}"))
        self._desk.undo.indexChanged.connect(lambda _: self._show_undo())
        self._desk.controller.opened.connect(lambda _: self._show())
        self.task_box.chosen.connect(self._choose_task)
        self.task_box.run_asked.connect(lambda: self._preview(run_own=True))
        self.graph.picked.connect(self._picked)
        self.graph.edit_asked.connect(self.form.edit)
        for view in (self.connections_view, self.layers_view):
            view.selectionModel().currentRowChanged.connect(lambda *_, view=view: self._row_chosen(view))
            view.doubleClicked.connect(lambda _: self.form.edit(self.graph.chosen()))

    # ---- showing ---------------------------------------------------------------------------------------------------

    def shown(self) -> None:
        """The page is looked at: see what twins there are, and draw an example of the task."""
        if not self._looked:
            self._looked = True
            self.look_for_twins()

    def look_for_twins(self, extra: Sequence[Path] = (), *, choose: bool = True) -> None:
        """Read what twins the runs folder has, and these files; the newest of each device is taken where none is chosen."""
        folder, known = self._desk.runs_folder, tuple(self._cards.values())
        wanted = [*extra, *self._document.draft.twins.values()]
        self._desk.call(
            lambda: twins_below(folder, extra=wanted, known=known),
            done=lambda cards: self._found_twins(cards, [card_path(one.absolute()) for one in extra], choose=choose),
            name="Looking for twins",
        )

    def _found_twins(self, cards: list[TwinCard], asked: list[Path], *, choose: bool) -> None:
        self._cards = {card.path: card for card in cards}
        best: dict[str, TwinCard] = {}
        for card in [*(one for one in cards if one.path in asked), *(one for one in cards if one.passed), *cards]:
            device = self._device_of(card)
            if device:
                best.setdefault(device, card)
        taken = {name: card for name, card in best.items() if card.path in asked}
        if choose and not self._document.draft.twins:
            taken = {**best, **taken}
        for card in (one for one in cards if one.path in asked and not self._device_of(one)):
            self._desk.trouble(
                UsageError(card.problem or f"{card.path}: says nothing of a device"), doing="Adding a twin"
            )
        draft = self._document.draft
        for name, card in taken.items():
            draft = set_twin(draft, name, card.path.with_suffix(""))
        if draft != self._document.draft:
            if self._document.empty:
                self._document.show(draft)  # found, not done by anybody: nothing to undo
            else:
                self._document.edit("choose twins", lambda _: draft)
        self._show()
        self._preview()

    def _device_of(self, card: TwinCard) -> str:
        """The device that a twin is of: as its file says, the station's of the same drives, or as the file is called."""
        if card.problem or not card.drives:
            return ""
        bench = self._desk.controller.bench
        devices = {} if bench is None else bench.station.devices
        alike = [name for name, one in devices.items() if tuple(one.drive) == card.drives]
        return card.device or (alike[0] if alike else card.path.stem)

    def _preview(self, *, run_own: bool = False) -> None:
        """Draw an example of the task; and the usual network where nothing is drawn yet. The file of a task of one's own is
        run only where a person asked for it."""
        task = self.task_box.task
        devices = tuple(self._document.draft.twins)
        if not task or (is_own_task(task) and not run_own):
            self.task_box.show_preview(None)
            self._asked = ""
            return
        asked = f"{task} {devices}"
        if asked == self._asked:
            return
        self._asked = asked
        if self._document.empty and devices:
            self._say("… the usual network for the task is being looked up")
        self._desk.call(
            performed_apart(preview_call(task, devices)),
            done=lambda found: self._previewed(task, *found),
            failed=self._not_previewed,
            name="An example of the task",
        )

    def _previewed(self, task: str, usual: NetworkDraft | None, preview: TaskPreview) -> None:
        if task != self.task_box.task:
            return
        self.task_box.show_preview(preview)
        if usual is not None and self._document.empty and self._wants_usual:
            self._put(usual)
        self._show()

    def _not_previewed(self, error: BaseException) -> None:
        self._asked = ""
        self._desk.trouble(error, doing="An example of the task")

    def _put(self, usual: NetworkDraft) -> None:
        draft = self._document.draft
        tables = {**draft.tables, "task": usual.task, "layers": usual.tables["layers"]}
        self._document.edit(f"usual network for {usual.task}", lambda _: NetworkDraft(tables, draft.twins, {}))

    def _show(self) -> None:
        draft, path = self._document.draft, self._document.path
        bench = self._desk.controller.bench
        station = () if bench is None else tuple(name for name, one in bench.station.devices.items() if one.drive)
        self.devices.show_devices(draft, self._cards, station)
        self.layers.show_draft(draft)
        self.connections.show_draft(draft)
        self.task_box.show_task(draft.task)
        self.form.show_conditions(self._set_points())
        self.form.show_devices(tuple(row.device for row in self.devices.rows))
        for box, names in ((self.source, sources_for(draft)), (self.target, list(draft.layers))):
            kept = box.currentText()
            box.clear()
            box.addItems(names)
            box.setCurrentIndex(max(0, box.findText(kept)))
        mark = " (changed, not saved)" if self._document.modified else ""
        self.file_label.setText(f"{path.name if path else 'not saved yet'}{mark}")
        self.file_label.setToolTip(str(path or "The network has no file yet; it can be optimised all the same"))
        self._allow(self.connect_button, "Let the layer hear it", "" if draft.layers else "There is no layer yet")
        self._allow(self.add, "One more layer on the chosen device, hearing nothing yet",
                    "" if self.devices.rows else "Add a twin, or open a station, so that there is a device")  # fmt: skip
        self._allow(self.usual, "Replace the layers by the network that is usual for the task, on the devices with twins",
                    "" if draft.twins else "Add a twin first")  # fmt: skip
        self._show_undo()
        self._picked(self.graph.chosen())
        problem = self._document.problem()
        self._say(f"⚠ {problem}" if problem else "✓ The network can be optimised")

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

    def _show_undo(self) -> None:
        stack = self._desk.undo
        if not isValid(stack):  # it says once more that it changed while the window goes
            return
        self._allow(self.undo, f"Undo {stack.undoText()} (Ctrl+Z)", "" if stack.canUndo() else "Nothing to undo")
        self._allow(self.redo, f"Redo {stack.redoText()} (Ctrl+Shift+Z)", "" if stack.canRedo() else "Nothing to redo")

    def _allow(self, widget: QWidget, tip: str, why_not: str) -> None:
        widget.setEnabled(not why_not)
        widget.setToolTip(why_not or tip)

    def _say(self, text: str) -> None:
        self.state.setText("\n".join(text.splitlines()[:2]))
        self.state.setToolTip(text)

    def use_theme(self, theme: Theme) -> None:
        """Draw in these colours."""
        self.graph.use_theme(theme)
        self.task_box.use_theme(theme)

    # ---- acting ----------------------------------------------------------------------------------------------------

    def _choose_task(self, task: str) -> None:
        if task == self._document.draft.task:
            self._preview()
            return

        def change(draft: NetworkDraft) -> NetworkDraft:
            return set_value(set_value(draft, ("task",), task), ("task_options",), None)

        self._document.edit(f"task {task}", change)
        self._preview()

    def _take_usual(self) -> None:
        devices, task = tuple(self._document.draft.twins), self.task_box.task
        if not task:
            self._say("✗ choose a task first")
            return
        self._desk.call(
            performed_apart(preview_call(task, devices)),
            done=lambda found: self._put(found[0]),
            name="The usual network",
        )

    def _picked(self, what: Picked) -> None:
        self.form.show_picked(what)
        for view, row in (
            (self.layers_view, self._layer_row(what)),
            (self.connections_view, self._connection_row(what)),
        ):
            if view.hasFocus():
                continue
            if row < 0:
                view.clearSelection()
            else:
                view.selectRow(row)

    def _layer_row(self, what: Picked) -> int:
        names = [row[0] for row in self.layers.rows]
        return names.index(what.layer) if what.layer in names else -1

    def _connection_row(self, what: Picked) -> int:
        ends = [(row.source, row.target) for row in self.connections.rows]
        return ends.index((what.source, what.target)) if (what.source, what.target) in ends else -1

    def _row_chosen(self, view: QWidget) -> None:
        if not view.hasFocus():
            return  # it follows the drawing
        if view is self.layers_view:
            row = self.layers_view.currentIndex().row()
            if 0 <= row < len(self.layers.rows):
                self.graph.choose(Picked(layer=self.layers.rows[row][0]))
        else:
            row = self.connections_view.currentIndex().row()
            if 0 <= row < len(self.connections.rows):
                one = self.connections.rows[row]
                self.graph.choose(Picked(source=one.source, target=one.target))

    def _add_layer(self) -> None:
        chosen = self.devices_view.currentIndex().row()
        device = self.devices.rows[max(chosen, 0)].device
        number = len(self._document.draft.layers) + 1
        while f"layer_{number}" in self._document.draft.layers:
            number += 1
        name = f"layer_{number}"
        listens = () if self._document.draft.layers else (INPUT,)
        place = self.graph.mapToScene(self.graph.viewport().rect().center())
        spot = (place.x() + 20.0 * (number % 5), place.y() + 90.0)
        added = self._document.edit(
            f"add {name}",
            lambda one: add_layer(one, name, {device: NODES_OF_A_NEW_LAYER}, listens_to=listens, position=spot),
        )
        if added:
            self.graph.choose(Picked(layer=name))

    def _connect_chosen(self) -> None:
        source, target = self.source.currentText(), self.target.currentText()
        self._document.edit(f"connect {source} to {target}", lambda one: connect(one, source, target))

    def _tidy(self) -> None:
        self._document.edit("tidy up", lambda one: move(one, auto_layout(one)))
        self.graph.fit()

    def _choose_twin(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Twin", str(self._desk.runs_folder), "Twins (*.json)")
        if path:
            self.take_twins([Path(path)])

    def take_twins(self, paths: Sequence[Path]) -> None:
        """Choose these twins for their devices."""
        self._looked = True
        self.look_for_twins(paths)

    # ---- files -----------------------------------------------------------------------------------------------------

    def _new(self) -> None:
        draft = self._document.draft
        self._document.edit("new network", lambda _: NetworkDraft({"task": draft.task, "layers": {}}, draft.twins))
        self._document.path = None
        self._wants_usual = False
        self._show()

    def _open(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Open network", str(self._last_folder), KINDS)
        if path:
            self.open_file(Path(path))

    def open_file(self, path: Path) -> None:
        """Edit this network file."""
        try:
            self._document.open(path)
        except (LabctlError, OSError) as error:
            self._desk.trouble(error, doing=f"Opening {path.name}")
            return
        self._last_folder = path.parent
        self.graph.fit()
        self._asked = ""
        self.look_for_twins(choose=not self._document.draft.twins)

    def _save(self) -> None:
        if self._document.path is None:
            self._save_as()
        else:
            self.save_file(self._document.path)

    def _save_as(self) -> None:
        start = self._document.path or self._desk.runs_folder / "network.toml"
        path, _ = QFileDialog.getSaveFileName(self, "Save network", str(start), KINDS)
        if path:
            self.save_file(Path(path) if Path(path).suffix else Path(f"{path}.toml"))

    def save_file(self, path: Path) -> None:
        """Write the network there."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._document.save(path)
        except (LabctlError, OSError) as error:
            self._say(f"✗ not saved: {error}")
            return
        self._last_folder = path.parent
        self._desk.note(f"Saved {path}")


def _group(title: str, *parts: QWidget | QHBoxLayout) -> QGroupBox:
    box = QGroupBox(title)
    column = QVBoxLayout(box)
    column.setContentsMargins(6, 6, 6, 6)
    for part in parts:
        if isinstance(part, QWidget):
            column.addWidget(part, 1)
        else:
            column.addLayout(part)
    return box


def _row(*widgets: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    for widget in widgets:
        row.addWidget(widget)
    row.addStretch(1)
    return row


def _split(orientation: Qt.Orientation, *parts: tuple[QWidget, int]) -> QSplitter:
    splitter = QSplitter(orientation)
    for number, (widget, stretch) in enumerate(parts):
        splitter.addWidget(widget)
        splitter.setStretchFactor(number, stretch)
    splitter.setChildrenCollapsible(False)
    return splitter
