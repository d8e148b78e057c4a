"""Reads every channel about once a second while nothing else uses the bench."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, QTimer, Signal

from gui.bridge import Bridge
from labctl.bench import Bench
from labctl.readings import Readings, readings_of

__all__ = ["LiveValues", "Readings"]

PERIOD_MS = 1000


class LiveValues(QObject):
    """Emits `read` with `Readings`; `pause` before anything else uses the bench."""

    read = Signal(object)

    def __init__(self, bridge: Bridge, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._bridge = bridge
        self._bench: Bench | None = None
        self._busy = False
        self._paused = True
        self._then: list[Callable[[], None]] = []
        self._timer = QTimer(self, singleShot=True, interval=PERIOD_MS)
        self._timer.timeout.connect(self._start)

    def watch(self, bench: Bench) -> None:
        """Read this bench from now on."""
        self._bench = bench
        self._paused = False
        if not self._busy:
            self._start()

    def pause(self, then: Callable[[], None]) -> None:
        """Read no more; call `then` as soon as no reading is under way."""
        self._paused = True
        self._timer.stop()
        if self._busy:
            self._then.append(then)
        else:
            then()

    def _start(self) -> None:
        bench = self._bench
        if bench is None or self._paused or self._busy:
            return
        self._busy = True
        self._bridge.call(lambda: readings_of(bench), done=self._done, failed=self._failed, name="live values")

    def _done(self, readings: Readings) -> None:
        self._busy = False
        waiting, self._then = self._then, []
        self.read.emit(readings)
        for then in waiting:
            then()
        if not self._paused:
            self._timer.start()

    def _failed(self, error: BaseException) -> None:
        names = self._bench.station.channels if self._bench else {}
        self._done(Readings(channel_troubles=dict.fromkeys(names, f"cannot be read: {error}")))
