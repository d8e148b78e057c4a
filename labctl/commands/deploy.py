"""`labctl deploy`: apply an optimised network to the bench, and measure what it achieves there."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.commands.arguments import check_folder, check_new, positive_integer

if TYPE_CHECKING:
    from labctl.proposal import Proposal


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    deploy = commands.add_parser("deploy", help="apply an optimised network to the bench and measure its task there")
    deploy.add_argument("station", type=Path, help="station file (TOML)")
    deploy.add_argument("network", type=Path, help="folder that `labctl network optimise` wrote")
    where = deploy.add_mutually_exclusive_group(required=True)
    where.add_argument("--out", type=Path, metavar="FOLDER", help="where recordings and outcome go")
    where.add_argument(
        "--dry-run",
        action="store_true",
        help="tell for every output what it is now, what is proposed and what is allowed; writes to no output",
    )
    deploy.add_argument(
        "--repeats", type=positive_integer, default=3, help="how often the held-out examples are played (default 3)"
    )
    deploy.add_argument("--no-rivals", action="store_true", help="leave out the reservoir and the unoptimised network")
    deploy.add_argument(
        "--override-gates",
        metavar="REASON",
        help="apply it although a twin was not judged or did not pass its gates; the reason is kept with the outcome",
    )
    deploy.add_argument(
        "--confirmed",
        metavar="FINGERPRINT",
        help="refuse any network but this one, as --dry-run has told its fingerprint",
    )
    deploy.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Play the network node by node, print and save promised beside measured; the outputs end safe.

    Raises GatesNotPassed, before the bench is opened, if a twin that it was optimised on did not pass.
    """
    from labctl.bench import Bench
    from labctl.campaign import Journal
    from labctl.campaign import run as run_campaign
    from labctl.campaigns.deploy_network import (
        OUTCOME,
        TRACES,
        check_confirmed,
        measure_proposal,
        outcome_of,
        save_traces,
    )
    from labctl.clearance import clear
    from labctl.console import Console
    from labctl.json_file import json_text, write_json
    from labctl.proposal import proposal_of

    proposal = proposal_of(options.network)
    for note in proposal.notes:
        sys.stderr.write(f"WARNING {note}\n")
    if options.dry_run:
        return _dry_run(options, proposal)
    check_confirmed(proposal, options.confirmed)
    clearance = clear(proposal.devices, proposal.gates, override=options.override_gates)
    played = ["optimised"] if options.no_rivals else list(proposal.wirings)
    check_folder(options.out)
    check_new([options.out / OUTCOME, *(options.out / f"measured-{who}" for who in played)])
    with Bench.open(options.station) as bench, Journal(options.out / "journal.jsonl") as journal:
        if bench.simulated:
            sys.stderr.write(f"SIMULATED bench {bench.station.name!r}\n")
        if proposal.simulated and not bench.simulated:
            sys.stderr.write("WARNING this network was learned on SIMULATED devices, and this bench is a real one\n")
        campaign = measure_proposal(
            bench,
            proposal,
            clearance=clearance,
            folder=options.out,
            n_repeats=options.repeats,
            rivals=not options.no_rivals,
        )
        measured = run_campaign(campaign, on_event=Console(), journal=journal)
        report = bench.make_safe()
        outcome = {**outcome_of(proposal, measured, clearance, bench), "outputs_safe": report.ok}
        # Written before the bench is closed: closing raises if an output is not safe, and what was measured must stay.
        sys.stdout.write(json_text(outcome))
        sys.stdout.flush()
        write_json(options.out / OUTCOME, outcome)
        save_traces(options.out / TRACES, proposal, measured)
        if report.ok:
            sys.stderr.write(f"{report}\n")
    return 0 if report.ok else 1


def _dry_run(options: argparse.Namespace, proposal: Proposal) -> int:
    """Print the table of what would change; 1 where something is in the way."""
    from dataclasses import replace

    from labctl.apply_table import apply_table
    from labctl.apply_words import in_words
    from labctl.bench import Bench
    from labctl.clearance import shortcomings

    with Bench.open(options.station) as bench:
        if bench.simulated:
            sys.stdout.write(f"SIMULATED bench {bench.station.name!r}\n")
        table = apply_table(bench, replace(proposal, notes=()), rivals=not options.no_rivals)
    for line in in_words(table):
        sys.stdout.write(f"{line}\n")
    sys.stdout.write(f"fingerprint of the network {proposal.fingerprint}\n")
    faults = [fault for name in proposal.devices for fault in shortcomings(name, proposal.gates.get(name, {}))]
    for fault in faults if options.override_gates is None else ():
        sys.stdout.write(f"REFUSED {fault}; --override-gates REASON would apply it all the same\n")
    return 0 if table.ok and (not faults or options.override_gates) else 1
