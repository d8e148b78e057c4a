"""Campaigns that need no instrument, side by side in processes of their own: training uses all cores, the bench none.

A job is a function that can be found by its module and name, called there with plain arguments, and that returns a
campaign. Its events come back as they happen; its result comes back when it ends.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.synchronize import Event as StopFlag
from typing import Any

from labctl.campaign import Campaign
from labctl.errors import CampaignError
from labctl.events import Event, Waiting

POLL_S = 0.1
AHEAD = 64
"""Events that all workers together may be ahead of whoever reads them: so a paused reader pauses the workers."""
NICENESS = 5
"""Windows and instruments come first."""
_environment = threading.Lock()
_events: Any = None  # a worker's way to its parent, set once when the worker starts
_stop: StopFlag | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A campaign to be made in a worker: `make(**arguments)`."""

    make: Callable[..., Campaign[Any]]
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Ended:
    """The last that a worker says of a job: its events and its result come by different ways."""

    name: str


def side_by_side(jobs: Mapping[str, Job], *, n_workers: int | None = None) -> Campaign[dict[str, Any]]:
    """Run jobs in worker processes (as many as there are cores); yield their events, return their results by name.

    The first job that fails stops the others, and its error is raised. Closing the campaign stops the workers.
    """
    count = min(len(jobs), n_workers or os.cpu_count() or 1)
    context = multiprocessing.get_context("spawn")  # a fork would copy open instruments and threads
    events, stop = context.Queue(AHEAD), context.Event()
    pool = ProcessPoolExecutor(count, mp_context=context, initializer=_begin, initargs=(events, stop))
    results: dict[str, Any] = {}
    try:
        with one_thread_each():
            futures = {name: pool.submit(_work, name, job) for name, job in jobs.items()}
        while futures.keys() - results.keys():
            try:
                said = events.get(timeout=POLL_S)
            except queue.Empty:
                _raise_first(futures)
                yield Waiting("workers")
                continue
            if isinstance(said, _Ended):
                results[said.name] = futures[said.name].result()
            else:
                yield said
        return {name: results[name] for name in jobs}  # in the order asked for, not in that of their ends
    finally:
        stop.set()
        # A worker ends at its next event, or once it has started; nobody waits for that here, Stop least of all.
        threading.Thread(target=_end, args=(pool, events), name="labctl workers end").start()


@contextlib.contextmanager
def one_thread_each() -> Iterator[None]:
    """Processes started meanwhile compute in one thread: with small nets and shared cores that is fastest.

    The libraries read these variables when they are loaded, which in a new process is before any of our code runs.
    """
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    with _environment:  # the environment is the whole process's: one after another, else one keeps what another set
        before = {name: os.environ.get(name) for name in names}
        os.environ.update(dict.fromkeys(names, "1"))
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


def _end(pool: ProcessPoolExecutor, events: Any) -> None:
    pool.shutdown(wait=True, cancel_futures=True)
    events.close()


def _raise_first(futures: Mapping[str, Future[Any]]) -> None:
    for name, future in futures.items():
        error = future.exception() if future.done() else None
        if isinstance(error, BrokenProcessPool):
            raise CampaignError(f"the worker process of {name} died (out of memory, or killed)") from error
        if error is not None:
            raise error


def _begin(events: Any, stop: StopFlag) -> None:
    """In the worker: signals are the parent's affair, and a worker does not outlive its parent."""
    global _events, _stop
    _events, _stop = events, stop
    events.cancel_join_thread()  # after a stop nobody reads what is still in the queue
    threading.Thread(target=_end_with_parent, name="labctl parent watch", daemon=True).start()
    with contextlib.suppress(OSError):
        os.nice(NICENESS)
    for name in ("SIGINT", "SIGHUP", "SIGTERM"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)  # there is nobody to report to, and a worker holds nothing that wants cleaning up


def _work(name: str, job: Job) -> Any:
    """In the worker: run the job's campaign and send its events home."""
    campaign: Campaign[Any] = job.make(**job.arguments)
    try:
        while _stop is None or not _stop.is_set():
            try:
                event: Event = next(campaign)
            except StopIteration as finished:
                return finished.value
            _tell(event)
    finally:
        campaign.close()
        _tell(_Ended(name))
    return None


def _tell(said: Event | _Ended) -> None:
    """In the worker: wait until there is room; after a stop nobody reads any more."""
    while True:
        try:
            _events.put(said, timeout=POLL_S)
            return
        except queue.Full:
            if _stop is not None and _stop.is_set():
                return
