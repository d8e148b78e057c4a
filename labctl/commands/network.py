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
from labctl.errors import UsageError
from labctl.unfinished import STATE, unfinished

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
    "unfinished",
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
    from labctl.campaigns.optimise_into import optimise_into
    from labctl.commands.close_gap import files_from
    from labctl.console import Console

    if (options.network is None) == (options.task is None):
        raise UsageError("give either NETWORK.toml, the file that describes the network, or --task NAME")
    twins = {device: files[0] for device, files in files_from(options.twin, "--twin").items()}
    campaign = optimise_into(
        options.out,
        twins,
        network=options.network,
        task=options.task,
        station=options.station,
        ranges=ranges_from(options.range),
        conditions=conditions_from(options.condition, {}),
        seconds=options.seconds,
        seed=options.seed,
        resume=options.resume,
    )
    try:
        promised = run(campaign, on_event=Console())
    except KeyboardInterrupt:
        state = options.out / STATE
        if state.exists():
            sys.stderr.write(f"{state}: what was done so far; the same command with --resume goes on from there\n")
        raise
    sys.stdout.write(json.dumps(promised, indent=2) + "\n")
    return 0
