"""`labctl network compare-noise`: what knowing the noise is worth, measured on the bench."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labctl.commands.arguments import check_folder, check_new, positive_integer, positive_seconds, seed
from labctl.commands.cascade import read_description
from labctl.commands.close_gap import files_from, run_on_bench
from labctl.commands.network_arguments import add_network_arguments
from labctl.training_traces import training_traces

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
    from labctl.campaigns.network_on_bench import compare_noise_into

    twins, played = read_description(options)
    recordings = files_from(options.recording, "--recording")
    training_traces(twins, recordings)  # what is not there is told before the bench is opened
    check_folder(options.out)
    check_new([options.out / name for name in ("twins", "wirings", "comparison.json", "report.html")])
    return run_on_bench(
        options,
        lambda bench: compare_noise_into(
            bench,
            twins,
            folder=options.out,
            network=played,
            recordings=recordings,
            ridges=options.ridge,
            repeats=options.repeats,
        ),
        told=lambda outcome: outcome_of(outcome, options.out),
    )


def outcome_of(comparison: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """What is printed: the figures that matter, by ridge and knowledge."""
    figures = ("promised", "measured", "repeat_spread", "refitted")
    played = dict.fromkeys(one["regularisation"] for one in comparison["outcomes"])
    ridges = {
        f"{ridge:g}": {
            one["knowledge"]: {name: one[name] for name in figures}
            for one in comparison["outcomes"]
            if one["regularisation"] == ridge
        }
        for ridge in played
    }
    kept = ("linear_same_taps", "linear_20_taps", "outputs_safe")
    return {
        **{name: comparison[name] for name in ("task", "metric", "simulated")},
        "ridge": ridges,
        **{name: comparison[name] for name in kept},
        "report": str(folder / "report.html"),
    }
