"""The values of widgets, as they are kept between starts."""

from __future__ import annotations

from typing import Any

from PySide6.QtWidgets import (
    QAbstractButton,
    QComboBox,
    QDoubleSpinBox,
    QHeaderView,
    QLineEdit,
    QPlainTextEdit,
    QSpinBox,
    QSplitter,
    QWidget,
)


def value_of(widget: QWidget) -> Any:
    """What a widget holds; raises TypeError for a kind that nothing is known of."""
    match widget:
        case QSplitter() | QHeaderView():
            return widget.saveState()
        case QComboBox():
            return widget.currentText()
        case QLineEdit():
            return widget.text()
        case QPlainTextEdit():
            return widget.toPlainText()
        case QSpinBox() | QDoubleSpinBox():
            return widget.value()
        case QAbstractButton():
            return widget.isChecked()
        case _:
            raise TypeError(f"{type(widget).__name__}: nothing is known to remember of it")


def restore(widget: QWidget, stored: Any) -> None:
    """Give a widget a value that was stored.

    What was stored by another version, or by hand, may fit no more: then the widget stays as it is.
    """
    try:
        match widget:
            case QSplitter() | QHeaderView():
                widget.restoreState(stored)
            case QComboBox():
                if (index := widget.findText(str(stored))) >= 0:
                    widget.setCurrentIndex(index)
            case QLineEdit():
                widget.setText(str(stored))
            case QPlainTextEdit():
                widget.setPlainText(str(stored))
            case QSpinBox():
                widget.setValue(int(stored))
            case QDoubleSpinBox():
                widget.setValue(float(stored))
            case QAbstractButton():
                widget.setChecked(stored in (True, "true"))
    except (TypeError, ValueError):
        return
