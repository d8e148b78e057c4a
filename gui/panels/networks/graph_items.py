"""What a network is drawn of: boxes with ports, and connections between them. Nothing here holds data of the network."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPainterPath, QPainterPathStroker, QPen, QPolygonF
from PySide6.QtWidgets import (
    QGraphicsItem,
    QGraphicsPathItem,
    QGraphicsSceneMouseEvent,
    QStyleOptionGraphicsItem,
    QWidget,
)

from gui.theme import Theme
from labctl.network_editing import Connection

PORT = 7.0
"""Half the width of a port, in points; it is caught within twice that."""
PADDING = 12.0
ARROW = 8.0
CATCH = 12.0
"""How far from its line a connection can be clicked."""


class NodeItem(QGraphicsItem):
    """A layer, the input or the read-out, centred at its place."""

    def __init__(self, name: str, lines: tuple[str, ...], theme: Theme, font: QFont, *, kind: str = "layer") -> None:
        super().__init__()
        self.name, self.kind = name, kind
        self._lines, self._theme, self._font = lines, theme, font
        self._bold = QFont(font)
        self._bold.setBold(True)
        metrics = QFontMetricsF(self._bold)
        width = max(metrics.horizontalAdvance(line) for line in (name, *lines))
        height = metrics.lineSpacing() * (1 + len(lines))
        self._size = QRectF(-width / 2 - PADDING, -height / 2 - PADDING / 2, width + 2 * PADDING, height + PADDING)
        flag = QGraphicsItem.GraphicsItemFlag
        self.setFlag(flag.ItemIsMovable)
        self.setFlag(flag.ItemSendsGeometryChanges)
        self.setFlag(flag.ItemIsSelectable, kind == "layer")
        self.setZValue(1.0)
        self.edges: list[EdgeItem] = []
        told = {"input": "The task's input. Drag from its port to a layer", "output": "The read-out hears every layer"}
        self.setToolTip(told.get(kind, f"{name}: {', '.join(lines)}\nDrag to move; drag from the right port to connect; "
                                       "double-click to edit; Del removes it"))  # fmt: skip

    @property
    def out_port(self) -> QPointF:
        """Where connections leave, in the scene."""
        return self.mapToScene(QPointF(self._size.right(), 0.0))

    @property
    def in_port(self) -> QPointF:
        """Where connections arrive, in the scene."""
        return self.mapToScene(QPointF(self._size.left(), 0.0))

    def on_out_port(self, place: QPointF) -> bool:
        """Whether a connection is begun there."""
        away = place - self.out_port
        return self.kind != "output" and max(abs(away.x()), abs(away.y())) <= 2 * PORT

    def boundingRect(self) -> QRectF:
        """With the ports."""
        return self._size.adjusted(-PORT - 1, -1, PORT + 1, 1)

    def shape(self) -> QPainterPath:
        """Where it is caught."""
        path = QPainterPath()
        path.addRect(self.boundingRect())
        return path

    def paint(self, painter: QPainter, _option: QStyleOptionGraphicsItem, _widget: QWidget | None = None) -> None:
        """A box with its name, what is in it, and its ports; a chosen one has a second frame."""
        theme = self._theme
        painter.setPen(QPen(QColor(theme.text if self.isSelected() else theme.border), 1))
        painter.setBrush(QColor(theme.base if self.kind == "layer" else theme.button))
        painter.drawRect(self._size)
        if self.isSelected():
            painter.setPen(QPen(QColor(theme.curves[0]), 1))
            painter.drawRect(self._size.adjusted(3, 3, -3, -3))
        painter.setPen(QColor(theme.text))
        step = QFontMetricsF(self._bold).lineSpacing()
        line = QRectF(self._size.left(), self._size.top() + PADDING / 2, self._size.width(), step)
        painter.setFont(self._bold)
        painter.drawText(line, Qt.AlignmentFlag.AlignCenter, self.name)
        painter.setFont(self._font)
        for number, text in enumerate(self._lines, start=1):
            painter.drawText(line.translated(0, step * number), Qt.AlignmentFlag.AlignCenter, text)
        painter.setPen(QPen(QColor(theme.text), 1))
        painter.setBrush(QColor(theme.curves[0]))
        for there, x in ((self.kind != "output", self._size.right()), (self.kind != "input", self._size.left())):
            if there:
                painter.drawRect(QRectF(x - PORT, -PORT, 2 * PORT, 2 * PORT))

    def itemChange(self, change: QGraphicsItem.GraphicsItemChange, value: object) -> object:
        """Connections follow."""
        if change is QGraphicsItem.GraphicsItemChange.ItemPositionHasChanged:
            for edge in self.edges:
                edge.follow()
        return super().itemChange(change, value)


class EdgeItem(QGraphicsPathItem):
    """A connection between two boxes; `connection` is None for those to the read-out, which are always there."""

    def __init__(self, source: NodeItem, target: NodeItem, theme: Theme, connection: Connection | None) -> None:
        super().__init__()
        self.source, self.target, self.connection = source, target, connection
        self._theme = theme
        self._label = "" if connection is None else _label(connection)
        self.setFlag(QGraphicsItem.GraphicsItemFlag.ItemIsSelectable, connection is not None)
        if connection is not None:
            self.setToolTip(
                f"{connection.target} hears {connection.source}{', which makes the network recurrent' * connection.loops}\n"
                "Double-click to edit its delays; Del removes it"
            )
        source.edges.append(self)
        target.edges.append(self)
        self.follow()

    def follow(self) -> None:
        """Run from where the one box is to where the other is."""
        start, end = self.source.out_port, self.target.in_port
        path = QPainterPath(start)
        if end.x() > start.x() - PORT:
            bend = max(40.0, (end.x() - start.x()) / 2)
            path.cubicTo(start + QPointF(bend, 0), end - QPointF(bend, 0), end)
        else:  # back: below both boxes
            low = max(self.source.sceneBoundingRect().bottom(), self.target.sceneBoundingRect().bottom()) + 40.0
            path.cubicTo(QPointF(start.x() + 60, low), QPointF(end.x() - 60, low), end)
        self.setPath(path)

    def shape(self) -> QPainterPath:
        """Where it is caught: some points beside its line as well."""
        stroker = QPainterPathStroker()
        stroker.setWidth(CATCH)
        return stroker.createStroke(self.path())

    def boundingRect(self) -> QRectF:
        """With arrow and label."""
        return self.path().boundingRect().adjusted(-60, -24, 60, 24)

    def mousePressEvent(self, event: QGraphicsSceneMouseEvent) -> None:
        """Only those that can be changed are caught."""
        if self.connection is None:
            event.ignore()
        else:
            super().mousePressEvent(event)

    def paint(self, painter: QPainter, _option: QStyleOptionGraphicsItem, _widget: QWidget | None = None) -> None:
        """A line with its arrow; dashed where it cannot be changed, dotted back; chosen ones say their delays in a frame."""
        theme = self._theme
        chosen = self.isSelected()
        colour = theme.curves[0] if chosen else theme.text if self.connection is not None else theme.dim
        style = Qt.PenStyle.SolidLine
        if self.connection is None:
            style = Qt.PenStyle.DashLine
        elif self.connection.loops:
            style = Qt.PenStyle.DotLine
        painter.setPen(QPen(QColor(colour), 1, style))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawPath(self.path())
        end = self.path().pointAtPercent(1.0)
        painter.setPen(QPen(QColor(colour), 1))
        painter.setBrush(QColor(colour))
        tip = end - QPointF(PORT, 0)
        painter.drawPolygon(QPolygonF([tip, tip + QPointF(-ARROW, -ARROW / 2), tip + QPointF(-ARROW, ARROW / 2)]))
        if self._label and (chosen or self.connection is not None):
            self._draw_label(painter, framed=chosen)

    def _draw_label(self, painter: QPainter, *, framed: bool) -> None:
        metrics = QFontMetricsF(painter.font())
        middle = self.path().pointAtPercent(0.5)
        width, height = metrics.horizontalAdvance(self._label) + 6, metrics.height()
        box = QRectF(middle.x() - width / 2, middle.y() - height / 2, width, height)
        painter.setPen(QPen(QColor(self._theme.curves[0])) if framed else Qt.PenStyle.NoPen)
        painter.setBrush(QColor(self._theme.base))
        painter.drawRect(box)
        painter.setPen(QColor(self._theme.text))
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, self._label)


def _label(connection: Connection) -> str:
    told = [] if connection.delays is None else [f"−{','.join(map(str, connection.delays))}"]
    if told and len(connection.delays or ()) > 4:
        told = [f"−{(connection.delays or (0,))[0]}…{(connection.delays or (0,))[-1]}"]
    if connection.density < 1.0:
        told.append(f"{100 * connection.density:.0f} %")
    return "  ".join(told)
