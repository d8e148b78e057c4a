"""A field of cells as a picture with a colour bar; cells can be painted with the mouse, or with arrows and the space bar."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QPointF, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QImage, QKeyEvent, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from gui.panels.nca.colours import Scale, picture, table
from gui.panels.widgets import named
from gui.theme import Theme

_BAR = 10
_GAP = 4
_FAR = 8
_ARROWS = {
    Qt.Key.Key_Left: (0, -1),
    Qt.Key.Key_Right: (0, 1),
    Qt.Key.Key_Up: (-1, 0),
    Qt.Key.Key_Down: (1, 0),
}


class FieldView(QWidget):
    """One picture. `stroke(y, x)`: a cell is being painted, in cells; `picked()`: it was clicked.

    paintable: strokes are made; else a click or Enter picks. small: without a colour bar.
    """

    stroke = Signal(float, float)
    picked = Signal()

    def __init__(self, name: str, tip: str, theme: Theme, *, paintable: bool = False, small: bool = False) -> None:
        super().__init__()
        named(self, name, tip)
        self.title = name
        self._theme, self._paintable, self._small = theme, paintable, small
        self._image: QImage | None = None
        self._size = (1, 1)
        self._scale = Scale(0.0, 1.0)
        self._unit = ""
        self._empty = "nothing to show yet"
        self._brush = 0.0
        self._place: tuple[float, float] | None = None
        self.marked = False
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMouseTracking(paintable)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    def show_field(self, values: NDArray[np.float32] | None, scale: Scale, *, unit: str = "", empty: str = "") -> None:
        """(y, x), or (y, x, 3) in colour; None: nothing, and why."""
        self._scale, self._unit = scale, unit if unit != "1" else ""
        self._image = None if values is None else picture(values, scale)
        self._empty = empty or "nothing to show yet"
        if values is not None:
            self._size = (values.shape[0], values.shape[1])
        self.update()

    def set_title(self, title: str) -> None:
        """Above the picture."""
        if title != self.title:
            self.title = title
            self.update()

    def set_brush(self, radius: float) -> None:
        """Of the circle under the mouse, in cells."""
        self._brush = radius
        self.update()

    def mark(self, marked: bool) -> None:
        """Draw a frame about it: this is the one that is shown large."""
        if marked != self.marked:
            self.marked = marked
            self.update()

    def use_theme(self, theme: Theme) -> None:
        """Draw in these colours."""
        self._theme = theme
        self.update()

    def sizeHint(self) -> QSize:
        """Of a picture to look at; small ones are to be clicked."""
        line = self.fontMetrics().height()
        return QSize(6 * line, 6 * line) if self._small else QSize(16 * line, 18 * line)

    def minimumSizeHint(self) -> QSize:
        """Still to be made out."""
        line = self.fontMetrics().height()
        figures = self.fontMetrics().horizontalAdvance("−0.88 … −0.88")
        return QSize(max(5 * line, figures), 5 * line) if self._small else QSize(8 * line, 8 * line)

    def field_rect(self) -> QRectF:
        """Where the cells are drawn: as large as can be, cells being squares."""
        line = self.fontMetrics().height()
        bar = line + _GAP if self._small else _BAR + line + 3 * _GAP
        room = QRectF(0, line + _GAP, self.width(), self.height() - line - _GAP - bar)
        rows, columns = self._size
        side = max(0.0, min(room.width() / columns, room.height() / rows))
        width, height = side * columns, side * rows
        return QRectF((self.width() - width) / 2, room.top() + (room.height() - height) / 2, width, height)

    def point_of(self, y: float, x: float) -> QPointF:
        """The middle of a cell, on the widget."""
        rect = self.field_rect()
        rows, columns = self._size
        return QPointF(rect.left() + (x + 0.5) * rect.width() / columns, rect.top() + (y + 0.5) * rect.height() / rows)

    def cell_at(self, point: QPointF) -> tuple[float, float] | None:
        """(y, x) in cells, the middle of the first one at (0, 0); None beyond the edge."""
        rect = self.field_rect()
        if self._image is None or not rect.contains(point) or rect.isEmpty():
            return None
        rows, columns = self._size
        y = (point.y() - rect.top()) / rect.height() * rows - 0.5
        x = (point.x() - rect.left()) / rect.width() * columns - 0.5
        return y, x

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: ARG002 - Qt's signature
        """Title, cells, brush, colour bar."""
        painter = QPainter(self)
        painter.setPen(QColor(self._theme.text))
        line = self.fontMetrics().height()
        words = self.fontMetrics().elidedText(self.title, Qt.TextElideMode.ElideRight, self.width())
        painter.drawText(QRect(0, 0, self.width(), line), Qt.AlignmentFlag.AlignHCenter, words)
        rect = self.field_rect()
        if self._image is None:
            painter.setPen(QColor(self._theme.dim))
            flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(QRectF(self.rect()).adjusted(6, line, -6, -6), int(flags), self._empty)
        else:
            painter.drawImage(rect, self._image)
        painter.setPen(QColor(self._theme.highlight if self.marked or self.hasFocus() else self._theme.border))
        painter.drawRect(rect.toRect())
        if self._image is not None:
            self._draw_brush(painter, rect)
            if self._image.format() == QImage.Format.Format_Indexed8:
                (self._write_ends if self._small else self._draw_bar)(painter, line)
        painter.end()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Paint, or pick."""
        if event.button() != Qt.MouseButton.LeftButton:
            return
        if self._paintable:
            self._paint_at(event.position())
        else:
            self.picked.emit()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Paint while a button is down; else the brush follows."""
        if event.buttons() & Qt.MouseButton.LeftButton and self._paintable:
            self._paint_at(event.position())
        else:
            self._place = self.cell_at(event.position())
            self.update()

    def leaveEvent(self, event: QEvent) -> None:  # noqa: ARG002 - Qt's signature
        """The brush goes."""
        self._place = None
        self.update()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Arrows move the brush (with Shift further), the space bar paints; Enter or space picks."""
        key = Qt.Key(event.key())
        if not self._paintable and key in (Qt.Key.Key_Space, Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.picked.emit()
        elif self._paintable and key in _ARROWS:
            self._move(*_ARROWS[key], _FAR if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else 1)
        elif self._paintable and key == Qt.Key.Key_Space and self._image is not None:
            place = self._place or self._middle()
            self._place = place
            self.stroke.emit(*place)
        else:
            super().keyPressEvent(event)

    def _middle(self) -> tuple[float, float]:
        return float(self._size[0] // 2), float(self._size[1] // 2)

    def _move(self, down: int, right: int, cells: int) -> None:
        y, x = self._place or self._middle()
        rows, columns = self._size
        self._place = ((round(y) + down * cells) % rows, (round(x) + right * cells) % columns)
        self.update()

    def _paint_at(self, point: QPointF) -> None:
        place = self.cell_at(point)
        if place is not None:  # whole cells: the smallest brush paints the cell that it is on
            rows, columns = self._size
            place = (float(min(rows - 1, max(0, round(place[0])))), float(min(columns - 1, max(0, round(place[1])))))
            self.stroke.emit(*place)
        self._place = place
        self.update()

    def _draw_brush(self, painter: QPainter, rect: QRectF) -> None:
        if not self._paintable or self._place is None:
            return
        side = rect.width() / self._size[1]
        radius = (self._brush + 0.5) * side
        painter.setPen(QColor("#FFFFFF"))
        painter.drawEllipse(self.point_of(*self._place), radius, radius)
        painter.setPen(QColor("#000000"))
        painter.drawEllipse(self.point_of(*self._place), radius + 1, radius + 1)

    def _write_ends(self, painter: QPainter, line: int) -> None:
        """Of a small picture: what its darkest and its brightest colour stand for."""
        below = QRect(0, self.height() - line, self.width(), line)
        painter.setPen(QColor(self._theme.text))
        ends = f"{self._scale.low:.2g} … {self._scale.high:.2g}".replace("-", "−")
        painter.drawText(below, Qt.AlignmentFlag.AlignHCenter, ends)

    def _draw_bar(self, painter: QPainter, line: int) -> None:
        rect = self.field_rect()
        bar = QRectF(rect.left(), rect.bottom() + 2 * _GAP, rect.width(), _BAR)
        colours = np.arange(255, dtype=np.uint8)[None]
        image = QImage(colours.data, 255, 1, 255, QImage.Format.Format_Indexed8)
        image.setColorTable(list(table(self._scale.kind)))
        painter.drawImage(bar, image)
        painter.setPen(QColor(self._theme.text))
        ends = QRectF(bar.left(), bar.bottom() + 1, bar.width(), line)
        middle = (self._scale.low + self._scale.high) / 2
        painter.drawText(ends, Qt.AlignmentFlag.AlignLeft, f"{self._scale.low:.3g}")
        painter.drawText(
            ends,
            Qt.AlignmentFlag.AlignHCenter,
            self._unit or ("0" if self._scale.kind == "signed" else f"{middle:.3g}"),
        )
        painter.drawText(ends, Qt.AlignmentFlag.AlignRight, f"{self._scale.high:.3g}")
