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
from labctl.recording import Recording
from labctl.simulation import SimulatedBench, bundled_bench, bundled_station
from twins.network import Architecture, DelayedParity, InitialScales, LayerPlan, OptimiserSettings

DEVICES = ("leaky_1", "leaky_2", "leaky_3", "leaky_4")
FIT = FitSettings(choice="plain", response_delays=1, drive_delays=1, hidden=(16, 16), ensemble=1, max_seconds=60.0)
HOLDS = (1, 2, 3, 6)
"""Samples for which a level is held while the devices are recorded."""


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
            recording = record_all(bench, folder, seed=options.seed, n_trials=14 if options.quick else 28)
            fitted = fit_all(bench, recording, folder, seed=options.seed)
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
            told(f"promised: cross-entropy {optimised.promise.mean:.3f}, accuracy {optimised.promise.accuracy:.3f}")
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


def record_all(bench: Bench, folder: Path, *, seed: int, n_trials: int) -> Recording:
    """Random levels on all devices at once, stepped: what the twins learn from."""
    rng = np.random.default_rng([seed, 0])
    dt_s = bench.station.device(DEVICES[0]).dt_s
    steps = []
    for device in DEVICES:
        channel = bench.station.channels[bench.station.device(device).drive[0]]
        low, high = channel.limits
        steps.append(
            random_steps(
                channel.name,
                low=low,
                high=high,
                hold_s=[hold * dt_s for hold in HOLDS],
                duration_s=60 * dt_s,
                n_trials=n_trials,
                dt_s=dt_s,
                generator=rng,
            )
        )
    path = folder / "training.h5"
    return run(record(bench, combine(*steps), path=path, key="record", title="Record all devices", seed=seed))


def fit_all(bench: Bench, recording: Recording, folder: Path, *, seed: int) -> dict[str, FittedTwin]:
    """A twin of each device, judged on the part of its recording that was kept from the fit."""
    twins = {}
    for device in DEVICES:
        channels = bench.station.device(device)
        part = recording.of_channels(channels.drive, channels.response)
        twins[device] = run(fit_twin(device, [part], None, seed=seed, settings=FIT, folder=folder / "twins"))
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
            n_iterations=120 if quick else 250,
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
