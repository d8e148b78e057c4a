"""A run as a script: exactly, from the job that lies with it; else rebuilt from what its files say, where that is enough."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labctl.calls import BENCH, FOLDER, call
from labctl.errors import UsageError
from labctl.job import Job, load_job
from labctl.runs_file import RECORDING, TWIN, Origin, RunFile
from labctl.runs_provenance import Provenance
from labctl.script import script_of
from labctl.simulation import bundled_like


@dataclass(frozen=True, slots=True)
class FoundJob:
    """The job behind a run. exact: it is the very one that ran; else `words` says what was guessed."""

    job: Job
    exact: bool
    words: str


def job_behind(one: RunFile, provenance: Provenance, root: Path) -> FoundJob:
    """The job that made a file. Raises UsageError that says what is missing where nothing can be rebuilt."""
    stored = provenance.job_of(one)
    if stored is not None:
        return FoundJob(load_job(root / stored.file), True, f"the job that ran, from {stored.file}")
    if one.kind == TWIN:
        return _twin(one, provenance, root)
    if one.kind == RECORDING:
        return _recording(one, root)
    raise UsageError(
        f"{one.file}: no job was stored with it, and what a {one.kind} says of itself is not enough to write a script; "
        "jobs are stored by the window and by labctl queue"
    )


def script_behind(one: RunFile, provenance: Provenance, root: Path) -> str:
    """The script of a run, with a first line of comment that says how far it is the one that ran. Raises UsageError."""
    found = job_behind(one, provenance, root)
    words = "".join(one if one.isprintable() else "?" for one in found.words)  # a file's name may hold a new line
    return f"# {'This is ' if found.exact else 'REBUILT, not stored: '}{words}\n{script_of(found.job)}"


def _twin(one: RunFile, provenance: Provenance, root: Path) -> FoundJob:
    import json

    content = json.loads((root / one.file).read_text(encoding="utf-8"))
    extra = content.get("provenance", {}).get("extra", {})
    recordings, held_out = (
        [_present(origin, one, provenance, root) for origin in one.origins if origin.role == role]
        for role in ("trained on", "judged on")
    )
    training = extra.get("training", {})
    if not recordings or one.seed is None:
        raise UsageError(f"{one.file}: it does not say which recordings and seed it was trained with")
    known = ("choice", "response_delays", "drive_delays", "max_seconds")
    settings: dict[str, Any] = {name: training[name] for name in known if training.get(name) is not None}
    if isinstance(training.get("hidden"), list):
        settings["hidden"] = tuple(training["hidden"])
    judged = call("labctl.store:open_recording", held_out[0]) if len(held_out) == 1 and held_out != recordings else None
    fit = call(
        "labctl.campaigns.fit_twin:fit_twin",
        Path(one.file).stem,
        [call("labctl.store:open_recording", path) for path in recordings],
        judged,
        seed=one.seed,
        settings=call("labctl.campaigns.fit_twin:FitSettings", **settings),
        folder=FOLDER,
    )
    words = "recordings, seed and main settings of the fit, from the twin's own file; other settings are the defaults"
    return FoundJob(Job(f"Fit {Path(one.file).stem} again", fit, _again(root, one), seed=one.seed), False, words)


def _recording(one: RunFile, root: Path) -> FoundJob:
    import h5py

    from labctl import hdf5_layout

    with h5py.File(root / one.file, "r", locking=False) as file:
        station = hdf5_layout.mapping(file, "provenance").get("station")
    named = station.get("path") if isinstance(station, dict) else None
    play = call("labctl.campaigns.play_again:play_again", BENCH, root / one.file, folder=FOLDER)
    words = "plays the drive of this recording again; the campaign that designed it is not known"
    where = Path(named) if named else None
    gone = one.simulated and (where is None or not where.exists())
    simulated = bundled_like(str(station.get("text", ""))) if gone and isinstance(station, dict) else ""
    if simulated:
        words += f"; on the simulated bench {simulated}, started anew"
    job = Job(f"Play {Path(one.file).stem} again", play, _again(root, one), station=where, simulated=simulated)
    return FoundJob(job, False, words)


def _present(origin: Origin, one: RunFile, provenance: Provenance, root: Path) -> Path:
    """Where the file lies now, or where it lay then."""
    found = provenance.find(origin, near=one)
    return Path(origin.path) if found is None else root / found.file


def _again(root: Path, one: RunFile) -> Path:
    return root / f"{Path(one.file).stem}-again"
