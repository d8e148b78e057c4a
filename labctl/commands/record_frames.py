"""`labctl record` of a device that a camera sees: frames instead of samples."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from labctl.commands.arguments import check_folder, check_new, positive_integer, positive_seconds
from labctl.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from labctl.bench.film_plan import FilmRequest
    from labctl.station import Station

FILMED_TRIALS, FILMED_FRAMES = 4, 60
OF_DRIVEN = {
    "design": "characterise",
    "samples": None,
    "repeats": None,
    "inputs": None,
    "low": None,
    "high": None,
    "file": None,
}
"""Options that mean nothing to a filmed device, with their defaults."""
OF_FILMED = {"frames": None, "interval_s": None, "start": None, "dark": False}


def add_frame_arguments(record: argparse.ArgumentParser) -> None:
    """The options of filmed devices."""
    film = record.add_argument_group("devices that a camera sees")
    film.add_argument("--frames", type=positive_integer, metavar="N", help=f"frames a trial (default {FILMED_FRAMES})")
    film.add_argument(
        "--interval-s",
        type=positive_seconds,
        metavar="S",
        help="time from frame to frame (default: as the station says)",
    )
    film.add_argument(
        "--start",
        metavar="NAME",
        help="how each trial begins, a start of the station file (default: its first); '' for none",
    )
    film.add_argument("--dark", action="store_true", help="film without light, for a dark reference")


def film_if_seen(options: argparse.Namespace) -> int | None:
    """Film the device if a camera sees it, and return the exit status; None for a device that is driven.

    Raises UsageError for options of the other kind.
    """
    from labctl.station import load_station

    station = load_station(options.station)
    filmed = station.image_of(station.device(options.device)) is not None
    foreign = OF_DRIVEN if filmed else OF_FILMED
    for name, default in foreign.items():
        if getattr(options, name) != default:
            kind = "is filmed" if filmed else "is seen by no camera"
            raise UsageError(f"--{name.replace('_', '-')}: {options.device} {kind}, so this means nothing")
    return _film(options, station) if filmed else None


def _film(options: argparse.Namespace, station: Station) -> int:
    """Film, with a progress bar; the outputs end safe whatever happens."""
    from labctl.bench import Bench
    from labctl.bench.film_plan import FilmRequest
    from labctl.campaign import Journal
    from labctl.campaign import run as run_campaign
    from labctl.campaigns.record_frames import record_frames
    from labctl.console import Console
    from labctl.pausing import PauseFile

    n_trials = options.trials or FILMED_TRIALS
    conditions = conditions_of_trials(options.condition, n_trials)
    check_folder(options.out)
    path = options.out / f"{options.device}-{'dark' if options.dark else options.start or 'frames'}.h5"
    if not options.dry_run:
        check_new([path])
    request = FilmRequest(
        device=options.device, n_trials=n_trials, n_frames=options.frames or FILMED_FRAMES, interval_s=options.interval_s,
        conditions=conditions, start=options.start, light=not options.dark, seed=options.seed,
    )  # fmt: skip
    if options.dry_run:
        return _dry_run(options, station, request, path)
    with Bench.open(station) as bench, Journal(options.out / "journal.jsonl") as journal:
        if bench.simulated:
            sys.stderr.write(f"SIMULATED bench {bench.station.name!r}\n")
        campaign = record_frames(
            bench, request, path=path, key=f"record/{options.device}", title=f"Film {options.device}"
        )
        pause = None if options.pause_file is None else PauseFile(options.pause_file)
        recording = run_campaign(campaign, on_event=Console(), journal=journal, pause=pause)
        # Told before the bench is closed: closing raises if an output is not safe, and the recording is there anyway.
        sys.stdout.write(f"{recording.path}\n")
        sys.stdout.flush()
        report = bench.make_safe()
        if report.ok:
            sys.stderr.write(f"{report}\n")
    return 0 if report.ok else 1


def _dry_run(options: argparse.Namespace, station: Station, request: FilmRequest, path: Path) -> int:
    from labctl.bench import Bench
    from labctl.dry_run import dry_run_film

    if options.offline:
        found = dry_run_film(station, request, path=path)
    else:
        with Bench.open(station) as bench:
            found = dry_run_film(station, request, path=path, bench=bench)
    sys.stdout.write(f"{found}\n")
    return 0 if found.ok else 1


def conditions_of_trials(arguments: list[str], n_trials: int) -> list[dict[str, float]]:
    """CHANNEL=VALUE or CHANNEL=VALUE,VALUE,… arguments as one mapping a trial; several values go round.

    Raises UsageError for anything else.
    """
    each: list[dict[str, float]] = [{} for _ in range(n_trials)]
    for argument in arguments:
        name, separator, texts = argument.partition("=")
        try:
            values = [float(text) for text in texts.split(",")]
        except ValueError as error:
            raise UsageError(f"--condition {argument!r}: expected CHANNEL=VALUE with numbers") from error
        if not separator or not name:
            raise UsageError(f"--condition {argument!r}: expected CHANNEL=VALUE")
        if len(values) > n_trials:
            raise UsageError(f"--condition {argument!r}: {len(values)} values for {n_trials} trials")
        for trial, row in enumerate(each):
            row[name] = values[trial % len(values)]
    return each
