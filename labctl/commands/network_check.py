"""`labctl network check` and `schema`: what a network file describes, and what is wrong with it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from labctl.commands.network_arguments import load_twins


def add_actions(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the actions to `labctl network`."""
    check = actions.add_parser(
        "check", help="tell what a network file describes and takes, or all that is wrong with it; trains nothing"
    )
    check.add_argument("network", type=Path, metavar="NETWORK.toml", help="the file that describes the network")
    check.add_argument("--station", type=Path, help="station file: whether its devices and limits allow it")
    check.add_argument(
        "--twin", action="append", default=[], metavar="DEVICE=FILE", help="a device and its twin; repeatable"
    )
    check.set_defaults(run=run_check)
    schema = actions.add_parser("schema", help="print the JSON schema of network files")
    schema.set_defaults(run=run_schema)


def run_check(options: argparse.Namespace) -> int:
    """Print layers, sizes and device seconds; raises NetworkFileError with every line that is wrong."""
    from labctl.campaigns.drive_ranges import allowed_ranges
    from labctl.campaigns.network_needs import in_words, jump_warnings, network_needs
    from labctl.errors import UsageError
    from labctl.network_file import load_network_file
    from labctl.station import load_station

    description = load_network_file(options.network)
    station = load_station(options.station) if options.station else None
    given = load_twins(options.twin) if options.twin else None
    description.check(station=station)
    channels = None
    if given is not None:
        given.of(description.devices)
        description.check(station=station, twins=given.twins, recorded=given.conditions)
        dt_s = given.dt_s
        channels = {name: (one.spec.n_drive, one.spec.n_response) for name, one in given.twins.items()}
    elif station is not None:
        dt_s = station.device(description.devices[0]).dt_s
    else:
        raise UsageError(
            "how fast the devices are sampled is not in the file: give --station, or --twin of every device"
        )
    plan = description.plan(dt_s=dt_s, station=station)
    out = sys.stdout.write
    out(f"network {description.file.name or plan.task.name}\n")
    for name, value in description.held_conditions.items():
        if name not in plan.trained_conditions:
            out(f"condition {name}: held at {value:g}\n")
    for line in in_words(plan, network_needs(plan, station=station, channels=channels)):
        out(f"{line}\n")
    if station is not None:
        ranges = None if given is None else allowed_ranges(given.twins, station, options=plan.device_options)
        for told in jump_warnings(plan, station, ranges=ranges):
            sys.stderr.write(f"WARNING {told}\n")
    return 0


def run_schema(_: argparse.Namespace) -> int:
    """Print it."""
    from labctl.network_file import network_schema

    sys.stdout.write(json.dumps(network_schema(), indent=2) + "\n")
    return 0
