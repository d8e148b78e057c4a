"""What could not be made safe because its instrument did not answer is made safe as soon as it answers again."""

from __future__ import annotations

from PySide6.QtCore import QObject, QTimer, Signal

from gui.controller import Controller, State
from gui.models.log import LogModel
from labctl.readings import Readings
from labctl.safety import SafeReport

MOST_TRIES = 3
"""In a row: an output that answers, and cannot be made safe, wants a person."""
TOLD_AFTER_MS = 1000


class SafeAgain(QObject):
    """Watches the live values, which go on asking an instrument that hangs, or whose cable was pulled."""

    slow = Signal(str)
    """What does not end while all outputs are being made safe."""

    def __init__(self, controller: Controller, log: LogModel, parent: QObject) -> None:
        super().__init__(parent)
        self._controller, self._log = controller, log
        self._unsafe: set[str] = set()
        self._tries = 0
        controller.made_safe.connect(self._made_safe)
        controller.readings.connect(self._look)
        controller.opened.connect(lambda _: self._forget())
        controller.station_closed.connect(self._forget)
        controller.state_changed.connect(self._wait)
        self._slow = QTimer(self, singleShot=True, interval=TOLD_AFTER_MS)
        self._slow.timeout.connect(self._tell)

    @property
    def waiting(self) -> bool:
        """Whether outputs are made safe as soon as they answer."""
        return bool(self._unsafe) and self._tries < MOST_TRIES

    def _made_safe(self, report: SafeReport) -> None:
        bench = self._controller.bench
        if report.ok or bench is None:
            self._forget()
            return
        self._unsafe = {one.channel for one in report.channels if not one.ok and one.channel in bench.station.channels}
        self._unsafe -= {name for name in self._unsafe if bench.missing(name)}

    def _look(self, readings: Readings) -> None:
        back = sorted(self._unsafe & readings.values.keys())
        if back and self.waiting and self._controller.state is State.READY:
            self._tries += 1
            self._log.warn(f"{', '.join(back)} can be reached again: all outputs are made safe once more")
            self._controller.make_safe()

    def _forget(self) -> None:
        self._unsafe, self._tries = set(), 0

    def _wait(self, state: State) -> None:
        if state in (State.SAFING, State.CLOSING, State.REOPENING, State.PARTING):
            self._slow.start()
        else:
            self._slow.stop()

    def _tell(self) -> None:
        bench = self._controller.bench
        waiting = () if bench is None else bench.safe_states.waiting_for
        if waiting:
            told = f"no end yet: {', '.join(waiting)}; an instrument does not answer, or ramps. In a hurry: switch off by hand"
            self._log.warn(told)
            self.slow.emit(told)
