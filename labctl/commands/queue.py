"""`labctl queue`: jobs in line, to be done one after another, also overnight and without a window."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from labctl.commands.arguments import positive_integer

if TYPE_CHECKING:
    from labctl.console import Console
    from labctl.events import Event
    from labctl.job_queue.entry import Queue, QueuedJob
    from labctl.job_queue.queue_file import QueueFile

DESCRIPTION = """\
Jobs in line in a runs folder: the same queue that the window shows. A job is a file that the window saves (job.json), or
that a script writes (labctl.job.save_job). Jobs that need the bench run one at a time, the others in processes of their own.
"""


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    queue = commands.add_parser("queue", help="queue jobs and run them one after another", description=DESCRIPTION)
    actions = queue.add_subparsers(title="actions", metavar="ACTION", required=True)
    added = _action(actions, "add", "put jobs at the end of the line", _add)
    added.add_argument("jobs", type=Path, nargs="+", metavar="JOB.json", help="job files")
    added.add_argument("--station", type=Path, help="station of jobs that need a bench and name none")
    listed = _action(actions, "list", "show the queue", _list)
    listed.add_argument("--json", action="store_true", help="print JSON instead of a table")
    run = _action(actions, "run", "run what waits, until nothing is left that can start", _run)
    run.add_argument("--station", type=Path, help="station of jobs that need a bench and name none")
    run.add_argument("--workers", type=positive_integer, help="jobs without a bench at a time (kept with the queue)")
    run.add_argument(
        "--after-failure", choices=("go-on", "hold"), help="what follows a failed job (kept with the queue)"
    )
    remove = _action(actions, "remove", "take jobs out of the queue; their folders stay", _remove)
    remove.add_argument("numbers", type=positive_integer, nargs="*", metavar="NUMBER", help="numbers of jobs")
    remove.add_argument("--ended", action="store_true", help="all jobs that are over")
    moved = _action(actions, "move", "give a job another place in line", _move)
    moved.add_argument("number", type=positive_integer, metavar="NUMBER", help="number of the job")
    moved.add_argument("position", type=positive_integer, metavar="PLACE", help="its place, 1 for the first")
    again = _action(actions, "again", "let a job that is over wait once more", _again)
    again.add_argument("number", type=positive_integer, metavar="NUMBER", help="number of the job")
    stop = _action(actions, "stop", "stop a running job, wherever it runs", _stop)
    stop.add_argument("number", type=positive_integer, metavar="NUMBER", help="number of the job")
    for name, words in (("pause", "start nothing more; with a number: pause that job"), ("resume", "go on")):
        action = _action(actions, name, words, _pause if name == "pause" else _resume)
        action.add_argument(
            "number",
            type=positive_integer,
            nargs="?",
            metavar="NUMBER",
            help="number of a running job, or of one that is held",
        )


def _action(
    actions: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    words: str,
    act: Callable[[QueueFile, argparse.Namespace], int],
) -> argparse.ArgumentParser:
    def run(options: argparse.Namespace) -> int:
        from labctl.job_queue.queue_file import QueueFile

        return act(QueueFile(options.folder), options)

    parser = actions.add_parser(name, help=words, description=words[0].upper() + words[1:] + ".")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the runs folder")
    parser.set_defaults(run=run)
    return parser


def _add(file: QueueFile, options: argparse.Namespace) -> int:
    from dataclasses import replace

    from labctl.job import load_job
    from labctl.job_queue import editing

    jobs = [load_job(path) for path in options.jobs]

    def edit(queue: Queue) -> Queue:
        for job in jobs:
            station = options.station.absolute() if options.station is not None and job.needs_bench else None
            queue = editing.add(queue, replace(job, station=job.station or station))
        return queue

    queue = file.change(edit)
    for entry in queue.entries[-len(jobs) :]:
        sys.stdout.write(f"{entry.number:4d}  {entry.lane:7s}  {entry.job.title}\n")
    return 0


def _list(file: QueueFile, options: argparse.Namespace) -> int:
    from labctl.job_queue.entry import queue_to_json

    queue = file.read()
    sys.stdout.write(json.dumps(queue_to_json(queue), indent=2) + "\n" if options.json else queue_text(queue))
    return 0


def queue_text(queue: Queue) -> str:
    """The queue as a table for a terminal."""
    from labctl.job_queue.choosing import why_waiting
    from labctl.job_queue.entry import PENDING

    lines = [f"{'job':>4}  {'lane':7s}  {'state':11s}  title"]
    for entry in queue.entries:
        reason = why_waiting(queue, entry) if entry.state in PENDING else entry.reason
        why = f"   ({' '.join(reason.split())})" if reason else ""
        lines.append(f"{entry.number:4d}  {entry.lane:7s}  {entry.state:11s}  {entry.job.title}{why}")
    lines += [f"HELD: {queue.held}"] if queue.held else []
    for station, why in queue.bench_unsafe.items():
        way = (
            f"labctl safe {station}, or labctl queue run, which does that first"
            if station
            else "labctl queue run --station"
        )
        lines.append(f"BENCH LEFT UNSAFE: {why}; its jobs wait until its outputs are safe: {way}")
    return "\n".join(lines) + "\n"


def _run(file: QueueFile, options: argparse.Namespace) -> int:
    """Run the queue; 1 if a job failed or something is left that could not start, 130 and the like when stopped."""
    from dataclasses import replace

    from labctl.errors import Stopped
    from labctl.job_queue.entry import FAILED, GO_ON, HOLD, PENDING
    from labctl.job_queue.runner import QueueRunner

    def choose(queue: Queue) -> Queue:
        chosen = {"go-on": GO_ON, "hold": HOLD}.get(options.after_failure, queue.after_failure)
        return replace(queue, after_failure=chosen, n_compute=options.workers or queue.n_compute, held="")

    before = file.change(choose)
    over = {one.number for one in before.entries if one.state == FAILED}
    runner = QueueRunner(file, station=options.station, on_event=_Told(), told=_say)
    with _stopped_by_signals() as stop:
        queue = runner.run(stop)
    sys.stdout.write(queue_text(queue))
    sys.stdout.flush()
    if stop.is_set():
        raise Stopped("the queue was stopped; what waits can be run later", signal_number=stop.signal_number)
    failed = any(one.state == FAILED and one.number not in over for one in queue.entries)
    return int(failed or any(one.state in PENDING for one in queue.entries))


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


class _Told:
    """Events of several jobs on one terminal, each job's by a console of its own."""

    def __init__(self) -> None:
        self._consoles: dict[int, Console] = {}
        self._lock = threading.Lock()

    def __call__(self, entry: QueuedJob, event: Event) -> None:
        from labctl.console import Console

        with self._lock:
            self._consoles.setdefault(entry.number, Console())(event)


class _StopBySignal(threading.Event):
    """Set by a signal, and knows which."""

    def __init__(self) -> None:
        super().__init__()
        self.signal_number: int | None = None


@contextmanager
def _stopped_by_signals() -> Iterator[_StopBySignal]:
    """The first signal stops what runs, outputs safe; a second one is Python's affair again."""
    stop = _StopBySignal()
    before: dict[int, Any] = {}

    def handle(number: int, _frame: FrameType | None) -> None:
        stop.signal_number = number
        stop.set()
        signal.signal(number, before[number])

    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):  # Windows has no SIGHUP
            number = int(getattr(signal, name))
            before[number] = signal.signal(number, handle)
    try:
        yield stop
    finally:
        for taken, handler in before.items():
            signal.signal(taken, handler)


def _remove(file: QueueFile, options: argparse.Namespace) -> int:
    from labctl.errors import UsageError
    from labctl.job_queue import editing

    if not options.numbers and not options.ended:
        raise UsageError("say which jobs: numbers, or --ended")
    file.change(lambda queue: editing.remove(queue, options.numbers))
    if options.ended:
        file.change(editing.remove_ended)
    return _list_after(file)


def _move(file: QueueFile, options: argparse.Namespace) -> int:
    from labctl.job_queue import editing

    file.change(lambda queue: editing.move_to(queue, options.number, options.position))
    return _list_after(file)


def _again(file: QueueFile, options: argparse.Namespace) -> int:
    from labctl.job_queue import editing
    from labctl.job_queue.doing import fresh_folder

    folder = fresh_folder(file.read().entry(options.number).job.folder)
    file.change(lambda queue: editing.start_again(queue, options.number, folder=folder))
    return _list_after(file)


def _stop(file: QueueFile, options: argparse.Namespace) -> int:
    return _ask(file, options.number, "stop")


def _pause(file: QueueFile, options: argparse.Namespace) -> int:
    from labctl.job_queue import editing

    if options.number is not None:
        return _ask(file, options.number, "pause")
    file.change(editing.hold)
    return _list_after(file)


def _resume(file: QueueFile, options: argparse.Namespace) -> int:
    from labctl.job_queue import editing
    from labctl.job_queue.entry import HELD

    if options.number is not None:
        if file.read().entry(options.number).state == HELD:
            file.change(lambda queue: editing.let_go_on(queue, options.number))
            return _list_after(file)
        return _ask(file, options.number, "resume")
    file.change(editing.go_on)
    return _list_after(file)


def _ask(file: QueueFile, number: int, what: str) -> int:
    from labctl.job_queue import editing

    file.change(lambda queue: editing.ask(queue, number, what))
    return 0


def _list_after(file: QueueFile) -> int:
    sys.stdout.write(queue_text(file.read()))
    return 0
