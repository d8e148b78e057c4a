"""`labctl station set`, `remove`, `rename`, `new`, `instruments`: write station files, without an editor."""

from __future__ import annotations

import argparse
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SET = """\
Change fields of a station file, keeping its comments and order. Nothing is written unless the whole file is valid
afterwards; the file of before is kept as FILE.bak. A VALUE is written as in the file: 0.5, true, [-1, 1],
{ value = 0.0, how = "ramp" }; a text may go without quotation marks. A KEY that is not there is added.

    labctl station set bench.toml channels.gate.limits '[-1, 1]' channels.gate.ramp_per_s 0.5
"""


def add_actions(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the actions to `labctl station`."""
    put = actions.add_parser(
        "set",
        help="change fields of a station file, keeping comments and order",
        description=SET,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    put.add_argument("station", type=Path, help="station file (TOML)")
    put.add_argument(
        "fields", nargs="+", metavar="KEY VALUE", help="such as channels.gate.limits '[-1, 1]'; repeatable"
    )
    put.set_defaults(run=run_set)
    remove = actions.add_parser("remove", help="remove fields, or whole instruments, channels and devices")
    remove.add_argument("station", type=Path, help="station file (TOML)")
    remove.add_argument("keys", nargs="+", metavar="KEY", help="such as channels.gate or channels.gate.description")
    remove.set_defaults(run=run_remove)
    rename = actions.add_parser("rename", help="rename an instrument, a channel or a device wherever it is named")
    rename.add_argument("station", type=Path, help="station file (TOML)")
    rename.add_argument("key", metavar="KEY", help="such as channels.gate")
    rename.add_argument("name", help="its new name")
    rename.set_defaults(run=run_rename)
    new = actions.add_parser("new", help="write a small valid station file to begin from")
    new.add_argument("station", type=Path, metavar="FILE", help="the file to write")
    new.add_argument("--name", default="my bench", help="a name for people (default: my bench)")
    new.add_argument("--driver", default="keithley_2400", help="of its instrument (default: keithley_2400)")
    new.add_argument("--address", help="VISA resource name of its instrument (default: an example)")
    new.add_argument("--terminal", default="output", help="which output of the instrument (default: output)")
    new.set_defaults(run=run_new)
    instruments = actions.add_parser("instruments", help="list the drivers there are, and what they are for")
    instruments.set_defaults(run=run_instruments)


def run_set(options: argparse.Namespace) -> int:
    """Change fields and print what changed."""
    from labctl.errors import UsageError
    from labctl.station_editing import edit_station

    fields: Sequence[str] = options.fields
    if len(fields) % 2:
        raise UsageError(f"{fields[-1]!r} has no value: give KEY VALUE, as often as needed")
    changes = {key: _value(text) for key, text in zip(fields[::2], fields[1::2], strict=True)}
    return _told(edit_station(options.station, change=changes))


def run_remove(options: argparse.Namespace) -> int:
    """Remove keys and print what changed."""
    from labctl.station_editing import edit_station

    return _told(edit_station(options.station, remove=options.keys))


def run_rename(options: argparse.Namespace) -> int:
    """Rename an entry and print what changed."""
    from labctl.errors import UsageError
    from labctl.station_editing import SECTIONS, StationDraft, parts_of

    parts = parts_of(options.key)
    if len(parts) != 2 or parts[0] not in SECTIONS:
        raise UsageError(f"{options.key!r} is no entry: give one of {', '.join(f'{one}.NAME' for one in SECTIONS)}")
    section, name = parts
    draft = StationDraft.read(options.station).renamed(section, name, options.name)
    draft.save()
    return _told(draft.difference())


def run_new(options: argparse.Namespace) -> int:
    """Write the file; never over another one."""
    from labctl.errors import UsageError
    from labctl.station_editing import StationDraft
    from labctl.station_new import EXAMPLE_ADDRESS, new_station_text

    if options.station.exists():
        raise UsageError(
            f"{options.station} exists already; give another FILE, or change this one by `labctl station set`"
        )
    text = new_station_text(
        name=options.name,
        driver=options.driver,
        address=options.address or EXAMPLE_ADDRESS,
        terminal=options.terminal,
    )
    StationDraft.of_text(text).save(options.station)
    sys.stdout.write(f"{options.station}: written; edit it, then `labctl station check {options.station}`\n")
    return 0


def run_instruments(_: argparse.Namespace) -> int:
    """Print every driver with the instruments it is for and what they offer."""
    from drivers.catalogue import catalogue

    for entry in catalogue():
        sys.stdout.write(f"  {entry.driver:22} {entry.instruments}\n")
        if entry.offers:
            sys.stdout.write(f"  {'':22}   offers {entry.offers}\n")
    sys.stdout.write(
        "  pymeasure:MODULE.CLASS any driver of PyMeasure, such as pymeasure:keithley.Keithley2400\n"
        "An instrument without a driver of its own: take scpi, and write its commands into the station file "
        "(docs/generic-scpi.md)\n"
    )
    return 0


def _told(difference: str) -> int:
    sys.stdout.write(f"{difference}\n" if difference else "nothing to change\n")
    return 0


def _value(text: str) -> Any:
    """A value as written in TOML; anything that is none is a text."""
    try:
        tables = tomllib.loads(f"x = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return tables["x"] if set(tables) == {"x"} else text
