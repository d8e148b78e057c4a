"""The log: what happened when, bounded in length."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from PySide6.QtCore import QObject, Signal

from gui.models.rows import Column, RowsModel
from labctl.events import Event, Reported, StepFinished, StepStarted, Warned

MOST_LINES = 5000


@dataclass(frozen=True, slots=True)
class Line:
    """One line: `level` is note, WARNING or ERROR."""

    when: datetime
    level: str
    text: str


class LogModel(RowsModel):
    """One row a line; the oldest go when there are more than `MOST_LINES`.

    `said` is emitted with each line of the window's own (not those of events), for the terminal; `added` with every line,
    a list at a time, for the log file.
    """

    said = Signal(str)
    added = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        columns = (
            Column("Time", "Local time", lambda line: line.when.strftime("%H:%M:%S")),
            Column("Level", "note, WARNING or ERROR", lambda line: line.level),
            Column("What happened", "", lambda line: line.text),
        )
        super().__init__(columns, parent)

    def note(self, text: str) -> None:
        """Something worth knowing."""
        self._add("note", text)

    def warn(self, text: str) -> None:
        """Something a person should look at."""
        self._add("WARNING", text)

    def error(self, text: str) -> None:
        """Something that went wrong."""
        self._add("ERROR", text)

    def take(self, events: Iterable[Event], left_out: int = 0) -> None:
        """The lines that these events are worth."""
        now = datetime.now()
        lines = [Line(now, *said) for event in events if (said := _said(event)) is not None]
        if left_out:
            lines.append(
                Line(now, "WARNING", f"{left_out} events came faster than they could be shown and are left out")
            )
        self._append(lines)

    def text(self) -> str:
        """All lines, for the clipboard."""
        return text_of(self.rows)

    def _append(self, lines: list[Line]) -> None:
        if lines:
            self.extend(lines, at_most=MOST_LINES)
            self.added.emit(lines)

    def _add(self, level: str, text: str) -> None:
        self._append([Line(datetime.now(), level, text)])
        self.said.emit(text if level == "note" else f"{level} {text}")


def text_of(lines: Iterable[Line]) -> str:
    """Lines as plain text, with date and time."""
    return "\n".join(f"{line.when:%Y-%m-%d %H:%M:%S} {line.level} {line.text}" for line in lines)


def _said(event: Event) -> tuple[str, str] | None:
    match event:
        case StepStarted(title=title):
            return "note", f"{title} …"
        case StepFinished(title=title, seconds=seconds, note=note):
            return "note", f"{title}: {note + ', ' if note else ''}{seconds:.1f} s"
        case Warned(message=message):
            return "WARNING", message
        case Reported(files=files) if files:
            return "note", f"written: {', '.join(files)}"
    return None
