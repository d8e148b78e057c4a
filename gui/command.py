"""`labctl gui`: the window. Importing this module loads no Qt."""

from __future__ import annotations

import argparse
from pathlib import Path

from labctl.errors import LabctlError, UsageError

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
    command.add_argument("--simulated", action="store_true", help="start the simulated demo bench and open that")
    command.add_argument("--runs", type=Path, metavar="DIR", help="where runs are kept (default: ./labctl-runs)")
    command.add_argument("--theme", choices=("light", "dark"), help="appearance (default: the desktop's)")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Show the window until it is closed."""
    if options.simulated and options.station is not None:
        raise UsageError("give a station file or --simulated, not both")
    try:
        from gui.app import main
    except ImportError as error:
        raise LabctlError(
            f"the window cannot be shown: {error}; install pip install 'labctl[gui]', and on Debian the libraries "
            "libgl1 libegl1 libxkbcommon0 libfontconfig1 libdbus-1-3"
        ) from error
    return main(station=options.station, simulated=options.simulated, runs_folder=options.runs, theme=options.theme)
