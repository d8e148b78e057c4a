"""Starts the window: application, signals, faults of the program itself."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import FrameType, TracebackType

from PySide6.QtCore import QTimer
from PySide6.QtGui import QFontDatabase
from PySide6.QtWidgets import QApplication

from gui.main_window import MainWindow
from gui.shell.settings import open_settings
from gui.theme import THEMES
from labctl.errors import UsageError

LAST_S = 5.0
"""How long a campaign's thread may take to end when the window is closed already, and has waited for it."""
NOT_SAFE = 1
"""Exit code where not all outputs are known to be safe."""
SWITCH_INTERVAL_S = 0.001
"""How long a busy thread may keep Python from the window's thread; the default of 5 ms costs frames."""


def main(*, station: Path | None, simulated: str | None, runs_folder: Path | None, theme: str | None) -> int:
    """Show the window until it is closed; returns the exit code. Raises UsageError where nothing can be drawn."""
    application = QApplication.instance() or QApplication([sys.argv[0]])
    if not isinstance(application, QApplication):
        raise UsageError("a Qt application without windows runs in this process already")
    application.setApplicationName("labctl")
    application.setOrganizationName("labctl")
    if not QFontDatabase.families():
        raise UsageError(
            "no fonts are installed, all text would be empty boxes; on Debian: apt install fonts-dejavu-core"
        )
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    window = MainWindow(
        runs_folder=runs_folder, theme=THEMES[theme] if theme else None, settings=open_settings(), guarded=True
    )
    window.closed.connect(application.quit)
    window.log.said.connect(lambda line: sys.stderr.write(f"{line}\n"))
    _take_signals(window)
    show_faults(window)
    window.show()
    window.desk.bridge.garbage.set_aside()  # Qt, numpy and the window itself stay until the end
    if simulated:
        window.stations.open_simulated(simulated)
    elif station is not None:
        window.stations.open(station)
    code = application.exec() or (0 if window.parting.outputs_known_safe else NOT_SAFE)
    if window.parting.gave_up:  # at its end Python would wait for the same instruments once more; the guardian tries
        sys.stderr.flush()
        os._exit(code)
    if not window.desk.bridge.wait(LAST_S):
        # Python ends such a thread in the middle of what it computes; where that is torch, the process dies of it.
        sys.stderr.write("a campaign still computes; the window ends without it, outputs as told above\n")
        sys.stderr.flush()
        os._exit(code)
    return code


def _take_signals(window: MainWindow) -> None:
    """Ctrl-C, SIGTERM and SIGHUP close the window, outputs safe first; the bridge's timer lets Python notice them."""

    def close(_number: int, _frame: FrameType | None) -> None:
        # Python calls handlers in the middle of anything; this waits its turn.
        QTimer.singleShot(0, window.parting.begin_unattended)

    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), close)


def show_faults(window: MainWindow) -> None:
    """An exception that escaped in Qt's thread is a fault in the window: shown there, and on the terminal."""

    def show(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
        sys.__excepthook__(kind, error, where)
        window.desk.trouble(error, doing="In the window")

    sys.excepthook = show
