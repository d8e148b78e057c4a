"""Runs a queue without a window, overnight as it were: the same file that the window shows."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from labctl.events import Event
from labctl.job_queue.choosing import start_due, unsafe_bench_of, why_not
from labctl.job_queue.doing import Outcome, do_job, make_bench_safe
from labctl.job_queue.editing import adopt, became, ended, mark_bench
from labctl.job_queue.entry import (
    PAUSED,
    RUNNING,
    UNDER_WAY,
    WAITING,
    Queue,
    QueuedJob,
    bench_name,
    unsafe_in_words,
)
from labctl.job_queue.owner import Owner
from labctl.job_queue.queue_file import QueueFile

POLL_S = 0.1


@dataclass(slots=True)
class _Task:
    """A job that runs in a thread of this process."""

    entry: QueuedJob
    stop: threading.Event = field(default_factory=threading.Event)
    pause: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None
    outcome: Outcome | None = None


class QueueRunner:
    """Starts the waiting jobs of a queue, one after another, until none is left that can start.

    station: the bench of jobs that name none. on_event: called, in the job's thread, with every event. told: called with
    a line of text whenever a job begins or ends.
    """

    def __init__(
        self,
        file: QueueFile,
        *,
        station: Path | None = None,
        on_event: Callable[[QueuedJob, Event], None] = lambda *_: None,
        told: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._file = file
        self._station = station
        self._on_event = on_event
        self._told = told
        self._tasks: dict[int, _Task] = {}

    def run(self, stop: threading.Event) -> Queue:
        """Run until nothing is left to start, or, when `stop` is set, until what runs has stopped; return the queue."""
        owner = Owner(self._file.folder)
        try:
            queue = self._file.change(lambda known: adopt(known, owner.name))
            queue = self._make_safe_first(queue, owner.name)
            while True:
                if not stop.is_set():
                    queue = self._file.change(lambda known: start_due(adopt(known, owner.name), owner.name))
                    self._begin(queue, owner.name)
                for task in self._tasks.values():
                    self._obey(task, queue, stopping=stop.is_set())
                queue = self._settle(queue)
                if not self._tasks and (stop.is_set() or not _anything_left(queue, owner.name)):
                    return queue
                time.sleep(POLL_S)
        finally:
            for task in self._tasks.values():  # an error: the bench is still ours until its outputs are safe
                task.stop.set()
            for task in self._tasks.values():
                if task.thread is not None:
                    task.thread.join()
            owner.release()

    def _make_safe_first(self, queue: Queue, owner: str) -> Queue:
        """A bench that was left unsafe is made safe before anything is played on it; it stays out of use if that fails."""
        if not queue.bench_unsafe:
            return queue
        self._told(f"a bench was left unsafe: {unsafe_in_words(queue.bench_unsafe)}")
        waiting = [one for one in queue.entries if one.state == WAITING and one.owner == owner]
        barred = [one for one in waiting if unsafe_bench_of(queue, one)]
        for station in dict.fromkeys(one.job.station or self._station for one in barred):
            if station is None:
                self._told("jobs that name no bench wait: give it with --station, or labctl safe STATION.toml first")
                continue
            self._told(f"making all outputs of {station} safe")
            problem = make_bench_safe(station)
            self._told(problem or f"all outputs of {station} are safe, read back")
            if problem:
                self._told(f"jobs for {station} wait until labctl safe {station} succeeds; then run the queue again")
            else:
                safe = bench_name(station)
                queue = self._file.change(lambda known, safe=safe: mark_bench(known, safe, ""))  # type: ignore[misc]
        return queue

    def _begin(self, queue: Queue, owner: str) -> None:
        for entry in queue.entries:
            if entry.state in UNDER_WAY and entry.owner == owner and entry.number not in self._tasks:
                self._told(f"job {entry.number} begins: {entry.job.title}, into {entry.job.folder}")
                task = self._tasks[entry.number] = _Task(entry)
                task.thread = threading.Thread(
                    target=self._work, args=(task,), name=f"labctl job {entry.number}", daemon=True
                )
                task.thread.start()

    def _work(self, task: _Task) -> None:
        task.outcome = do_job(
            task.entry.job,
            station=self._station,
            on_event=lambda event: self._on_event(task.entry, event),
            stop=task.stop,
            pause=task.pause,
        )

    def _obey(self, task: _Task, queue: Queue, *, stopping: bool) -> None:
        """What was asked of the job, in this process or from another."""
        asked = "stop" if stopping else queue.entry(task.entry.number).asked
        match asked:
            case "stop":
                task.stop.set()
            case "pause":
                task.pause.set()
                self._file.change(lambda known: became(known, task.entry.number, PAUSED))
            case "resume":
                task.pause.clear()
                self._file.change(lambda known: became(known, task.entry.number, RUNNING))

    def _settle(self, queue: Queue) -> Queue:
        for number, task in list(self._tasks.items()):
            outcome = task.outcome
            if outcome is None:
                continue
            del self._tasks[number]
            state, reason, unsafe = outcome.state, outcome.reason, outcome.unsafe
            queue = self._file.change(
                lambda known, n=number, s=state, r=reason, u=unsafe: ended(  # type: ignore[misc]
                    known, n, s, r, unsafe=u, station=self._station
                )
            )
            self._told(f"job {number} {state}{f': {reason}' if reason else ''}{f'; {unsafe}' if unsafe else ''}")
        return queue


def _anything_left(queue: Queue, owner: str) -> bool:
    """Whether a job of this owner waits that will start without a person doing something first."""
    if queue.held:
        return False
    under_way = any(one.state in UNDER_WAY for one in queue.entries)  # in another process: it will end
    waiting = [one for one in queue.entries if one.state == WAITING and one.owner == owner]
    return any(not why_not(queue, one) or (under_way and not unsafe_bench_of(queue, one)) for one in waiting)
