"""`labctl deploy`: apply an optimised network to the bench, and measure what it achieves there."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.commands.arguments import check_folder, check_new, positive_integer

if TYPE_CHECKING:
    from labctl.bench import Bench
    from labctl.campaigns.network_files import NetworkFiles
    from labctl.clearance import Clearance
    from labctl.deployment import Measurement


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    deploy = commands.add_parser("deploy", help="apply an optimised network to the bench and measure its task there")
    deploy.add_argument("station", type=Path, help="station file (TOML)")
    deploy.add_argument("network", type=Path, help="folder that `labctl network optimise` wrote")
    deploy.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where recordings and outcome go")
    deploy.add_argument(
        "--repeats", type=positive_integer, default=3, help="how often the held-out examples are played (default 3)"
    )
    deploy.add_argument("--no-rivals", action="store_true", help="leave out the reservoir and the unoptimised network")
    deploy.add_argument(
        "--override-gates",
        metavar="REASON",
        help="apply it although a twin was not judged or did not pass its gates; the reason is kept with the outcome",
    )
    deploy.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Play the network node by node, print and save promised beside measured; the outputs end safe.

    Raises GatesNotPassed, before the bench is opened, if a twin that it was optimised on did not pass.
    """
    from dataclasses import replace

    from labctl.bench import Bench
    from labctl.campaign import Journal
    from labctl.campaign import run as run_campaign
    from labctl.campaigns.measure_network import measure_network
    from labctl.campaigns.network_files import load_network
    from labctl.clearance import clear
    from labctl.console import Console
    from labctl.json_file import json_text, write_json

    network = load_network(options.network)
    plan = replace(network.plan, n_repeats=options.repeats)
    for note in network.notes:
        sys.stderr.write(f"WARNING {note}\n")
    wirings = dict(network.wirings)
    if options.no_rivals:
        wirings = {"optimised": wirings["optimised"]}
    clearance = clear(network.devices, network.gates, override=options.override_gates)
    check_folder(options.out)
    check_new([options.out / "deployment.json", *(options.out / f"measured-{who}" for who in wirings)])
    with Bench.open(options.station) as bench, Journal(options.out / "journal.jsonl") as journal:
        if bench.simulated:
            sys.stderr.write(f"SIMULATED bench {bench.station.name!r}\n")
        if network.simulated and not bench.simulated:
            sys.stderr.write("WARNING this network was learned on SIMULATED devices, and this bench is a real one\n")
        campaign = measure_network(
            bench,
            plan,
            wirings,
            clearance=clearance,
            examples_seed=network.examples_seed,
            conditions=network.conditions,
            folder=options.out,
            examples=network.examples,
        )
        measured = run_campaign(campaign, on_event=Console(), journal=journal)
        report = bench.make_safe()
        outcome = outcome_of(network, measured, clearance, bench, outputs_safe=report.ok)
        # Written before the bench is closed: closing raises if an output is not safe, and what was measured must stay.
        sys.stdout.write(json_text(outcome))
        sys.stdout.flush()
        write_json(options.out / "deployment.json", outcome)
        if report.ok:
            sys.stderr.write(f"{report}\n")
    return 0 if report.ok else 1


def outcome_of(
    network: NetworkFiles,
    measured: Mapping[str, Measurement],
    clearance: Clearance,
    bench: Bench,
    *,
    outputs_safe: bool,
) -> dict[str, Any]:
    """What is printed and kept: promised beside measured, and all that is needed to judge it."""
    return {
        "task": network.task,
        "metric": network.plan.task.metric,
        "simulated": bench.simulated,
        "learned_on_simulated_devices": network.simulated,
        "clearance": clearance.as_dict(),
        "conditions": {**network.conditions, **network.wirings["optimised"].conditions},
        "notes": list(network.notes),
        "promised": network.promised,
        "promised_std": network.promised_std,
        "linear_same_taps": network.linear_same_taps,
        "linear_20_taps": network.linear_20_taps,
        "device_seconds": bench.device_seconds,
        "outputs_safe": outputs_safe,
        **{who: one.figures() for who, one in measured.items()},
    }
