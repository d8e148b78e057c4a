"""`labctl station`: check a station file, measure how fast a closed loop can go, print the JSON schema."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.commands import station_live
from labctl.commands.arguments import positive_seconds
from labctl.commands.station_editing import add_actions

if TYPE_CHECKING:
    from labctl.bench import Bench


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    station = commands.add_parser(
        "station",
        help="check a station file, edit it, show live values, hold outputs, measure the rate of a closed loop",
    )
    actions = station.add_subparsers(title="actions", metavar="ACTION", required=True)
    check = actions.add_parser(
        "check", help="open the bench, identify every instrument, check limits and safe values; writes to no output"
    )
    check.add_argument("station", type=Path, help="station file (TOML)")
    check.add_argument("--offline", action="store_true", help="check the file only, without its instruments")
    check.set_defaults(run=run_check)
    rate = actions.add_parser(
        "rate",
        help="measure how fast a closed loop through the instruments can go; holds the drives at their rest levels",
    )
    rate.add_argument("station", type=Path, help="station file (TOML)")
    rate.add_argument(
        "--device",
        action="append",
        default=[],
        help="device in the loop; repeatable (default: all that are driven and measured sample by sample)",
    )
    rate.add_argument("--seconds", type=positive_seconds, default=1.0, help="how long to measure (default 1)")
    rate.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    rate.set_defaults(run=run_rate)
    add_actions(actions)
    station_live.add_actions(actions)
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
    with Bench.open_available(station) as bench:
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
    status = bench.identify(name)
    if not status.ok:
        sys.stdout.write(
            f"  {name:20} PROBLEM: {status.state} ({status.driver} at {status.address}): {status.reason}\n"
        )
        return True
    sys.stdout.write(f"  {name:20} {status.identity}\n")
    return _told(name, lambda: bench.check_instrument(name))


def _check_channel(bench: Bench, name: str) -> bool:
    """Print a channel's level, limits and roles; whether there is a problem."""
    channel = bench.station.channels[name]
    low, high = channel.limits

    def show() -> None:
        roles = bench.roles_of(name)
        if channel.image is not None:
            planes = ", ".join(f"{name} = plane {plane}" for name, plane in channel.image.planes.items())
            rows, columns = bench.sensor_size(channel.name)
            sys.stdout.write(
                f"  {channel.name:20} {columns} x {rows} pixels; {planes}; exposure {channel.image.exposure_s:g} s, "
                f"binning {channel.image.binning}; {', '.join(roles)}\n"
            )
            return
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
        if way == "filmed":
            starts = f", starts {', '.join(device.starts)}" if device.starts else ""
            sys.stdout.write(
                f"  {name:20} {' '.join(device.response)}, filmed, a frame every {device.dt_s:g} s{starts}\n"
            )
            return
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


def run_rate(options: argparse.Namespace) -> int:
    """Measure the loop, print what it took and what can be promised; the outputs end safe."""
    from labctl.bench import Bench
    from labctl.errors import ExcitationError

    out = sys.stdout.write
    with Bench.open(options.station) as bench:
        devices = options.device or [name for name in bench.station.devices if bench.way_of(name).startswith("stepped")]
        if not devices:
            raise ExcitationError(
                "every device of the station is played from memory; name those of the loop with --device"
            )
        rate = bench.loop_rate(devices, duration_s=options.seconds)
        report = bench.make_safe()
        if bench.simulated:
            out("SIMULATED bench\n")
        out(f"closed loop over {', '.join(rate.devices)}: {rate}\n")
        out(
            f"  medians: reading {1e3 * rate.read_s:.3g} ms, computing {1e3 * rate.compute_s:.3g} ms, "
            f"setting {1e3 * rate.set_s:.3g} ms; sampling times from {1e3 * rate.shortest_dt_s:.3g} ms on\n"
        )
        for name in rate.devices:
            dt_s = bench.station.devices[name].dt_s
            verdict = "can be kept" if dt_s >= rate.shortest_dt_s else "is TOO FAST for this loop"
            out(f"  {name}: its sampling time of {1e3 * dt_s:g} ms {verdict}\n")
        if options.json:
            figures = {"simulated": bench.simulated, **rate.as_dict()}
            options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
        if report.ok:
            sys.stderr.write(f"{report}\n")
    return 0 if report.ok else 1


def run_schema(_: argparse.Namespace) -> int:
    """Print the JSON schema."""
    from labctl.station import station_schema

    sys.stdout.write(json.dumps(station_schema(), indent=2) + "\n")
    return 0
