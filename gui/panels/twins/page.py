"""What the pages of the Twins panel have in common: the desk, the shelf, controls, and the seed of all random choices."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QScrollArea, QToolButton, QVBoxLayout, QWidget

from gui.desk import Desk
from gui.panels.twins.shelf import Shelf
from gui.panels.widgets import named
from gui.theme import Theme
from gui.widgets.job_controls import JobControls
from gui.widgets.number_field import NumberField
from gui.widgets.settings_form import SettingsForm
from labctl.errors import UsageError
from labctl.job import Job

LARGEST_SEED = 2**31 - 1


class Page(QWidget):
    """One page; `controls` start its job."""

    controls: JobControls

    def __init__(self, desk: Desk, shelf: Shelf) -> None:
        super().__init__()
        self.desk, self.shelf = desk, shelf

    def make(self) -> Job:
        """What the page would do now; raises LabctlError where that is not possible."""
        raise NotImplementedError

    def use_theme(self, theme: Theme) -> None:
        """Draw in these colours."""

    def control(self, *, text: str, tip: str, keys: str = "") -> JobControls:
        """The controls of this page's job."""
        return JobControls(self.desk, self.make, text=text, tip=tip, panel="twins", keys=keys)


def seed_field() -> NumberField:
    """A field for the seed."""
    tip = "Seed of all random choices: the same seed and data give the same outcome"
    return NumberField("Seed", tip, low=0, high=LARGEST_SEED, whole=True, value=1)


def number_of(field: NumberField, name: str) -> float:
    """What stands in a field; raises UsageError, which names it."""
    value = field.value
    if value is None:
        raise UsageError(f"{name}: {field.trouble or 'a number is missing'}")
    return value


def whole_of(field: NumberField, name: str) -> int:
    """As `number_of`, a whole number."""
    return int(number_of(field, name))


def scrolled(inner: QWidget) -> QScrollArea:
    """In a frame that scrolls where the window is small."""
    area = QScrollArea()
    area.setWidget(inner)
    area.setWidgetResizable(True)
    area.setFrameShape(QScrollArea.Shape.NoFrame)
    return area


class MoreOptions(QWidget):
    """Forms, side by side, that are folded away until they are wanted."""

    def __init__(self, *forms: SettingsForm, tip: str) -> None:
        super().__init__()
        self._forms, self._inner, self.fold = forms, QWidget(), QToolButton()
        self.fold.setText("More options")
        self.fold.setCheckable(True)
        self.fold.setAutoRaise(True)
        self.fold.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        named(self.fold, "More options", tip)
        self.fold.toggled.connect(self._show)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.fold)
        column.addWidget(self._inner)
        row = QHBoxLayout(self._inner)
        row.setContentsMargins(0, 0, 0, 0)
        for form in forms:
            row.addWidget(form)
        self._show(False)

    def values(self) -> dict[str, Any]:
        """What differs from its default in any of them; raises UsageError, naming the field."""
        return {name: value for form in self._forms for name, value in form.values().items()}

    def _show(self, opened: bool) -> None:
        self.fold.setArrowType(Qt.ArrowType.DownArrow if opened else Qt.ArrowType.RightArrow)
        self._inner.setVisible(opened)
