"""`labctl runs`: what lies below a folder; one file of it in full; exported; as a script."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.runs_file import KINDS

if TYPE_CHECKING:
    from labctl.runs_file import RunFile

ACTIONS = ("show", "export", "script")
DESCRIPTION = f"""\
labctl runs [FOLDER]                 the recordings below a folder, as a table or --json
labctl runs [FOLDER] --search WORDS  everything below it, newest first: {", ".join(KINDS)}
labctl runs [FOLDER] --kind twin     only that kind; --all for all of them
labctl runs show FILE                all that is known of a file: what it was made from, what was made from it
labctl runs export FILE --to TARGET  a folder as .zip, a recording as .csv or .nc, a page about it as .html
labctl runs script FILE              the run as a Python script: the very job that ran, where one was stored with it

A folder that is called show, export or script is written ./show.
"""


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    runs = commands.add_parser(
        "runs",
        help="list, search, show and export what lies below a folder",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    runs.add_argument(
        "what",
        type=Path,
        nargs="*",
        metavar="FOLDER | ACTION FILE",
        help="where to look (default: here), or what to do",
    )
    runs.add_argument("--rebuild", action="store_true", help="make the index anew from the files")
    runs.add_argument("--json", action="store_true", help="print JSON instead of a table")
    runs.add_argument("--all", action="store_true", help="all kinds of files, not recordings alone")
    runs.add_argument("--kind", action="append", choices=tuple(KINDS), default=[], help="only this kind; repeatable")
    runs.add_argument(
        "--search", default="", metavar="WORDS", help="files in which all these words occur, notes included"
    )
    runs.add_argument("--device", default="", help="only files of this device")
    runs.add_argument("--since", default="", metavar="DAY", help="from this day on, as 2026-01-31 (UTC)")
    runs.add_argument("--until", default="", metavar="DAY", help="up to this day (UTC)")
    simulated = runs.add_mutually_exclusive_group()
    simulated.add_argument("--simulated", action="store_const", const=True, help="only what says it is simulated")
    simulated.add_argument("--measured", dest="simulated", action="store_const", const=False, help="only what is not")
    runs.add_argument(
        "--root", type=Path, metavar="FOLDER", help="show, script: the runs folder (default: the file's, or above)"
    )
    runs.add_argument("--to", type=Path, metavar="TARGET", help="export: the file to write")
    runs.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """List, or do what was asked with one file."""
    from labctl.errors import UsageError

    action, *rest = [str(one) for one in options.what] or [""]
    if action in ACTIONS:
        if len(rest) != 1:
            raise UsageError(f"labctl runs {action} needs one file")
        return {"show": _show, "export": _export, "script": _script}[action](Path(rest[0]), options)
    if rest:
        raise UsageError(
            f"one folder, or one of {', '.join(ACTIONS)} and a file, not {' '.join(map(str, options.what))}"
        )
    folder = options.what[0] if options.what else Path()
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder")
    wanted = (options.kind, options.search, options.device, options.since, options.until, options.all)
    if any(wanted) or options.simulated is not None:
        return _search(folder, options)
    return _recordings(folder, options)


def _recordings(folder: Path, options: argparse.Namespace) -> int:
    """Print one line a recording."""
    from labctl.run_index import RunIndex

    index = RunIndex(folder)
    entries = index.rebuild() if options.rebuild else index.entries()
    if options.json:
        sys.stdout.write(json.dumps([dataclasses.asdict(entry) for entry in entries], indent=2) + "\n")
        return 0
    for entry in entries:
        marks = ("SIMULATED " if entry.simulated else "") + ("" if entry.complete else "INTERRUPTED")
        what = f"samples at {1 / entry.dt_s:g} Hz"
        if entry.pixels:
            what = f"frames of {entry.pixels} pixels every {entry.dt_s:g} s"
        sys.stdout.write(
            f"{entry.started_utc[:19]}  {entry.n_trials:5d} trials x {entry.n_samples} {what}  "
            f"{entry.drive_channels} -> {entry.response_channels}  {entry.file}  {marks}\n"
        )
    sys.stdout.write(f"{len(entries)} recordings\n")
    return 0


def _search(folder: Path, options: argparse.Namespace) -> int:
    from labctl.runs_catalogue import RunsCatalogue
    from labctl.runs_search import Wanted, search

    wanted = Wanted(
        words=options.search,
        kinds=frozenset(options.kind),
        device=options.device,
        since=options.since,
        until=options.until,
        simulated=options.simulated,
    )
    found = search(RunsCatalogue(folder).entries(rebuild=options.rebuild), wanted)
    sys.stdout.write(
        json.dumps([one.as_dict() for one in found], indent=2) + "\n" if options.json else table_text(found)
    )
    return 0


def table_text(found: Sequence[RunFile]) -> str:
    """One line a file."""
    lines = []
    for one in found:
        mark = "SIMULATED  " if one.simulated else ""
        lines.append(f"{one.when_utc[:19]}  {one.kind:10s}  {one.file}  {mark}{one.outcome}")
    return "\n".join([*lines, f"{len(found)} files"]) + "\n"


def _show(file: Path, options: argparse.Namespace) -> int:
    from labctl.runs_export import details_json, details_text
    from labctl.runs_provenance import Provenance

    one, entries, _ = _found(file, options.root)
    tell = details_json if options.json else details_text
    sys.stdout.write(tell(one, Provenance(entries)))
    return 0


def _script(file: Path, options: argparse.Namespace) -> int:
    from labctl.runs_provenance import Provenance
    from labctl.runs_script import script_behind

    one, entries, root = _found(file, options.root)
    sys.stdout.write(script_behind(one, Provenance(entries), root))
    return 0


def _export(file: Path, options: argparse.Namespace) -> int:
    from labctl.campaign import run as run_campaign
    from labctl.console import Console
    from labctl.errors import UsageError
    from labctl.runs_export import export_run

    if options.to is None:
        raise UsageError("labctl runs export needs --to TARGET.zip, .csv, .nc or .html")
    sys.stdout.write(f"{run_campaign(export_run(file, options.to), on_event=Console())}\n")
    return 0


def _found(file: Path, root: Path | None) -> tuple[RunFile, tuple[RunFile, ...], Path]:
    """The file as the catalogue has it, everything beside it, and the runs folder.

    root: None takes the next folder above that has an index or a queue, else the file's own.
    """
    from labctl.errors import UsageError
    from labctl.job_queue.queue_file import QUEUE_NAME
    from labctl.runs_catalogue import INDEX_NAME, RunsCatalogue

    path = file.absolute()
    if not path.exists():
        raise UsageError(f"{file}: no such file")
    if root is None:
        above = [one for one in path.parents if (one / INDEX_NAME).exists() or (one / QUEUE_NAME).exists()]
        root = above[-1] if above else path.parent
    root = root.absolute()
    if root not in path.parents:
        raise UsageError(f"{file} does not lie below {root}")
    entries = RunsCatalogue(root).entries()
    name = path.relative_to(root).as_posix()
    for one in entries:
        beside = [f"{one.folder}/{other}".lstrip("/") for other in one.files]
        if name in (one.file, *beside):
            return one, entries, root
    raise UsageError(f"{file} is no file that labctl knows; it knows {', '.join(KINDS)}")
