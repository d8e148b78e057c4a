"""`labctl record`: play a designed excitation on a device and record its response; or film it, where a camera sees it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from labctl.commands.arguments import check_folder, check_new, positive_integer, seed
from labctl.commands.record_frames import add_frame_arguments, film_if_seen

DESIGNS = ("characterise", "random-steps", "multisine", "prbs", "noise")


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    record = commands.add_parser(
        "record", help="play a designed excitation on a device and record its response, or film it"
    )
    record.add_argument("station", type=Path, help="station file (TOML)")
    record.add_argument("--device", required=True, help="device of the station file")
    record.add_argument(
        "--design",
        choices=DESIGNS,
        default="characterise",
        help="characterise (default): training trials and held-out repeats, in two files; the others: one file",
    )
    record.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where the recordings go")
    record.add_argument("--trials", type=positive_integer, help="training trials (default 60; 4 of a filmed device)")
    record.add_argument("--samples", type=positive_integer, default=600, help="samples a trial (default 600)")
    record.add_argument(
        "--repeats", type=positive_integer, default=25, help="repeats of each held-out input (default 25)"
    )
    record.add_argument("--inputs", type=positive_integer, default=16, help="held-out inputs (default 16)")
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
    add_frame_arguments(record)
    record.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Record, with a progress bar; the outputs end safe whatever happens."""
    import numpy as np

    from labctl.bench import Bench
    from labctl.campaign import Campaign, Journal
    from labctl.campaign import run as run_campaign
    from labctl.campaigns.characterise import CharacterisationDesign, characterise, design_excitation
    from labctl.campaigns.record import record
    from labctl.console import Console
    from labctl.network_bench import apply_conditions

    parts = ("training", "heldout") if options.design == "characterise" else (options.design,)
    check_folder(options.out)
    check_new(options.out / f"{options.device}-{part}.h5" for part in parts)
    filmed = film_if_seen(options)
    if filmed is not None:
        return filmed
    conditions = conditions_from(options.condition)
    rng = np.random.default_rng(options.seed)
    design = CharacterisationDesign(
        n_trials=options.trials or 60,
        n_samples=options.samples,
        n_inputs=options.inputs,
        n_repeats=options.repeats,
        low=options.low,
        high=options.high,
    )

    def campaign(bench: Bench) -> Campaign[list[Path]]:
        apply_conditions(bench, conditions)
        if options.design == "characterise":
            both = yield from characterise(
                bench, options.device, folder=options.out, rng=rng, design=design, seed=options.seed
            )
            return [path for path in (both.training.path, both.heldout.path) if path is not None]
        excitation = design_excitation(bench, options.device, options.design, design=design, rng=rng)
        path = options.out / f"{options.device}-{options.design}.h5"
        recording = yield from record(
            bench,
            excitation,
            path=path,
            key=f"record/{options.device}",
            title=f"Record {options.device}",
            seed=options.seed,
        )
        return [recording.path or path]

    with Bench.open(options.station) as bench, Journal(options.out / "journal.jsonl") as journal:
        if bench.simulated:
            sys.stderr.write(f"SIMULATED bench {bench.station.name!r}\n")
        paths = run_campaign(campaign(bench), on_event=Console(), journal=journal)
        # Told before the bench is closed: closing raises if an output is not safe, and the recordings are there anyway.
        sys.stdout.write("".join(f"{path}\n" for path in paths))
        sys.stdout.flush()
        report = bench.make_safe()
        if report.ok:
            sys.stderr.write(f"{report}\n")
    return 0 if report.ok else 1


def conditions_from(arguments: list[str]) -> dict[str, float]:
    """CHANNEL=VALUE arguments as a mapping; raises UsageError for anything else."""
    from labctl.errors import UsageError

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
