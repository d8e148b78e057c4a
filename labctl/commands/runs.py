"""`labctl runs`: the recordings below a folder."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    runs = commands.add_parser("runs", help="list the recordings below a folder")
    runs.add_argument("folder", type=Path, nargs="?", default=Path(), help="where to look (default: here)")
    runs.add_argument("--rebuild", action="store_true", help="make the index anew from the files")
    runs.add_argument("--json", action="store_true", help="print JSON instead of a table")
    runs.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print one line a recording."""
    from labctl.errors import UsageError
    from labctl.run_index import RunIndex

    if not options.folder.is_dir():
        raise UsageError(f"{options.folder}: no such folder")
    index = RunIndex(options.folder)
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
