"""`labctl goku simulate`: traces of an equation with known parameters, to try everything on."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from labctl.commands.arguments import check_new, positive_integer, positive_seconds, seed
from labctl.commands.goku_arguments import add_equation_arguments, equation_of
from labctl.errors import UsageError


def add_action(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the action to `labctl goku`."""
    simulate = actions.add_parser(
        "simulate",
        help="write simulated traces of an equation, with their true parameters",
        description="Draws parameters and initial states from their ranges and writes a recording that says that it is simulated.",
    )
    add_equation_arguments(simulate)
    add = simulate.add_argument
    add("--out", type=Path, required=True, metavar="FILE", help="the recording (.h5)")
    add("--traces", type=positive_integer, default=4, help="how many (default 4)")
    add("--samples", type=positive_integer, default=80, help="of each (default 80)")
    add("--dt", type=positive_seconds, metavar="SECONDS", help="from sample to sample (default: as the equation moves)")
    add(
        "--noise",
        type=float,
        default=0.02,
        help="of the instrument, as a share of each channel's spread (default 0.02)",
    )
    add("--missing", type=float, default=0.0, help="share of samples left out (default 0)")
    add("--seed", type=seed, default=0, help="seed (default 0)")
    simulate.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write the file."""
    from labctl.campaign import run as run_campaign
    from labctl.console import Console
    from labctl.goku_example import ExampleDesign, simulate_goku

    if options.out.suffix != ".h5":
        raise UsageError(f"--out {options.out}: simulated traces are a recording; give FILE.h5")
    check_new([options.out])
    design = ExampleDesign(
        n_traces=options.traces,
        n_samples=options.samples,
        dt_s=options.dt,
        noise=options.noise,
        missing=options.missing,
    )
    source = equation_of(options)
    run_campaign(simulate_goku(source, path=options.out, seed=options.seed, design=design), on_event=Console())
    sys.stdout.write(f"{options.out}\n")
    return 0
