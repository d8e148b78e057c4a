"""Groups, rows and splitters as the pages of this panel have them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QObject, Qt
from PySide6.QtWidgets import QGroupBox, QHBoxLayout, QSplitter, QVBoxLayout, QWidget
from shiboken6 import isValid


def group(title: str, *parts: QWidget | QHBoxLayout) -> QGroupBox:
    """A titled box with these below each other."""
    box = QGroupBox(title)
    column = QVBoxLayout(box)
    column.setContentsMargins(6, 6, 6, 6)
    for part in parts:
        if isinstance(part, QWidget):
            column.addWidget(part, 1)
        else:
            column.addLayout(part)
    return box


def row(*widgets: QWidget) -> QHBoxLayout:
    """These beside each other, from the left."""
    made = QHBoxLayout()
    for widget in widgets:
        made.addWidget(widget)
    made.addStretch(1)
    return made


def split(orientation: Qt.Orientation, *parts: tuple[QWidget, int]) -> QSplitter:
    """(widget, stretch) with handles between."""
    splitter = QSplitter(orientation)
    for number, (widget, stretch) in enumerate(parts):
        splitter.addWidget(widget)
        splitter.setStretchFactor(number, stretch)
    splitter.setChildrenCollapsible(False)
    return splitter


def allow(widget: QWidget, tip: str, why_not: str) -> None:
    """Enabled, unless there is a reason against it, which its tooltip says then."""
    widget.setEnabled(not why_not)
    widget.setToolTip(why_not or tip)


def lift(button: QWidget, main: bool) -> None:
    """Whether it is the page's one blue button: what comes next."""
    name = "main" if main else ""
    if button.objectName() != name:
        button.setObjectName(name)
        button.style().unpolish(button)
        button.style().polish(button)


def while_there(owner: QObject, done: Callable[..., Any]) -> Callable[..., None]:
    """`done`, which does nothing once its owner is gone: answers can come after the window was closed."""

    def tell(*results: Any) -> None:
        if isValid(owner):
            done(*results)

    return tell
