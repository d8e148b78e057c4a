"""Cascade learning against end-to-end optimisation, both measured on the device, with 2, 3 and 4 layers.

    python benchmarks/cascade.py --quick --json cascade.json

SIMULATED devices behind simulated instruments: leaky integrators, or with --device duffing double-well oscillators. NARMA-10 by
layers of four nodes with input taps 0..2 and coupling delays 0 and 3: a network of two layers reaches 5 steps back, of three
8, of four 11, so depth is what gives it the ten steps of the task. Both ways have the same networks, the same number of
passes for every layer (a pass of the cascade simulates one layer, a pass of end-to-end all of them: about the same work),
the same number of examples on the device to fit the read-out on, and the same held-out ones.

layers          on twins of the device: cascade_measured, end_to_end_measured, reservoir_measured (the best random network
                of the twins' search) all with the read-out fitted on measured examples, end_to_end_own_readout with that
                of the twins. Device seconds: of the cascade all its plays, of end-to-end training and held-out examples.
                cascade_layers: promised on the twins and measured, layer by layer
spoilt_twins    the same on twins of a device whose time constant is longer by --spoilt (0.1 and 0.3 of it), as if the one
                on the bench had drifted since

cascade_measured is with layers that are trained by a read-out of all layers so far, cascade_own_readouts_measured by one of
the layer in training alone; the final read-out is of all layers in both.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from measuring import read_options, write_results

from labctl.bench import Bench
from labctl.campaign import run
from labctl.campaigns.cascade import cascade
from labctl.campaigns.cascade_options import CascadedNetwork, CascadeOptions
from labctl.campaigns.characterise import CharacterisationDesign, characterise
from labctl.campaigns.drive_ranges import allowed_ranges
from labctl.campaigns.fit_twin import FitSettings, FittedTwin, fit_twin
from labctl.campaigns.optimise_network import OptimisedNetwork, optimise_network
from labctl.campaigns.plans import TaskPlan, plan_for
from labctl.clearance import clear
from labctl.deployment import Measurement, deploy, mean_of
from labctl.network_bench import apply_conditions
from labctl.simulation import SimulatedBench, demo_bench, write_demo_station
from labctl.workers import Job, side_by_side
from twins.network.initialise import Architecture

DT_S = 2e-4
NODES, DEPTHS = 4, (2, 3, 4)
DEVICES = {
    "leaky": ("tau_s", 1e-3, FitSettings(choice="plain", response_delays=1, drive_delays=1, hidden=(16, 16)), None),
    "duffing": ("time_unit_s", 4e-4, FitSettings(choice="plain"), (-0.3, 0.3)),
}
"""The time constant in the bench file and its value (s), the fit, and a narrower drive range (V)."""
CONDITIONS = {"leaky": {}, "duffing": {"duffing_bias": 0.05}}
DESIGN = CharacterisationDesign(n_trials=30, n_samples=400)
N_TRAINING, N_VALIDATION, N_HELDOUT, N_REPEATS = 40, 24, 48, 3
WHY = "a benchmark on simulated devices"


def main() -> None:
    """Every seed, with right and with spoilt twins side by side; medians at the end."""
    options = read_options(__doc__, more=more_options)
    seeds = [options.seed] if options.quick else list(range(options.seed, options.seed + 3))
    twins = [0.0, *options.spoilt]
    results: list[dict[str, Any]] = []
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        for seed in seeds:
            results += pool.map(one_run, [options] * len(twins), [seed] * len(twins), twins)
            write_results(options, document(results, options))
    sys.stdout.write(f"SIMULATED devices\n{table(results)}\n")


def more_options(parser: argparse.ArgumentParser) -> None:
    """What this script takes beside the common options."""
    parser.add_argument("--device", choices=tuple(DEVICES), default="leaky", help="which device (default leaky)")
    parser.add_argument(
        "--spoilt",
        type=float,
        nargs="*",
        default=[0.1, 0.3],
        help="how much longer time constants were (default 0.1 0.3)",
    )
    parser.add_argument("--passes", type=int, help="training passes of every layer (default 150, with --quick 80)")


def one_run(options: argparse.Namespace, seed: int, spoilt: float) -> dict[str, Any]:
    """One twin, all depths, on a bench of its own."""
    began_s = time.perf_counter()
    device = str(options.device)
    passes = options.passes or (80 if options.quick else 150)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        twin = learned(folder / "twin", device, seed, spoilt)
        with SimulatedBench.start(bench_file(folder / "bench", device, seed + 500, spoilt=0.0)) as simulation:
            station = write_demo_station(simulation, folder / "station.toml")
            with Bench.open(station) as bench:
                apply_conditions(bench, CONDITIONS[device])
                depths = []
                for n_layers in DEPTHS:
                    plan = the_plan(device, n_layers, passes, quick=options.quick)
                    depths.append(one_depth(bench, plan, twin, seed, folder / f"depth-{n_layers}"))
                    say(f"seed {seed}, twins {told_of(spoilt)}, {depths[-1]}")
    return {
        "seed": seed,
        "spoilt": spoilt,
        "twin_gates_passed": twin.passed,
        "passes_of_a_layer": passes,
        "depths": depths,
        "wall_seconds": time.perf_counter() - began_s,
    }


def one_depth(bench: Bench, plan: TaskPlan, twin: FittedTwin, seed: int, folder: Path) -> dict[str, Any]:
    """Both ways with so many layers."""
    twins = {twin.device: twin.path}
    wanted = DEVICES[twin.device][3]
    ranges = allowed_ranges({twin.device: twin.load()}, bench.station, {} if wanted is None else {twin.device: wanted})
    began_s = time.perf_counter()
    cascaded = cascade_of(bench, plan, twins, ranges, seed, folder / "cascade")
    cascade_s = time.perf_counter() - began_s
    own = cascade_of(bench, plan, twins, ranges, seed, folder / "own", readout_of="own")
    began_s = time.perf_counter()
    whole = replace(plan, n_training_trials=N_TRAINING + N_VALIDATION)  # as many as the cascade's read-out learns from
    job = Job(
        optimise_network,
        {
            "twins": twins,
            "plan": whole,
            "ranges": ranges,
            "conditions": CONDITIONS[twin.device],
            "seed": seed,
            "examples_seed": seed + 1,
        },
    )
    optimised: OptimisedNetwork = run(side_by_side({"end to end": job}))["end to end"]
    ours = played(bench, optimised, "optimised", folder)
    end_to_end_s = time.perf_counter() - began_s
    reservoir = played(bench, optimised, "reservoir", folder)
    return {
        "layers": len(plan.architecture.plans),
        "cascade_measured": cascaded.measurement.mean,
        "cascade_own_readouts_measured": own.measurement.mean,
        "end_to_end_measured": mean_of(ours.refitted_scores),
        "end_to_end_own_readout": ours.mean,
        "end_to_end_promised": optimised.promise.mean,
        "reservoir_measured": mean_of(reservoir.refitted_scores),
        "linear_same_taps": optimised.linear_same_taps,
        "device_seconds_cascade": cascaded.device_seconds,
        "device_seconds_end_to_end": ours.device_seconds,
        "wall_seconds_cascade": cascade_s,
        "wall_seconds_end_to_end_and_reservoir": end_to_end_s,
        "cascade_layers": layers_of(cascaded),
        "cascade_own_readouts_layers": layers_of(own),
    }


def layers_of(cascaded: CascadedNetwork) -> list[dict[str, float]]:
    """What every layer promised, and what the device did."""
    names = ("before", "promised", "measured", "heldout_measured")
    return [{name: getattr(layer, name) for name in names} for layer in cascaded.layers]


def cascade_of(
    bench: Bench,
    plan: TaskPlan,
    twins: Mapping[str, Path],
    ranges: Mapping[str, Any],
    seed: int,
    folder: Path,
    *,
    readout_of: Any = "all",
) -> CascadedNetwork:
    """A cascade from beginning to end."""
    campaign = cascade(
        bench,
        plan,
        twins,
        clearance=clear(twins, {}, override=WHY),
        ranges=ranges,
        conditions=CONDITIONS[next(iter(twins))],
        seed=seed,
        examples_seed=seed + 1,
        folder=folder,
        options=CascadeOptions(readout_of=readout_of, n_validation_trials=N_VALIDATION),
    )
    return run(campaign)


def played(bench: Bench, optimised: OptimisedNetwork, who: str, folder: Path) -> Measurement:
    """A network of the twins on the device, with its own read-out and with one that is fitted there."""
    plan = optimised.plan
    training, heldout = plan.examples(seed=optimised.examples_seed)
    return run(
        deploy(
            bench,
            optimised.wiring if who == "optimised" else optimised.reservoir,
            clearance=clear(plan.devices, {}, override=WHY),
            metric=plan.task.metric,
            heldout=heldout,
            training=training,
            n_repeats=N_REPEATS,
            folder=folder / who,
            key=who,
            title=who,
            seed=optimised.examples_seed,
        )
    )


def the_plan(device: str, n_layers: int, passes: int, *, quick: bool) -> TaskPlan:
    """NARMA-10 with few taps and long coupling delays."""
    plan = plan_for("narma10", (device,), dt_s=DT_S)
    return replace(
        plan,
        architecture=Architecture(
            layers=((device,) * NODES,) * n_layers,
            samples_per_step=3,
            sample_offsets=(0, 1, 2),
            dt_s=DT_S,
            input_taps=(0, 1, 2),
            coupling_delays=(0, 3),
            washout=plan.architecture.washout,
        ),
        settings=replace(plan.settings, n_iterations=passes, n_validation_draws=1),
        n_training_trials=N_TRAINING,
        n_heldout_trials=N_HELDOUT,
        n_repeats=N_REPEATS,
        n_reservoir_draws=20 if quick else 40,
    )


def bench_file(folder: Path, device: str, seed: int, *, spoilt: float) -> Path:
    """The demo's bench with noise of another seed, and a device that is so much slower."""
    folder.mkdir(parents=True, exist_ok=True)
    name, value_s, _, _ = DEVICES[device]
    text = demo_bench().read_text(encoding="utf-8").replace("seed = 7", f"seed = {1000 + seed}")
    as_it_is = {"tau_s": "tau_s = 1e-3", "time_unit_s": "time_unit_s = 4e-4"}[name]
    if as_it_is not in text:
        raise ValueError(f"the demo's bench has no device with {as_it_is!r}")
    path = folder / "bench.toml"
    path.write_text(text.replace(as_it_is, f"{name} = {value_s * (1.0 + spoilt)!r}"), encoding="utf-8")
    return path


def learned(folder: Path, device: str, seed: int, spoilt: float) -> FittedTwin:
    """Record such a device and fit its twin."""
    with SimulatedBench.start(bench_file(folder, device, seed, spoilt=spoilt)) as simulation:
        station = write_demo_station(simulation, folder / "station.toml")
        with Bench.open(station) as bench:
            apply_conditions(bench, CONDITIONS[device])
            rng = np.random.default_rng([seed, 1])
            recorded = run(characterise(bench, device, folder=folder, rng=rng, design=DESIGN, seed=seed))
    settings = DEVICES[device][2]
    return run(
        fit_twin(device, [recorded.training], recorded.heldout, seed=seed, settings=settings, folder=folder / "fit")
    )


def document(results: list[dict[str, Any]], options: argparse.Namespace) -> dict[str, Any]:
    """All runs, and medians over seeds under the names that are asked for."""
    return {
        "simulated": True,
        "device": options.device,
        "task": "narma10",
        "nodes_of_a_layer": NODES,
        "layers": medians([one for one in results if not one["spoilt"]]),
        "spoilt_twins": [
            {"spoilt": spoilt, **one}
            for spoilt in options.spoilt
            for one in medians([each for each in results if each["spoilt"] == spoilt])
        ],
        "runs": results,
    }


def medians(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of every figure, depth by depth; beside it the lowest and the highest where there are several seeds."""
    found = []
    for number in range(len(results[0]["depths"]) if results else 0):
        same = [one["depths"][number] for one in results]
        names = [name for name, value in same[0].items() if isinstance(value, float)]
        figures: dict[str, Any] = {"layers": same[0]["layers"], "n_seeds": len(same)}
        figures |= {name: statistics.median(one[name] for one in same) for name in names}
        if len(same) > 1:
            figures["range"] = {
                name: [min(one[name] for one in same), max(one[name] for one in same)]
                for name in names
                if name.endswith(("measured", "readout"))
            }
        found.append(figures)
    return found


def table(results: list[dict[str, Any]]) -> str:
    """Medians, one line a depth and kind of twin."""
    lines = []
    for spoilt in sorted({one["spoilt"] for one in results}):
        for one in medians([each for each in results if each["spoilt"] == spoilt]):
            lines.append(
                f"twins {told_of(spoilt)}, {one['layers']} layers: cascade {one['cascade_measured']:.4f} "
                f"(layers with own read-outs {one['cascade_own_readouts_measured']:.4f}), end to end "
                f"{one['end_to_end_measured']:.4f} (own read-out {one['end_to_end_own_readout']:.4f}), reservoir "
                f"{one['reservoir_measured']:.4f}; device seconds {one['device_seconds_cascade']:.0f}, "
                f"{one['device_seconds_end_to_end']:.0f}"
            )
    return "\n".join(lines)


def told_of(spoilt: float) -> str:
    """In words."""
    return f"of a device {100 * spoilt:.0f} % slower" if spoilt else "right"


def say(line: str) -> None:
    """At once, for runs of minutes."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
