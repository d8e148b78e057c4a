"""`labctl network close-gap`: deploy a network, refit its twins on what the bench did, fine-tune, until both agree."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.commands.arguments import check_folder, check_new, positive_integer, positive_seconds, seed

if TYPE_CHECKING:
    from labctl.bench import Bench
    from labctl.campaign import Campaign
    from labctl.campaigns.network_to_play import NetworkToPlay


def add_action(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the action to `labctl network`."""
    close = actions.add_parser(
        "close-gap",
        help="deploy, refit the twins on what the bench did, fine-tune, until promise and measurement agree",
    )
    add_bench_arguments(close)
    close.add_argument("--rounds", type=positive_integer, default=6, help="at most so many deployments (default 6)")
    close.add_argument(
        "--repeats",
        type=positive_integer,
        default=5,
        help="how often the judged examples are played (default 5, at least 3)",
    )
    close.add_argument("--judged", type=positive_integer, help="judged examples, never fitted to (default: as planned)")
    close.add_argument(
        "--spreads", type=float, default=1.0, help="how many of the device's spreads the gap may be (default 1)"
    )
    close.add_argument(
        "--training", action="append", default=[], metavar="DEVICE=FILE",
        help="recording that the device's twin was fitted to before; repeatable (default: those that its file names)",
    )  # fmt: skip
    close.add_argument(
        "--no-earlier", action="store_true", help="refit on the plays alone, whatever the twins were fitted to before"
    )
    close.add_argument(
        "--heldout", action="append", default=[], metavar="DEVICE=FILE",
        help="recording on which the refitted twin must pass its gates as well; repeatable",
    )  # fmt: skip
    close.set_defaults(run=run_close_gap)


def add_bench_arguments(parser: argparse.ArgumentParser) -> None:
    """What every action takes that trains a network on the bench."""
    parser.add_argument("station", type=Path, help="station file (TOML)")
    parser.add_argument("network", type=Path, help="folder that `labctl network optimise` wrote")
    parser.add_argument(
        "--twin", action="append", required=True, metavar="DEVICE=FILE", help="a device and its twin; repeatable"
    )
    parser.add_argument(
        "--budget-s", type=positive_seconds, required=True, metavar="SECONDS", help="device time that may be spent"
    )
    parser.add_argument("--examples", type=positive_integer, help="training examples that a round plays")
    parser.add_argument(
        "--task",
        metavar="FILE.py:ClassName",
        help="the class of a network's task of your own, whose file is run; fresh examples are drawn from it",
    )
    parser.add_argument(
        "--override-gates",
        metavar="REASON",
        help="play although a twin was not judged or did not pass its gates; the reason is kept with the outcome",
    )
    parser.add_argument("--seed", type=seed, default=0, help="seed (default 0)")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where everything goes")


def run_close_gap(options: argparse.Namespace) -> int:
    """Close the gap, write `gap.json` and the network as `network`, ready to be deployed; the outputs end safe.

    Raises GatesNotPassed, before the bench is opened, as network_to_play does.
    """
    from labctl.campaigns.network_on_bench import close_gap_into

    twins, played = read_network(options)
    training, heldout = _recordings(options, twins, played)
    check_folder(options.out)
    check_new([options.out / name for name in ("gap.json", "network", "round-1")])
    return run_on_bench(
        options,
        lambda bench: close_gap_into(
            bench,
            played,
            twins,
            folder=options.out,
            budget_s=options.budget_s,
            rounds=options.rounds,
            repeats=options.repeats,
            spreads=options.spreads,
            examples=options.examples,
            judged=options.judged,
            earlier=training,
            heldout=heldout,
            no_earlier=True,  # those that the twins' files name were looked up before the bench was opened
            seed=options.seed,
        ),
    )


def read_network(options: argparse.Namespace) -> tuple[dict[str, Path], NetworkToPlay]:
    """The twins' files, and the network that may be played with them. Raises as network_to_play does."""
    from labctl.campaigns.network_to_play import network_to_play

    twins = {device: files[0] for device, files in files_from(options.twin, "--twin").items()}
    return twins, network_to_play(options.network, twins, task=options.task, override=options.override_gates)


def run_on_bench(
    options: argparse.Namespace,
    campaign: Callable[[Bench], Campaign[dict[str, Any]]],
    told: Callable[[dict[str, Any]], dict[str, Any]] = dict,
) -> int:
    """Open the bench, run the campaign, print what is `told` of its outcome; 1 where an output is not safe."""
    from labctl.bench import Bench
    from labctl.campaign import Journal, run
    from labctl.console import Console
    from labctl.json_file import json_text

    with Bench.open(options.station) as bench, Journal(options.out / "journal.jsonl") as journal:
        if bench.simulated:
            sys.stderr.write(f"SIMULATED bench {bench.station.name!r}\n")
        outcome = run(campaign(bench), on_event=Console(), journal=journal)
        # Before the bench is closed: closing raises if an output is not safe.
        sys.stdout.write(json_text(told(outcome)))
        sys.stdout.flush()
    return 0 if outcome["outputs_safe"] else 1


def files_from(arguments: list[str], option: str) -> dict[str, list[Path]]:
    """DEVICE=FILE arguments by device; raises UsageError for another form, and for a file that is not there, but for twins,
    which are named without their suffix, too."""
    from labctl.errors import UsageError

    files: dict[str, list[Path]] = {}
    for argument in arguments:
        device, separator, path = argument.partition("=")
        if not separator or not device or not path:
            raise UsageError(f"{option} {argument!r}: expected DEVICE=FILE")
        if option != "--twin" and not Path(path).is_file():
            raise UsageError(f"{option} {argument!r}: there is no file {path}")
        files.setdefault(device, []).append(Path(path))
    if option == "--twin":
        twice = [device for device, found in files.items() if len(found) > 1]
        if twice:
            raise UsageError(f"--twin: {', '.join(twice)} is given more than one twin")
    return files


def _recordings(
    options: argparse.Namespace, twins: Mapping[str, Path], played: NetworkToPlay
) -> tuple[dict[str, list[Path]], dict[str, list[Path]]]:
    """The recordings of the twins: as given, or as their files name them, if these are still as they were; and those on which
    the refitted twins must pass."""
    from labctl.commands.given_recordings import check_recordings
    from labctl.station import load_station

    training, heldout = files_from(options.training, "--training"), files_from(options.heldout, "--heldout")
    devices = played.network.devices
    for device in devices if not options.no_earlier else ():
        if device not in training:
            training[device] = earlier_recordings(device, twins[device])
    station = load_station(options.station)
    for option, files in (("--training", training), ("--heldout", heldout)):
        check_recordings(files, option, station=station, given=played.given, devices=devices)
    return training, heldout


def earlier_recordings(device: str, twin: Path) -> list[Path]:
    """The recordings that a twin's file says it was fitted to (see labctl.earlier_recordings), with warnings on standard
    error. Raises UsageError for those that are gone or have changed."""
    from labctl.earlier_recordings import earlier_recordings_of

    found, warnings = earlier_recordings_of(device, twin)
    for told in warnings:
        sys.stderr.write(f"WARNING {told}\n")
    return found
