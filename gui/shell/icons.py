"""The icons of the navigation, drawn by code: sharp at every scale, in the colours of the theme."""

from __future__ import annotations

import math
from collections.abc import Callable

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QIcon, QPainter, QPainterPath, QPen, QPixmap, QPolygonF

SIZE = 20
"""Icons are drawn on a grid of so many units a side."""
SCALE = 4
"""Pixels a unit: enough for a text size and a screen of twice the usual each."""


def icon(key: str, colour: str, chosen_colour: str) -> QIcon:
    """The icon of a panel; one without a drawing of its own gets a plain sheet."""
    made = QIcon()
    made.addPixmap(_drawn(key, colour), QIcon.Mode.Normal)
    made.addPixmap(_drawn(key, chosen_colour), QIcon.Mode.Selected)
    return made


def _drawn(key: str, colour: str) -> QPixmap:
    picture = QPixmap(SIZE * SCALE, SIZE * SCALE)
    picture.fill(Qt.GlobalColor.transparent)
    painter = QPainter(picture)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.scale(SCALE, SCALE)
    painter.setPen(QPen(QColor(colour), 1.6, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap, Qt.PenJoinStyle.RoundJoin))
    _DRAWINGS.get(key, _sheet)(painter)
    painter.end()
    return picture


def _start(painter: QPainter) -> None:
    """A flag."""
    painter.drawLine(QPointF(5, 3), QPointF(5, 17))
    painter.drawPolygon(QPolygonF([QPointF(5, 4), QPointF(16, 7), QPointF(5, 11)]))


def _station(painter: QPainter) -> None:
    """An instrument with a dial and a socket."""
    painter.drawRoundedRect(QRectF(2, 5, 16, 11), 2, 2)
    painter.drawEllipse(QPointF(7, 10.5), 2.6, 2.6)
    painter.drawLine(QPointF(7, 10.5), QPointF(8.6, 9))
    painter.drawLine(QPointF(12.5, 9), QPointF(15.5, 9))
    painter.drawLine(QPointF(12.5, 12.5), QPointF(15.5, 12.5))


def _record(painter: QPainter) -> None:
    """A wave within a ring."""
    painter.drawEllipse(QPointF(10, 10), 8, 8)
    painter.drawPath(_curve(lambda t: 3.2 * math.sin(2 * math.pi * t), left=4.5, right=15.5, middle=10))


def _twins(painter: QPainter) -> None:
    """Two curves that nearly agree."""
    painter.drawPath(_curve(lambda t: 5 * math.exp(-2 * t) * math.cos(9 * t), left=2.5, right=17.5, middle=7))
    painter.drawPath(_curve(lambda t: 5 * math.exp(-2.4 * t) * math.cos(9 * t), left=2.5, right=17.5, middle=13))


def _networks(painter: QPainter) -> None:
    """Nodes and links."""
    left, top, bottom = QPointF(4, 10), QPointF(15.5, 4.5), QPointF(15.5, 15.5)
    for one, other in ((left, top), (left, bottom), (top, bottom)):
        painter.drawLine(one, other)
    painter.setBrush(painter.pen().color())
    for node in (left, top, bottom):
        painter.drawEllipse(node, 2.2, 2.2)


def _goku(painter: QPainter) -> None:
    """A trajectory that winds into a fixed point."""
    path = QPainterPath()
    for number in range(61):
        turn, radius = number / 60 * 4.6 * math.pi, 8 * math.exp(-number / 26)
        point = QPointF(10 + radius * math.cos(turn), 10 + radius * math.sin(turn))
        if number:
            path.lineTo(point)
        else:
            path.moveTo(point)
    painter.drawPath(path)


def _nca(painter: QPainter) -> None:
    """Cells, some of them alive."""
    for row in range(3):
        for column in range(3):
            cell = QRectF(3 + 5 * column, 3 + 5 * row, 4, 4)
            if (row, column) in ((0, 1), (1, 0), (1, 1), (2, 2)):
                painter.fillRect(cell, painter.pen().color())
            painter.drawRect(cell)


def _runs(painter: QPainter) -> None:
    """A list with ticks."""
    for y in (5, 10, 15):
        painter.drawLine(QPointF(8.5, y), QPointF(17, y))
        painter.drawPolyline(QPolygonF([QPointF(2.5, y), QPointF(4, y + 1.5), QPointF(6.2, y - 1.8)]))


def _sheet(painter: QPainter) -> None:
    """A sheet, for panels that others add."""
    painter.drawRoundedRect(QRectF(4, 2.5, 12, 15), 1.5, 1.5)
    for y in (7, 10, 13):
        painter.drawLine(QPointF(7, y), QPointF(13, y))


def _curve(shape: Callable[[float], float], *, left: float, right: float, middle: float) -> QPainterPath:
    path = QPainterPath(QPointF(left, middle - shape(0.0)))
    for number in range(1, 41):
        t = number / 40
        path.lineTo(left + t * (right - left), middle - shape(t))
    return path


_DRAWINGS: dict[str, Callable[[QPainter], None]] = {
    "start": _start,
    "station": _station,
    "record": _record,
    "twins": _twins,
    "networks": _networks,
    "goku": _goku,
    "nca": _nca,
    "runs": _runs,
}
