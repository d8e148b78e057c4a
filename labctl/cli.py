"""The command line: `labctl COMMAND`. Importing this module loads neither torch nor Qt."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import entry_points

from drivers.errors import DriverError
from labctl import __version__
from labctl.errors import LabctlError, Stopped
from twins.errors import TwinError

OUR_COMMANDS = ("demo", "station", "sim", "record", "twin", "network", "deploy", "safe", "runs")
EXIT_ERROR = 1
EXIT_STOPPED = 130

DESCRIPTION = """\
Hardware-in-the-loop lab control: record a physical device, fit a stochastic twin to it, optimise a network of
twins, apply the result to the hardware and measure what it achieves there.

The way of the data:  instrument -> recording -> twin -> optimised network -> instrument
"""
EPILOG = """\
Start with `labctl demo`, which runs all of it on simulated devices. `labctl COMMAND --help` explains each command.
"""


def parser() -> argparse.ArgumentParser:
    """The whole command line: our commands, then those found under the entry point group labctl.commands."""
    top = argparse.ArgumentParser(
        prog="labctl",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"labctl {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)
    for name in OUR_COMMANDS:
        import_module(f"labctl.commands.{name}").add_command(commands)
    for entry in sorted(entry_points(group="labctl.commands"), key=lambda found: found.name):
        _add_foreign(commands, entry.name, entry.load)
    return top


def _add_foreign(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, load: Callable[[], object]
) -> None:
    """Add another package's command; one that cannot be loaded is shown as such and must not break the others."""
    try:
        add_command = load()
    except ImportError as error:
        reason = str(error)
        missing = commands.add_parser(name, help=f"not available: {reason}")
        missing.set_defaults(run=lambda _: _unavailable(name, reason))
        return
    add_command(commands)  # type: ignore[operator]


def _unavailable(name: str, reason: str) -> int:
    raise LabctlError(f"labctl {name} cannot be loaded: {reason}; install what is missing (pip install 'labctl[all]')")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 an error that was told, 2 wrong usage, 130 stopped."""
    options = parser().parse_args(arguments)
    try:
        code = options.run(options)
    except Stopped as stopped:
        sys.stderr.write(f"stopped: {stopped}\n")
        return EXIT_STOPPED
    except (LabctlError, DriverError, TwinError) as error:
        sys.stderr.write(f"error: {error}\n")
        return EXIT_ERROR
    except ImportError as error:
        sys.stderr.write(f"error: {error}; the twins need torch: pip install 'labctl[twins]'\n")
        return EXIT_ERROR
    return int(code or 0)


if __name__ == "__main__":
    sys.exit(main())
