"""A process that runs jobs of its own, and shows them in the queue file beside those of others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from labctl.job import Job
from labctl.job_queue.editing import MOST_ENDED, adopt, let_go_on, mark_bench
from labctl.job_queue.entry import OVER, Queue, QueuedJob
from labctl.job_queue.owner import Owner
from labctl.job_queue.queue_file import QueueFile


@dataclass(frozen=True, slots=True)
class Own:
    """One of the process's own jobs as it stands; `key` is the process's name for it."""

    key: int
    job: Job
    state: str
    reason: str = ""
    panel: str = ""
    added_utc: str = ""
    started_utc: str = ""
    ended_utc: str = ""


@dataclass(frozen=True, slots=True)
class Shared:
    """The queue after it was shared, the numbers of the own jobs in it by key, and what others ask of them."""

    queue: Queue
    numbers: Mapping[int, int] = field(default_factory=dict)
    asked: Mapping[int, str] = field(default_factory=dict)


class SharedQueue:
    """The queue of a folder, seen by a process that decides about its own jobs by itself. Not for several threads at once."""

    def __init__(self, folder: Path) -> None:
        self.file = QueueFile(folder)
        self._owner: Owner | None = None
        self._numbers: dict[int, int] = {}
        self._stored: tuple[object, ...] = ()

    @property
    def owner(self) -> str:
        """This process's name among the owners."""
        if self._owner is None:
            self._owner = Owner(self.file.folder)
        return self._owner.name

    def share(self, own: Sequence[Own], settings: Mapping[str, object], *, gone: Sequence[int] = ()) -> Shared:
        """Put the own jobs, in this order, into the file, and read what others have there.

        settings: fields of `Queue` that were changed here; of "bench_unsafe" what was learned of each bench. gone: numbers
        of jobs to be removed. Nothing is written where nothing is new. Raises QueueError.
        """
        now = (tuple(own), tuple(settings.items()), tuple(gone), self.file.stamp)
        if not own and not self._numbers and not settings and not gone:
            return Shared(self.file.read())
        if now == self._stored:
            return Shared(self.file.read(), dict(self._numbers))
        asked: dict[int, str] = {}
        name = self.owner
        plain: dict[str, Any] = {field: value for field, value in settings.items() if field != "bench_unsafe"}
        unsafe = cast("Mapping[str, str]", settings.get("bench_unsafe", {}))

        def edit(queue: Queue) -> Queue:
            asked.clear()
            merged = self._merged(queue, own, name, asked, frozenset(gone))
            for bench, why in unsafe.items():
                merged = mark_bench(merged, bench, why)
            return replace(merged, **plain)

        queue = self.file.change(edit)
        self._stored = (*now[:1], (), (), self.file.left_stamp)
        return Shared(queue, dict(self._numbers), asked)

    def adopt(self) -> Shared:
        """Take over all jobs that wait for nobody living; those of `Shared.queue` with this owner are to be run here."""
        return Shared(self.file.change(lambda queue: adopt(queue, self.owner)), dict(self._numbers))

    def let_go_on(self, number: int) -> Shared:
        """A held job that is nobody's waits for this process now."""
        return Shared(self.file.change(lambda queue: let_go_on(queue, number, self.owner)), dict(self._numbers))

    def take(self, key: int, number: int) -> None:
        """This number of the queue is the own job `key` from now on."""
        self._numbers[key] = number

    def release(self) -> None:
        """This process runs no jobs any more."""
        if self._owner is not None:
            self._owner.release()
            self._owner = None

    def _merged(
        self, queue: Queue, own: Sequence[Own], name: str, asked: dict[int, str], gone: frozenset[int]
    ) -> Queue:
        before = {one.number: one for one in queue.entries}
        next_number = queue.next_number
        mine: list[QueuedJob] = []
        for one in own:
            number = self._numbers.get(one.key)
            if number is None or number >= queue.next_number:  # new, or the file was moved away and begins anew
                number, next_number = next_number, next_number + 1
                self._numbers[one.key] = number
            elif number not in before:
                asked[one.key] = "stop"  # another process removed it
                continue
            elif before[number].asked:
                asked[one.key] = before[number].asked
            mine.append(_entry(one, number, name))
        kept = {self._numbers[one.key] for one in own}
        dropped = set(self._numbers.values()) - kept
        self._numbers = {key: number for key, number in self._numbers.items() if number in kept}
        others = [one for one in queue.entries if one.number not in kept | dropped | gone]
        over = [one for one in others if one.state in OVER]
        others = [one for one in others if one not in over[: max(len(over) - MOST_ENDED, 0)]]
        return replace(queue, entries=(*others, *mine), next_number=next_number)


def _entry(one: Own, number: int, owner: str) -> QueuedJob:
    return QueuedJob(
        number,
        one.job,
        state=one.state,
        reason=one.reason,
        owner=owner,
        panel=one.panel,
        added_utc=one.added_utc,
        started_utc=one.started_utc,
        ended_utc=one.ended_utc,
    )
