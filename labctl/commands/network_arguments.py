"""Twins, ranges and conditions as they are given on the command line."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from labctl.errors import UsageError
from labctl.given_twins import GivenTwins, given_twins

__all__ = ["GivenTwins", "add_network_arguments", "conditions_from", "load_twins", "ranges_from"]


def add_network_arguments(
    parser: argparse.ArgumentParser, *, task_help: str = "instead of a file, with the usual network for it"
) -> None:
    """Which network a command is about, on which twins, within which ranges and under which conditions."""
    parser.add_argument(
        "network",
        type=Path,
        nargs="?",
        metavar="NETWORK.toml",
        help="the file that describes the network; or give --task",
    )
    parser.add_argument(
        "--twin", action="append", required=True, metavar="DEVICE=FILE", help="a device and its twin; repeatable"
    )
    parser.add_argument("--task", metavar="NAME", help=task_help)
    parser.add_argument(
        "--range", action="append", default=[], metavar="DEVICE=LOW:HIGH", help="narrower drive range; repeatable"
    )
    parser.add_argument(
        "--condition", action="append", default=[], metavar="CHANNEL=VALUE",
        help="where a set-point is held, for twins fitted at several values of it; repeatable",
    )  # fmt: skip


def load_twins(arguments: Sequence[str]) -> GivenTwins:
    """DEVICE=FILE arguments, each a twin or an ensemble.

    Raises UsageError for another form, for a device named twice, or for twins of contradicting conditions.
    """
    files: dict[str, str] = {}
    for argument in arguments:
        name, separator, path = argument.partition("=")
        if not separator or not name or not path:
            raise UsageError(f"--twin {argument!r}: expected DEVICE=FILE")
        if name in files:
            raise UsageError(f"--twin {argument!r}: a twin of {name} was given already")
        files[name] = path
    return given_twins(files)


def ranges_from(arguments: Sequence[str]) -> dict[str, tuple[float, float]]:
    """DEVICE=LOW:HIGH arguments as ranges; raises UsageError for anything else."""
    ranges: dict[str, tuple[float, float]] = {}
    for argument in arguments:
        name, _, edges = argument.partition("=")
        low, _, high = edges.partition(":")
        try:
            ranges[name] = (float(low), float(high))
        except ValueError as error:
            raise UsageError(f"--range {argument!r}: expected DEVICE=LOW:HIGH with two numbers") from error
    return ranges


def conditions_from(arguments: Sequence[str], recorded: Mapping[str, float]) -> dict[str, float]:
    """CHANNEL=VALUE arguments; raises UsageError for anything else, or for another value than all recordings had."""
    given: dict[str, float] = {}
    for argument in arguments:
        name, _, value = argument.partition("=")
        try:
            given[name] = float(value)
        except ValueError as error:
            raise UsageError(f"--condition {argument!r}: expected CHANNEL=VALUE with a number") from error
        if recorded.get(name, given[name]) != given[name]:
            raise UsageError(f"--condition {argument}: the twins were recorded at {name} = {recorded[name]:g} alone")
    return given
