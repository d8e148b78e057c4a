"""Twins, ranges and conditions as they are given on the command line."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.errors import UsageError

if TYPE_CHECKING:
    from twins.ensemble import AnyTwin


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


@dataclass(frozen=True, slots=True)
class GivenTwins:
    """twins: by device. conditions: under which all were recorded. simulated: whether any device was. gates: of each
    twin, empty for one that was not judged."""

    twins: Mapping[str, AnyTwin]
    conditions: Mapping[str, float]
    simulated: bool
    gates: Mapping[str, dict[str, Any]]

    def of(self, devices: Sequence[str]) -> GivenTwins:
        """Those of the devices of a network. Raises UsageError for a twin that no node needs; a missing one is told
        elsewhere, with its line."""
        needless = [name for name in self.twins if name not in devices]
        if needless:
            raise UsageError(
                f"--twin {needless[0]}=…: the network has no node on {needless[0]}; it has nodes on {', '.join(devices)}"
            )
        return self

    @property
    def dt_s(self) -> float:
        """Sampling time of the first."""
        return float(next(iter(self.twins.values())).spec.dt_s)


def load_twins(arguments: Sequence[str]) -> GivenTwins:
    """DEVICE=FILE arguments, each a twin or an ensemble.

    Raises UsageError for another form, for a device named twice, or for twins of contradicting conditions.
    """
    from twins import read_provenance
    from twins.ensemble_file import is_ensemble, load_any_twin, read_ensemble_provenance

    twins: dict[str, AnyTwin] = {}
    conditions: dict[str, float] = {}
    gates: dict[str, dict[str, Any]] = {}
    simulated = False
    for argument in arguments:
        name, separator, path = argument.partition("=")
        if not separator or not name or not path:
            raise UsageError(f"--twin {argument!r}: expected DEVICE=FILE")
        if name in twins:
            raise UsageError(f"--twin {argument!r}: a twin of {name} was given already")
        twins[name] = load_any_twin(path)
        provenance = read_ensemble_provenance(path) if is_ensemble(path) else read_provenance(path)
        gates[name] = dict(provenance.get("gates") or {})
        simulated = simulated or bool(provenance.get("simulated"))
        for channel, value in provenance.get("conditions", {}).items():
            if conditions.setdefault(channel, value) != value:
                raise UsageError(
                    f"{channel} was {conditions[channel]:g} for one twin and {value:g} for {name}: record them alike"
                )
    return GivenTwins(twins, conditions, simulated, gates)


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
