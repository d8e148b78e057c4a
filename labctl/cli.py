"""The command line: `labctl COMMAND`. Importing this module loads neither torch nor Qt."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import entry_points

from drivers.errors import DriverError
from labctl import __version__
from labctl.background import leave_with
from labctl.errors import LabctlError, Stopped
from twins.errors import TwinError

OUR_COMMANDS = ("demo", "station", "sim", "record", "twin", "goku", "nca", "network", "deploy", "safe", "runs", "queue")
EXIT_ERROR = 1
EXIT_STOPPED = 128 + signal.SIGINT
EXIT_BROKEN_PIPE = 141
"""What a shell reports of a program that SIGPIPE ended: whoever read our output wants no more of it."""

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
    """Run one command and return its exit code: 0 done, 1 an error that was told, 2 wrong usage.

    Stopped by a signal: 128 and its number, that is 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP. 141: whoever read
    our output has gone.
    """
    options = parser().parse_args(arguments)
    try:
        code = _run(options)
        sys.stdout.flush()
    except BrokenPipeError:
        code = EXIT_BROKEN_PIPE
    if code == EXIT_BROKEN_PIPE:
        _drop_output()
    return code


def _run(options: argparse.Namespace) -> int:
    try:
        code = options.run(options)
    except KeyboardInterrupt as stopped:
        number = stopped.signal_number if isinstance(stopped, Stopped) else None
        _tell(stopped, f"stopped: {stopped}" if str(stopped) else "stopped")
        code = EXIT_STOPPED if number is None else 128 + number
        leave_with(code)
        return code
    except (LabctlError, DriverError, TwinError) as error:
        _tell(error, f"error: {error}")
        return EXIT_ERROR
    except BrokenPipeError:
        raise
    except OSError as error:  # a file or folder that cannot be read or written; instruments raise errors of their own
        where = f"{error.filename}: " if error.filename else ""
        _tell(error, f"error: {where}{error.strerror or error}")
        return EXIT_ERROR
    except ImportError as error:
        ours = (error.name or "").partition(".")[0] in ("labctl", "drivers", "twins", "gui")
        hint = "this installation is not whole" if ours else "the twins need torch: pip install 'labctl[twins]'"
        sys.stderr.write(f"error: {error}; {hint}\n")
        return EXIT_ERROR
    return int(code or 0)


def _tell(error: BaseException, text: str) -> None:
    """The error's text and its notes (what was measured, how the outputs are), on standard error."""
    sys.stderr.write("\n".join([text, *getattr(error, "__notes__", [])]) + "\n")


def _drop_output() -> None:
    """Nobody reads it any more; without this Python would complain once again when it ends."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            with contextlib.suppress(OSError):  # a stream without a descriptor has nothing to complain of
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


if __name__ == "__main__":
    sys.exit(main())
