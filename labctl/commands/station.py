"""`labctl station`: check a station file, with or without its instruments, and print its JSON schema."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labctl.bench import Bench


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
    """Check the file, then the bench it describes; print what was found. 1 if anything does not work."""
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
        problems = [
            *(_check_instrument(bench, name) for name in station.instruments),
            *(_check_channel(bench, name) for name in station.channels),
            *(_check_device(bench, name) for name in station.devices),
        ]
    count = sum(problems)
    out(f"{count} problems, see above\n" if count else "station and instruments agree\n")
    return 1 if count else 0


def _check_instrument(bench: Bench, name: str) -> bool:
    """Print who it is and whether it has errors; whether there is a problem."""
    sys.stdout.write(f"  {name:20} {bench.identities[name]}\n")
    return _told(name, lambda: bench.check_instrument(name))


def _check_channel(bench: Bench, name: str) -> bool:
    """Print a channel's level, limits and roles; whether there is a problem."""
    channel = bench.station.channels[name]
    low, high = channel.limits
    roles = bench.roles_of(name)

    def show() -> None:
        level = "(not measured singly)"
        if channel.is_output:
            level = f"{bench.get(name):+.6g} {channel.unit}"
        elif "measured" in roles:
            level = f"{bench.read(name):+.6g} {channel.unit}"
        safe = f", safe {channel.safe.value:g} ({channel.safe.how})" if channel.safe else ""
        sys.stdout.write(f"  {name:20} {level:16} limits {low:g}..{high:g}{safe}; {', '.join(roles)}\n")

    return _told(name, show)


def _check_device(bench: Bench, name: str) -> bool:
    """Print how a device is driven and recorded; whether it can be."""

    def show() -> None:
        device = bench.station.devices[name]
        way = bench.way_of(name)
        sys.stdout.write(
            f"  {name:20} {' '.join(device.drive)} -> {' '.join(device.response)}, {way}, {device.sample_rate_Hz:g} Sa/s\n"
        )

    return _told(name, show)


def _told(name: str, check: Callable[[], None]) -> bool:
    """Run one check and print what is wrong; whether anything was."""
    from drivers.errors import DriverError
    from labctl.errors import LabctlError

    try:
        check()
    except (LabctlError, DriverError) as error:
        sys.stdout.write(f"  {name:20} PROBLEM: {error}\n")
        return True
    return False


def run_schema(_: argparse.Namespace) -> int:
    """Print the JSON schema."""
    from labctl.station import station_schema

    sys.stdout.write(json.dumps(station_schema(), indent=2) + "\n")
    return 0
