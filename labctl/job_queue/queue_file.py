"""The queue on disk: queue.json in the runs folder, written whole, changed by one process at a time."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from labctl.errors import QueueError
from labctl.job_queue.entry import (
    BENCH_LANE,
    INTERRUPTED,
    UNDER_WAY,
    Queue,
    bench_name,
    queue_from_json,
    queue_to_json,
)
from labctl.job_queue.owner import changing, living_owners
from labctl.json_file import write_json

QUEUE_NAME = "queue.json"
WAS_CUT_OFF = "the program that ran it ended in the middle; start it again, or remove it"


class QueueFile:
    """The queue of a runs folder. Any number of processes may read and change it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / QUEUE_NAME
        self.left_stamp = (0, 0)
        """`stamp` as the last `change` here left it, before any other process could change the file again."""

    def read(self) -> Queue:
        """The queue as it stands; what ran in a process that is no more is "interrupted".

        Raises QueueError for a file that is no queue: it is left as it is.
        """
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return Queue(owners=living_owners(self.folder))
        except (OSError, UnicodeDecodeError) as error:
            raise QueueError(f"{self.path} cannot be read: {error}") from error
        try:
            queue = queue_from_json(json.loads(text))
        except (ValueError, QueueError) as error:
            raise QueueError(f"{self.path}: {error}; move it away to begin a new queue") from error
        return _as_it_is(queue, living_owners(self.folder))

    def change(self, edit: Callable[[Queue], Queue]) -> Queue:
        """Read the queue, write what `edit` makes of it, and return that; no other process changes it meanwhile.

        Raises QueueError where the file cannot be read or written; what `edit` raises comes through, nothing written.
        """
        with changing(self.folder):
            before = self.read()
            after = edit(before)
            if after != before or not self.path.exists():
                try:
                    write_json(self.path, queue_to_json(after))
                except OSError as error:
                    raise QueueError(f"{self.path} cannot be written: {error.strerror}") from error
            self.left_stamp = self.stamp
        return after

    @property
    def stamp(self) -> tuple[int, int]:
        """Changes when the file does: its time and size; (0, 0) where there is none."""
        try:
            status = self.path.stat()
        except OSError:
            return 0, 0
        return status.st_mtime_ns, status.st_size


def _as_it_is(queue: Queue, owners: frozenset[str]) -> Queue:
    """With what ran in a process that is no more as interrupted; nobody knows how such a job left the outputs."""
    unsafe = dict(queue.bench_unsafe)
    entries = []
    for one in queue.entries:
        if one.state in UNDER_WAY and one.owner not in owners:
            entries.append(replace(one, state=INTERRUPTED, reason=WAS_CUT_OFF, asked=""))
            if one.lane == BENCH_LANE:
                told = f"job {one.number} ({one.job.title}) was cut off; how it left the outputs is unknown"
                unsafe.setdefault(bench_name(one.job.station), told)
        else:
            entries.append(one)
    return replace(queue, owners=owners, entries=tuple(entries), bench_unsafe=unsafe)
