"""`labctl nca characterise`: film a device through its station and fit an automaton to what was seen."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.commands.arguments import check_folder, check_new, positive_integer, positive_seconds
from labctl.commands.goku_arguments import pairs
from labctl.commands.nca_arguments import add_reading_arguments, add_seed_argument, checked, numbers, treatments_of
from labctl.commands.nca_options import add_training_arguments, training_of

if TYPE_CHECKING:
    from labctl.campaigns.characterise_nca import FilmDesign

EXIT_NOT_STABLE = 3
_from_zero = checked(int, lambda value: value >= 0, "a whole number of at least 0")


def add_action(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the action to `labctl nca`."""
    characterise = actions.add_parser(
        "characterise",
        help="film a device and fit an automaton to what was seen",
        description="Films the device under its camera, makes the outputs safe, fits, and judges on trials that only judge. Exit "
        f"status: {EXIT_NOT_STABLE} where the best automaton is not stable.",
    )
    add = characterise.add_argument
    add("station", type=Path, help="station file (TOML)")
    add("--device", required=True, help="device of the station file that a camera sees")
    add("--out", type=Path, required=True, metavar="FOLDER", help="where films, automaton and report go")
    add("--n-trials", type=positive_integer, default=4, help="trials to learn from (default 4)")
    add("--n-frames", type=positive_integer, default=33, help="frames of each (default 33)")
    add("--n-validation", type=_from_zero, default=1, help="trials that only judge (default 1)")
    add("--condition", action="append", metavar="CHANNEL=A,B,C",
        help="set-points held in a trial; several values go round, and the automaton is told them")  # fmt: skip
    add("--interval-s", type=positive_seconds, help="time from frame to frame (default: as the station says)")
    add("--start", help="how each trial begins (default: the station's first)")
    add(
        "--dark-frames",
        type=_from_zero,
        default=0,
        help="film so many frames without light first, and take their mean off",
    )
    add("--flat-start", default="", metavar="START", help="film one frame of this start, and divide by it")
    add_reading_arguments(characterise)
    add_seed_argument(characterise)
    add_training_arguments(characterise, preset="images")
    characterise.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Film, fit, print what the automata are worth. The outputs end safe whatever happens."""
    from labctl.bench import Bench
    from labctl.campaign import Journal
    from labctl.campaign import run as run_campaign
    from labctl.campaigns.characterise_nca import characterise_nca, file_names
    from labctl.console import Console

    design, training = _design(options), training_of(options, preset="images")
    training.settings()
    check_folder(options.out)
    check_new(options.out / name for name in file_names(options.device, design))
    with Bench.open(options.station) as bench, Journal(options.out / "journal.jsonl") as journal:
        if bench.simulated:
            sys.stderr.write(f"SIMULATED bench {bench.station.name!r}\n")
        campaign = characterise_nca(
            bench, options.device, folder=options.out, seed=options.seed, design=design, training=training,
            treatments=treatments_of(options),
        )  # fmt: skip
        done = run_campaign(campaign, on_event=Console(), journal=journal)
        told = {"recordings": [str(path) for path in done.recordings], **done.fitted.as_dict()}
        sys.stdout.write(json.dumps(told, indent=2) + "\n")
        sys.stdout.flush()
        report = bench.make_safe()
        if report.ok:
            sys.stderr.write(f"{report}\n")
    if not report.ok:
        return 1
    return 0 if done.fitted.best.evaluation.figures["stable"] else EXIT_NOT_STABLE


def _design(options: argparse.Namespace) -> FilmDesign:
    from labctl.campaigns.characterise_nca import FilmDesign

    return FilmDesign(
        n_trials=options.n_trials, n_frames=options.n_frames, n_validation=options.n_validation,
        conditions=pairs(options.condition, "--condition", numbers), interval_s=options.interval_s, start=options.start,
        dark=options.dark_frames, flat=options.flat_start,
    )  # fmt: skip
