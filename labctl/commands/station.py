"""`labctl station`: check a station file, with or without its instruments, and print its JSON schema."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    station = commands.add_parser("station", help="check a station file; print its schema")
    actions = station.add_subparsers(title="actions", metavar="ACTION", required=True)
    check = actions.add_parser(
        "check", help="open the bench, identify every instrument, check limits and safe values; writes to no output"
    )
    check.add_argument("station", type=Path, help="station file (TOML)")
    check.add_argument("--offline", action="store_true", help="check the file only, without its instruments")
    check.set_defaults(run=run_check)
    schema = actions.add_parser("schema", help="print the JSON schema of station files")
    schema.set_defaults(run=run_schema)


def run_check(options: argparse.Namespace) -> int:
    """Check the file, then the bench it describes; print what was found."""
    from labctl.bench import Bench
    from labctl.station import load_station

    station = load_station(options.station)
    out = sys.stdout.write
    out(f"{station.name}: {len(station.instruments)} instruments, {len(station.channels)} channels\n")
    if station.simulated:
        out("SIMULATED bench\n")
    if options.offline:
        return 0
    with Bench.open(station) as bench:
        for name, identity in bench.identities.items():
            out(f"  {name:12} {identity}\n")
        for name, channel in station.channels.items():
            low, high = channel.limits
            value = bench.read(name) if channel.kind == "sense" else bench.get(name)
            safe = f"safe {channel.safe.value:g} ({channel.safe.how})" if channel.safe else "read only"
            out(f"  {name:20} {value:+.6g} {channel.unit}   limits {low:g}..{high:g}, {safe}\n")
    out("station and instruments agree\n")
    return 0


def run_schema(_: argparse.Namespace) -> int:
    """Print the JSON schema."""
    from labctl.station import station_schema

    sys.stdout.write(json.dumps(station_schema(), indent=2) + "\n")
    return 0
