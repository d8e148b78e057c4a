"""What every panel must keep: nothing without a name and a tooltip, no text cut off."""

from __future__ import annotations

from collections.abc import Iterator

from PySide6.QtCore import QMargins, Qt
from PySide6.QtGui import QAction, QShortcut
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSpinBox,
    QCheckBox,
    QComboBox,
    QHeaderView,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QRadioButton,
    QScrollBar,
    QSlider,
    QTabBar,
    QTabWidget,
    QTextEdit,
    QToolButton,
    QWidget,
)

INTERACTIVE = (
    QAbstractButton,
    QComboBox,
    QLineEdit,
    QAbstractSpinBox,
    QPlainTextEdit,
    QTextEdit,
    QAbstractItemView,
    QSlider,
)
BUTTONS = (QPushButton, QCheckBox, QRadioButton, QToolButton)
SLACK = 2


def nameless(root: QWidget) -> list[str]:
    """The interactive widgets that lack an accessible name or a tooltip; parts of others and of Qt's are left out."""
    found = []
    for widget in _all(root, INTERACTIVE):
        if _is_part(widget):
            continue
        name = widget.accessibleName() or (widget.text() if isinstance(widget, QAbstractButton) else "")  # as Qt has it
        lacks = [what for what, text in (("name", name), ("tooltip", widget.toolTip())) if not text]
        if isinstance(widget, QAbstractItemView) and lacks == ["tooltip"]:
            continue  # its cells and headers have theirs
        if lacks:
            found.append(f"{path_of(widget, root)}: no {' and no '.join(lacks)}")
    return found


def cut_off(root: QWidget) -> list[str]:
    """The visible buttons and labels that have less room than their text needs."""
    found = []
    for widget in _all(root, (QLabel, *BUTTONS)):
        if not widget.isVisible() or _is_part(widget):
            continue
        if isinstance(widget, QLabel):
            if not widget.text() or widget.wordWrap() or widget.sizePolicy().horizontalPolicy().name == "Ignored":
                continue
            needs = widget.sizeHint()
        else:
            if not widget.text():
                continue
            needs = widget.minimumSizeHint()
            if isinstance(widget, QPushButton):  # the style wants 80 pixels even for one letter
                text = widget.fontMetrics().size(Qt.TextFlag.TextShowMnemonic, widget.text())
                needs = text.grownBy(QMargins(4, 0, 4, 0))
        if widget.width() + SLACK < needs.width() or widget.height() + SLACK < needs.height():
            got = f"{widget.width()}x{widget.height()}"
            found.append(
                f"{path_of(widget, root)} {widget.text()[:40]!r}: has {got}, needs {needs.width()}x{needs.height()}"
            )
    return found


def outside(root: QWidget) -> list[str]:
    """The visible buttons that stick out of a parent which does not scroll."""
    found = []
    for widget in _all(root, BUTTONS):
        parent = widget.parentWidget()
        if not widget.isVisible() or _is_part(widget) or parent is None or not widget.text():
            continue
        if not parent.rect().adjusted(-SLACK, -SLACK, SLACK, SLACK).contains(widget.geometry()):
            found.append(f"{path_of(widget, root)} {widget.text()[:40]!r} sticks out of its parent")
    return found


def path_of(widget: QWidget, root: QWidget) -> str:
    """Where it is, for people."""
    names = []
    one: QWidget | None = widget
    while one is not None and one is not root:
        names.append(one.accessibleName() or one.objectName() or type(one).__name__)
        one = one.parentWidget()
    return " < ".join(names[:4])


def _all(root: QWidget, kinds: tuple[type[QWidget], ...]) -> Iterator[QWidget]:
    seen = set()
    for kind in kinds:
        for widget in root.findChildren(kind):
            if id(widget) not in seen:
                seen.add(id(widget))
                yield widget


def _is_part(widget: QWidget) -> bool:
    """Whether it belongs to another widget, or to Qt."""
    if widget.objectName().startswith("qt_") or isinstance(widget, (QHeaderView, QScrollBar)):
        return True
    parent: QWidget | None = widget.parentWidget()
    if isinstance(parent, (QTabBar, QComboBox, QAbstractSpinBox, QLineEdit)):
        return True
    while parent is not None:
        if type(parent).__module__.startswith("pyqtgraph") or isinstance(parent, QAbstractItemView):
            return True
        if parent.windowType() == Qt.WindowType.Popup:
            return True
        parent = parent.parentWidget()
    return type(widget).__module__.startswith("pyqtgraph")


def each_page(root: QWidget) -> Iterator[str]:
    """Every page of every row of tabs that can be reached: each is shown in turn, and named."""
    yield "as it opens"
    for tabs in root.findChildren(QTabWidget):
        if not tabs.isVisible():
            continue
        first = tabs.currentIndex()
        for number in range(tabs.count()):
            tabs.setCurrentIndex(number)
            yield tabs.tabText(number)
            for inner in tabs.currentWidget().findChildren(QTabWidget):
                yield from _turned(inner)
        tabs.setCurrentIndex(first)


def keys_in_use(window: QWidget) -> list[str]:
    """The keys that do something in the window as it stands now; one twice: Qt does neither."""
    found = []
    for button in window.findChildren(QAbstractButton):
        if button.isVisible():
            found.append(button.shortcut().toString())
    for action in window.findChildren(QAction):
        owners = [one for one in action.associatedObjects() if isinstance(one, QWidget)]
        if action.isVisible() and owners and action.shortcutContext() == Qt.ShortcutContext.WindowShortcut:
            found += [keys.toString() for keys in action.shortcuts()]
    for shortcut in window.findChildren(QShortcut):
        owner = shortcut.parent()
        if shortcut.context() == Qt.ShortcutContext.WindowShortcut and isinstance(owner, QWidget) and owner.isVisible():
            found += [keys.toString() for keys in shortcut.keys()]  # noqa: SIM118 - no dictionary
    return [keys for keys in found if keys]


def _turned(tabs: QTabWidget) -> Iterator[str]:
    if not tabs.isVisible():
        return
    first = tabs.currentIndex()
    for number in range(tabs.count()):
        tabs.setCurrentIndex(number)
        yield tabs.tabText(number)
    tabs.setCurrentIndex(first)
