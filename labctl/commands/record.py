"""`labctl record`: play a designed excitation on a device and record its response; or film it, where a camera sees it."""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.commands.arguments import check_folder, check_new, positive_integer, seed
from labctl.commands.record_frames import add_frame_arguments, film_if_seen
from labctl.errors import UsageError

if TYPE_CHECKING:
    from labctl.design_options import Design
    from labctl.dry_run import DryRun

DESIGNS = ("characterise", "random-steps", "multisine", "prbs", "noise", "chirp", "pulse", "file")
OPTIONS = {
    "trials": "n_trials", "samples": "n_samples", "repeats": "n_repeats", "inputs": "n_inputs", "low": "low", "high": "high",
    "file": "path",
}  # fmt: skip
"""Options of the command, and the fields of a design that they are."""
DESCRIPTION = """\
Play a designed excitation on a device and record its response, or film it.

--dry-run checks everything and plays nothing: drive against limits and rates, ranges, memory, set-points, room on the disk; all
problems are told at once, and the exit status is 1 if there is one. With --offline not even the instruments are asked.

--pause-file FILE: as long as that file exists the recording rests, between two plays and never inside one: drives at rest,
set-points held, outputs ON. `touch FILE` pauses, `rm FILE` goes on. Ctrl-C works meanwhile, and makes the outputs safe.
"""


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    record = commands.add_parser(
        "record",
        help="play a designed excitation on a device and record its response, or film it",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    record.add_argument("station", type=Path, help="station file (TOML)")
    record.add_argument("--device", required=True, help="device of the station file")
    record.add_argument(
        "--design",
        choices=DESIGNS,
        default="characterise",
        help="characterise (default): training trials and held-out repeats, in two files; the others: one file",
    )
    record.add_argument(
        "--file", type=Path, help="of design file: CSV or NPZ with a column or array for each drive channel"
    )
    record.add_argument("--out", type=Path, metavar="FOLDER", help="where the recordings go")
    record.add_argument("--trials", type=positive_integer, help="training trials (default 60; 4 of a filmed device)")
    record.add_argument("--samples", type=positive_integer, help="samples a trial (default 600)")
    record.add_argument(
        "--repeats",
        type=positive_integer,
        help="repeats of each held-out input (default 25); of other designs: of each trial (chirp and pulse 10, others 1)",
    )
    record.add_argument("--inputs", type=positive_integer, help="held-out inputs (default 16)")
    record.add_argument("--low", type=float, help="lowest drive (default: the channel's limit)")
    record.add_argument("--high", type=float, help="highest drive (default: the channel's limit)")
    record.add_argument(
        "--condition",
        action="append",
        default=[],
        metavar="CHANNEL=VALUE",
        help="set-point held meanwhile; repeatable; of a filmed device also CHANNEL=VALUE,VALUE,… for one trial after another",
    )
    record.add_argument("--seed", type=seed, default=0, help="seed of the design (default 0)")
    record.add_argument("--dry-run", action="store_true", help="check everything, play nothing, write to no output")
    record.add_argument("--offline", action="store_true", help="with --dry-run: check the station file alone")
    record.add_argument("--pause-file", type=Path, metavar="FILE", help="rest between two plays while this file exists")
    add_frame_arguments(record)
    record.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Record, with a progress bar; the outputs end safe whatever happens."""
    from labctl.bench import Bench
    from labctl.campaign import Journal
    from labctl.campaign import run as run_campaign
    from labctl.campaigns.record_designed import record_designed
    from labctl.console import Console

    check_options(options)
    parts = ("training", "heldout") if options.design == "characterise" else (options.design,)
    check_folder(options.out)
    if not options.dry_run:
        check_new(options.out / f"{options.device}-{part}.h5" for part in parts)
    filmed = film_if_seen(options)
    if filmed is not None:
        return filmed
    conditions = conditions_from(options.condition)
    design = design_from(options)
    if options.dry_run:
        return _dry_run(options, design, conditions)
    with Bench.open(options.station) as bench, Journal(options.out / "journal.jsonl") as journal:
        if bench.simulated:
            sys.stderr.write(f"SIMULATED bench {bench.station.name!r}\n")
        campaign = record_designed(
            bench, options.device, design, folder=options.out, seed=options.seed, conditions=conditions
        )
        paths = run_campaign(campaign, on_event=Console(), journal=journal, pause=pause_from(options))
        # Told before the bench is closed: closing raises if an output is not safe, and the recordings are there anyway.
        sys.stdout.write("".join(f"{path}\n" for path in paths))
        sys.stdout.flush()
        report = bench.make_safe()
        if report.ok:
            sys.stderr.write(f"{report}\n")
    return 0 if report.ok else 1


def _dry_run(options: argparse.Namespace, design: Design, conditions: dict[str, float]) -> int:
    from labctl.bench import Bench
    from labctl.dry_run import dry_run
    from labctl.station import load_station

    given: dict[str, Any] = {"seed": options.seed, "folder": options.out, "conditions": conditions}
    if options.offline:
        return told(dry_run(load_station(options.station), options.device, design, **given))
    with Bench.open(options.station) as bench:
        return told(dry_run(bench.station, options.device, design, bench=bench, **given))


def told(found: DryRun) -> int:
    """Print what a dry run found; the exit status."""
    sys.stdout.write(f"{found}\n")
    return 0 if found.ok else 1


def check_options(options: argparse.Namespace) -> None:
    """Raises UsageError for options that do not go together; a dry run needs no folder."""
    if options.out is None:
        if not options.dry_run:
            raise UsageError("--out FOLDER is missing: where the recordings go")
        options.out = Path("labctl-runs")
    if options.offline and not options.dry_run:
        raise UsageError("--offline means something with --dry-run only")
    if (options.design == "file") != (options.file is not None):
        raise UsageError("--design file and --file FILE go together")


def pause_from(options: argparse.Namespace) -> Any:
    """What --pause-file asks for; None without it."""
    from labctl.pausing import PauseFile

    return None if options.pause_file is None else PauseFile(options.pause_file)


def design_from(options: argparse.Namespace) -> Design:
    """The design that the options describe; raises UsageError for an option that it does not have."""
    from labctl.design_options import DESIGNS as KINDS

    kind = KINDS[options.design]
    known = {one.name for one in fields(kind)}
    given = {name: getattr(options, option) for option, name in OPTIONS.items()}
    wanted = {name: value for name, value in given.items() if value is not None}
    for option, name in OPTIONS.items():
        if name in wanted and name not in known:
            raise UsageError(f"--{option} means nothing to the design {options.design}")
    design: Design = kind(**wanted)
    return design


def conditions_from(arguments: list[str]) -> dict[str, float]:
    """CHANNEL=VALUE arguments as a mapping; raises UsageError for anything else."""
    conditions: dict[str, float] = {}
    for argument in arguments:
        name, separator, value = argument.partition("=")
        try:
            conditions[name] = float(value)
        except ValueError as error:
            raise UsageError(f"--condition {argument!r}: expected CHANNEL=VALUE with a number") from error
        if not separator or not name:
            raise UsageError(f"--condition {argument!r}: expected CHANNEL=VALUE")
    return conditions
