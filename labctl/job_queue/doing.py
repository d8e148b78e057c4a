"""Doing one job without a window: bench or worker process, journal and job beside each other, outputs safe afterwards."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from drivers.errors import DriverError
from labctl.apart import apart
from labctl.bench import Bench
from labctl.calls import perform
from labctl.campaign import Journal, run
from labctl.errors import LabctlError, QueueError, Stopped
from labctl.events import Event
from labctl.job import JOB_FILE, Job, load_job, save_job
from labctl.job_queue.entry import DONE, FAILED, STOPPED
from labctl.simulation import simulated_station
from twins.errors import TwinError

JOURNAL_NAME = "journal.jsonl"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended: "done", "stopped" or "failed", the reason, and what is known of outputs left unsafe."""

    state: str
    reason: str = ""
    unsafe: str = ""


def keep_job(job: Job) -> Path:
    """Write the job into its folder, beside the journal: job.json, or job-2.json where another job has that name.

    The same job is written once.
    """
    path, number = job.folder / JOB_FILE, 2
    while path.exists():
        with contextlib.suppress(LabctlError):
            if load_job(path) == job:
                return path
        path, number = job.folder / f"{Path(JOB_FILE).stem}-{number}.json", number + 1
    save_job(job, path)
    return path


def fresh_folder(folder: Path) -> Path:
    """The folder itself where nothing was measured or written in it but job and journal, else one beside it: NAME-2, …"""
    if not folder.exists() or all(_is_told(path.name) for path in folder.iterdir()):
        return folder
    number = 2
    while (place := folder.with_name(f"{folder.name}-{number}")).exists():
        number += 1
    return place


def do_job(
    job: Job,
    *,
    station: Path | None = None,
    on_event: Callable[[Event], None],
    stop: threading.Event,
    pause: threading.Event,
) -> Outcome:
    """Do the job to its end; never raises for what went wrong with it, but says so.

    station: of the bench, where the job names none.
    """
    try:
        keep_job(job)
        if job.needs_bench:
            return _with_bench(replace(job, station=job.station or station), on_event, stop, pause)
        with Journal(job.folder / JOURNAL_NAME) as journal:
            run(apart(job.call, folder=job.folder), on_event=on_event, journal=journal, stop=stop, pause=pause)
    except BaseException as error:  # noqa: BLE001 - told in the queue; the other jobs go on
        return outcome_of(error)
    return Outcome(DONE)


def make_bench_safe(station: Path) -> str:
    """Open a bench and bring every output to its safe value; "" where all were read back there, else what is the matter."""
    try:
        with Bench.open_for_safety(station) as bench:
            report = bench.make_safe()
            return "" if report.ok and bench.complete else "\n".join([str(report), *bench.remarks])
    except (LabctlError, DriverError, OSError) as error:
        return str(error)


def outcome_of(error: BaseException) -> Outcome:
    """How a job ended that raised this."""
    if isinstance(error, Stopped):
        return Outcome(STOPPED, str(error))
    name = "" if isinstance(error, LabctlError | DriverError | TwinError) else f"{type(error).__name__}: "
    return Outcome(FAILED, f"{name}{error}" if str(error) else type(error).__name__)


def _with_bench(job: Job, on_event: Callable[[Event], None], stop: threading.Event, pause: threading.Event) -> Outcome:
    if job.simulated:
        with simulated_station(job.simulated) as station:
            return replace(
                _on_bench(job, station, on_event, stop, pause), unsafe=""
            )  # nothing is left that could be unsafe
    if job.station is None:
        raise QueueError("it needs a bench, and names no station; give one: labctl queue run --station STATION.toml")
    return _on_bench(job, job.station, on_event, stop, pause)


def _on_bench(
    job: Job, station: Path, on_event: Callable[[Event], None], stop: threading.Event, pause: threading.Event
) -> Outcome:
    bench = Bench.open(station)
    try:
        with Journal(job.folder / JOURNAL_NAME) as journal:
            campaign = perform(job.call, bench=bench, folder=job.folder)
            run(campaign, on_event=on_event, journal=journal, stop=stop, pause=pause)
        outcome = Outcome(DONE)
    except BaseException as error:  # noqa: BLE001 - told in the queue; the outputs come first
        outcome = outcome_of(error)
    report = bench.make_safe()
    with contextlib.suppress(LabctlError):  # says what the report says
        bench.close()
    return outcome if report.ok else replace(outcome, unsafe=str(report))


def _is_told(name: str) -> bool:
    return name == JOURNAL_NAME or (name.startswith(Path(JOB_FILE).stem) and name.endswith(".json"))
