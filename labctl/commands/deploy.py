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
    from labctl.campaigns.deploy_network import OUTCOME, check_confirmed, deploy_proposal
    from labctl.clearance import clear
    from labctl.commands.close_gap import run_on_bench
    from labctl.proposal import proposal_of

    proposal = proposal_of(options.network)
    if options.dry_run:
        return _dry_run(options, proposal)
    check_confirmed(proposal, options.confirmed)
    clearance = clear(proposal.devices, proposal.gates, override=options.override_gates)
    played = ["optimised"] if options.no_rivals else list(proposal.wirings)
    check_folder(options.out)
    check_new([options.out / OUTCOME, *(options.out / f"measured-{who}" for who in played)])
    return run_on_bench(
        options,
        lambda bench: deploy_proposal(
            bench,
            proposal,
            clearance=clearance,
            folder=options.out,
            n_repeats=options.repeats,
            rivals=not options.no_rivals,
        ),
    )


def _dry_run(options: argparse.Namespace, proposal: Proposal) -> int:
    """Print the table of what would change; 1 where something is in the way."""
    from dataclasses import replace

    from labctl.apply_table import apply_table
    from labctl.apply_words import in_words
    from labctl.bench import Bench
    from labctl.clearance import shortcomings

    for note in proposal.notes:
        sys.stderr.write(f"WARNING {note}\n")
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
