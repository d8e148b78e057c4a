"""The steps of a campaign: title, progress, time, and what came out."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

from PySide6.QtCore import QObject, Qt

from gui.models.rows import Column, Index, RowsModel
from labctl.events import Event, Progress, StepFinished, StepStarted

FRACTION_ROLE = int(Qt.ItemDataRole.UserRole)
"""Role under which a step's progress stands, from 0 to 1, or -1 where it was broken off."""
MOST_STEPS = 2000


@dataclass(slots=True)
class Step:
    """One row. `seconds` is None until the step ends."""

    key: str
    title: str
    began: float
    done: float = 0.0
    total: float = 0.0
    note: str = ""
    seconds: float | None = None
    broken_off: bool = False

    @property
    def fraction(self) -> float:
        """How much of the step is behind us, 0 to 1."""
        if self.seconds is not None and not self.broken_off:
            return 1.0
        return min(max(self.done / self.total, 0.0), 1.0) if self.total else 0.0

    @property
    def state(self) -> str:
        """The progress in words."""
        if self.broken_off:
            return f"broken off at {100 * self.fraction:.0f} %"
        return "done" if self.seconds is not None else f"{100 * self.fraction:.0f} %"

    @property
    def time_text(self) -> str:
        """How long it took, or takes so far."""
        seconds = time.monotonic() - self.began if self.seconds is None else self.seconds
        return f"{seconds:.1f} s"


class StepsModel(RowsModel):
    """Fed with events; one row a step, in the order in which they began."""

    def __init__(self, parent: QObject | None = None) -> None:
        columns = (
            Column(
                "Step", "What is being done", lambda step: step.title, hint=lambda step: f"{step.title} ({step.key})"
            ),
            Column("Progress", "How much of the step is done", lambda step: step.state),
            Column("Time", "Wall time of the step (s)", lambda step: step.time_text, right=True),
            Column("Result", "What came out", lambda step: step.note),
        )
        super().__init__(columns, parent)
        self._row_of: dict[str, int] = {}

    def clear(self) -> None:
        """Forget all steps."""
        self._row_of = {}
        self.reset(())

    def take(self, events: Iterable[Event]) -> None:
        """Show what the events say; each changed row is announced once."""
        touched: set[int] = set()
        for event in events:
            match event:
                case StepStarted(key=key, title=title):
                    self._begin(key, title)
                case Progress(key=key, done=done, total=total, note=note) if self._runs(key):
                    step = self.rows[self._row_of[key]]
                    step.done, step.total, step.note = done, total, note
                    touched.add(self._row_of[key])
                case StepFinished(key=key, title=title, seconds=seconds, note=note):
                    if key not in self._row_of:
                        self._begin(key, title)
                    step = self.rows[self._row_of[key]]
                    step.seconds, step.note = seconds, note
                    touched.add(self._row_of[key])
        self.changed(sorted(touched))

    def tick(self) -> None:
        """Let the times of running steps go on."""
        self.changed(row for row, step in enumerate(self.rows) if step.seconds is None)

    def break_off(self) -> None:
        """Mark the steps that were running when the campaign ended."""
        now = time.monotonic()
        for row, step in enumerate(self.rows):
            if step.seconds is None:
                step.seconds, step.broken_off = now - step.began, True
                self.changed((row,))

    @property
    def finished(self) -> int:
        """Number of steps that ended well."""
        return sum(step.seconds is not None and not step.broken_off for step in self.rows)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """As every table, and the fraction for the progress bar."""
        if role == FRACTION_ROLE and index.isValid():
            step = self.rows[index.row()]
            return -1.0 if step.broken_off else step.fraction
        return super().data(index, role)

    def _begin(self, key: str, title: str) -> None:
        if len(self.rows) >= MOST_STEPS:
            self._row_of = {known: row - 1 for known, row in self._row_of.items() if row > 0}
        self.extend([Step(key, title, time.monotonic())], at_most=MOST_STEPS)
        self._row_of[key] = len(self.rows) - 1

    def _runs(self, key: str) -> bool:
        row = self._row_of.get(key)
        return row is not None and self.rows[row].seconds is None
