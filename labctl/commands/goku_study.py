"""`labctl goku study`: fit, infer and report in one, with all that was found as numbers in one file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from labctl.commands.arguments import check_folder, positive_seconds, seed
from labctl.commands.goku_arguments import (
    add_channel_arguments,
    add_equation_arguments,
    add_refinement_arguments,
    add_share_argument,
    add_traces_arguments,
    equation_of,
    measured_of,
    reading_of,
    wishes_of,
)

EXIT_NOT_TRUSTED = 3


def add_action(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the action to `labctl goku`."""
    study = actions.add_parser(
        "study",
        help="fit, infer and report in one; NAME.study.h5 has all that was found as numbers",
        description="Trains on simulations, judges, infers every trace and says what the data tell. Exit status: "
        f"0 all traces are to be trusted, {EXIT_NOT_TRUSTED} some are not.",
    )
    add_equation_arguments(study)
    add_channel_arguments(study)
    add_traces_arguments(study)
    study.add_argument("--name", default="goku", help="name of the files (default goku)")
    study.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where they go")
    study.add_argument("--seconds", type=positive_seconds, default=30.0, help="wall time of the training (default 30)")
    study.add_argument("--seed", type=seed, default=0, help="seed (default 0)")
    add_refinement_arguments(study, seconds="--refine-seconds")
    add_share_argument(study)
    study.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Study; print the table."""
    from labctl.campaign import run as run_campaign
    from labctl.campaigns.goku_settings import GokuSettings, InferSettings
    from labctl.campaigns.study_goku import study_goku
    from labctl.console import Console
    from labctl.goku_study import open_study
    from labctl.goku_table import table_text

    check_folder(options.out)
    source, wishes = equation_of(options), wishes_of(options)
    campaign = study_goku(
        options.name,
        measured_of(options, options.data),
        source,
        wishes,
        seed=options.seed,
        folder=options.out,
        fitting=GokuSettings(max_seconds=options.seconds),
        inferring=InferSettings(share=options.share, n_sweeps=options.sweeps, max_seconds=options.refine_seconds),
        segment=options.segment,
        reading=reading_of(options),
    )
    path = run_campaign(campaign, on_event=Console())
    study = open_study(path)
    sys.stdout.write(("SIMULATED data\n" if study.simulated else "") + table_text(study.rows))
    for one in study.identified:
        sys.stdout.write("".join(f"{one.traces}: {line}\n" for line in one.lines))
    sys.stdout.write(f"{path}\n")
    return 0 if all(row.trusted for row in study.rows) else EXIT_NOT_TRUSTED
