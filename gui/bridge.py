"""The one bridge between labctl and Qt.

labctl works in threads: a campaign in one, every other call that may wait for an instrument in one of its own. They leave
what they have to say in an `EventBox` and a queue; a 30 Hz timer in Qt's thread empties both and emits signals. No signal
crosses threads, so a source that never rests can fill neither the event loop nor the memory, and Stop is always heard.
For the same reason Python's garbage is collected by that timer only (see `gui.garbage`).
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QObject, Qt, QTimer, Signal

from gui.event_box import EventBox
from gui.garbage import GarbageCollector
from labctl.campaign import Campaign, Journal, run
from labctl.errors import CampaignError, Stopped
from labctl.events import Event

FRAMES_PER_S = 30


@dataclass(frozen=True, slots=True)
class Frame:
    """What happened since the last frame; `left_out` counts events that came faster than anyone could read."""

    events: tuple[Event, ...]
    left_out: int


@dataclass(frozen=True, slots=True)
class Ended:
    """How a campaign ended: with a result, or with what it raised (`Stopped` when it was stopped)."""

    result: Any = None
    error: BaseException | None = None

    @property
    def stopped(self) -> bool:
        """Whether it ended because somebody wanted it to."""
        return isinstance(self.error, Stopped)


class Bridge(QObject):
    """Runs campaigns and calls into labctl off Qt's thread; emits `frame` at most 30 times a second, then `ended`.

    `tick` comes 30 times a second, always.
    """

    frame = Signal(object)
    ended = Signal(object)
    tick = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.box = EventBox()
        self.garbage = GarbageCollector()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._done: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._timer = QTimer(self, interval=1000 // FRAMES_PER_S, timerType=Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._drain)
        self._timer.start()

    @property
    def running(self) -> bool:
        """Whether a campaign runs; False only once `ended` is being emitted."""
        return self._thread is not None

    @property
    def campaign_thread(self) -> int | None:
        """The ident of the thread in which a campaign runs."""
        return self._thread.ident if self._thread is not None else None

    def start(
        self, campaign: Campaign[Any], *, journal: Journal | None = None, pause: threading.Event | None = None
    ) -> None:
        """Run a campaign in a thread of its own; raises CampaignError while another one runs."""
        if self.running:
            raise CampaignError("a campaign is running already; stop it first")
        self._stop = threading.Event()
        self.box.samples.clear()
        self._thread = threading.Thread(
            target=self._work, args=(campaign, journal, self._stop, pause), name="campaign", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Ask the campaign to stop before its next event; `ended` follows."""
        self._stop.set()

    def wait(self, timeout_s: float) -> bool:
        """Wait for the campaign's thread, from any thread; False if it still works after `timeout_s`."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout_s)
        return thread is None or not thread.is_alive()

    def call(
        self,
        function: Callable[[], Any],
        *,
        done: Callable[[Any], None],
        failed: Callable[[BaseException], None],
        name: str = "call",
    ) -> None:
        """Call `function` in a thread of its own; then `done(result)` or `failed(error)` in Qt's thread."""

        def work() -> None:
            try:
                result = function()
            except BaseException as error:  # noqa: BLE001 - handed to the window, which shows it
                self._done.put(lambda error=error: failed(error))  # type: ignore[misc]
            else:
                self._done.put(lambda: done(result))

        threading.Thread(target=work, name=name, daemon=True).start()

    def tell(self, say: Callable[[], None]) -> None:
        """Have `say` called in Qt's thread, soon; from any thread."""
        self._done.put(say)

    def _work(
        self,
        campaign: Campaign[Any],
        journal: Journal | None,
        stop: threading.Event,
        pause: threading.Event | None,
    ) -> None:
        try:
            with journal or nullcontext():
                ended = Ended(run(campaign, on_event=self.box.put, journal=journal, stop=stop, pause=pause))
        except BaseException as error:  # noqa: BLE001 - handed to the window, which shows it
            ended = Ended(error=error)
        self._done.put(lambda: self._finish(ended))

    def _finish(self, ended: Ended) -> None:
        self._emit_frame()  # the campaign's last events come before its end
        self._thread = None
        self.ended.emit(ended)

    def _drain(self) -> None:
        self.garbage.collect_if_due()
        self._emit_frame()
        self.tick.emit()
        while True:
            try:
                tell = self._done.get_nowait()
            except queue.Empty:
                return
            tell()

    def _emit_frame(self) -> None:
        events, left_out = self.box.take()
        if events or left_out or self.running:
            self.frame.emit(Frame(events, left_out))
