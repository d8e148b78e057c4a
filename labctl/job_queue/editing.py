"""What can be done with a queue, as functions from one queue to the next. None of them touches a file of a job."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from labctl.calls import Call
from labctl.errors import QueueError
from labctl.job import Job
from labctl.job_queue.entry import (
    FAILED,
    HELD,
    HOLD,
    INTERRUPTED,
    OVER,
    PAUSED,
    PENDING,
    RUNNING,
    UNDER_WAY,
    WAITING,
    Queue,
    QueuedJob,
    bench_name,
)
from labctl.provenance import utc_now

MOST_ENDED = 200
"""Jobs that are over leave the queue when there are more; their folders keep job and journal."""


def add(queue: Queue, job: Job, *, owner: str = "", panel: str = "") -> Queue:
    """The job at the end of the line. owner: who will start it; "" waits for whoever runs the queue."""
    entry = QueuedJob(queue.next_number, job, owner=owner, panel=panel, added_utc=utc_now())
    return _few_ended(replace(queue, entries=(*queue.entries, entry), next_number=queue.next_number + 1))


def remove(queue: Queue, numbers: Collection[int]) -> Queue:
    """Without these jobs; raises QueueError for one that runs (stop it first)."""
    for number in numbers:
        entry = queue.entry(number)
        if entry.state in UNDER_WAY:
            raise QueueError(f"job {number} ({entry.job.title}) is {entry.state}; stop it first")
    return replace(queue, entries=tuple(one for one in queue.entries if one.number not in numbers))


def remove_ended(queue: Queue) -> Queue:
    """Without the jobs that are over."""
    return replace(queue, entries=tuple(one for one in queue.entries if one.state not in OVER))


def move(queue: Queue, number: int, places: int) -> Queue:
    """The job that many places later in line (earlier for a negative number), as far as there are places."""
    entry = queue.entry(number)
    others = [one for one in queue.entries if one.number != number]
    place = min(max(queue.entries.index(entry) + places, 0), len(others))
    others.insert(place, entry)
    return replace(queue, entries=tuple(others))


def move_to(queue: Queue, number: int, position: int) -> Queue:
    """The job at this position of the line, 1 for the first."""
    return move(queue, number, position - 1 - queue.entries.index(queue.entry(number)))


def start_again(queue: Queue, number: int, *, folder: Path, owner: str = "") -> Queue:
    """The job, which is over, waits once more, with `folder` for its files.

    Where that is another folder than before, it takes the place of the old one in the job, and in the jobs that wait
    for its files. Raises QueueError for a job that is not over.
    """
    entry = queue.entry(number)
    if entry.state not in OVER:
        raise QueueError(f"job {number} ({entry.job.title}) is {entry.state}; only what is over can be started again")
    old = entry.job.folder
    fresh = QueuedJob(number, entry.job, owner=owner, panel=entry.panel, added_utc=utc_now())
    queue = _put(queue, fresh)
    if folder == old:
        return queue

    def moved(one: QueuedJob) -> QueuedJob:
        if one.number != number and one.state not in PENDING:
            return one
        job = replace(one.job, call=_with_folder(one.job.call, old, folder))
        return replace(one, job=job_in(one.job, folder) if one.number == number else job)

    return replace(queue, entries=tuple(moved(one) for one in queue.entries))


def job_in(job: Job, folder: Path) -> Job:
    """The job with its files in another folder, also where its call names files of the old one."""
    return replace(job, folder=folder, call=_with_folder(job.call, job.folder, folder))


def ask(queue: Queue, number: int, what: str) -> Queue:
    """Ask whoever runs the job to "pause", "resume" or "stop" it; raises QueueError where that makes no sense."""
    entry = queue.entry(number)
    allowed = {"pause": (RUNNING,), "resume": (PAUSED,), "stop": UNDER_WAY}.get(what)
    if allowed is None:
        raise QueueError(f"{what!r} cannot be asked; allowed are pause, resume and stop")
    if entry.state not in allowed:
        raise QueueError(f"job {number} ({entry.job.title}) is {entry.state}; {what} is for a job that is {allowed[0]}")
    return _put(queue, replace(entry, asked=what))


def let_go_on(queue: Queue, number: int, owner: str = "") -> Queue:
    """The job, which is held, waits again: for its owner where that lives (who is asked), else for `owner`.

    Raises QueueError for a job that is not held.
    """
    entry = queue.entry(number)
    if entry.state != HELD:
        raise QueueError(f"job {number} ({entry.job.title}) is {entry.state}, not held")
    if entry.owner in queue.owners and entry.owner != owner:
        return _put(queue, replace(entry, asked="resume"))
    return _put(queue, replace(entry, state=WAITING, reason="", owner=owner, asked=""))


def hold(queue: Queue, why: str = "held by hand") -> Queue:
    """Start no further job; what runs goes on."""
    return replace(queue, held=why)


def go_on(queue: Queue) -> Queue:
    """Start jobs again."""
    return replace(queue, held="")


def adopt(queue: Queue, owner: str) -> Queue:
    """All jobs that wait for nobody, or for a process that is no more, wait for this owner now."""

    def theirs(one: QueuedJob) -> bool:
        return one.state == WAITING and one.owner not in queue.owners

    return replace(queue, entries=tuple(replace(one, owner=owner) if theirs(one) else one for one in queue.entries))


def began(queue: Queue, number: int, owner: str) -> Queue:
    """The job runs, in this owner's process."""
    entry = queue.entry(number)
    return _put(queue, replace(entry, state=RUNNING, owner=owner, started_utc=utc_now(), reason="", asked=""))


def became(queue: Queue, number: int, state: str) -> Queue:
    """The job that is under way is running or paused now; what was asked of it is done."""
    entry = queue.entry(number)
    return _put(queue, replace(entry, state=state, asked="")) if entry.state in UNDER_WAY else queue


def ended(
    queue: Queue, number: int, state: str, reason: str = "", *, unsafe: str = "", station: Path | None = None
) -> Queue:
    """The job is over, done, stopped or failed, with the reason.

    unsafe: what is known of outputs that it left unsafe, on the bench of `station`, where the job names none. A failure
    holds the queue where that was chosen.
    """
    entry = queue.entry(number)
    over = replace(entry, state=state, reason=reason, asked="", ended_utc=utc_now())
    queue = _put(queue, over)
    if unsafe:
        queue = mark_bench(queue, bench_name(entry.job.station or station), unsafe)
    if state in (FAILED, INTERRUPTED) and queue.after_failure == HOLD and not queue.held:
        queue = hold(queue, f"job {number} ({entry.job.title}) {state}")
    return _few_ended(queue)


def mark_bench(queue: Queue, bench: str, unsafe: str) -> Queue:
    """What is known of a bench (`bench_name`): "" when all its outputs were read back at their safe values.

    That also settles what was told of a bench that nobody named.
    """
    others = {name: why for name, why in queue.bench_unsafe.items() if name != bench and (name or unsafe)}
    return replace(queue, bench_unsafe={**others, bench: unsafe} if unsafe else others)


def _put(queue: Queue, entry: QueuedJob) -> Queue:
    return replace(queue, entries=tuple(entry if one.number == entry.number else one for one in queue.entries))


def _few_ended(queue: Queue) -> Queue:
    """Without the oldest of the jobs that are over and done, where there are too many."""
    over = sorted((one.ended_utc, one.number) for one in queue.entries if one.state in OVER)
    gone = {number for _, number in over[: max(len(over) - MOST_ENDED, 0)]}
    return remove(queue, gone) if gone else queue


def _with_folder(value: Any, old: Path, new: Path) -> Any:
    """A call, or a part of one, with another folder wherever a path lies in the old one."""

    def inner(one: Any) -> Any:
        return _with_folder(one, old, new)

    match value:
        case Call():
            options = {name: inner(one) for name, one in value.options.items()}
            return Call(value.target, tuple(inner(one) for one in value.arguments), options)
        case Path() if value == old or old in value.parents:
            return new / value.relative_to(old)
        case Mapping():
            return {name: inner(one) for name, one in value.items()}
        case list() | tuple():
            return type(value)(inner(one) for one in value)
    return value
