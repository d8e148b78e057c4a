"""`labctl network compare-noise`: what knowing the noise is worth, measured on the bench."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.commands.arguments import check_folder, check_new, positive_integer, positive_seconds, seed
from labctl.commands.close_gap import files_from
from labctl.commands.network_arguments import add_network_arguments, load_twins, ranges_from
from labctl.commands.network_wanted import description_of, wanted_network
from labctl.training_traces import training_traces

if TYPE_CHECKING:
    from labctl.noise_comparison import NoiseComparison


__all__ = ["add_action", "outcome_of", "run", "training_traces"]


def add_action(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the action to those of `labctl network`."""
    compare = actions.add_parser(
        "compare-noise",
        help="optimise with and without knowledge of the devices' noise, and measure all of it on the bench",
    )
    compare.add_argument("station", type=Path, help="station file (TOML)")
    add_network_arguments(compare)
    compare.add_argument(
        "--recording",
        action="append",
        default=[],
        metavar="DEVICE=FILE",
        help="what the twin was fitted on, from which a constant noise is estimated; repeatable "
        "(default: the recordings that the twin's file names)",
    )
    compare.add_argument(
        "--ridge", action="append", type=float, metavar="STRENGTH",
        help="of the read-out's penalty; repeatable (default 1e-5 and 1e-3)",
    )  # fmt: skip
    compare.add_argument(
        "--repeats", type=positive_integer, help="how often everything is played (default: the task's)"
    )
    compare.add_argument("--seconds", type=positive_seconds, help="budget of each optimisation")
    compare.add_argument("--seed", type=seed, help="seed (default: that of the file, or 0)")
    compare.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where everything goes")
    compare.add_argument(
        "--override-gates",
        metavar="REASON",
        help="go on although a twin was not judged or did not pass its gates; the reason is kept with the outcome",
    )
    compare.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Optimise, measure, print and save; the outputs end safe.

    Raises GatesNotPassed, before the bench is opened, if a twin did not pass; rivals derived from it have no gates.
    """
    from dataclasses import replace

    from labctl.bench import Bench
    from labctl.campaign import Journal
    from labctl.campaign import run as run_campaign
    from labctl.campaigns.compare_noise import RIDGES, compare_noise_knowledge
    from labctl.campaigns.drive_ranges import allowed_ranges
    from labctl.clearance import clear
    from labctl.console import Console
    from labctl.station import load_station

    station = load_station(options.station)
    description = description_of(options, station=station)
    given = load_twins(options.twin)
    wanted = wanted_network(options, description, given, station)
    files = {device: found[0] for device, found in files_from(options.twin, "--twin").items()}
    training = training_traces(files, files_from(options.recording, "--recording"))
    clearance = clear(given.twins, given.gates, override=options.override_gates)
    plan = wanted.plan if options.repeats is None else replace(wanted.plan, n_repeats=options.repeats)
    check_folder(options.out)
    check_new([options.out / name for name in ("twins", "wirings", "comparison.json", "report.html")])
    with Bench.open(options.station) as bench, Journal(options.out / "journal.jsonl") as journal:
        if bench.simulated:
            sys.stderr.write(f"SIMULATED bench {bench.station.name!r}\n")
        elif given.simulated:
            sys.stderr.write("WARNING a twin was learned on a SIMULATED device, and this bench is a real one\n")
        campaign = compare_noise_knowledge(
            bench,
            files,
            training,
            plan,
            clearance=clearance,
            ranges=allowed_ranges(given.twins, station, ranges_from(options.range), options=plan.device_options),
            conditions=wanted.conditions,
            regularisations=tuple(options.ridge or RIDGES),
            seed=wanted.seed,
            examples_seed=wanted.examples_seed,
            folder=options.out,
        )
        comparison = run_campaign(campaign, on_event=Console(), journal=journal)
        report = bench.make_safe()
        sys.stdout.write(json.dumps(outcome_of(comparison, options.out, outputs_safe=report.ok), indent=2) + "\n")
        if report.ok:
            sys.stderr.write(f"{report}\n")
    return 0 if report.ok else 1


def outcome_of(comparison: NoiseComparison, folder: Path, *, outputs_safe: bool) -> dict[str, Any]:
    """What is printed: the figures that matter, by ridge and knowledge."""
    ridges = {
        f"{ridge:g}": {
            one.knowledge: {
                "promised": one.promised,
                "measured": one.measured,
                "repeat_spread": one.repeat_spread,
                "refitted": one.refitted,
            }
            for one in comparison.outcomes
            if one.regularisation == ridge
        }
        for ridge in comparison.regularisations
    }
    return {
        "task": comparison.task,
        "metric": comparison.metric,
        "simulated": comparison.simulated,
        "ridge": ridges,
        "linear_same_taps": comparison.linear_same_taps,
        "linear_20_taps": comparison.linear_20_taps,
        "outputs_safe": outputs_safe,
        "report": str(folder / "report.html"),
    }
