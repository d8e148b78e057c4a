"""Work: one job of the window, from waiting to its end. Its events come in frames, at most thirty a second."""

from __future__ import annotations

import enum
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from gui.bridge import Bridge, Ended, Frame
from gui.event_box import EventBox
from labctl.apart import apart
from labctl.campaign import Campaign, Journal, run
from labctl.errors import CampaignError
from labctl.events import Progress
from labctl.job import Job
from labctl.job_queue.doing import keep_job


class WorkState(enum.Enum):
    """How far it is; the value is for people."""

    WAITING = "waiting"
    HELD = "held"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping …"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"


PENDING = frozenset({WorkState.WAITING, WorkState.HELD})
OVER = frozenset({WorkState.DONE, WorkState.STOPPED, WorkState.FAILED})


@dataclass(frozen=True, slots=True)
class WorkProgress:
    """`done` of `total`, 0 of 0 where nothing was said yet, and one short line of figures."""

    done: float = 0.0
    total: float = 0.0
    note: str = ""


class Work(QObject):
    """One job. All signals are emitted in Qt's thread: `frame` with a `Frame`, `ended` with an `Ended`, `changed`."""

    frame = Signal(object)
    ended = Signal(object)
    changed = Signal()

    def __init__(self, job: Job, bridge: Bridge, *, panel: str = "", parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.job = job
        self.panel = panel
        self.state = WorkState.WAITING
        self.progress = WorkProgress()
        self.end: Ended | None = None
        self.held_because = ""
        self.box = EventBox()
        self.began_s = 0.0
        self._step = ("", 0.0, 0.0)
        self._bridge = bridge
        self._stop = threading.Event()
        self.wants_pause = threading.Event()
        self._thread: threading.Thread | None = None
        self._stopper: Callable[[], None] | None = None

    @property
    def over(self) -> bool:
        """Whether it is done, stopped or failed."""
        return self.state in OVER

    @property
    def time_left_s(self) -> float | None:
        """Of the step under way, as its progress so far lets expect; None where that is not known."""
        done, total = self.progress.done, self.progress.total
        _, began_s, first = self._step
        if self.state is not WorkState.RUNNING or not first < done <= total:
            return None
        return (time.monotonic() - began_s) * (total - done) / (done - first)

    def stop(self) -> None:
        """Stop it before its next event, or take it out of the queue; `ended` follows where it ran."""
        self._stop.set()
        if self._stopper is not None:
            self._stopper()
        if self.state in PENDING:
            self.enter(WorkState.STOPPED)
        elif not self.over:
            self.enter(WorkState.STOPPING)

    def pause(self) -> None:
        """Let it rest: a recording between two plays, anything else before its next event."""
        if self.state is WorkState.RUNNING:
            self.wants_pause.set()
            self.enter(WorkState.PAUSED)

    def hold(self, why: str) -> None:
        """Where it waits: let it not begin before a person says so (`resume`)."""
        if self.state is WorkState.WAITING:
            self.held_because = why
            self.enter(WorkState.HELD)

    def resume(self) -> None:
        """Go on, or wait in line again where it was held."""
        self.wants_pause.clear()
        if self.state is WorkState.HELD:
            self.held_because = ""
            self.enter(WorkState.WAITING)
        if self.state is WorkState.PAUSED:
            self.enter(WorkState.RUNNING)

    def start_apart(self) -> None:
        """Run it in a process of its own. For the desk."""
        self.started()
        self._thread = threading.Thread(target=self._run, name=f"work {self.job.title}", daemon=True)
        self._thread.start()
        self._bridge.tick.connect(self._take)

    def started(self, stopper: Callable[[], None] | None = None) -> None:
        """It runs now, somewhere else than here where `stopper` is given. For the desk."""
        self._stopper = stopper
        self.began_s = time.monotonic()
        self.enter(WorkState.RUNNING)

    def take(self, frame: Frame) -> None:
        """Pass on what happened. For the desk."""
        for event in frame.events:
            if isinstance(event, Progress):
                if event.key != self._step[0] or event.done < self.progress.done:  # another step, or the same anew
                    self._step = (event.key, time.monotonic(), event.done)
                self.progress = WorkProgress(event.done, event.total, event.note)
        self.frame.emit(frame)

    def finish(self, ended: Ended) -> None:
        """It ended. For the desk."""
        self.end = ended
        self.wants_pause.clear()
        self.enter(WorkState.STOPPED if ended.stopped else WorkState.FAILED if ended.error else WorkState.DONE)
        self.ended.emit(ended)

    def enter(self, state: WorkState) -> None:
        """Be in this state."""
        if state is not self.state:
            self.state = state
            self.changed.emit()

    def wait(self, timeout_s: float) -> bool:
        """Wait for its end, from any thread; False if it still works."""
        if self._thread is not None:
            self._thread.join(timeout_s)
        return self._thread is None or not self._thread.is_alive()

    def _run(self) -> None:
        kept: Path | None = None
        try:
            kept = keep_job(self.job)
            campaign: Campaign[Any] = apart(self.job.call, folder=self.job.folder)
            with Journal(self.job.folder / "journal.jsonl") as journal:
                ended = Ended(
                    run(campaign, on_event=self.box.put, journal=journal, stop=self._stop, pause=self.wants_pause)
                )
        except BaseException as error:  # noqa: BLE001 - handed to the window, which shows it
            ended = Ended(error=error)
        if kept is not None and not kept.exists() and (ended.error is None or ended.stopped):
            ended = Ended(
                error=CampaignError(
                    f"{self.job.folder} was deleted or moved while this ran: what was written before is not there any more"
                )
            )
        self._bridge.tell(lambda: self._finish_apart(ended))

    def _take(self) -> None:
        events, left_out = self.box.take()
        if events or left_out:
            self.take(Frame(events, left_out))

    def _finish_apart(self, ended: Ended) -> None:
        self._take()
        self._bridge.tick.disconnect(self._take)
        self.finish(ended)
