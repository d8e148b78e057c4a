"""`labctl goku characterise`: record a device through its station and infer its parameters."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.commands.arguments import check_folder, check_new, positive_integer, positive_seconds, seed
from labctl.commands.goku_arguments import (
    add_channel_arguments,
    add_equation_arguments,
    add_refinement_arguments,
    add_share_argument,
    equation_of,
    noise_span,
    number,
    pairs,
    wishes_of,
)
from labctl.errors import UsageError

if TYPE_CHECKING:
    from labctl.campaigns.characterise_goku import CharacterisedParameters, TracesDesign

EXIT_NOT_TRUSTED = 3


def add_action(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the action to `labctl goku`."""
    characterise = actions.add_parser(
        "characterise",
        help="record a device and infer its parameters",
        description="Records the device under constant levels of its drive (--levels) or under a designed drive (--design), at "
        "every combination of set-points (--sweep), makes the outputs safe, trains a model for these traces (or takes --model), "
        "infers and reports. Exit status: 0 all traces are to be trusted, 3 some are not.",
    )
    add = characterise.add_argument
    add("station", type=Path, help="station file (TOML)")
    add("--device", required=True, help="device of the station file")
    add("--out", type=Path, required=True, metavar="FOLDER", help="where recordings, model, table and report go")
    add("--levels", metavar="A,B,C", help="constant drives, in the unit of the channel")
    add("--repeats", type=positive_integer, default=4, help="trials a level (default 4)")
    add(
        "--design",
        choices=("random-steps", "multisine", "prbs", "noise"),
        default="random-steps",
        help="drive where no --levels are given (default random-steps)",
    )
    add("--trials", type=positive_integer, default=20, help="trials of the design (default 20)")
    add("--samples", type=positive_integer, default=500, help="samples a trial (default 500)")
    add("--low", type=float, help="lowest drive of the design (default: the channel's limit)")
    add("--high", type=float, help="highest drive of the design (default: the channel's limit)")
    add("--sweep", action="append", metavar="CHANNEL=A,B,C", help="set-point and its values; each is a recording")
    add("--model", type=Path, help="a model that was fitted before, instead of --system")
    add_equation_arguments(characterise, required=False)
    add_channel_arguments(characterise)
    add("--noise-sd", type=noise_span, action="append", metavar="[CHANNEL=]LOW..HIGH", help="as of labctl goku fit")
    add("--seconds", type=positive_seconds, default=120.0, help="wall time of the training (default 120)")
    add("--simulations", type=positive_integer, help="at most so many (default: as time allows)")
    add("--seed", type=seed, default=0, help="seed of drives, training and inference (default 0)")
    add(
        "--refine",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="refine each trace by its own likelihood (default), or leave it at what the network says",
    )
    add("--sampler", choices=("chains", "emcee", "none"), default="chains", help="as of labctl goku infer")
    add_refinement_arguments(characterise, seconds="--refine-seconds")
    add("--anyway", action="store_true", help="as of labctl goku fit")
    add_share_argument(characterise)
    characterise.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Record, infer, print the table. The outputs end safe whatever happens."""
    from labctl.bench import Bench
    from labctl.campaign import Journal
    from labctl.campaign import run as run_campaign
    from labctl.campaigns.characterise_goku import characterise_and_infer, file_names
    from labctl.campaigns.goku_settings import GokuSettings, InferSettings
    from labctl.console import Console
    from labctl.goku_model import load_goku_model

    design = _design(options)
    inferring = InferSettings(
        share=options.share,
        refine=options.refine,
        sampler=options.sampler,
        n_sweeps=options.sweeps,
        max_seconds=options.refine_seconds,
    )
    model = None
    if options.model is not None:
        if options.option or options.range or options.fix:
            raise UsageError("a model has its equation: leave out --option, --range and --fix")
        model = load_goku_model(options.model, system=options.system)
    elif options.system is None:
        raise UsageError("say which equation: --system EQUATION (labctl goku systems lists them), or --model FILE")
    source = None if model is not None else equation_of(options)
    if source is not None:
        source.make()
    check_folder(options.out)
    check_new(options.out / name for name in file_names(options.device, design))
    settings = GokuSettings(
        noise_sd=dict(options.noise_sd or []),
        max_seconds=options.seconds,
        simulations=options.simulations,
        anyway=options.anyway,
    )
    with Bench.open(options.station) as bench, Journal(options.out / "journal.jsonl") as journal:
        if bench.simulated:
            sys.stderr.write(f"SIMULATED bench {bench.station.name!r}\n")
        campaign = characterise_and_infer(
            bench,
            options.device,
            source,
            wishes_of(options),
            folder=options.out,
            seed=options.seed,
            design=design,
            model=model,
            settings=settings,
            inferring=inferring,
        )
        done = run_campaign(campaign, on_event=Console(), journal=journal)
        sys.stdout.write(_told(done))
        sys.stdout.flush()
        report = bench.make_safe()
        if report.ok:
            sys.stderr.write(f"{report}\n")
    if not report.ok:
        return 1
    return 0 if done.inferred.n_trusted == len(done.inferred.rows) else EXIT_NOT_TRUSTED


def _design(options: argparse.Namespace) -> TracesDesign:
    from labctl.campaigns.characterise_goku import TracesDesign, check_sweep

    sweep = pairs(options.sweep, "--sweep", numbers)
    check_sweep(sweep)
    if options.levels and (options.low is not None or options.high is not None):
        raise UsageError("--low and --high are of a design; --levels are the drive themselves")
    try:
        levels = numbers(options.levels) if options.levels else ()
    except ValueError as error:
        raise UsageError(f"--levels {options.levels!r}: {error}") from None
    return TracesDesign(
        levels=levels,
        n_repeats=options.repeats,
        design=options.design,
        n_trials=options.trials,
        n_samples=options.samples,
        low=options.low,
        high=options.high,
        sweep=sweep,
    )


def numbers(text: str) -> tuple[float, ...]:
    """A,B,C as finite numbers. Raises ValueError."""
    return tuple(number(part.strip()) for part in text.split(","))


def _told(done: CharacterisedParameters) -> str:
    from labctl.goku_table import table_text

    simulated = "SIMULATED bench\n" if done.inferred.about["simulated"] else ""
    files = [*done.recordings, *done.inferred.files, done.report]
    model = done.inferred.model.path
    listed = json.dumps([str(path) for path in (*files[: len(done.recordings)], model, *files[len(done.recordings) :])])
    return f"{simulated}{table_text(done.inferred.rows)}\nfiles: {listed}\n"
