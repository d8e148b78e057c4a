"""`labctl network train-on-bench`: physics-aware training, hardware forward and twins backward."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from labctl.commands.arguments import check_folder, check_new, positive_integer
from labctl.commands.close_gap import (
    add_bench_arguments,
    clearance_of,
    files_from,
    leave_network,
    network_of,
    say_simulated,
    write_outcome,
)
from labctl.commands.network_arguments import load_twins

if TYPE_CHECKING:
    from labctl.campaigns.physics_aware_design import PhysicsAwareSettings


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
    """Train, write `training.json` and the network as `network`, ready to be deployed; the outputs end safe.

    Raises GatesNotPassed, before the bench is opened, as `clearance_of` does.
    """
    from labctl.bench import Bench
    from labctl.campaign import Journal
    from labctl.campaign import run as run_campaign
    from labctl.campaigns.physics_aware import train_physics_aware
    from labctl.console import Console

    twins = {device: files[0] for device, files in files_from(options.twin, "--twin").items()}
    network, given = network_of(options), load_twins(options.twin)
    clearance = clearance_of(options, network, given)
    check_folder(options.out)
    check_new([options.out / name for name in ("outcome.json", "network", "iteration-001", "validation-1")])
    with Bench.open(options.station) as bench, Journal(options.out / "journal.jsonl") as journal:
        say_simulated(bench, network, given)
        campaign = train_physics_aware(
            bench,
            network.wirings["optimised"],
            twins,
            network.plan,
            clearance=clearance,
            budget_s=options.budget_s,
            seed=options.seed,
            folder=options.out,
            settings=_settings(options),
            conditions=network.conditions,
        )
        result = run_campaign(campaign, on_event=Console(), journal=journal)
        report = bench.make_safe()
        outcome = {
            "task": network.task,
            "simulated": bench.simulated,
            "outputs_safe": report.ok,
            "clearance": clearance.as_dict(),
            **result.as_dict(),
        }
        write_outcome(options.out / "outcome.json", outcome)
        provenance = bench.provenance(seed=options.seed)
    leave_network(options, network, result.wiring, twins, clearance.gates, provenance)
    return 0 if report.ok else 1


def _settings(options: argparse.Namespace) -> PhysicsAwareSettings:
    from labctl.campaigns.physics_aware_design import PhysicsAwareSettings

    given = {
        "n_iterations": options.iterations,
        "n_trials": options.examples,
        "n_validations": options.validations,
        "learning_rate": options.learning_rate,
    }
    return PhysicsAwareSettings(**{name: value for name, value in given.items() if value is not None})
