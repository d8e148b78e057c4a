"""`labctl network close-gap`: deploy a network, refit its twins on what the bench did, fine-tune, until both agree."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.commands.arguments import check_folder, check_new, positive_integer, positive_seconds, seed
from labctl.commands.network_arguments import GivenTwins, load_twins

if TYPE_CHECKING:
    from labctl.bench import Bench
    from labctl.campaigns.gap_design import GapSettings, Recorded
    from labctl.campaigns.network_files import NetworkFiles
    from labctl.clearance import Clearance, Gates
    from twins.network.wiring import Wiring


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

    Raises GatesNotPassed, before the bench is opened, as `clearance_of` does.
    """
    from labctl.bench import Bench
    from labctl.campaign import Journal
    from labctl.campaign import run as run_campaign
    from labctl.campaigns.close_gap import close_the_gap
    from labctl.campaigns.gap_design import GapBudget
    from labctl.console import Console

    twins = {device: files[0] for device, files in files_from(options.twin, "--twin").items()}
    network, given = network_of(options), load_twins(options.twin)
    clearance = clearance_of(options, network, given)
    settings, recorded = _settings(options), _recorded(options, twins, network, given)
    check_folder(options.out)
    check_new([options.out / name for name in ("gap.json", "network", "round-1")])
    with Bench.open(options.station) as bench, Journal(options.out / "journal.jsonl") as journal:
        say_simulated(bench, network, given)
        campaign = close_the_gap(
            bench,
            network.wirings["optimised"],
            twins,
            network.plan,
            clearance=clearance,
            budget=GapBudget(options.budget_s, options.rounds),
            seed=options.seed,
            folder=options.out,
            settings=settings,
            conditions=network.conditions,
            recorded=recorded,
        )
        result = run_campaign(campaign, on_event=Console(), journal=journal)
        report = bench.make_safe()
        outcome = {"task": network.task, "simulated": bench.simulated, "outputs_safe": report.ok, **result.as_dict()}
        write_outcome(options.out / "gap.json", outcome)
        provenance = bench.provenance(seed=options.seed)
    leave_network(options, network, result.wiring, result.twins, result.gates, provenance)
    return 0 if report.ok else 1


def leave_network(
    options: argparse.Namespace,
    network: NetworkFiles,
    wiring: Wiring,
    twins: Mapping[str, Path],
    gates: Mapping[str, Gates],
    provenance: dict[str, Any],
) -> None:
    """The best wiring as a network folder, with what these twins promise on the network's own examples, and their gates,
    by which `labctl deploy` judges. A warning if it will refuse them."""
    from labctl.campaign import run as run_campaign
    from labctl.campaigns.fine_tune import promise_of
    from labctl.campaigns.retold_network import retell_network
    from labctl.clearance import shortcomings
    from labctl.console import Console

    promised = run_campaign(
        promise_of(
            wiring,
            twins,
            network.plan,
            network.examples[1],
            n_draws=24,
            seed=options.seed,
            key="promise",
        ),
        on_event=Console(),
    )
    retell_network(
        options.network,
        options.out / "network",
        wiring=wiring,
        promise=promised,
        gates=gates,
        provenance=provenance,
    )
    for fault in (fault for device, one in gates.items() for fault in shortcomings(device, one)):
        sys.stderr.write(f"WARNING {fault}; `labctl deploy` will refuse this network\n")


def clearance_of(options: argparse.Namespace, network: NetworkFiles, given: GivenTwins) -> Clearance:
    """Leave to play the network, and what comes out of training it on the twins that are given: both the twins that it was
    optimised on and these must have passed. Where the former did not, its gates hold.

    Raises GatesNotPassed; UsageError for a device of the network without a twin.
    """
    from labctl.clearance import clear, shortcomings
    from labctl.errors import GatesNotPassed, UsageError

    missing = [device for device in network.devices if device not in given.twins]
    if missing:
        raise UsageError(f"the network plays on {', '.join(missing)}; give --twin {missing[0]}=FILE")
    try:
        clear(network.devices, network.gates, override=options.override_gates)
    except GatesNotPassed as error:
        raise GatesNotPassed(f"{options.network}, of the twins that it was optimised on: {error}") from error
    before = {device: network.gates.get(device, {}) for device in network.devices}
    at_fault = {device: one for device, one in before.items() if shortcomings(device, one)}
    return clear(network.devices, {**given.gates, **at_fault}, override=options.override_gates)


def network_of(options: argparse.Namespace) -> NetworkFiles:
    """The network in the folder, with the task of the user's own if one is named. Raises UsageError where its task cannot
    draw fresh examples."""
    from labctl.campaigns.network_files import load_network
    from labctl.campaigns.recorded_task import RecordedTask
    from labctl.errors import UsageError
    from labctl.own_task import load_own_task

    network = load_network(options.network, task=load_own_task(options.task) if options.task else None)
    if isinstance(network.plan.task, RecordedTask):
        own = network.own_task
        named = "FILE.py:ClassName" if own is None else f"{own.file}:{own.class_name}"
        why = "; ".join(network.notes) or "its class is needed, whose file is run"
        raise UsageError(
            f"fresh examples of {network.task} cannot be drawn: {why}; give --task {named}, as it was when the network was "
            "optimised, or measure the network on the stored examples (`labctl deploy`)"
        )
    return network


def say_simulated(bench: Bench, network: NetworkFiles, given: GivenTwins) -> None:
    """What a person should know before anything is played."""
    for note in network.notes:
        sys.stderr.write(f"WARNING {note}\n")
    if bench.simulated:
        sys.stderr.write(f"SIMULATED bench {bench.station.name!r}\n")
        return
    for what, simulated in (("this network was", network.simulated), ("these twins were", given.simulated)):
        if simulated:
            sys.stderr.write(f"WARNING {what} learned on SIMULATED devices, and this bench is a real one\n")


def write_outcome(path: Path, outcome: dict[str, Any]) -> None:
    """To standard output and to the file; before the bench is closed, which raises if an output is not safe."""
    from labctl.campaigns.finish_twin import plain
    from labctl.json_file import json_text, write_json

    sys.stdout.write(json_text(plain(outcome)))
    sys.stdout.flush()
    write_json(path, plain(outcome))


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


def _settings(options: argparse.Namespace) -> GapSettings:
    from labctl.campaigns.gap_design import GapSettings

    return GapSettings(
        n_training_trials=options.examples,
        n_judged_trials=options.judged,
        n_repeats=options.repeats,
        spreads=options.spreads,
    )


def _recorded(
    options: argparse.Namespace, twins: dict[str, Path], network: NetworkFiles, given: GivenTwins
) -> Recorded:
    """The recordings of the twins: as given, or as their files name them, if these are still as they were."""
    from labctl.campaigns.gap_design import Recorded
    from labctl.commands.given_recordings import check_recordings
    from labctl.station import load_station

    training, heldout = files_from(options.training, "--training"), files_from(options.heldout, "--heldout")
    if not options.no_earlier:
        for device in network.devices:
            if device not in training:
                training[device] = earlier_recordings(device, twins[device])
    station = load_station(options.station)
    for option, files in (("--training", training), ("--heldout", heldout)):
        check_recordings(files, option, station=station, given=given, devices=network.devices)
    return Recorded(training, heldout)


def earlier_recordings(device: str, twin: Path) -> list[Path]:
    """The recordings that a twin's file says it was fitted to (see labctl.earlier_recordings), with warnings on standard
    error. Raises UsageError for those that are gone or have changed."""
    from labctl.earlier_recordings import earlier_recordings_of

    found, warnings = earlier_recordings_of(device, twin)
    for told in warnings:
        sys.stderr.write(f"WARNING {told}\n")
    return found
