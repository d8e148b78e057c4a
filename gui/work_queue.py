"""The queue behind the desk: which work begins when, and the queue file that shows it to other processes.

What begins is decided here, at once, by the rules of `labctl.job_queue`; the file is written and read in a thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal

from gui.bridge import Bridge
from gui.work import PENDING, Work, WorkState
from labctl.job_queue.choosing import may_start, why_waiting
from labctl.job_queue.editing import mark_bench
from labctl.job_queue.entry import (
    DONE,
    FAILED,
    GO_ON,
    HELD,
    HOLD,
    PAUSED,
    RUNNING,
    STOPPED,
    WAITING,
    Queue,
    QueuedJob,
)
from labctl.job_queue.sharing import Own, Shared, SharedQueue
from labctl.provenance import utc_now

POLL_MS = 1000
ME = "window"
_STATES = {
    WorkState.WAITING: WAITING,
    WorkState.HELD: HELD,
    WorkState.RUNNING: RUNNING,
    WorkState.PAUSED: PAUSED,
    WorkState.STOPPING: RUNNING,
    WorkState.DONE: DONE,
    WorkState.STOPPED: STOPPED,
    WorkState.FAILED: FAILED,
}


class WorkQueue(QObject):
    """Orders the works of a desk. `changed` when anything of it did; `adopted` with jobs that are to be done here now."""

    changed = Signal()
    adopted = Signal(object)
    troubled = Signal(object)

    def __init__(self, bridge: Bridge, works: list[Work], folder: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.held, self.after_failure, self.n_compute = "", GO_ON, 1
        self.bench_unsafe: Mapping[str, str] = {}
        """What is known of outputs that were left unsafe, by station (`labctl.job_queue.entry.bench_name`)."""
        self.others: tuple[QueuedJob, ...] = ()
        """Jobs of the file that are not this window's own: those of other processes, and what was left of earlier starts."""
        self.numbers: dict[int, int] = {}
        self._bridge = bridge
        self._works = works
        self._times: dict[int, list[str]] = {}
        self._changed_here: dict[str, object] = {}
        self._benches: dict[str, str] = {}
        self._gone: list[int] = []
        self._shared = SharedQueue(folder)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="queue file")
        self._busy = False
        self._told = ""
        self._poll = QTimer(self, interval=POLL_MS)
        self._poll.timeout.connect(self.share)
        self._poll.start()
        self.share()

    # ---- which work begins -----------------------------------------------------------------------------------------

    def due(self) -> list[Work]:
        """The works that may begin now, in order."""
        queue = self._as_queue()
        return [self._works[one.number] for one in may_start(queue, ME)]

    def why(self, work: Work) -> str:
        """Why a work waits or is held, in words; "" for one that is neither."""
        if work.state not in PENDING or work not in self._works:
            return ""
        queue = self._as_queue()
        return why_waiting(queue, queue.entry(self._works.index(work)))

    def note(self, work: Work) -> None:
        """The work has another state now: keep the times, hold where a failure is to hold."""
        times = self._times.setdefault(id(work), [utc_now(), "", ""])
        if work.state not in PENDING and not times[1]:
            times[1] = utc_now()
        if work.over and not times[2]:
            times[2] = utc_now()
            if work.state is WorkState.FAILED and self.after_failure == HOLD and not self.held:
                self.hold(f"{work.job.title} failed")
        self._tell()

    def _as_queue(self) -> Queue:
        entries = tuple(
            QueuedJob(place, work.job, state=_STATES[work.state], reason=work.held_because, owner=ME)
            for place, work in enumerate(self._works)
        )
        return Queue(
            entries,
            held=self.held,
            after_failure=self.after_failure,
            n_compute=self.n_compute,
            bench_unsafe=self.bench_unsafe,
            owners=frozenset({ME}),
        )

    # ---- what a person does ----------------------------------------------------------------------------------------

    def hold(self, why: str = "held by hand") -> None:
        """Begin nothing more; what runs goes on."""
        self._set("held", why)

    def go_on(self) -> None:
        """Begin works again."""
        self._set("held", "")

    def set_after_failure(self, what: str) -> None:
        """What follows a failed work: "go on" or "hold"."""
        self._set("after_failure", what)

    def set_n_compute(self, count: int) -> None:
        """How many works without a bench run at a time."""
        self._set("n_compute", count)

    def mark_bench(self, bench: str, unsafe: str) -> None:
        """What is known of outputs of a bench (`bench_name`) that were left unsafe; "" once all were read back safe."""
        after = mark_bench(Queue(bench_unsafe=self.bench_unsafe), bench, unsafe).bench_unsafe
        if after != self.bench_unsafe:
            self.bench_unsafe = after
            self._benches[bench] = unsafe
            self._tell()

    def move(self, work: Work, places: int) -> None:
        """Earlier (negative) or later in line."""
        place = self._works.index(work)
        target = min(max(place + places, 0), len(self._works) - 1)
        self._works.insert(target, self._works.pop(place))
        self._tell()

    def remove(self, work: Work) -> None:
        """Take a work out that waits or is over; its folder stays."""
        if work.state in PENDING:
            work.stop()
        if work.over and work in self._works:
            self._works.remove(work)
            self._times.pop(id(work), None)
            self._tell()

    def remove_other(self, number: int) -> None:
        """Take a job out of the file that is not this window's own."""
        self.others = tuple(one for one in self.others if one.number != number)
        self._gone.append(number)
        self._tell()

    def let_go_on(self, number: int) -> None:
        """Do here a held job of the file that is not this window's own."""
        self._submit(lambda: self._shared.let_go_on(number), self._adopt)

    def adopt(self) -> None:
        """Do here what waits for nobody: jobs that were queued from the command line, or before the window was closed."""
        self._submit(self._shared.adopt, self._adopt)

    def _set(self, name: str, value: object) -> None:
        setattr(self, name, value)
        self._changed_here[name] = value
        self._tell()

    def _tell(self) -> None:
        self.changed.emit()
        self.share()

    # ---- the file --------------------------------------------------------------------------------------------------

    def share(self) -> None:
        """Write what is new here, read what is new there."""
        if self._busy:
            return  # the timer comes back to it
        own, settings, gone = self._own(), self._settings(), tuple(self._gone)

        def stored(shared: Shared) -> None:
            """What was changed since then is told the next time; what could not be written, too."""
            now = self._settings()
            self._changed_here = {name: one for name, one in self._changed_here.items() if one != settings.get(name)}
            told = settings.get("bench_unsafe", {})
            self._benches = {} if now.get("bench_unsafe") == told else self._benches
            self._gone = [number for number in self._gone if number not in gone]
            self._take(shared)

        self._submit(lambda: self._shared.share(own, settings, gone=gone), stored)

    def _settings(self) -> dict[str, object]:
        """What was changed here and is not in the file yet."""
        return {**self._changed_here, **({"bench_unsafe": dict(self._benches)} if self._benches else {})}

    def use_folder(self, folder: Path) -> None:
        """Keep the queue there from now on; what runs is shown there, too."""
        self._submit(lambda: self._leave(SharedQueue(folder)), lambda _: self.share())

    def close(self) -> None:
        """The window is closing: write once more how all ended, and give the jobs that wait to whoever comes next."""
        if not self._poll.isActive():
            return
        self._poll.stop()
        own, settings, gone = self._own(), self._settings(), tuple(self._gone)
        self._pool.submit(self._farewell, own, settings, gone)
        self._pool.shutdown(wait=True)

    def _farewell(self, own: tuple[Own, ...], settings: Mapping[str, object], gone: tuple[int, ...]) -> None:
        self._shared.share(own, settings, gone=gone)
        self._shared.release()

    def _leave(self, shared: SharedQueue) -> Shared:
        self._shared.share((), {})
        self._shared.release()
        self._shared = shared
        return Shared(Queue())

    def _own(self) -> tuple[Own, ...]:
        return tuple(self._own_of(work) for work in self._works)

    def _own_of(self, work: Work) -> Own:
        added, started, ended = self._times.setdefault(id(work), [utc_now(), "", ""])
        error = work.end.error if work.end is not None else None
        reason = str(error) if error is not None else work.held_because
        return Own(id(work), work.job, _STATES[work.state], reason, work.panel, added, started, ended)

    def _submit(self, act: Callable[[], Shared], done: Callable[[Shared], None]) -> None:
        self._busy = True

        def ended(future: Future[Any]) -> None:
            self._bridge.tell(lambda: self._ended(future, done))

        try:
            self._pool.submit(act).add_done_callback(ended)
        except RuntimeError:  # the window is closing
            self._busy = False

    def _ended(self, future: Future[Any], done: Callable[[Shared], None]) -> None:
        self._busy = False
        error = future.exception()
        if error is None:
            self._told = ""
            done(future.result())
        elif str(error) != self._told:  # once, not every second
            self._told = str(error)
            self.troubled.emit(error)

    def _take(self, shared: Shared) -> None:
        queue = shared.queue
        self.numbers = dict(shared.numbers)
        mine = set(self.numbers.values())
        before = (self.others, self.held, self.after_failure, self.n_compute, self.bench_unsafe)
        self.others = tuple(one for one in queue.entries if one.number not in mine and one.number not in self._gone)
        for name in ("held", "after_failure", "n_compute"):
            if name not in self._changed_here:
                setattr(self, name, getattr(queue, name))
        if not self._benches:
            self.bench_unsafe = queue.bench_unsafe
        self._obey(shared.asked)
        if before != (self.others, self.held, self.after_failure, self.n_compute, self.bench_unsafe):
            self.changed.emit()

    def _obey(self, asked: Mapping[int, str]) -> None:
        works = {id(work): work for work in self._works}
        for key, what in asked.items():
            work = works.get(key)
            if work is not None:
                {"pause": work.pause, "resume": work.resume, "stop": work.stop}[what]()

    def _adopt(self, shared: Shared) -> None:
        owner, mine = self._shared.owner, set(shared.numbers.values())
        fresh = [one for one in shared.queue.entries if one.owner == owner and one.number not in mine]
        self._take(shared)
        self.others = tuple(one for one in self.others if one not in fresh)
        self.adopted.emit([one for one in fresh if one.state == WAITING])

    def taken(self, work: Work, number: int) -> None:
        """This adopted job is that work; told before the work is first noted."""
        self._pool.submit(lambda: self._shared.take(id(work), number))
