"""What can be done with the chosen job, and why not; what is to be said of the queue as a whole."""

from __future__ import annotations

from PySide6.QtWidgets import QPushButton

from gui.panels.runs.queue_model import QueueRow
from gui.work import WorkState
from gui.work_queue import WorkQueue
from labctl.job_queue.entry import HELD, PENDING, WAITING, unsafe_in_words


def why_not(row: QueueRow | None) -> dict[str, str]:
    """For pause, stop, move, again and remove: why that cannot be done with this job, "" where it can."""
    if row is None:
        return dict.fromkeys(("pause", "stop", "move", "again", "remove"), "Choose a job in the table")
    work, waits = row.work, row.state in PENDING
    left = row.entry is not None and row.state == HELD
    theirs = "" if work is not None else "It belongs to another process: labctl queue pause and stop reach it there"
    pausable = work is not None and work.state in (WorkState.RUNNING, WorkState.PAUSED, WorkState.HELD)
    return {
        "pause": "" if left else theirs or ("" if pausable else "It does not run"),
        "stop": theirs or ("It is over already" if row.over else ""),
        "move": theirs or ("" if row.state == WAITING else "Only jobs that wait have a place in line"),
        "again": "" if row.over else "It is not over yet",
        "remove": "" if row.over or waits else "It runs; stop it first",
    }


def told_of(queue: WorkQueue, *, empty: bool) -> str:
    """What a person should know of the queue; "" where everything goes its way."""
    lines = []
    if queue.held:
        lines.append(f"Held: {queue.held}. Press Run the queue to go on.")
    if queue.bench_unsafe:
        lines.append(
            f"The bench was left unsafe: {unsafe_in_words(queue.bench_unsafe)}. Press Make safe, go on, at the top."
        )
    if others_wait(queue) and not queue.held:
        lines.append("Jobs of the queue's file wait for somebody: press Run the queue.")
    return "\n".join(lines) or ("Nothing waits and nothing runs." if empty else "")


def others_wait(queue: WorkQueue) -> bool:
    """Whether the queue's file has jobs that wait for somebody."""
    return any(one.state == WAITING for one in queue.others)


def enable(control: QPushButton, reason: str, tip: str) -> None:
    """Let it be pressed unless there is a reason against it, which its tooltip then says."""
    control.setEnabled(not reason)
    control.setToolTip(reason or tip)
