"""`labctl gui`: the window. Importing this module loads no Qt."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from labctl.errors import LabctlError, UsageError
from labctl.simulation import BUNDLED

DESCRIPTION = """\
Open the window on a station: its instruments and channels, the closed loop in a worker with live plots, Stop, and a
button that makes all outputs safe. Closing the window makes them safe as well.
"""


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `gui` to the command line."""
    command = commands.add_parser(
        "gui", help="the window: instruments, live plots, campaigns, all outputs safe", description=DESCRIPTION
    )
    command.add_argument("station", nargs="?", type=Path, metavar="STATION.toml", help="the station to open")
    command.add_argument(
        "--simulated",
        nargs="?",
        const=BUNDLED[0],
        choices=BUNDLED,
        metavar="BENCH",
        help=f"start a simulated bench and open that: {', '.join(BUNDLED)} (default: {BUNDLED[0]})",
    )
    command.add_argument("--runs", type=Path, metavar="DIR", help="where runs are kept (default: ./labctl-runs)")
    command.add_argument("--theme", choices=("light", "dark"), help="appearance (default: the desktop's)")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Show the window until it is closed."""
    if options.simulated and options.station is not None:
        raise UsageError("give a station file or --simulated, not both")
    if options.station is not None:
        from labctl.station import load_station

        load_station(options.station)  # a mistake in it is told here, before there is a window
    _check_display()
    try:
        from gui.app import main
    except ImportError as error:
        raise LabctlError(
            f"the window cannot be shown: {error}; install pip install 'labctl[gui]', and on Debian the libraries "
            "libgl1 libegl1 libxkbcommon0 libfontconfig1 libdbus-1-3"
        ) from error
    return main(station=options.station, simulated=options.simulated, runs_folder=options.runs, theme=options.theme)


def _check_display() -> None:
    """Qt ends the process, with a core dump, where it finds no display; raises UsageError before it can."""
    places = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    if sys.platform.startswith("linux") and not any(os.environ.get(name) for name in places):
        raise UsageError(
            "no display here: neither DISPLAY nor WAYLAND_DISPLAY is set. Start it in a desktop session or through "
            "ssh -X; without a window, labctl record, deploy and safe do the work"
        )
