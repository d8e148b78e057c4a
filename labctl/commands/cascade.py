"""`labctl network cascade`: train a network layer by layer, each on what the bench answered in those before it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.commands.arguments import check_folder, check_new, positive_integer, positive_seconds, seed
from labctl.commands.network_arguments import add_network_arguments, load_twins, ranges_from

if TYPE_CHECKING:
    from labctl.campaigns.cascade_options import CascadedNetwork
    from labctl.clearance import Clearance


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
    from labctl.bench import Bench
    from labctl.campaign import Journal
    from labctl.campaign import run as run_campaign
    from labctl.campaigns.cascade import cascade
    from labctl.campaigns.cascade_options import CascadeOptions
    from labctl.campaigns.drive_ranges import allowed_ranges, check_conditions
    from labctl.campaigns.network_needs import jump_warnings
    from labctl.clearance import clear
    from labctl.commands.close_gap import files_from, write_outcome
    from labctl.commands.network_wanted import description_of, wanted_network
    from labctl.console import Console
    from labctl.station import load_station

    description, station = description_of(options), load_station(options.station)
    if description is not None:
        description.check(station=station)
    given = load_twins(options.twin)
    wanted = wanted_network(options, description, given, station)
    clearance = clear(wanted.plan.devices, given.gates, override=options.override_gates)
    check_conditions(wanted.conditions, wanted.plan.trained_conditions, station)
    check_folder(options.out)
    check_new(
        [options.out / name for name in ("network", *([] if options.resume else ["cascade.json", "outcome.json"]))]
    )
    twins = {device: files[0] for device, files in files_from(options.twin, "--twin").items()}
    ranges = allowed_ranges(given.twins, station, ranges_from(options.range), options=wanted.plan.device_options)
    for told in jump_warnings(wanted.plan, station, ranges=ranges):
        sys.stderr.write(f"WARNING {told}\n")
    with Bench.open(options.station) as bench, Journal(options.out / "journal.jsonl") as journal:
        if bench.simulated:
            sys.stderr.write(f"SIMULATED bench {bench.station.name!r}\n")
        campaign = cascade(
            bench,
            wanted.plan,
            twins,
            clearance=clearance,
            ranges=ranges,
            conditions=wanted.conditions,
            seed=wanted.seed,
            examples_seed=wanted.examples_seed,
            folder=options.out,
            options=CascadeOptions(options.readout_of, options.examples, options.validation, options.repeats),
        )
        result = run_campaign(campaign, on_event=Console(), journal=journal)
        report = bench.make_safe()
        outcome = {
            "task": result.plan.task.name,
            "metric": result.plan.task.metric,
            "simulated": bench.simulated,
            "outputs_safe": report.ok,
            "clearance": clearance.as_dict(),
            **result.as_dict(),
        }
        write_outcome(options.out / "outcome.json", outcome)
        provenance = bench.provenance(seed=wanted.seed)
    leave_network(options.out / "network", result, twins, clearance, dict(wanted.conditions), provenance, wanted.text)
    return 0 if report.ok else 1


def leave_network(
    folder: Path,
    result: CascadedNetwork,
    twins: dict[str, Path],
    clearance: Clearance,
    conditions: dict[str, float],
    provenance: dict[str, Any],
    text: str | None,
) -> None:
    """The network with its rivals and the twins' promise for it, for `labctl deploy`."""
    from labctl.campaign import run as run_campaign
    from labctl.campaigns.cascade_layer import rivals_of_cascade
    from labctl.campaigns.network_files import save_network
    from labctl.console import Console
    from labctl.workers import Job, side_by_side

    key = f"cascade/{result.plan.task.name}"
    job = Job(
        rivals_of_cascade,
        {
            "twins": twins,
            "plan": result.plan,
            "wiring": result.wiring,
            "initial": result.initial,
            "learning_curve": result.learning_curve,
            "seed": result.seed,
            "examples_seed": result.examples_seed,
            "key": key,
        },
    )
    optimised = run_campaign(side_by_side({key: job}), on_event=Console())[key]
    save_network(
        folder,
        optimised,
        conditions=conditions,
        gates=clearance.gates,
        provenance=provenance,
        network_file=text,
    )
    sys.stderr.write(f"the network, ready to be deployed: {folder}\n")
