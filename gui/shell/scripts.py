"""What the window does, written as Python: shown, or saved at once."""

from __future__ import annotations

from PySide6.QtCore import QObject, Qt
from PySide6.QtWidgets import QWidget

from gui.desk import Desk
from gui.shell.panel_stack import PanelStack
from gui.widgets.script_window import ScriptWindow
from labctl.errors import LabctlError, UsageError
from labctl.job import Job


class Scripts(QObject):
    """Opens a script window for whatever the desk is asked to show as a script, and for the panel that is shown."""

    def __init__(self, desk: Desk, stack: PanelStack, window: QWidget) -> None:
        super().__init__(window)
        self._desk, self._stack, self._window = desk, stack, window
        self._newest: ScriptWindow | None = None
        desk.script_asked.connect(self._open)

    def show_panel(self) -> bool:
        """Show what the panel would do; whether there was something to show."""
        panel = self._stack.current
        try:
            job = None if panel is None else panel.script_job()
            if job is None:
                raise UsageError("this page does nothing that could be written as a script")
            title = "" if isinstance(job, Job) or panel is None else panel.title
            self._desk.show_script(job, title=title)
        except (LabctlError, OSError) as error:
            self._desk.trouble(error, doing="Show as script")
            return False
        return True

    def save_panel(self) -> None:
        """Show what the panel would do, and ask where to save it."""
        if self.show_panel() and self._newest is not None:
            self._newest.save_button.click()

    def _open(self, title: str, text: str) -> None:
        made = ScriptWindow(title, text, failed=self._not_saved, parent=self._window)
        made.setWindowFlag(Qt.WindowType.Tool)  # the keys of the main window, Esc above all, work there as well
        made.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        made.show()
        self._newest = made

    def _not_saved(self, error: BaseException) -> None:
        self._desk.trouble(error, doing="Saving a script")
