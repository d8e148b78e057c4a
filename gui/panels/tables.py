"""How tables look and behave everywhere in the window."""

from __future__ import annotations

from PySide6.QtCore import QAbstractItemModel, QEvent, QModelIndex, QPersistentModelIndex, QRect, Qt
from PySide6.QtGui import QColor, QFontDatabase, QFontMetricsF, QGuiApplication, QKeySequence, QPainter, QShortcut
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QWidget,
)

from gui.models.steps import FRACTION_ROLE
from gui.theme import BLUE, VERMILLION

PADDING = 8
LEAST_GROWTH = 0.01


class Table(QTableView):
    """A table whose rows have room for so many lines of text, of whatever size; its columns grow and shrink with the text."""

    def __init__(self, lines: int) -> None:
        super().__init__()
        self._lines = lines
        self._digit_px = QFontMetricsF(self.font()).horizontalAdvance("0")
        """Of the size of text that the widths of columns are for now."""
        self.fit()

    def changeEvent(self, event: QEvent) -> None:
        """Another size of text needs other rows."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.FontChange:
            self.fit()

    def fit(self) -> None:
        """Rows and columns as this size of text wants them; columns keep the widths that somebody gave them, in letters."""
        self.verticalHeader().setDefaultSectionSize(PADDING + self._lines * self.fontMetrics().lineSpacing())
        digit_px = QFontMetricsF(self.font()).horizontalAdvance("0")
        growth, self._digit_px = digit_px / self._digit_px, digit_px
        header = self.horizontalHeader()
        for column in range(header.count()) if abs(growth - 1.0) > LEAST_GROWTH else ():
            if header.sectionResizeMode(column) == QHeaderView.ResizeMode.Interactive:
                self.setColumnWidth(column, round(growth * self.columnWidth(column)))


def usual_digit_px() -> float:
    """Width of a digit in the desktop's own size of text, which widths of columns are given for."""
    return QFontMetricsF(QFontDatabase.systemFont(QFontDatabase.SystemFont.GeneralFont)).horizontalAdvance("0")


def table(
    model: QAbstractItemModel, *, name: str, stretch: int, widths: dict[int, int] | None = None, lines: int = 1
) -> QTableView:
    """A read-only table of whole rows of `lines` lines; column `stretch` takes the room that the others leave.

    Ctrl+C copies the chosen rows.
    """
    view = Table(lines)
    growth = QFontMetricsF(view.font()).horizontalAdvance("0") / usual_digit_px()
    view.setModel(model)
    view.setAccessibleName(name)
    view.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    view.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
    view.setAlternatingRowColors(True)
    view.setShowGrid(False)
    view.setWordWrap(False)
    view.setTabKeyNavigation(False)
    view.verticalHeader().hide()
    header = view.horizontalHeader()
    header.setHighlightSections(False)
    for column, width in (widths or {}).items():
        view.setColumnWidth(column, round(growth * width))
    header.setSectionResizeMode(stretch, QHeaderView.ResizeMode.Stretch)
    copy = QShortcut(QKeySequence(QKeySequence.StandardKey.Copy), view)
    copy.setContext(Qt.ShortcutContext.WidgetShortcut)
    copy.activated.connect(lambda: _copy(view))
    return view


def _copy(view: QTableView) -> None:
    model = view.model()
    lines = [
        "\t".join(str(index.siblingAtColumn(column).data()) for column in range(model.columnCount()))
        for index in view.selectionModel().selectedRows()
    ]
    QGuiApplication.clipboard().setText("\n".join(lines))


class ProgressDelegate(QStyledItemDelegate):
    """Draws the progress of a step as a bar with its text; a step that was broken off has another colour and says so."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        """Bar first, text over it."""
        fraction = index.data(FRACTION_ROLE)
        frame: QRect = option.rect.adjusted(3, 4, -3, -4)
        colour = QColor(VERMILLION if fraction < 0 else BLUE)
        painter.save()
        painter.setPen(colour)
        painter.drawRect(frame)
        colour.setAlpha(110)
        width = frame.width() if fraction < 0 else round(frame.width() * fraction)
        painter.fillRect(QRect(frame.left(), frame.top(), width, frame.height()), colour)
        painter.setPen(option.palette.text().color())
        painter.drawText(frame, Qt.AlignmentFlag.AlignCenter, str(index.data()))
        painter.restore()
