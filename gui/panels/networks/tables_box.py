"""Layers and connections as tables: what the drawing shows and can do, by keyboard."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QComboBox, QGroupBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from gui.panels.networks.boxes import allow
from gui.panels.networks.document import NetworkDocument
from gui.panels.networks.graph_view import GraphView, Picked, remove
from gui.panels.networks.tables import ConnectionsModel, LayersModel, sources_for
from gui.panels.tables import table
from gui.panels.widgets import button, named
from labctl.network_editing import connect

CONNECT_TIP = "Let the layer hear it"


class TablesBox(QGroupBox):
    """Follows the document, and the choice in the drawing; a row that is chosen here is chosen there."""

    def __init__(self, document: NetworkDocument, graph: GraphView, parent: QWidget | None = None) -> None:
        super().__init__("Layers and connections", parent)
        self._document, self._graph = document, graph
        self.connections = ConnectionsModel(self)
        self.layers = LayersModel(self)
        self.connections_view = table(self.connections, name="Connections", stretch=2, widths={0: 74, 1: 74, 3: 64})
        self.layers_view = table(self.layers, name="Layers", stretch=1, widths={0: 74})
        self.source = QComboBox()
        self.target = QComboBox()
        named(self.source, "From", "Whom the layer is to hear")
        named(self.target, "To", "The layer that is to hear")
        self.connect_button = button("Connect", CONNECT_TIP, self._connect_chosen)
        ends = QHBoxLayout()
        ends.addWidget(QLabel("From"))
        ends.addWidget(self.source, 1)
        ends.addWidget(QLabel("To"))
        ends.addWidget(self.target, 1)
        ends.addWidget(self.connect_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(6, 6, 6, 6)
        column.addWidget(self.layers_view, 2)
        column.addWidget(self.connections_view, 3)
        column.addLayout(ends)
        for view in (self.connections_view, self.layers_view):
            keys = QShortcut(QKeySequence(Qt.Key.Key_Delete), view)
            keys.setContext(Qt.ShortcutContext.WidgetShortcut)
            keys.activated.connect(lambda: remove(self._document, self._graph.chosen()))
            view.selectionModel().currentRowChanged.connect(lambda *_, view=view: self._row_chosen(view))
            view.doubleClicked.connect(lambda _: self._graph.edit_asked.emit(self._graph.chosen()))
        document.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the draft as it is."""
        draft = self._document.draft
        self.layers.show_draft(draft)
        self.connections.show_draft(draft)
        for box, names in ((self.source, sources_for(draft)), (self.target, list(draft.layers))):
            kept = box.currentText()
            box.clear()
            box.addItems(names)
            box.setCurrentIndex(max(0, box.findText(kept)))
        allow(self.connect_button, CONNECT_TIP, "" if draft.layers else "There is no layer yet")

    def show_picked(self, what: Picked) -> None:
        """Choose the row of what is chosen in the drawing."""
        for view, number in (
            (self.layers_view, self._layer_row(what)),
            (self.connections_view, self._connection_row(what)),
        ):
            if view.hasFocus():
                continue
            if number < 0:
                view.clearSelection()
            else:
                view.selectRow(number)

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
            number = self.layers_view.currentIndex().row()
            if 0 <= number < len(self.layers.rows):
                self._graph.choose(Picked(layer=self.layers.rows[number][0]))
        else:
            number = self.connections_view.currentIndex().row()
            if 0 <= number < len(self.connections.rows):
                one = self.connections.rows[number]
                self._graph.choose(Picked(source=one.source, target=one.target))

    def _connect_chosen(self) -> None:
        source, target = self.source.currentText(), self.target.currentText()
        self._document.edit(f"connect {source} to {target}", lambda one: connect(one, source, target))
