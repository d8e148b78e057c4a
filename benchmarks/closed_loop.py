"""A recurrent network of four nodes in a closed loop through the instruments of a simulated bench: promised and measured.

    python benchmarks/closed_loop.py --json closed_loop.json
    python benchmarks/closed_loop.py --quick            fewer trials, and the reservoir is left out

1. Four slow leaky integrators (60 to 200 ms), all live at once, are recorded sample by sample (40 ms); a twin of each.
2. A layer of four nodes that listen to each other one step back, two samples a step, is optimised on the twins for the
   parity of the last two bits, the newest one step ago (no linear model of the input sees it: cross-entropy 0.69).
3. The optimised network, and the best of random ones, are played in a closed loop: read all, compute, set all. First
   the loop's rate is measured. "own" is the read-out that the twins gave, "refitted" one fitted on the bench.

Devices and instruments are SIMULATED, in real time: what the rate says is of this machine and of the simulator.
"""

from __future__ import annotations

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
from labctl.campaigns.fit_twin import FitSettings, FittedTwin, fit_twin
from labctl.campaigns.optimise_network import OptimisedNetwork, allowed_ranges, optimise_network
from labctl.campaigns.plans import TaskPlan
from labctl.campaigns.record import record
from labctl.clearance import Clearance, clear, verdict_in_words
from labctl.deployment import deploy
from labctl.designs import combine, random_steps
from labctl.events import Event, Reported
from labctl.excitation import Excitation, repeats
from labctl.recording import Recording
from labctl.simulation import SimulatedBench, bundled_bench, bundled_station
from twins.network import Architecture, DelayedParity, InitialScales, LayerPlan, OptimiserSettings

DEVICES = ("leaky_1", "leaky_2", "leaky_3", "leaky_4")
# Two drive delays: on the bench a drive is set some milliseconds after its sample was read, so that a little of the one
# before acts on each sample as well.
FIT = FitSettings(choice="plain", response_delays=1, drive_delays=2, hidden=(16, 16), ensemble=1, max_seconds=60.0)
HOLDS = (1, 2, 3, 6)
"""Samples for which a level is held while the devices are recorded."""
SAMPLES = 60
"""Of each trial that they are recorded in."""


def main() -> None:
    """All three parts, one after the other."""
    options = read_options(__doc__)
    torch.set_num_threads(1)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as temporary, SimulatedBench.start(bundled_bench("closed_loop")) as simulation:
        folder = Path(temporary)
        station = simulation.write_station(folder / "station.toml", bundled_station("closed_loop"))
        with Bench.open(station) as bench:
            told(f"SIMULATED bench {bench.station.name!r}")
            recordings = record_all(bench, folder, seed=options.seed, n_trials=14 if options.quick else 28)
            fitted = fit_all(bench, recordings, folder, seed=options.seed)
            for device, one in fitted.items():
                told(verdict_in_words(device, one.gates))
            clearance = cleared(fitted)
            twins = {name: one.load() for name, one in fitted.items()}
            optimised = run(
                optimise_network(
                    twins,
                    plan_of(bench, quick=options.quick),
                    ranges=allowed_ranges(twins, bench.station),
                    seed=options.seed,
                    examples_seed=options.seed + 1,
                )
            )
            told(
                f"promised: cross-entropy {optimised.promise.mean:.3f}, accuracy {optimised.promise.accuracy:.3f}, "
                f"after {len(optimised.learning_curve)} iterations"
            )
            wirings = {"optimised": optimised.wiring}
            if not options.quick:
                wirings["reservoir"] = optimised.reservoir
            measured = {
                who: measure(bench, wiring, optimised, clearance, folder / who) for who, wiring in wirings.items()
            }
            figures = figures_of(bench, optimised, clearance, measured)
    figures["seconds"] = time.perf_counter() - began
    show(figures)
    write_results(options, figures)


def record_all(bench: Bench, folder: Path, *, seed: int, n_trials: int) -> tuple[Recording, Recording]:
    """Random levels on all devices at once, stepped: what the twins learn from, and repeats of other inputs to judge them."""
    rng = np.random.default_rng([seed, 0])
    training = random_levels(bench, n_trials, rng)
    heldout = repeats(random_levels(bench, 4, rng), 3)
    both = []
    for name, excitation in (("training", training), ("heldout", heldout)):
        path = folder / f"{name}.h5"
        both.append(run(record(bench, excitation, path=path, key=name, title=f"Record {name}", seed=seed)))
    return both[0], both[1]


def random_levels(bench: Bench, n_trials: int, rng: np.random.Generator) -> Excitation:
    """Levels of its own for each device, over the whole range that the station allows."""
    dt_s = bench.station.device(DEVICES[0]).dt_s
    drives = [bench.station.channels[name] for device in DEVICES for name in bench.station.device(device).drive]
    return combine(
        *(
            random_steps(
                channel.name,
                low=channel.limits[0],
                high=channel.limits[1],
                hold_s=[hold * dt_s for hold in HOLDS],
                duration_s=SAMPLES * dt_s,
                n_trials=n_trials,
                dt_s=dt_s,
                generator=rng,
            )
            for channel in drives
        )
    )


def fit_all(bench: Bench, recordings: tuple[Recording, Recording], folder: Path, *, seed: int) -> dict[str, FittedTwin]:
    """A twin of each device, from its channels of the recordings of all."""
    twins = {}
    for device in DEVICES:
        channels = bench.station.device(device)
        training, heldout = (one.of_channels(channels.drive, channels.response) for one in recordings)
        twins[device] = run(fit_twin(device, [training], heldout, seed=seed, settings=FIT, folder=folder / "twins"))
    return twins


def cleared(twins: Mapping[str, FittedTwin]) -> Clearance:
    """Leave to apply what is optimised on them; what their gates say is told with the figures."""
    gates = {name: one.gates for name, one in twins.items()}
    return clear(twins, gates, override="a benchmark on simulated devices, which tells what the gates said")


def plan_of(bench: Bench, *, quick: bool) -> TaskPlan:
    """Four nodes that all listen to each other, and parity of two bits."""
    task = DelayedParity(order=2, delay=1)
    return TaskPlan(
        task=task,
        architecture=Architecture(
            layers=(LayerPlan(DEVICES, sources=(0,)),),
            samples_per_step=2,
            sample_offsets=(0, 1),
            dt_s=bench.station.device(DEVICES[0]).dt_s,
            input_taps=(0,),
            coupling_delays=(1,),
            washout=task.washout,
        ),
        scales=InitialScales(),
        settings=OptimiserSettings(
            n_iterations=240 if quick else 400,
            n_trials=96,
            n_steps=10,
            learning_rate=0.04,
            n_validation_trials=128,
            n_readout_trials=256,
            budget_seconds=120.0 if quick else None,
        ),
        n_steps=20,
        n_training_trials=8 if quick else 16,
        n_heldout_trials=12 if quick else 24,
        n_reservoir_draws=20,
        n_trained_starts=4,  # parity is learned suddenly, or not at all, and that depends on where one begins
    )


def measure(
    bench: Bench, wiring: Any, optimised: OptimisedNetwork, clearance: Clearance, folder: Path
) -> dict[str, Any]:
    """Deploy: played in a closed loop, because the wiring is recurrent."""
    training, heldout = optimised.plan.examples(seed=optimised.examples_seed)
    reports: list[dict[str, Any]] = []

    def on_event(event: Event) -> None:
        if isinstance(event, Reported) and "loop_rate" in event.outcome:
            reports.append(dict(event.outcome))

    measurement = run(
        deploy(
            bench,
            wiring,
            clearance=clearance,
            metric=optimised.plan.task.metric,
            heldout=heldout,
            training=training,
            folder=folder,
            key=f"deploy/{folder.name}",
            title=f"Measure {folder.name}",
            seed=optimised.examples_seed,
        ),
        on_event=on_event,
    )
    refitted = measurement.refitted_scores[0]
    return {
        "own": {"cross_entropy": measurement.mean, "accuracy": measurement.scores[0].accuracy},
        "refitted": {"cross_entropy": refitted.value, "accuracy": refitted.accuracy},
        "device_seconds": measurement.device_seconds,
        **reports[0],
    }


def figures_of(
    bench: Bench, optimised: OptimisedNetwork, clearance: Clearance, measured: Mapping[str, dict[str, Any]]
) -> dict[str, Any]:
    """Everything, as plain data."""
    promise = optimised.promise
    return {
        "simulated": bench.simulated,
        "n_nodes": optimised.wiring.n_nodes,
        "gates_passed": clearance.override is None,
        "promised": {"cross_entropy": promise.mean, "std": promise.std, "accuracy": promise.accuracy},
        "n_iterations": len(optimised.learning_curve),
        "linear_20_taps": optimised.linear_20_taps,
        "measured": dict(measured),
        "device_seconds": bench.device_seconds,
        "loop_fastest_Hz": measured["optimised"]["loop_rate"]["fastest_Hz"],
        "wiring_Hz": 1.0 / optimised.wiring.dt_s,
    }


def show(figures: Mapping[str, Any]) -> None:
    """The figures, for people."""
    promised = figures["promised"]
    told(f"linear, last 20 inputs  cross-entropy {figures['linear_20_taps']:.3f}")
    told(f"promised                cross-entropy {promised['cross_entropy']:.3f} ± {promised['std']:.3f}")
    for who, one in figures["measured"].items():
        for readout in ("own", "refitted"):
            score = one[readout]
            told(
                f"{who + ', ' + readout:24}cross-entropy {score['cross_entropy']:.3f}, accuracy {score['accuracy']:.3f}"
            )
    told(
        f"the wiring is sampled at {figures['wiring_Hz']:.3g} Hz; the loop can go at {figures['loop_fastest_Hz']:.3g} Hz"
    )
    told(figures["measured"]["optimised"]["timing"])
    told(f"{figures['device_seconds']:.0f} s of device time, {figures['seconds']:.0f} s in all; all SIMULATED")


def told(text: str) -> None:
    """One line, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
