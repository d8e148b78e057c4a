"""The bench as a lane: one work at a time, begun when it is free and safe, its outputs made safe when it ends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal

from gui.bridge import Bridge, Ended, Frame
from gui.controller import Controller, State
from gui.offers import Offer
from gui.work import Work
from gui.work_queue import WorkQueue
from labctl.bench import Bench
from labctl.calls import perform
from labctl.errors import UsageError
from labctl.job import Job
from labctl.job_queue.doing import keep_job
from labctl.job_queue.entry import bench_name
from labctl.safety import SafeReport


class BenchLane(QObject):
    """Runs the works of a queue that need the bench. `refused` with a work that is over before it began, and why."""

    refused = Signal(object, object)

    def __init__(self, bridge: Bridge, controller: Controller, queue: WorkQueue, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._bridge, self._controller, self._queue = bridge, controller, queue
        self._running: Work | None = None
        self._station: Path | None = None
        """Of the bench that is open, or was last: what was read back when it was closed is said of it."""
        self._closed = False
        bridge.frame.connect(self._pass_on)
        controller.ended.connect(self._ended)
        controller.opened.connect(self._opened)
        controller.made_safe.connect(self._made_safe)
        controller.parted.connect(self._made_safe)

    def close(self) -> None:
        """Begin nothing any more."""
        self._closed = True

    def offer(self, work: Work) -> None:
        """Begin this work, which is due, if the bench is free; one that finds no bench is refused."""
        controller = self._controller
        if self._running is None and controller.state is State.READY:
            QTimer.singleShot(0, self._begin)
        elif controller.bench is None and controller.state is State.EMPTY:
            self._refuse(work, UsageError("no station is open: open one in the Station panel first"))

    def _begin(self) -> None:
        waiting = [work for work in self._queue.due() if work.job.needs_bench]
        if self._closed or not waiting or self._running is not None or self._controller.state is not State.READY:
            return
        work = waiting[0]
        foreign = self._of_another_bench(work.job)
        if foreign:
            self._refuse(work, UsageError(foreign))
            return
        try:
            keep_job(work.job)
        except OSError as error:
            self._refuse(work, error)
            return
        self._running = work
        work.box = self._bridge.box
        work.started(self._controller.stop)
        self._controller.run(_offer_of(work), folder=work.job.folder, seed=work.job.seed or 0)

    def _of_another_bench(self, job: Job) -> str:
        """Why a job is not for the bench that is open: the outcome would pass for that of its own."""
        bench = self._controller.bench
        if bench is None or job.station is None or bench.station.path is None:
            return ""
        if job.simulated and job.simulated == self._controller.simulated_name:
            return ""
        if not job.simulated and job.station.absolute() == bench.station.path.absolute():
            return ""
        own = f"the simulated bench {job.simulated}" if job.simulated else str(job.station)
        return f"this job is for {own}, and {bench.station.path} is open; open that one, or make the job anew"

    def _refuse(self, work: Work, error: BaseException) -> None:
        work.finish(Ended(error=error))
        self.refused.emit(work, error)

    def _pass_on(self, frame: Frame) -> None:
        if self._running is not None:
            self._running.take(frame)

    def _ended(self, ended: Ended) -> None:
        work, self._running = self._running, None
        if work is not None:
            work.finish(ended)

    def _opened(self, bench: Bench) -> None:
        self._station = bench.station.path

    def _made_safe(self, report: SafeReport | None) -> None:
        """What was read back decides whether works may begin there, in this window and after its end."""
        if report is not None:
            self._queue.mark_bench(bench_name(self._station), "" if report.ok else str(report))


def _offer_of(work: Work) -> Offer:
    job = work.job
    make: Callable[..., object] = lambda bench, folder, _seed: perform(job.call, bench=bench, folder=folder)  # noqa: E731
    return Offer(job.title, "", make, work.wants_pause)  # type: ignore[arg-type]
