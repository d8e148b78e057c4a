"""The newest samples of the campaign that runs, as readings: nobody else may ask the instruments meanwhile."""

from __future__ import annotations

import time

from PySide6.QtCore import QObject, QTimer, Signal

from gui.bridge import Bridge
from labctl.readings import Readings

EVERY_MS = 200
FRESH_S = 1.0
"""How old the newest sample may be to pass for the present value."""


class NewestSamples(QObject):
    """Between `start` and `stop` it emits `read` with the newest samples, five times a second."""

    read = Signal(object)

    def __init__(self, bridge: Bridge, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._bridge = bridge
        self._seen, self._came_s = 0, 0.0
        self._timer = QTimer(self, interval=EVERY_MS)
        self._timer.timeout.connect(self.show)

    def start(self) -> None:
        """A campaign begins."""
        self._timer.start()

    def stop(self) -> None:
        """No campaign runs."""
        self._timer.stop()

    def show(self) -> None:
        """Emit what there is; nothing where the newest is old."""
        samples, now = self._bridge.box.samples, time.monotonic()
        if samples.total != self._seen:
            self._seen, self._came_s = samples.total, now
        self.read.emit(Readings(values=samples.newest() if now - self._came_s < FRESH_S else {}))
