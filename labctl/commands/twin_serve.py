"""`labctl twin serve`: a fitted twin behind the instruments of a station, simulated, until Ctrl-C."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.commands.arguments import check_folder, seed

if TYPE_CHECKING:
    from labctl.station import Station

_DESCRIPTION = """\
Wire twins of measured devices behind simulated instruments, so that a campaign is rehearsed on the device measured
today. Written into --out: the exported twins, bench.toml, station.template.toml, and, once the bench runs,
station.toml: your own station with simulated instruments, and limits no wider than what the twins were fitted on.
"""


def add_action(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `serve` to the actions of `labctl twin`."""
    serve = actions.add_parser(
        "serve",
        help="run a twin as a simulated instrument behind a station's own instruments, until Ctrl-C",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    serve.add_argument("twin", nargs="+", help="a twin or an ensemble, or DEVICE=FILE for each of several")
    serve.add_argument("--station", type=Path, required=True, metavar="FILE", help="the station the device stands at")
    serve.add_argument("--device", metavar="NAME", help="the twin's device (default: the one with its channels)")
    serve.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where the files go")
    serve.add_argument("--member", type=int, default=0, metavar="N", help="which one of an ensemble (default 0)")
    serve.add_argument(
        "--trial-seconds", type=float, default=0.0, metavar="S",
        help="how long a trial's offset lasts, for twins that drift over trials (default: one a play)",
    )  # fmt: skip
    serve.add_argument(
        "--outside-range", choices=("error", "log"), default="error",
        help="a drive beyond the fitted range fails the recording, or is only logged (default error)",
    )  # fmt: skip
    serve.add_argument("--seed", type=seed, default=0, help="seed of the simulated noise (default 0)")
    serve.add_argument("--write-only", action="store_true", help="write the files and end; `labctl sim` runs them")
    serve.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write the files, say what was replaced, and run the bench."""
    from labctl.commands.sim import run as run_bench
    from labctl.served_twin import write_served_bench
    from labctl.station import load_station

    check_folder(options.out)
    station = load_station(options.station)
    served = write_served_bench(
        _twins(options, station),
        station,
        options.out,
        seed=options.seed,
        member=options.member,
        trial_s=options.trial_seconds,
        outside_range=options.outside_range,
    )
    for note in served.notes:
        sys.stdout.write(f"note: {note}\n")
    filled = options.out / "station.toml"
    if options.write_only:
        sys.stdout.write(f"run it with: labctl sim {served.bench} --template {served.template} --station {filled}\n")
        return 0
    return run_bench(argparse.Namespace(bench=served.bench, template=served.template, station=filled))


def _twins(options: argparse.Namespace, station: Station) -> dict[str, Path]:
    """Device -> file, from TWIN or DEVICE=TWIN arguments. Raises UsageError."""
    from labctl.errors import UsageError
    from labctl.served_twin import device_of, load_member

    if options.device is not None and len(options.twin) > 1:
        raise UsageError("--device names the device of one twin; for several write DEVICE=FILE")
    found: dict[str, Path] = {}
    for argument in options.twin:
        name, separator, file = argument.partition("=")
        path = Path(file if separator else argument)
        if options.device is not None:
            device = options.device
        else:
            device = name if separator else device_of(station, load_member(path, options.member))
        if device in found:
            raise UsageError(f"{device} was given two twins: {found[device]} and {path}")
        found[device] = path
    return found
