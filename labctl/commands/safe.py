"""`labctl safe`: bring every output of a station to its safe value, now."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    safe = commands.add_parser("safe", help="bring every output to its safe value and read it back")
    safe.add_argument("station", type=Path, help="station file (TOML)")
    safe.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Open the bench, make it safe, print each output as read back; 1 if any is not safe."""
    from labctl.bench import Bench

    with Bench.open(options.station) as bench:
        report = bench.make_safe()
    sys.stdout.write(f"{report}\n")
    return 0 if report.ok else 1
