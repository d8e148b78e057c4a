"""What every panel of the window is. Others add one by the entry point group `labctl.panels`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtWidgets import QWidget

from gui.desk import Desk
from gui.theme import Theme
from labctl.calls import Call
from labctl.job import Job

GROUP = "labctl.panels"


class Panel(QWidget):
    """A page of the window: `key` for programs, `title` and `tip` for people, `order` in the list, `help` for F1.

    Made with the desk when it is first needed.
    """

    key = ""
    title = ""
    tip = ""
    order = 1000
    help = ""
    """Markdown."""

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.desk = desk
        desk.theme_changed.connect(self.use_theme)

    def use_theme(self, theme: Theme) -> None:
        """Draw in these colours; widgets follow the palette by themselves, plots do not."""

    def take_files(self, files: Sequence[Path]) -> None:
        """Somebody wants these files here: recordings, a twin, a network, a sequence."""

    def shown(self) -> None:
        """The panel is being looked at."""

    def hidden(self) -> None:
        """It is not any more: what costs time can rest."""

    def script_job(self) -> Job | Sequence[Call] | None:
        """What the page that is looked at would do now, for "Show as script"; None where it does nothing.

        Raises LabctlError with what is lacking, where it could do something but not as it stands.
        """
        return None
