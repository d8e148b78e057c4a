"""A text of code with the numbers of its lines beside it."""

from __future__ import annotations

from PySide6.QtCore import QRect, QSize, Qt
from PySide6.QtGui import QFontDatabase, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QPlainTextEdit, QWidget

_ROOM = 8


class NumberedText(QPlainTextEdit):
    """Tab leaves it, so that the keyboard reaches what follows."""

    def __init__(self) -> None:
        super().__init__()
        self.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.setTabChangesFocus(True)
        self._numbers = _Numbers(self)
        self.blockCountChanged.connect(lambda _: self._make_room())
        self.updateRequest.connect(lambda _rect, _dy: self._numbers.update())
        self._make_room()

    def numbers_width(self) -> int:
        """Room for the largest number."""
        return 2 * _ROOM + self.fontMetrics().horizontalAdvance(str(max(self.blockCount(), 99)))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """The numbers stand beside the text."""
        super().resizeEvent(event)
        inner = self.contentsRect()
        self._numbers.setGeometry(QRect(inner.left(), inner.top(), self.numbers_width(), inner.height()))

    def paint_numbers(self, painter: QPainter, width: int, bottom: int) -> None:
        """Those of the lines in view."""
        block = self.firstVisibleBlock()
        top = self.blockBoundingGeometry(block).translated(self.contentOffset()).top()
        painter.setPen(self.palette().placeholderText().color())
        while block.isValid() and top <= bottom:
            height = self.blockBoundingRect(block).height()
            place = QRect(0, round(top), width - _ROOM, round(height))
            painter.drawText(place, Qt.AlignmentFlag.AlignRight, str(block.blockNumber() + 1))
            top += height
            block = block.next()

    def _make_room(self) -> None:
        self.setViewportMargins(self.numbers_width(), 0, 0, 0)


class _Numbers(QWidget):
    def __init__(self, text: NumberedText) -> None:
        super().__init__(text)
        self._text = text
        self.setAccessibleName("Line numbers")

    def sizeHint(self) -> QSize:
        """As wide as the numbers."""
        return QSize(self._text.numbers_width(), 0)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw them."""
        painter = QPainter(self)
        painter.fillRect(event.rect(), self.palette().alternateBase())
        self._text.paint_numbers(painter, self.width(), event.rect().bottom())
