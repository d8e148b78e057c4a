"""`labctl safe`: bring every output of a station to its safe value, now."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

DESCRIPTION = """\
Bring every output of a station to its safe value and read it back. Acts on every instrument that answers, also while
another labctl uses it, and says which outputs it could not make safe: switch those off by hand.
"""


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    safe = commands.add_parser(
        "safe", help="bring every output to its safe value and read it back", description=DESCRIPTION
    )
    safe.add_argument("station", type=Path, help="station file (TOML)")
    safe.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Make safe what answers, print each output as read back; 1 if any is not safe or an instrument cannot be used."""
    from labctl.bench import Bench

    with Bench.open_for_safety(options.station) as bench:
        report = bench.make_safe()
        if bench.simulated:
            sys.stdout.write(f"SIMULATED bench {bench.station.name!r}\n")
        sys.stdout.write("\n".join([str(report), *bench.remarks]) + "\n")
        sys.stdout.flush()
    return 0 if report.ok and bench.complete else 1
