"""Campaigns: generators of events, and the one loop that runs them.

A campaign is a generator that yields `Event`s and returns its result; campaigns compose by `yield from`. The same object
runs in a script, from the command line and in the window. Stop acts between two events. Making the outputs safe is not
a campaign's task: the bench's safe-state registry does it whatever happens here.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from labctl.errors import RecordingError, Stopped
from labctl.events import (
    Acquired,
    Event,
    Failed,
    FrameTaken,
    Paused,
    Progress,
    Resumed,
    Sampled,
    StepFinished,
    StepStarted,
    Waiting,
    event_to_json,
)
from labctl.pausing import AS_THEY_WERE, POLL_S, Pause, PauseSignal, known_here

Result = TypeVar("Result")
Campaign = Generator[Event, None, Result]

PROGRESS_S = 1.0
"""The journal keeps one progress of a step in this time, and the last one."""


class Journal:
    """The campaign's events on disk, one JSON line each, flushed as written; samples are left to the recordings.

    Raises RecordingError when it cannot be written any more (disk full).
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", encoding="utf-8")
        self.path = path
        self._stored_s: dict[str, float] = {}
        self._held_back: dict[str, dict[str, Any]] = {}
        self._broken = False

    def write(self, event: Event) -> None:
        """Append the event with its UTC time; samples and frames are skipped (the recording holds them), and so is waiting.

        Of a step's progress one event a second is kept, and the last one, which is written when the step is over.
        """
        if isinstance(event, Sampled | FrameTaken | Waiting | Acquired):
            return
        line = {"utc": datetime.now(UTC).isoformat(timespec="milliseconds"), **event_to_json(event)}
        if isinstance(event, Progress):
            now = time.monotonic()
            if now - self._stored_s.get(event.key, -PROGRESS_S) < PROGRESS_S:
                self._held_back[event.key] = line
                return
            self._stored_s[event.key] = now
            self._held_back.pop(event.key, None)
        elif isinstance(event, StepFinished):
            self._put(*filter(None, [self._held_back.pop(event.key, None)]))
        elif isinstance(event, Failed):
            self._put_held_back()
        self._put(line)

    def close(self) -> None:
        """Close the file; what was written stays."""
        try:
            if not self._file.closed:
                self._put_held_back()
        finally:
            # What could not be written before cannot be written now either, and that was told.
            with contextlib.suppress(*([OSError] if self._broken else [])):
                self._file.close()

    def _put_held_back(self) -> None:
        lines, self._held_back = list(self._held_back.values()), {}
        self._put(*lines)

    def _put(self, *lines: dict[str, Any]) -> None:
        if self._broken:
            return
        try:
            self._file.write("".join(json.dumps(line) + "\n" for line in lines))
            self._file.flush()
        except OSError as error:
            self._broken = True
            raise RecordingError(f"{self.path}: the journal cannot be written: {error.strerror}") from error

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
    pause: PauseSignal | None = None,
) -> Result:
    """Run a campaign to its end and return its result.

    `on_event` is called with every event, after the journal has it. When `stop` is set the campaign is closed before
    its next event (its `finally` clauses run) and `Stopped` is raised. While `pause` (a threading.Event, say) is set the
    campaign rests: between two plays where a bench records, else between two events (`labctl.pausing`); it is told by
    `Paused` and `Resumed`. Whatever the campaign raises comes through; the journal's last line tells of it.
    """
    told = _Told(on_event, journal)
    control = None if pause is None else Pause(pause)
    try:
        with known_here(control):
            while True:
                if control is not None:
                    _rest(control, told, stop)
                if stop is not None and stop.is_set():
                    raise Stopped("stopped by the user between two events")
                try:
                    event = next(campaign)
                except StopIteration as finished:
                    result: Result = finished.value
                    return result
                told(event)
    except BaseException as error:
        campaign.close()  # first: what is told there belongs to the journal's last line
        if journal is not None:
            _write_end(journal, told.key, error)
        raise
    finally:
        campaign.close()


class _Told:
    """Tells an event to the journal, then to who listens; knows the key of the last one."""

    def __init__(self, on_event: Callable[[Event], None] | None, journal: Journal | None) -> None:
        self.key = ""
        self._on_event = on_event
        self._journal = journal

    def __call__(self, event: Event) -> None:
        self.key = event.key
        if self._journal is not None:
            self._journal.write(event)
        if self._on_event is not None:
            self._on_event(event)


def _rest(control: Pause, told: _Told, stop: threading.Event | None) -> None:
    """Rest between two events as long as that is wanted, unless a recording does so by itself."""

    def resting() -> bool:
        return control.wanted() and not control.deferred and not (stop is not None and stop.is_set())

    if not resting():
        return
    began = time.monotonic()
    told(Paused(told.key, AS_THEY_WERE))
    while resting():
        time.sleep(POLL_S)
    told(Resumed(told.key, time.monotonic() - began))


def _write_end(journal: Journal, key: str, error: BaseException) -> None:
    """The journal's last line, for a campaign that was stopped or failed."""
    message = "\n".join([str(error), *getattr(error, "__notes__", [])])
    try:
        journal.write(Failed(key, type(error).__name__, message))
    except RecordingError as failure:
        error.add_note(str(failure))


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
