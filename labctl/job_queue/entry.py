"""What stands in a queue: a job, its state, and what was asked of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labctl.errors import QueueError, UsageError
from labctl.job import Job, job_from_json, job_to_json

WAITING, HELD, RUNNING, PAUSED = "waiting", "held", "running", "paused"
DONE, STOPPED, FAILED, INTERRUPTED = "done", "stopped", "failed", "interrupted"
UNDER_WAY = (RUNNING, PAUSED)
OVER = (DONE, STOPPED, FAILED, INTERRUPTED)
PENDING = (WAITING, HELD)
STATES = (*PENDING, *UNDER_WAY, *OVER)

BENCH_LANE, COMPUTE_LANE = "bench", "compute"
GO_ON, HOLD = "go on", "hold"
ASKED = ("", "pause", "resume", "stop")
FORMAT = "labctl queue 1"


@dataclass(frozen=True, slots=True)
class QueuedJob:
    """One job of a queue. `number` is its own for ever; its place in line is its place in the queue.

    reason: why it ended as it did, or why it is held: then a person has to let it go on. owner: the process that has it,
    or will start it ("" for nobody yet). asked: what another process wants of the one that runs it. Times are ISO-8601 in
    UTC, "" where that has not happened.
    """

    number: int
    job: Job
    state: str = WAITING
    reason: str = ""
    owner: str = ""
    asked: str = ""
    panel: str = ""
    added_utc: str = ""
    started_utc: str = ""
    ended_utc: str = ""

    @property
    def lane(self) -> str:
        """Where it runs: "bench" (one at a time, with the opened bench) or "compute" (a worker process)."""
        return BENCH_LANE if self.job.needs_bench else COMPUTE_LANE


@dataclass(frozen=True, slots=True)
class Queue:
    """All jobs in order, and how the queue is to go on.

    held: why no job is started, "" while jobs are. after_failure: "go on" with the next job, or "hold". n_compute: how
    many jobs without a bench run at a time. bench_unsafe: what is known of outputs that were left unsafe, by the bench's
    station (`bench_name`; "" where that is not known); no job starts on such a bench.
    """

    entries: tuple[QueuedJob, ...] = ()
    held: str = ""
    after_failure: str = GO_ON
    n_compute: int = 1
    bench_unsafe: Mapping[str, str] = field(default_factory=dict)
    next_number: int = 1
    owners: frozenset[str] = field(default=frozenset(), compare=False)
    """The processes that are alive, as found when the queue was read."""

    def entry(self, number: int) -> QueuedJob:
        """The job of this number; raises QueueError if there is none."""
        for one in self.entries:
            if one.number == number:
                return one
        known = ", ".join(str(one.number) for one in self.entries) or "none"
        raise QueueError(f"the queue has no job {number}; it has {known}")


def queue_to_json(queue: Queue) -> dict[str, Any]:
    """The queue as JSON data."""
    return {
        "format": FORMAT,
        "held": queue.held,
        "after_failure": queue.after_failure,
        "n_compute": queue.n_compute,
        "bench_unsafe": dict(queue.bench_unsafe),
        "next_number": queue.next_number,
        "jobs": [entry_to_json(one) for one in queue.entries],
    }


def queue_from_json(data: Mapping[str, Any]) -> Queue:
    """What `queue_to_json` wrote; raises QueueError for anything else."""
    try:
        if data["format"] != FORMAT:
            raise QueueError(f"{data['format']!r} is no queue; expected {FORMAT!r}")
        queue = Queue(
            entries=tuple(_entry_from_json(one) for one in data["jobs"]),
            held=str(data["held"]),
            after_failure=_one_of(data["after_failure"], (GO_ON, HOLD), "after_failure"),
            n_compute=int(data["n_compute"]),
            bench_unsafe=_unsafe_from_json(data["bench_unsafe"]),
            next_number=int(data["next_number"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, UsageError) as error:
        raise QueueError(f"this is no queue: {error!r}") from error
    numbers = [one.number for one in queue.entries]
    if len(set(numbers)) != len(numbers) or any(number >= queue.next_number for number in numbers):
        raise QueueError("this is no queue: two of its jobs have one number, or a number that is still to be given")
    return queue


def entry_to_json(entry: QueuedJob) -> dict[str, Any]:
    """A job of the queue as JSON data."""
    return {
        "number": entry.number,
        "lane": entry.lane,
        "state": entry.state,
        "reason": entry.reason,
        "owner": entry.owner,
        "asked": entry.asked,
        "panel": entry.panel,
        "added_utc": entry.added_utc,
        "started_utc": entry.started_utc,
        "ended_utc": entry.ended_utc,
        "job": job_to_json(entry.job),
    }


def _entry_from_json(data: Mapping[str, Any]) -> QueuedJob:
    return QueuedJob(
        number=int(data["number"]),
        job=job_from_json(data["job"]),
        state=_one_of(data["state"], STATES, "state"),
        asked=_one_of(data["asked"], ASKED, "asked"),
        **{name: str(data[name]) for name in ("reason", "owner", "panel", "added_utc", "started_utc", "ended_utc")},
    )


def bench_name(station: Path | None) -> str:
    """How a bench is called in `Queue.bench_unsafe`: its station file, "" for one that is not known."""
    return "" if station is None else str(station.absolute())


def unsafe_in_words(unsafe: Mapping[str, str]) -> str:
    """What is known of outputs that were left unsafe, with the station of each bench; "" for nothing."""
    return "; ".join(f"{why} (station {station})" if station else why for station, why in unsafe.items())


def _unsafe_from_json(data: Any) -> dict[str, str]:
    """By station; a text is of a queue that did not say which."""
    if isinstance(data, str):
        return {"": data} if data else {}
    return {str(station): str(why) for station, why in data.items()}


def _one_of(value: object, allowed: tuple[str, ...], name: str) -> str:
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}; allowed are {', '.join(allowed)}")
    return str(value)
