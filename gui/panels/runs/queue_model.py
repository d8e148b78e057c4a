"""The queue as a table: this window's works, and jobs of other processes and of earlier starts."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QObject, Qt

from gui.desk import Desk
from gui.models.rows import Column, Index, RowsModel
from gui.models.steps import FRACTION_ROLE
from gui.theme import Theme
from gui.widgets.job_controls import duration
from gui.work import Work
from labctl.job import Job
from labctl.job_queue.entry import BENCH_LANE, FAILED, HELD, INTERRUPTED, OVER, PENDING, UNDER_WAY, WAITING, QueuedJob

SYMBOLS = {
    "waiting": "…",
    "held": "Ⅱ",
    "running": "▶",
    "paused": "Ⅱ",
    "stopping …": "◼",
    "done": "✓",
    "stopped": "◼",
    "failed": "✗",
    "interrupted": "⚠",
}


@dataclass(frozen=True, slots=True)
class QueueRow:
    """One job: of this window (`work`), or of the queue's file (`entry`). `fraction` is -1 where it was broken off."""

    place: str
    job: Job
    state: str
    fraction: float
    progress: str
    left: str
    hint: str
    work: Work | None = None
    entry: QueuedJob | None = None

    @property
    def over(self) -> bool:
        """Whether it is done, stopped, failed or interrupted."""
        return self.work.over if self.work is not None else self.entry is not None and self.entry.state in OVER

    @property
    def key(self) -> tuple[int, int]:
        """The same for the same job, whatever its state."""
        return (id(self.work), -1) if self.work is not None else (-1, self.entry.number if self.entry else -1)


class QueueModel(RowsModel):
    """Rows in the order in which they run: what is under way, what waits, then what is over, the newest first."""

    def __init__(self, desk: Desk, parent: QObject | None = None) -> None:
        columns = (
            Column("Line", "Place among the jobs that wait", lambda row: row.place, right=True),
            Column(
                "Job", "What is to be done", lambda row: row.job.title, hint=lambda row: f"{row.job.title}\n{row.hint}"
            ),
            Column(
                "Where",
                "bench: with the instruments, one at a time; compute: in a process of its own",
                lambda row: "bench" if row.job.needs_bench else "compute",
            ),
            Column(
                "State",
                "How far it is; hover for the reason",
                lambda row: f"{SYMBOLS.get(row.state, '?')} {row.state}",
                hint=lambda row: row.hint or row.state,
                colour=self._colour,
            ),
            Column(
                "Progress", "Of the step that runs", lambda row: row.progress, hint=lambda row: row.hint or row.progress
            ),
            Column("Left", "Time left of the step that runs, as its progress so far lets expect", lambda row: row.left),
        )
        super().__init__(columns, parent)
        self._desk = desk
        self._theme = desk.theme

    def use_theme(self, theme: Theme) -> None:
        """Colour bad ends for this appearance."""
        self._theme = theme
        self.changed(range(len(self.rows)))

    def renew(self) -> bool:
        """Show how the queue stands; whether there are other rows than before."""
        rows = self._made()
        if [row.key for row in rows] != [row.key for row in self.rows]:
            self.reset(rows)
            return True
        different = [number for number, row in enumerate(rows) if row != self.rows[number]]
        self.rows = rows
        self.changed(different)
        return False

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """As every table, and the fraction for the progress bar."""
        if role == FRACTION_ROLE and index.isValid():
            return self.rows[index.row()].fraction
        return super().data(index, role)

    def _made(self) -> list[QueueRow]:
        works, others = self._desk.works, self._desk.queue.others
        waiting = [work for work in works if work.state.value in PENDING]
        running = [work for work in works if not work.over and work not in waiting]
        over = [work for work in reversed(works) if work.over]
        theirs: dict[str, list[QueueRow]] = {"way": [], "line": [], "over": []}
        for entry in others:
            part = "way" if entry.state in UNDER_WAY else "line" if entry.state in PENDING else "over"
            theirs[part].append(_of_entry(entry))
        return [
            *(self._of_work(work, "") for work in running),
            *theirs["way"],
            *(self._of_work(work, str(place)) for place, work in enumerate(waiting, start=1)),
            *theirs["line"],
            *(self._of_work(work, "") for work in over),
            *reversed(theirs["over"]),
        ]

    def _of_work(self, work: Work, place: str) -> QueueRow:
        progress, state = work.progress, work.state.value
        share = min(max(progress.done / progress.total, 0.0), 1.0) if progress.total else 0.0
        error = work.end.error if work.end is not None else None
        hint = self._desk.queue.why(work) if state in PENDING else str(error or progress.note)
        bad = state in (FAILED, "stopped")
        told = "" if state in PENDING else f"{100 * share:.0f} %" if not work.over else state
        left = work.time_left_s
        return QueueRow(
            place,
            work.job,
            state,
            -1.0 if bad else 1.0 if work.over else share,
            told,
            "" if left is None else duration(left),
            hint,
            work=work,
        )

    def _colour(self, row: QueueRow) -> str | None:
        return self._theme.bad if row.state in (FAILED, INTERRUPTED) else None


def _of_entry(entry: QueuedJob) -> QueueRow:
    bad = entry.state in OVER and entry.state != "done"
    hint = entry.reason
    if entry.state == WAITING:
        hint = "in the queue's file; nobody runs it yet: press Run the queue"
    elif entry.state == HELD:
        hint = f"held: {entry.reason or 'by hand'}; choose it and press Go on"
    elif entry.state in UNDER_WAY:
        hint = "runs in another process"
    elif entry.state == INTERRUPTED and entry.lane == BENCH_LANE:
        hint += "; how it left the outputs is unknown: press All outputs safe"
    return QueueRow(
        "", entry.job, entry.state, -1.0 if bad else float(entry.state == "done"), "" if entry.state in PENDING else entry.state,
        "", hint, entry=entry,
    )  # fmt: skip
