"""Every task on twins of the two simulated demo devices: linear on taps, reservoir, optimised promise.

    python benchmarks/tasks.py --json tasks.json
    python benchmarks/tasks.py --quick                       at most 40 s of optimising a task
    python benchmarks/tasks.py --tasks lorenz spoken_digits  some of them
    python benchmarks/tasks.py --twins FOLDER                leaky and duffing twins of an earlier run, or fitted into it

Each task is optimised by its plan (labctl.campaigns.plans) and all rivals are judged on the same held-out examples:

    linear     ridge or softmax regression on the taps that the network reaches, and on the last 20 steps
    reservoir  the best of the plan's random networks, its read-out fitted on four noise draws of the training examples
    optimised  the optimiser's wiring and read-out

The last two are played on the twins, 24 noise draws each. Devices are SIMULATED, and nothing is measured on them here.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import read_options, write_results

from labctl.bench import Bench
from labctl.campaign import run
from labctl.campaigns.characterise import characterise
from labctl.campaigns.fit_twin import fit_twin
from labctl.campaigns.optimise_network import OptimisedNetwork, allowed_ranges, optimise_network
from labctl.campaigns.plans import PLAN_NAMES, plan_for
from labctl.campaigns.told import drained
from labctl.demo import CONDITIONS, DRIVE_RANGES, FITS
from labctl.network_bench import apply_conditions
from labctl.simulation import SimulatedBench, write_demo_station
from twins import DeviceTwin, load_twin
from twins.network.baselines import linear_on_taps
from twins.network.judging import Promise, promise, with_readout_of_draws
from twins.network.network import PhysicalNetwork
from twins.network.scores import Score

DT_S = 2e-4
QUICK_BUDGET_S = 40.0
N_DRAWS = 24


def main() -> None:
    """Every task, one after the other; what is done is written after each."""
    options = read_options(__doc__, more=_arguments)
    torch.set_num_threads(1)
    rows: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.twins or Path(temporary)
        if not all((folder / f"{device}.json").exists() for device in FITS):
            fit_twins(folder, options.seed)
        twins = {device: load_twin(folder / f"{device}.json") for device in FITS}
        sys.stdout.write(f"SIMULATED devices, twins of {', '.join(twins)}\n{HEADER}\n")
        for name in options.tasks:
            rows[name] = one_task(name, twins, seed=options.seed, budget_s=QUICK_BUDGET_S if options.quick else None)
            sys.stdout.write(f"{line(name, rows[name])}\n")
            sys.stdout.flush()
            write_results(options, {"simulated": True, "tasks": rows})


def fit_twins(folder: Path, seed: int) -> None:
    """Record both devices of a simulated bench and fit their twins, as the demo does."""
    with tempfile.TemporaryDirectory() as data, SimulatedBench.start() as simulation:
        station = write_demo_station(simulation, Path(data) / "station.toml")
        with Bench.open(station) as bench:
            apply_conditions(bench, CONDITIONS)
            for number, (device, settings) in enumerate(FITS.items()):
                rng = np.random.default_rng([seed, number])
                recorded = run(characterise(bench, device, folder=Path(data), rng=rng), on_event=_silent)
                fit = fit_twin(
                    device, [recorded.training], recorded.heldout, seed=seed, settings=settings, folder=folder
                )
                run(fit, on_event=_silent)


def one_task(name: str, twins: Mapping[str, DeviceTwin], *, seed: int, budget_s: float | None) -> dict[str, Any]:
    """The figures of one task."""
    began = time.perf_counter()
    plan = plan_for(name, tuple(twins), dt_s=DT_S).with_budget(budget_s)
    ranges = allowed_ranges(twins, None, DRIVE_RANGES)
    optimised = run(
        optimise_network(
            twins, plan, ranges=ranges, widest_ranges=allowed_ranges(twins, None), seed=seed, examples_seed=seed + 1
        ),
        on_event=_silent,
    )
    spent_s = time.perf_counter() - began
    reservoir = reservoir_promise(optimised, twins, seed=seed)
    training, heldout = plan.examples(seed=seed + 1)
    linear = {
        "linear_same_taps": linear_on_taps(plan.task.metric, training, heldout, taps=plan.reachable_taps),
        "linear_20_taps": linear_on_taps(plan.task.metric, training, heldout, taps=range(20)),
    }
    return {
        "metric": plan.task.metric,
        "n_nodes": plan.n_nodes,
        **{who: _of_score(one) for who, one in linear.items()},
        "reservoir": _of_promise(reservoir),
        "optimised": _of_promise(optimised.promise),
        "optimised_over_reservoir": optimised.promise.mean / reservoir.mean,
        "n_iterations": len(optimised.learning_curve),
        "seconds": spent_s,
    }


def reservoir_promise(optimised: OptimisedNetwork, twins: Mapping[str, DeviceTwin], *, seed: int) -> Promise:
    """The reservoir's score on the held-out examples, its read-out fitted on the training examples as played on twins."""
    plan = optimised.plan
    training, heldout = plan.examples(seed=optimised.examples_seed)
    generator = torch.Generator().manual_seed(seed)
    network = PhysicalNetwork(optimised.reservoir, twins)
    refitted = drained(with_readout_of_draws(network, plan.task.metric, training, generator, n_draws=4))
    return drained(promise(refitted, twins, plan.task.metric, heldout, generator=generator, n_draws=N_DRAWS))


HEADER = (
    f"{'task':19}{'metric':14}{'linear, taps':>13}{'linear, 20':>12}{'reservoir':>11}{'optimised':>11}"
    f"{'±':>8}{'ratio':>7}{'s':>6}  further figures: linear, reservoir, optimised"
)


def line(name: str, row: Mapping[str, Any]) -> str:
    """One line of the table."""
    numbers = (
        f"{row['linear_same_taps']['value']:13.3f}{row['linear_20_taps']['value']:12.3f}"
        f"{row['reservoir']['value']:11.3f}{row['optimised']['value']:11.3f}{row['optimised']['std']:8.3f}"
        f"{row['optimised_over_reservoir']:7.2f}{row['seconds']:6.0f}"
    )
    further = [
        f"{figure} " + " ".join(f"{row[who][figure]:.3f}" for who in ("linear_same_taps", "reservoir", "optimised"))
        for figure in row["optimised"]
        if figure not in ("value", "std")
    ]
    return f"{name:19}{row['metric']:14}{numbers}  {'; '.join(further)}"


def _of_score(one: Score) -> dict[str, float]:
    return {"value": one.value, **({} if one.accuracy is None else {"accuracy": one.accuracy}), **one.details}


def _of_promise(one: Promise) -> dict[str, float]:
    accuracy = {} if one.accuracy is None else {"accuracy": one.accuracy}
    return {"value": one.mean, "std": one.std, **accuracy, **one.details}


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tasks", nargs="+", choices=PLAN_NAMES, default=list(PLAN_NAMES), metavar="NAME")
    parser.add_argument("--twins", type=Path, metavar="FOLDER", help="where twins are, or are to be kept")


def _silent(_: object) -> None:
    pass


if __name__ == "__main__":
    main()
