"""`labctl station values` and `labctl station hold`: look at a bench, and set it, by hand."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.commands.arguments import positive_seconds

if TYPE_CHECKING:
    from labctl.station import Channel

HOLD = """\
Set outputs, each within its limits and at its ramp, hold them until Ctrl-C (or for --seconds), then make all outputs
safe. Ctrl-C during a ramp ends the ramp. Where an instrument does not answer, the others go on.

    labctl station hold bench.toml gate=0.3 field=1.2 --seconds 60
"""


def add_actions(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the actions to `labctl station`."""
    values = actions.add_parser("values", help="read every channel and print it; writes to no output")
    values.add_argument("station", type=Path, help="station file (TOML)")
    values.add_argument("--watch", action="store_true", help="again and again until Ctrl-C")
    values.add_argument("--every", type=positive_seconds, default=1.0, metavar="S", help="how often, s (default 1)")
    values.add_argument("--times", type=int, metavar="N", help="end after N rounds")
    values.set_defaults(run=run_values)
    hold = actions.add_parser(
        "hold",
        help="set outputs, hold them until Ctrl-C, then make all outputs safe",
        description=HOLD,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    hold.add_argument("station", type=Path, help="station file (TOML)")
    hold.add_argument("settings", nargs="+", metavar="CHANNEL=VALUE", help="in the channel's unit")
    hold.add_argument("--seconds", type=positive_seconds, help="how long (default: until Ctrl-C)")
    hold.set_defaults(run=run_hold)


def run_values(options: argparse.Namespace) -> int:
    """Print the values once, or again and again; 1 if an instrument could not be read in the last round."""
    from labctl.bench import Bench
    from labctl.readings import readings_of

    with Bench.open_available(options.station) as bench:
        if bench.simulated:
            sys.stdout.write("SIMULATED bench\n")
        rounds = options.times or (None if options.watch else 1)
        done = 0
        while True:
            readings = readings_of(bench)
            if done:
                sys.stdout.write("\n")
            for name, channel in bench.station.channels.items():
                trouble = readings.channel_troubles.get(name, "")
                sys.stdout.write(_line(channel, readings.values.get(name), trouble))
            sys.stdout.flush()
            done += 1
            if rounds is not None and done >= rounds:
                return 1 if readings.instrument_troubles else 0
            time.sleep(options.every)


def run_hold(options: argparse.Namespace) -> int:
    """Ramp there with progress, wait, make safe; 1 if an output is not known to be safe."""
    from labctl.bench import Bench
    from labctl.campaign import run
    from labctl.campaigns.hold_outputs import hold_outputs
    from labctl.console import Console

    wanted = dict(_setting(text) for text in options.settings)
    with Bench.open_available(options.station) as bench:
        if bench.simulated:
            sys.stdout.write("SIMULATED bench\n")
        if options.seconds is None:
            sys.stdout.write("Ctrl-C makes all safe\n")
        sys.stdout.flush()
        run(hold_outputs(bench, wanted, seconds=options.seconds), on_event=Console())
        report = bench.make_safe()
        sys.stdout.write(f"{report}\n")
    return 0 if report.ok else 1


def _setting(text: str) -> tuple[str, float]:
    from labctl.errors import UsageError

    name, equals, value = text.partition("=")
    try:
        if not equals:
            raise ValueError
        return name, float(value)
    except ValueError:
        raise UsageError(f"{text!r} is no setting: write CHANNEL=VALUE, such as gate=0.3") from None


def _line(channel: Channel, value: float | None, trouble: str) -> str:
    if trouble:
        return f"  {channel.name:20} unknown: {trouble}\n"
    if value is None:
        return f"  {channel.name:20} (only measured in a recording)\n"
    from labctl.limit_marks import mark_of

    mark = mark_of(channel, value)
    return f"  {channel.name:20} {value:+.6g} {channel.unit}{f'  {mark.words}' if mark else ''}\n"
