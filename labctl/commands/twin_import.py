"""`labctl twin import`: measured data of other programs, kept as recordings."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from labctl.commands.arguments import check_folder
from labctl.commands.data_arguments import add_data_arguments, check_columns_said, mapping_of


def add_action(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the action to `labctl twin`."""
    imported = actions.add_parser(
        "import",
        help="keep data of another program (CSV, HDF5, netCDF, .mat) as recordings, for the window and all else",
    )
    imported.add_argument("file", type=Path, help="the file; its columns are said with --drive and --response")
    imported.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where the recordings go")
    add_data_arguments(imported)
    imported.set_defaults(run=run_import)


def run_import(options: argparse.Namespace) -> int:
    """Import; print the recordings' files."""
    from labctl.campaign import run
    from labctl.campaigns.import_data import import_data
    from labctl.console import Console

    check_folder(options.out)
    check_columns_said(options, options.file)
    campaign = import_data(options.file, folder=options.out, **_read_options(options))
    for path in run(campaign, on_event=Console()):
        sys.stdout.write(f"{path}\n")
    return 0


def _read_options(options: argparse.Namespace) -> dict[str, Any]:
    """The options as `labctl.outside_data.read_traces` takes them."""
    from dataclasses import fields

    from labctl.outside_data import ColumnMap

    columns, treatments, dt_s = mapping_of(options, ColumnMap)
    read = {item.name: getattr(treatments, item.name) for item in fields(treatments)}
    for name in ("drive", "response", "time", "time_unit", "trial", "input_column", "units", "axes"):
        read[name] = getattr(columns, name)
    read["conditions"] = {**columns.conditions, **columns.condition_columns}
    return {**read, "dt_s": dt_s, "simulated": options.simulated}
