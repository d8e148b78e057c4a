"""A job: a call that gives a campaign, with the folder for its files, the station it needs, and words for people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labctl.calls import Call, call_from_json, call_to_json, check, needs_bench
from labctl.errors import UsageError
from labctl.json_file import write_json
from labctl.simulation import BUNDLED

JOB_FILE = "job.json"
FORMAT = "labctl job 1"


@dataclass(frozen=True, slots=True)
class Job:
    """Something to be done: by the window, by a queue, by a script (`labctl.script.script_of`).

    station: the file of the bench that it needs, where it needs one. seed: for people and the journal; the call has it too.
    simulated: the simulated bench that comes with labctl (`labctl.simulation.BUNDLED`) on which it is done: whoever does it
    where no such bench is open starts one, since nothing answers any more at the addresses of the one it was made on.
    """

    title: str
    call: Call
    folder: Path
    station: Path | None = None
    seed: int | None = None
    simulated: str = ""

    @property
    def needs_bench(self) -> bool:
        """Whether it needs an opened bench."""
        return needs_bench(self.call)


def job_to_json(job: Job) -> dict[str, Any]:
    """The job as JSON data."""
    station = None if job.station is None else str(job.station)
    return {
        "format": FORMAT,
        "title": job.title,
        "folder": str(job.folder),
        "station": station,
        "seed": job.seed,
        "simulated": job.simulated,
        "call": call_to_json(job.call),
    }


def job_from_json(data: Mapping[str, Any]) -> Job:
    """What `job_to_json` wrote; raises UsageError for anything else."""
    try:
        if data["format"] != FORMAT:
            raise UsageError(f"{data['format']!r} is no job; expected {FORMAT!r}")
        made = call_from_json(data["call"])
        station, seed, simulated = data.get("station"), data.get("seed"), str(data.get("simulated", ""))
        if simulated and simulated not in BUNDLED:
            raise UsageError(f"no simulated bench {simulated!r} comes with labctl; there are {', '.join(BUNDLED)}")
        if not isinstance(made, Call):
            raise UsageError("a job's call is missing")
        check(made)
        if any("\0" in str(one) for one in (data["folder"], station or "")):
            raise UsageError("a path of it contains a NUL character")
        return Job(
            str(data["title"]),
            made,
            Path(data["folder"]),
            None if station is None else Path(station),
            None if seed is None else int(seed),
            simulated,
        )
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise UsageError(f"this is no job: {error!r}") from error


def save_job(job: Job, path: Path) -> None:
    """Write the job as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, job_to_json(job))


def load_job(path: Path) -> Job:
    """Read a job; raises UsageError, naming the file."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path}: cannot be read as a job: {error}") from error
    try:
        return job_from_json(data)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def unused_folder(folder: Path) -> Path:
    """This folder if there is nothing in it yet, else the first of FOLDER_2, FOLDER_3 … that is unused; made if need be."""
    number, found = 1, folder
    while found.exists() and (not found.is_dir() or any(found.iterdir())):
        number += 1
        found = folder.with_name(f"{folder.name}_{number}")
    found.mkdir(parents=True, exist_ok=True)
    return found
