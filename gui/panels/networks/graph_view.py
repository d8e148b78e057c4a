"""The drawing of the network: drag boxes, drag from a port to connect, Del removes, double-click edits, the wheel zooms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QLineF, QPoint, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPen, QResizeEvent, QWheelEvent
from PySide6.QtWidgets import QFrame, QGraphicsItem, QGraphicsLineItem, QGraphicsScene, QGraphicsView, QWidget

from gui.panels.networks.document import NetworkDocument
from gui.panels.networks.graph_items import EdgeItem, NodeItem
from gui.panels.networks.layout import places_of
from gui.theme import Theme
from labctl.network_editing import (
    OUTPUT,
    NetworkDraft,
    connect,
    connections,
    disconnect,
    move,
    nodes_of,
    remove_layer,
)
from labctl.network_schema import INPUT

ZOOM = 1.15
NUDGE = 10.0
LEAST_ZOOM, MOST_ZOOM = 0.3, 3.0
HINT = "Drag from the port at the right of a box to another box: that one then hears it"


@dataclass(frozen=True, slots=True)
class Picked:
    """What is chosen in the drawing: a layer, or a connection (source, target), or nothing."""

    layer: str = ""
    source: str = ""
    target: str = ""


class GraphView(QGraphicsView):
    """Draws the document's draft, and turns what hands do into its edits."""

    picked = Signal(object)
    edit_asked = Signal(object)

    def __init__(self, document: NetworkDocument, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._document, self._theme = document, theme
        self.nodes: dict[str, NodeItem] = {}
        self.edges: dict[tuple[str, str], EdgeItem] = {}
        self._from: NodeItem | None = None
        self._line: QGraphicsLineItem | None = None
        self._drawn: NetworkDraft | None = None
        self._zoomed = False
        self.setScene(QGraphicsScene(self))
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.setDragMode(QGraphicsView.DragMode.RubberBandDrag)
        self.setTransformationAnchor(QGraphicsView.ViewportAnchor.AnchorUnderMouse)
        self.setAccessibleName("Drawing of the network")
        self.setToolTip(f"{HINT}. The wheel zooms. The table beside it says, and can do, the same by keyboard")
        self.setMinimumSize(200, 150)
        self.scene().selectionChanged.connect(self._tell_picked)
        document.changed.connect(self.draw)
        self.draw()

    # ---- drawing ---------------------------------------------------------------------------------------------------

    def use_theme(self, theme: Theme) -> None:
        """Draw in these colours."""
        self._theme = theme
        self._drawn = None
        self.draw()

    def draw(self) -> None:
        """Draw the draft as it is now; what was chosen stays chosen."""
        draft = self._document.draft
        self.setBackgroundBrush(QColor(self._theme.alternate))
        if draft == self._drawn:
            return
        self._drawn, chosen, before = draft, self.chosen(), set(self.nodes)
        self._give_up_line()
        self.scene().blockSignals(True)
        self.scene().clear()
        self._build(draft)
        self.scene().blockSignals(False)
        self.choose(chosen)
        if not self._zoomed and before != set(self.nodes):
            self.fit()

    def _build(self, draft: NetworkDraft) -> None:
        places = places_of(draft)
        self.nodes, self.edges = {}, {}
        for name in (INPUT, *draft.layers, OUTPUT):
            kind = name if name in (INPUT, OUTPUT) else "layer"
            item = NodeItem(name, _lines(draft, name), self._theme, self.font(), kind=kind)
            item.setPos(*places[name])
            self.scene().addItem(item)
            self.nodes[name] = item
        for one in connections(draft):
            self._add(EdgeItem(self.nodes[one.source], self.nodes[one.target], self._theme, one))
        for name in draft.layers:
            self._add(EdgeItem(self.nodes[name], self.nodes[OUTPUT], self._theme, None))
        self.scene().setSceneRect(self.scene().itemsBoundingRect().adjusted(-10, -10, 10, 10))

    def _add(self, edge: EdgeItem) -> None:
        self.scene().addItem(edge)
        self.edges[edge.source.name, edge.target.name] = edge

    def fit(self) -> None:
        """Show all of it."""
        whole = QRectF()
        for item in self.nodes.values():
            whole = whole.united(item.sceneBoundingRect())
        self.fitInView(whole.adjusted(-15, -15, 15, 30), Qt.AspectRatioMode.KeepAspectRatio)
        if self.transform().m11() > 1.0:
            self.resetTransform()
            self.centerOn(whole.center())
        self._zoomed = False

    def resizeEvent(self, event: QResizeEvent) -> None:
        """All of it is seen when it is first shown."""
        super().resizeEvent(event)
        if not self._zoomed:
            self.fit()

    # ---- what is chosen --------------------------------------------------------------------------------------------

    def chosen(self) -> Picked:
        """The one thing that is chosen."""
        for item in self._chosen_items():
            if isinstance(item, NodeItem):
                return Picked(layer=item.name)
            if isinstance(item, EdgeItem):
                return Picked(source=item.source.name, target=item.target.name)
        return Picked()

    def choose(self, what: Picked) -> None:
        """Choose this, if it is there."""
        item = self._item_of(what)
        if item is not None and self._chosen_items() == [item]:
            return
        self.scene().clearSelection()
        if item is not None:
            item.setSelected(True)

    def _item_of(self, what: Picked) -> QGraphicsItem | None:
        return self.nodes.get(what.layer) if what.layer else self.edges.get((what.source, what.target))

    def _chosen_items(self) -> list[QGraphicsItem]:
        return list(self.scene().selectedItems())

    def _tell_picked(self) -> None:
        self.picked.emit(self.chosen())

    # ---- hands -----------------------------------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """On a port a connection begins; elsewhere boxes are taken."""
        place = self.mapToScene(event.position().toPoint())
        if event.button() == Qt.MouseButton.LeftButton:
            node = next((one for one in self.nodes.values() if one.on_out_port(place)), None)
            if node is not None:
                self._from = node
                self._line = self.scene().addLine(QLineF(node.out_port, place), QPen(QColor(self._theme.highlight), 1))
                return
        super().mousePressEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """A connection under way follows the mouse."""
        if self._from is None or self._line is None:
            super().mouseMoveEvent(event)
            return
        self._line.setLine(QLineF(self._from.out_port, self.mapToScene(event.position().toPoint())))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """A connection ends where the mouse is let go; boxes stay where they were put."""
        if self._from is None:
            super().mouseReleaseEvent(event)
            self._keep_places()
            return
        source, target = self._from.name, self._node_at(self.mapToScene(event.position().toPoint()))
        self._give_up_line()
        if target is not None and target.kind == "layer":
            self._document.edit(f"connect {source} to {target.name}", lambda one: connect(one, source, target.name))
        elif target is not None and target.kind == "output":
            self._document.refused.emit("the read-out hears every layer already")

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Edit what is there."""
        super().mouseDoubleClickEvent(event)
        if self.chosen() != Picked():
            self.edit_asked.emit(self.chosen())

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Zoom, under the mouse."""
        factor = ZOOM if event.angleDelta().y() > 0 else 1.0 / ZOOM
        if LEAST_ZOOM <= self.transform().m11() * factor <= MOST_ZOOM:
            self.scale(factor, factor)
            self._zoomed = True
        event.accept()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Del removes what is chosen, the arrows move it, Return edits it, + and - zoom."""
        steps = {Qt.Key.Key_Left: (-1, 0), Qt.Key.Key_Right: (1, 0), Qt.Key.Key_Up: (0, -1), Qt.Key.Key_Down: (0, 1)}
        acts: dict[int, Callable[[], object]] = {
            Qt.Key.Key_Delete: self.remove_chosen,
            Qt.Key.Key_Backspace: self.remove_chosen,
            Qt.Key.Key_Return: lambda: self.edit_asked.emit(self.chosen()),
            Qt.Key.Key_Plus: lambda: self.scale(ZOOM, ZOOM),
            Qt.Key.Key_Minus: lambda: self.scale(1 / ZOOM, 1 / ZOOM),
        }
        if event.key() in acts:
            acts[event.key()]()
        elif event.key() in steps and self.chosen().layer:
            x, y = steps[Qt.Key(event.key())]
            item = self.nodes[self.chosen().layer]
            item.setPos(item.pos() + QPointF(NUDGE * x, NUDGE * y))
            self._keep_places()
        else:
            super().keyPressEvent(event)

    def remove_chosen(self) -> None:
        """Remove the layer or the connection that is chosen."""
        remove(self._document, self.chosen())

    def port_at(self, name: str) -> QPoint:
        """Where a box's right port is in the viewport."""
        return self.mapFromScene(self.nodes[name].out_port)

    def middle_of(self, name: str) -> QPoint:
        """Where the middle of a box is in the viewport."""
        return self.mapFromScene(self.nodes[name].pos())

    def _node_at(self, place: QPointF) -> NodeItem | None:
        return next((one for one in self.nodes.values() if one.sceneBoundingRect().contains(place)), None)

    def _give_up_line(self) -> None:
        if self._line is not None:
            self.scene().removeItem(self._line)
        self._line = self._from = None

    def _keep_places(self) -> None:
        before = places_of(self._document.draft)
        moved = {
            name: (item.pos().x(), item.pos().y())
            for name, item in self.nodes.items()
            if (item.pos().x(), item.pos().y()) != before[name]
        }
        if moved:
            self._document.edit(f"move {', '.join(moved)}", lambda one: move(one, moved))


def remove(document: NetworkDocument, what: Picked) -> None:
    """Remove a layer or a connection."""
    if what.layer:
        document.edit(f"remove {what.layer}", lambda one: remove_layer(one, what.layer))
    elif what.target:
        document.edit(
            f"disconnect {what.source} from {what.target}", lambda one: disconnect(one, what.source, what.target)
        )


def _lines(draft: NetworkDraft, name: str) -> tuple[str, ...]:
    """What stands under a box's name."""
    if name == INPUT:
        return (draft.task.rpartition("/")[2],)
    if name == OUTPUT:
        return ("read-out",)
    return tuple(f"{count} × {device}" for device, count in nodes_of(draft, name).items())
