"""`labctl network cascade`: train a network layer by layer, each on what the bench answered in those before it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.commands.arguments import check_folder, check_new, positive_integer, positive_seconds, seed
from labctl.commands.close_gap import files_from, run_on_bench
from labctl.commands.network_arguments import add_network_arguments, conditions_from, ranges_from
from labctl.errors import UsageError

if TYPE_CHECKING:
    from labctl.campaigns.network_to_play import DescribedToPlay


def add_action(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the action to `labctl network`."""
    cascade = actions.add_parser(
        "cascade", help="train layer by layer: each on the twins, behind what the bench answered in the layers before"
    )
    cascade.add_argument("station", type=Path, help="station file (TOML)")
    add_network_arguments(cascade)
    cascade.add_argument("--examples", type=positive_integer, help="measured training examples (default: as planned)")
    cascade.add_argument(
        "--validation", type=positive_integer, default=24, help="measured examples to choose weights by (default 24)"
    )
    cascade.add_argument("--repeats", type=positive_integer, help="how often the held-out examples are played")
    cascade.add_argument(
        "--readout-of", choices=("all", "own"), default="all",
        help="train each layer with a read-out of all layers so far, or of its own alone (default all)",
    )  # fmt: skip
    cascade.add_argument("--seconds", type=positive_seconds, help="budget of each layer's training")
    cascade.add_argument("--seed", type=seed, help="seed (default: that of the file, or 0)")
    cascade.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where everything goes")
    cascade.add_argument(
        "--resume", action="store_true", help="go on where an interrupted cascade into --out stopped, if there is one"
    )
    cascade.add_argument(
        "--override-gates",
        metavar="REASON",
        help="play although a twin was not judged or did not pass its gates; the reason is kept with the outcome",
    )
    cascade.set_defaults(run=run_cascade)


def run_cascade(options: argparse.Namespace) -> int:
    """Train and measure, write `outcome.json`, and leave the network as `network`, ready to be deployed; the outputs end
    safe.

    Raises GatesNotPassed, before the bench is opened, if a twin did not pass its gates.
    """
    from labctl.campaigns.network_on_bench import cascade_into

    twins, played = read_description(options)
    check_folder(options.out)
    made = ("network", *(() if options.resume else ("cascade.json", "outcome.json")))
    check_new([options.out / name for name in made])
    return run_on_bench(
        options,
        lambda bench: cascade_into(
            bench,
            twins,
            folder=options.out,
            network=played,
            examples=options.examples,
            validation=options.validation,
            repeats=options.repeats,
            readout_of=options.readout_of,
        ),
    )


def read_description(options: argparse.Namespace) -> tuple[dict[str, Path], DescribedToPlay]:
    """The twins' files, and the network that is described, which may be played with them on the station.

    Raises UsageError where both a file and a task are given, or neither; and as described_to_play does.
    """
    from labctl.campaigns.network_to_play import described_to_play
    from labctl.station import load_station

    if (options.network is None) == (options.task is None):
        raise UsageError("give either NETWORK.toml, the file that describes the network, or --task NAME")
    twins = {device: files[0] for device, files in files_from(options.twin, "--twin").items()}
    played = described_to_play(
        twins,
        load_station(options.station),
        network=options.network,
        task=options.task,
        ranges=ranges_from(options.range),
        conditions=conditions_from(options.condition, {}),
        seed=options.seed,
        seconds=options.seconds,
        override=options.override_gates,
    )
    return twins, played
