"""Small widgets as they are everywhere in the window: none without a tooltip and an accessible name."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import QLabel, QPushButton, QWidget


def button(
    text: str, tip: str, clicked: Callable[[], object] | None = None, *, name: str = "", keys: str = ""
) -> QPushButton:
    """A push button; `name` is its accessible name where the text says too little, `keys` its shortcut."""
    made = QPushButton(text)
    made.setAccessibleName(name or text.replace("&", ""))
    made.setToolTip(tip)
    if keys:
        made.setShortcut(QKeySequence(keys))
    if clicked is not None:
        made.clicked.connect(lambda _: clicked())
    return made


def relabel(one: QPushButton, text: str) -> None:
    """Another text on a button that keeps its keys: Qt takes these away with the text that they were given beside."""
    if one.text() == text:
        return
    keys = one.shortcut()
    one.setText(text)
    one.setShortcut(keys)


def words(style: str = "") -> QLabel:
    """A text that wraps and can be selected; `style` is its name in the style sheet."""
    label = QLabel()
    label.setObjectName(style)
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setTextInteractionFlags(
        Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
    )
    return label


def plain(text: str = "") -> QLabel:
    """A line of text that is shown as it is: names and messages come from files and instruments, and are no HTML."""
    return QLabel(text, textFormat=Qt.TextFormat.PlainText)


def named(widget: QWidget, name: str, tip: str) -> None:
    """Give a widget its accessible name and its tooltip."""
    widget.setAccessibleName(name)
    widget.setToolTip(tip)
