"""Is it worth training several random starts? The same iterations spent on one network, or halved among many.

    python benchmarks/many_starts.py --json many_starts.json
    python benchmarks/many_starts.py --quick                       one seed, 30 iterations
    python benchmarks/many_starts.py --twins FOLDER                leaky and duffing twins of an earlier run, or fitted into it

Twins of the two SIMULATED demo devices, the plans of the tasks as they are, and for each pair of `drawn, trained` starts
the score promised on held-out examples, seed by seed: lower is better. Nothing is measured on a device here.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from measuring import read_options, write_results
from tasks import DT_S, fit_twins

from labctl.campaign import run
from labctl.campaigns.optimise_network import allowed_ranges, optimise_network
from labctl.campaigns.plans import plan_for
from labctl.demo import DRIVE_RANGES, FITS
from labctl.events import Event
from twins import DeviceTwin, load_twin

STARTS = {"delayed_parity": ((16, 1), (16, 4), (4, 1), (4, 4)), "narma10": ((16, 1), (16, 4))}
N_SEEDS = 5


def main() -> None:
    """Every pair of every task; what is done is written after each."""
    options = read_options(__doc__, more=_arguments)
    torch.set_num_threads(1)
    rows: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.twins or Path(temporary)
        if not all((folder / f"{device}.json").exists() for device in FITS):
            fit_twins(folder, options.seed)
        twins = {device: load_twin(folder / f"{device}.json") for device in FITS}
        for task, pairs in STARTS.items():
            rows[task] = {}
            for drawn, trained in pairs:
                seeds = range(options.seed, options.seed + (1 if options.quick else N_SEEDS))
                scores = [promised(task, twins, drawn, trained, seed=seed, quick=options.quick) for seed in seeds]
                rows[task][f"{drawn}, {trained}"] = scores
                sys.stdout.write(
                    f"SIMULATED {task:16}{drawn:4} drawn{trained:3} trained: mean {statistics.mean(scores):.4f}, "
                    f"largest {max(scores):.4f}\n"
                )
                sys.stdout.flush()
                write_results(options, {"simulated": True, "promised": rows})


def promised(task: str, twins: dict[str, DeviceTwin], drawn: int, trained: int, *, seed: int, quick: bool) -> float:
    """The score that the twins promise of what came of so many starts."""
    whole = plan_for(task, tuple(twins), dt_s=DT_S)
    # the reservoir beside it says nothing of starts: as small a search as there is
    plan = replace(whole, n_starts=drawn, n_trained_starts=trained, n_reservoir_draws=20, n_reservoir_trials=8)
    if quick:
        plan = replace(plan, settings=replace(plan.settings, n_iterations=30))
    campaign = optimise_network(
        twins, plan, ranges=allowed_ranges(twins, None, DRIVE_RANGES), seed=seed, examples_seed=seed + 1
    )
    return run(campaign, on_event=_silent).promise.mean


def _silent(event: Event) -> None:
    """What is done shows in the table."""


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--twins", type=Path, metavar="FOLDER", help="where the twins are, or are to be kept")


if __name__ == "__main__":
    main()
