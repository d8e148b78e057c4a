"""Device-seconds until a twin passes its gates: drives chosen where an ensemble disagrees most, against random ones.

    python benchmarks/active.py --quick --json active.json

SIMULATED devices: the demo's leaky integrator and double-well Duffing oscillator, behind simulated instruments, each
seed on a bench of its own. Both ways stream (see streaming.py) with the same design, the same first round, held-out
inputs and training of the twin that is judged; only the training drives of the later rounds differ: random steps over
the whole range, or the most telling of eight times as many candidates, by an ensemble of three of which that twin is the
first. Most of the device time goes into held-out repeats, alike in both ways, so training_seconds stand beside the whole.
--budget limits both. At the
end both twins are judged on inputs that neither has seen (not counted). Where chosen drives are no better than random
ones the figures say so: look at the spread over seeds before believing a difference.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from measuring import read_options, write_results
from streaming import DEVICES, Clock, again, bench_file, fit_fields, record_check

from labctl.bench import Bench
from labctl.campaign import run
from labctl.campaigns.fit_twin import FitSettings
from labctl.campaigns.stream_design import Drives, StreamBudget, StreamDesign
from labctl.campaigns.stream_twin import stream_twin
from labctl.demo import CONDITIONS
from labctl.network_bench import apply_conditions
from labctl.recording import Recording
from labctl.simulation import SimulatedBench, write_demo_station
from twins import load_twin

WAYS: tuple[Drives, ...] = ("random", "chosen")


def main() -> None:
    """Every seed and device, both ways; medians and spread at the end."""
    options = read_options(__doc__, more=more_options)
    seeds = range(options.seed, options.seed + (2 if options.quick else 6))
    devices = DEVICES[:1] if options.quick else DEVICES
    runs: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in seeds:
            for device in devices:
                runs.append(one_run(device, seed, Path(folder) / f"{device}-{seed}", options.budget))
                sys.stdout.write(f"{runs[-1]}\n")
                sys.stdout.flush()
                write_results(options, {"simulated": True, "runs": runs, "summary": summary(runs)})
    sys.stdout.write(f"SIMULATED devices\n{summary(runs)}\n")


def more_options(parser: argparse.ArgumentParser) -> None:
    """What this script takes beside the common options."""
    parser.add_argument("--budget", type=float, default=25.0, help="device-seconds of each way (default 25)")


def one_run(device: str, seed: int, folder: Path, budget_s: float) -> dict[str, Any]:
    """Both ways on benches of the same seed, so that device noise is drawn alike."""
    outcomes: dict[str, Any] = {}
    for way in WAYS:
        where = folder / way
        with SimulatedBench.start(bench_file(where, seed)) as simulation:
            station = write_demo_station(simulation, where / "station.toml")
            with Bench.open(station) as bench:
                apply_conditions(bench, CONDITIONS)
                check = run(record_check(bench, device, where, seed))
                outcomes[way] = streamed(bench, device, where, seed, check, drives=way, budget_s=budget_s)
    return {"device": device, "seed": seed, **outcomes}


def streamed(
    bench: Bench, device: str, folder: Path, seed: int, check: Recording, *, drives: Drives, budget_s: float
) -> dict[str, Any]:
    """One way: device-seconds used, whether it passed, and the course of the free-run score."""
    clock = Clock()
    result = run(
        stream_twin(
            bench,
            device,
            folder=folder / "stream",
            rng=np.random.default_rng([seed, 3]),
            seed=seed,
            budget=StreamBudget(device_seconds=budget_s),
            design=StreamDesign(n_first=6, n_trials=4, fit_epochs=100),
            settings=FitSettings(**fit_fields(device)),
            drives=drives,
        )
    )
    return {
        "passed": result.passed,
        "device_seconds": result.device_seconds,
        "training_seconds": sum(one.device_seconds for one in result.training),
        "rounds": [[one.device_seconds, one.passed, one.std_ratio, one.free_run_score] for one in result.rounds],
        "again": again(load_twin(result.fitted.path), check, seed),
        "cpu_seconds": clock.cpu_s,
        "wall_seconds": clock.wall_s,
    }


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """For each device: medians and ranges over seeds; one that did not pass counts with all that it spent."""
    told: dict[str, Any] = {}
    for device in dict.fromkeys(one["device"] for one in runs):
        same = [one for one in runs if one["device"] == device]
        trained = {way: [one[way]["training_seconds"] for one in same] for way in WAYS}
        used = {way: [one[way]["device_seconds"] for one in same] for way in WAYS}
        ratios = [one["chosen"]["device_seconds"] / one["random"]["device_seconds"] for one in same]
        told[device] = {
            "n_seeds": len(same),
            **{f"device_seconds_{way}": {"median": statistics.median(used[way]), "all": used[way]} for way in WAYS},
            **{
                f"training_seconds_{way}": {"median": statistics.median(trained[way]), "all": trained[way]}
                for way in WAYS
            },
            "chosen_over_random": {"median": statistics.median(ratios), "lowest": min(ratios), "highest": max(ratios)},
            **{f"passed_{way}": sum(one[way]["passed"] for one in same) for way in WAYS},
            **{f"passed_again_{way}": sum(one[way]["again"]["passed"] for one in same) for way in WAYS},
            "chosen_needed_less": sum(ratio < 1.0 for ratio in ratios),
        }
    return told


if __name__ == "__main__":
    main()
