"""`labctl network`: describe a network of twins, optimise it for a task, close its gap to the device."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from labctl.commands import cascade, close_gap, compare_noise, network_check, network_edit, train_on_bench
from labctl.commands.arguments import positive_seconds, seed
from labctl.commands.network_arguments import add_network_arguments, conditions_from, load_twins, ranges_from
from labctl.commands.network_wanted import description_of, wanted_network

TASK_HELP = (
    "narma10, narma30, mackey_glass, lorenz, memory_capacity, delayed_parity, sine_square, spoken_digits or "
    "waveform_synthesis; or FILE.py:ClassName, a task of your own, whose file is run"
)
__all__ = [
    "add_command",
    "conditions_from",
    "description_of",
    "load_twins",
    "ranges_from",
    "run_optimise",
    "wanted_network",
]


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    network = commands.add_parser("network", help="describe a network of twins, and optimise it for a task")
    actions = network.add_subparsers(title="actions", metavar="ACTION", required=True)
    network_check.add_actions(actions)
    network_edit.add_actions(actions)
    optimise = actions.add_parser("optimise", help="backpropagation through time on the twins, with sampled noise")
    add_network_arguments(optimise, task_help=f"instead of a file, with the usual network for it: {TASK_HELP}")
    optimise.add_argument(
        "--station", type=Path, help="station file whose limits bound the drives besides the fitted ranges"
    )
    optimise.add_argument("--seconds", type=positive_seconds, help="budget of the optimiser")
    optimise.add_argument("--seed", type=seed, help="seed (default: that of the file, or 0)")
    optimise.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where the network goes")
    optimise.add_argument(
        "--resume", action="store_true", help="go on where an interrupted run into --out stopped, if there is one"
    )
    optimise.set_defaults(run=run_optimise)
    close_gap.add_action(actions)
    train_on_bench.add_action(actions)
    cascade.add_action(actions)
    compare_noise.add_action(actions)


def run_optimise(options: argparse.Namespace) -> int:
    """Optimise, with a progress bar, and save the wirings with what they promise."""
    from labctl.campaign import run
    from labctl.campaigns.network_files import save_network
    from labctl.campaigns.network_needs import jump_warnings
    from labctl.campaigns.optimise_network import allowed_ranges, optimise_network
    from labctl.clearance import shortcomings
    from labctl.console import Console
    from labctl.provenance import collect_provenance
    from labctl.station import load_station
    from twins.network.multi_start_state import forget_choice

    station = load_station(options.station) if options.station else None
    description = description_of(options, station=station)
    given = load_twins(options.twin)
    wanted = wanted_network(options, description, given, station)
    for fault in (fault for name, one in given.gates.items() for fault in shortcomings(name, one)):
        sys.stderr.write(f"WARNING {fault}; `labctl deploy` will refuse this network\n")
    ranges = allowed_ranges(given.twins, station, ranges_from(options.range), options=wanted.plan.device_options)
    for told in jump_warnings(wanted.plan, station, ranges=ranges) if station else ():
        sys.stderr.write(f"WARNING {told}\n")
    state = unfinished(options.out, resume=options.resume)
    campaign = optimise_network(
        given.twins,
        wanted.plan,
        ranges=ranges,
        conditions=wanted.conditions,
        seed=wanted.seed,
        examples_seed=wanted.examples_seed,
        state=state,
    )
    try:
        optimised = run(campaign, on_event=Console())
    except KeyboardInterrupt:
        if state.exists():
            sys.stderr.write(f"{state}: what was done so far; the same command with --resume goes on from there\n")
        raise
    trained = wanted.plan.trained_conditions
    save_network(
        options.out,
        optimised,
        conditions={name: value for name, value in wanted.conditions.items() if name not in trained},
        gates=given.gates,
        provenance=collect_provenance(simulated=given.simulated, seed=wanted.seed),
        network_file=wanted.text,
    )
    forget_choice(state)
    promised = {
        "task": optimised.plan.task.name,
        "simulated": given.simulated,
        "promised": optimised.promise.mean,
        "promised_std": optimised.promise.std,
        **optimised.promise.details,
        "trained_conditions": {name: optimised.wiring.conditions[name] for name in trained},
    }
    sys.stdout.write(json.dumps({**promised, "folder": str(options.out)}, indent=2) + "\n")
    return 0


def unfinished(folder: Path, *, resume: bool) -> Path:
    """The file in which the optimiser keeps how far it is; raises UsageError if one is there and nobody said --resume."""
    from labctl.errors import UsageError

    state = folder / "unfinished.json"
    if state.exists() and not resume:
        raise UsageError(
            f"{state}: an interrupted run lies there; go on with --resume, or remove it and begin anew, or "
            "choose another --out"
        )
    return state
