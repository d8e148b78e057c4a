"""Light, dark or as the desktop has it, and the size of all text."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication

from gui.shell.settings import Kept
from gui.theme import THEMES, Theme, apply_theme, system_theme

SYSTEM = "system"
CHOICES = ("light", "dark", SYSTEM)
USUAL_PERCENT = 100
STEP_PERCENT = 10
LEAST_PERCENT, MOST_PERCENT = 80, 200
_BASE = "labctl_text_points"


class Appearance(QObject):
    """Gives the application its looks; emits `changed(Theme)`."""

    changed = Signal(object)

    def __init__(self, kept: Kept, *, theme: Theme | None = None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._kept = kept
        self.choice = theme.name if theme else kept.text("theme", SYSTEM, allowed=CHOICES)
        self.percent = kept.number("text_percent", USUAL_PERCENT, low=LEAST_PERCENT, high=MOST_PERCENT)
        QGuiApplication.styleHints().colorSchemeChanged.connect(self._system_changed)

    @property
    def theme(self) -> Theme:
        """The theme that the choice comes to now."""
        return system_theme() if self.choice == SYSTEM else THEMES[self.choice]

    def choose(self, choice: str) -> None:
        """Use "light", "dark" or "system", and keep that."""
        self.choice = choice
        self._kept.keep("theme", choice)
        self.apply()

    def resize_text(self, percent: int) -> None:
        """Make all text so large, in per cent of the usual, and keep that."""
        self.percent = min(max(percent, LEAST_PERCENT), MOST_PERCENT)
        self._kept.keep("text_percent", self.percent)
        self.apply()

    def step_text(self, percent: int) -> None:
        """Make all text larger by so many per cent of the usual, or smaller."""
        self.resize_text(self.percent + percent)

    def apply(self) -> None:
        """Give the whole application its colours and its text size."""
        application = QApplication.instance()
        if isinstance(application, QApplication):
            _size_text(application, self.percent)
            apply_theme(application, self.theme)
        self.changed.emit(self.theme)

    def _system_changed(self) -> None:
        if self.choice == SYSTEM:
            self.apply()


def _size_text(application: QApplication, percent: int) -> None:
    """In per cent of what the desktop wants, which is remembered before it is first changed."""
    font = application.font()
    base = application.property(_BASE) or font.pointSizeF()
    application.setProperty(_BASE, base)
    wanted = base * percent / 100
    if abs(font.pointSizeF() - wanted) > 0.01:
        font.setPointSizeF(wanted)
        application.setFont(font)
