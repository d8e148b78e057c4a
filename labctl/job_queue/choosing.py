"""Which jobs may start now: in order, one with the bench at a time, and none before the job whose files it reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from labctl.calls import Call
from labctl.job_queue.editing import began
from labctl.job_queue.entry import BENCH_LANE, HELD, PENDING, UNDER_WAY, WAITING, Queue, QueuedJob, bench_name


def may_start(queue: Queue, owner: str) -> list[QueuedJob]:
    """The jobs that this owner may start now, in order."""
    if queue.held:
        return []
    running = [one for one in queue.entries if one.state in UNDER_WAY]
    chosen: list[QueuedJob] = []
    for entry in queue.entries:
        if entry.state != WAITING or entry.owner != owner or why_not(queue, entry):
            continue
        taken = sum(one.lane == entry.lane for one in (*running, *chosen))
        if taken < (1 if entry.lane == BENCH_LANE else queue.n_compute):
            chosen.append(entry)
    return chosen


def why_not(queue: Queue, entry: QueuedJob) -> str:
    """Why a waiting job cannot start even if its lane is free; "" if it can."""
    unsafe = unsafe_bench_of(queue, entry)
    if unsafe:
        return f"the bench was left unsafe: {unsafe}; make all its outputs safe, then it goes on"
    before = waits_for(queue, entry)
    if before:
        return f"waits for the files of job {before[0].number} ({before[0].job.title})"
    return ""


def unsafe_bench_of(queue: Queue, entry: QueuedJob) -> str:
    """What is known of outputs that were left unsafe on the job's bench; "" where there is nothing to fear."""
    if entry.lane != BENCH_LANE or not queue.bench_unsafe:
        return ""
    if entry.job.station is None:  # it may be any of them
        return next(iter(queue.bench_unsafe.values()))
    unknown = queue.bench_unsafe.get("", "")
    return queue.bench_unsafe.get(bench_name(entry.job.station), unknown)


def why_waiting(queue: Queue, entry: QueuedJob) -> str:
    """In words, why a waiting or held job does not run yet."""
    if entry.state == HELD:
        return f"held: {entry.reason or 'by hand'}; let it go on when you will"
    if queue.held:
        return f"the queue is held: {queue.held}"
    reason = why_not(queue, entry)
    if reason:
        return reason
    if entry.owner not in queue.owners:
        return "nobody runs the queue: press Run the queue, or labctl queue run"
    if entry.lane == BENCH_LANE:
        return "waits for the bench"
    return f"waits for one of {queue.n_compute} workers" if queue.n_compute > 1 else "waits for the worker"


def waits_for(queue: Queue, entry: QueuedJob) -> list[QueuedJob]:
    """The jobs before it, not over yet, in whose folders lie files that it reads."""
    earlier = queue.entries[: queue.entries.index(entry)]
    paths = list(paths_in(entry.job.call))
    return [
        one
        for one in earlier
        if one.state in (*PENDING, *UNDER_WAY) and any(one.job.folder in (path, *path.parents) for path in paths)
    ]


def paths_in(value: Any) -> Iterator[Path]:
    """All paths of a call."""
    if isinstance(value, Path):
        yield value
    elif isinstance(value, Call):
        yield from paths_in(value.arguments)
        yield from paths_in(value.options)
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from paths_in(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from paths_in(one)


def start_due(queue: Queue, owner: str) -> Queue:
    """With all jobs running that this owner may start now."""
    for entry in may_start(queue, owner):
        queue = began(queue, entry.number, owner)
    return queue
