"""Campaigns: generators of events, and the one loop that runs them.

A campaign is a generator that yields `Event`s and returns its result; campaigns compose by `yield from`. The same object
runs in a script, from the command line and in the window. Stop acts between two events. Making the outputs safe is not
a campaign's task: the bench's safe-state registry does it whatever happens here.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from labctl.errors import Stopped
from labctl.events import Event, Sampled, StepFinished, StepStarted, Waiting, event_to_json

Result = TypeVar("Result")
Campaign = Generator[Event, None, Result]


class Journal:
    """The campaign's events on disk, one JSON line each, flushed as written; samples are left to the recordings."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", encoding="utf-8")
        self.path = path

    def write(self, event: Event) -> None:
        """Append the event with its UTC time; samples are skipped (the recording holds them), and so is waiting."""
        if isinstance(event, Sampled | Waiting):
            return
        line = {"utc": datetime.now(UTC).isoformat(timespec="milliseconds"), **event_to_json(event)}
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file; what was written stays."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()


def run(
    campaign: Campaign[Result],
    *,
    on_event: Callable[[Event], None] | None = None,
    journal: Journal | None = None,
    stop: threading.Event | None = None,
) -> Result:
    """Run a campaign to its end and return its result.

    `on_event` is called with every event, after the journal has it. When `stop` is set the campaign is closed before
    its next event (its `finally` clauses run) and `Stopped` is raised. Whatever the campaign raises comes through.
    """
    try:
        while True:
            if stop is not None and stop.is_set():
                raise Stopped("stopped by the user between two events")
            try:
                event = next(campaign)
            except StopIteration as finished:
                result: Result = finished.value
                return result
            if journal is not None:
                journal.write(event)
            if on_event is not None:
                on_event(event)
    finally:
        campaign.close()


class Step:
    """A named step of a campaign: gives its first and last event. Use `step.started()`, `step.finished(note)`."""

    def __init__(self, key: str, title: str) -> None:
        self.key = key
        self.title = title
        self._began = time.perf_counter()

    def started(self) -> StepStarted:
        """The event that opens the step."""
        self._began = time.perf_counter()
        return StepStarted(self.key, self.title)

    def finished(self, note: str = "") -> StepFinished:
        """The event that closes the step, with its wall time."""
        return StepFinished(self.key, self.title, time.perf_counter() - self._began, note)
