"""How the window closes: outputs safe first and read back, works stopped, nothing left running."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer

from gui.controller import State
from labctl.apart import PATIENCE_S
from labctl.safety import SafeReport

if TYPE_CHECKING:
    from gui.main_window import MainWindow

LOOK_MS = 50
LONGEST_MS = 15_000
"""How long instruments that do not answer may keep the window."""


class Parting(QObject):
    """Begins when a window is asked to close; `may_close` says when it can."""

    def __init__(self, window: MainWindow, *, farewell_ms: int) -> None:
        super().__init__(window)
        self._window = window
        self._farewell_ms = farewell_ms
        self._began_s: float | None = None
        self._report: SafeReport | None = None
        self.may_close = False
        self._at_once = False
        """Asked by a signal, with nobody there to read: close as soon as all was tried, and told in the log."""
        window.controller.parted.connect(self._part)
        window.farewell.leave.connect(self.leave)
        self.gave_up = False
        """Instruments did not answer in time: the process is to be ended as it is (its guardian tries once more)."""
        self.deadline = QTimer(self, singleShot=True, interval=LONGEST_MS)
        self.deadline.timeout.connect(self._give_up)
        self._look = QTimer(self, interval=LOOK_MS)
        self._look.timeout.connect(self._wait)

    def begin(self) -> None:
        """Stop everything; asked again when the bench was parted from, close without waiting for anything else."""
        window = self._window
        if self._began_s is None:
            self._began_s = time.monotonic()
            self.deadline.start()
            window.desk.part()
            window.controller.part()
        elif window.controller.state is State.PARTED or self.gave_up:
            QTimer.singleShot(0, self.leave)  # Qt does not close a window again from within its closeEvent

    @property
    def outputs_known_safe(self) -> bool:
        """Whether all outputs were read back at their safe values, or there were none."""
        return self._window.controller.parted_well and (self._report is None or self._report.ok)

    def begin_unattended(self) -> None:
        """As `begin`, with nobody there to read what was not safe: it is in the log, and in the exit code."""
        self._at_once = True
        self._window.close()

    def leave(self) -> None:
        """Close now: works that have not ended yet are ended with their processes."""
        if not self.may_close:
            self.may_close = True
            self._look.stop()
            self._window.close()

    def _give_up(self) -> None:
        """The bench does not let go: say what is not known to be safe, and let the window close."""
        controller = self._window.controller
        if controller.state is State.PARTED:
            return
        self.gave_up = True
        bench = controller.bench
        names = ", ".join(bench.safe_states.waiting_for) if bench is not None else ""
        why = f"no end within {self.deadline.interval() / 1000:g} s: {names or 'instruments that do not answer'}"
        self._report = SafeReport((), self.deadline.interval() / 1000, (f"{why}. Switch off by hand",))
        self._window.log.error(str(self._report))
        self._window.farewell.tell(self._report)
        if self._at_once:
            self.leave()

    def _part(self, report: SafeReport | None) -> None:
        self.deadline.stop()
        self._report = report
        if report is not None:
            self._window.bench_told.show_safe(report)
            self._window.farewell.tell(report)
        self._look.start()

    def _wait(self) -> None:
        """Close by itself when no work is left, unless a person has to read something first."""
        busy = self._window.desk.busy_works
        late = self._began_s is not None and time.monotonic() - self._began_s > PATIENCE_S
        if busy and not late:
            self._window.top_bar.state.say(
                f"closing: waiting for {busy[0].job.title}, which keeps what it has (close again: end it now)"
            )
            return
        self._look.stop()
        if self._at_once and not self.outputs_known_safe:
            self.leave()
        elif self._report is None:
            if self._window.controller.parted_well:
                self.leave()
        elif self._report.ok:
            QTimer.singleShot(self._farewell_ms, self.leave)
