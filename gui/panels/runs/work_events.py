"""What works said, kept for whoever looks at them later; and what a journal tells of jobs that ran elsewhere."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from gui.bridge import Frame
from gui.work import Work
from labctl.events import Event, Failed, FrameTaken, Progress, Sampled, event_from_json

MOST_EVENTS = 4000
TAIL_BYTES = 2**20


class WorkEvents:
    """The events of each work since it began, samples left out; `newest` are those since the last look."""

    def __init__(self) -> None:
        self._events: dict[int, deque[Event]] = {}

    def follow(self, work: Work) -> None:
        """Keep what this work says."""
        kept = self._events.setdefault(id(work), deque(maxlen=MOST_EVENTS))
        work.frame.connect(lambda frame: self._take(kept, frame))

    def of(self, work: Work) -> Sequence[Event]:
        """All that is kept of a work."""
        return tuple(self._events.get(id(work), ()))

    @staticmethod
    def _take(kept: deque[Event], frame: Frame) -> None:
        for event in frame.events:
            if isinstance(event, Sampled | FrameTaken):
                continue
            if isinstance(event, Progress) and kept and isinstance(kept[-1], Progress) and kept[-1].key == event.key:
                kept.pop()  # of a step's progress in a row the newest says all
            kept.append(event)


def journal_events(path: Path) -> tuple[Event, ...]:
    """The newest events of a journal; none where there is no journal. Takes a moment: not for Qt's thread."""
    if not path.is_file():
        return ()
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - TAIL_BYTES, 0))
        text = file.read(TAIL_BYTES).decode("utf-8", "replace")
    events: list[Event] = []
    for line in text.splitlines():
        try:
            data = json.loads(line)
            data.pop("utc", None)
            event = event_from_json(data)
        except (ValueError, TypeError, AttributeError):
            continue  # the first line may be cut, the last one half written
        events.append(event)
    return tuple(events[-MOST_EVENTS:])


def ending_of(events: Sequence[Event]) -> str:
    """How a journal says that it ended; "" where it ended well, or goes on."""
    last = events[-1] if events else None
    return f"{last.error}: {last.message}" if isinstance(last, Failed) else ""
