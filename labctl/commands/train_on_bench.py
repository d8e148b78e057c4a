"""`labctl network train-on-bench`: physics-aware training, hardware forward and twins backward."""

from __future__ import annotations

import argparse

from labctl.commands.arguments import check_folder, check_new, positive_integer
from labctl.commands.close_gap import add_bench_arguments, read_network, run_on_bench


def add_action(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the action to `labctl network`."""
    train = actions.add_parser(
        "train-on-bench", help="physics-aware training: the bench forward, the twins backward, within a device time"
    )
    add_bench_arguments(train)
    train.add_argument("--iterations", type=positive_integer, default=200, help="at most (default 200)")
    train.add_argument(
        "--validations", type=positive_integer, help="how often the network is measured on held-out examples"
    )
    train.add_argument("--learning-rate", type=float, metavar="RATE", help="default: 0.3 of the plan's")
    train.set_defaults(run=run_train_on_bench)


def run_train_on_bench(options: argparse.Namespace) -> int:
    """Train, write `outcome.json` and the network as `network`, ready to be deployed; the outputs end safe.

    Raises GatesNotPassed, before the bench is opened, as network_to_play does.
    """
    from labctl.campaigns.network_on_bench import train_on_bench_into

    twins, played = read_network(options)
    check_folder(options.out)
    check_new([options.out / name for name in ("outcome.json", "network", "iteration-001", "validation-1")])
    return run_on_bench(
        options,
        lambda bench: train_on_bench_into(
            bench,
            played,
            twins,
            folder=options.out,
            budget_s=options.budget_s,
            iterations=options.iterations,
            examples=options.examples,
            validations=options.validations,
            learning_rate=options.learning_rate,
            seed=options.seed,
        ),
    )
