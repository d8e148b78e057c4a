"""A twin spoilt on purpose: what is lost on the device, and what deploy -> refit -> fine-tune gets back within a budget.

    python benchmarks/refit.py --quick --json refit.json

SIMULATED devices. The twin is spoilt by its recordings: they are of a leaky integrator whose time constant is 30 % longer
(--spoilt-tau) and whose noise is half (--spoilt-noise) that of the device on the bench, as if the device had changed
since. It passes its gates, on held-out recordings of that other device. A NARMA-10 network of 6 + 6 nodes is optimised
on it and measured; beside it one that is optimised in the same way on a twin of the right device, the floor. Then, each
within --budget device-seconds:

close_the_gap    deploy, compare, refit the twin (on the plays, with its old recordings or without, as the plays say),
                 fine-tune; until the gap is inside the spread of the device's repeats, or the budget is spent
physics-aware    hardware forward, backward through the spoilt twin, which stays as it is

spoilt_measured, unspoilt_measured, final_measured, physics_aware_measured: on one set of examples of their own, three
repeats each, which nothing was chosen by and which count towards no budget. rounds: of close_the_gap, on its own judged
examples. readout_refitted_measured: the spoilt network with a read-out fitted to what the device answered on as many
training examples as close_the_gap played, the cheapest remedy.

recovered, the rule: at least --share (0.8) of what was lost is back: spoilt - final >= 0.8 (spoilt - unspoilt).
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import read_options, write_results

from labctl.bench import Bench
from labctl.campaign import run
from labctl.campaigns.characterise import CharacterisationDesign, characterise
from labctl.campaigns.close_gap import close_the_gap
from labctl.campaigns.fine_tune import fine_tune
from labctl.campaigns.fit_twin import FitSettings, FittedTwin, fit_twin
from labctl.campaigns.gap_design import ClosedGap, GapBudget, GapSettings, Recorded
from labctl.campaigns.physics_aware import train_physics_aware
from labctl.campaigns.physics_aware_design import PhysicsAwareSettings
from labctl.campaigns.plans import TaskPlan, plan_for
from labctl.clearance import Clearance, clear
from labctl.deployment import Measurement, deploy, mean_of
from labctl.simulation import SimulatedBench, demo_bench, write_demo_station
from twins.network.initialise import measured_ports, random_wiring
from twins.network.wiring import DevicePort, Wiring

DEVICE = "leaky"
TAU_S, NOISE = 1e-3, 0.05  # of the demo's device
DESIGN = CharacterisationDesign(n_trials=30, n_samples=400)
FIT = FitSettings(choice="plain", response_delays=1, drive_delays=1, hidden=(16, 16))
N_TEST, N_REPEATS = 48, 3


@dataclass(frozen=True, slots=True)
class Learned:
    """A device's twin with the recordings that it was fitted to, and a network optimised on it."""

    twin: FittedTwin
    training: Path
    wiring: Wiring

    @property
    def clearance(self) -> Clearance:
        """By the twin's gates; an override where chance failed one, so that a run is not lost to it."""
        return clear([DEVICE], {DEVICE: self.twin.gates}, override="a benchmark on simulated devices")


def main() -> None:
    """Every seed; medians at the end."""
    options = read_options(__doc__, more=more_options)
    seeds = [options.seed] if options.quick else list(range(options.seed, options.seed + 5))
    runs: list[dict[str, Any]] = []
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            runs.append(one_run(seed, Path(folder), options))
        sys.stdout.write(f"{told(runs[-1])}\n")
        sys.stdout.flush()
        write_results(options, {**runs[0], "summary": summary(runs), "runs": runs})
    sys.stdout.write(f"SIMULATED devices\n{summary(runs)}\n")


def more_options(parser: argparse.ArgumentParser) -> None:
    """What this script takes beside the common options."""
    parser.add_argument("--budget", type=float, default=300.0, help="device-seconds of each way (default 300)")
    parser.add_argument(
        "--spoilt-tau",
        type=float,
        default=1.3,
        help="time constant that the spoilt twin knows, a multiple (default 1.3)",
    )
    parser.add_argument(
        "--spoilt-noise", type=float, default=0.5, help="noise that the spoilt twin knows, a multiple (default 0.5)"
    )
    parser.add_argument("--share", type=float, default=0.8, help="of the loss, to count as recovered (default 0.8)")


def one_run(seed: int, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """One seed: both twins, both networks, both remedies."""
    began_s = time.perf_counter()
    plan = the_plan()
    wrong_tau, wrong_noise = options.spoilt_tau, options.spoilt_noise
    spoilt = learned(folder / "spoilt", plan, seed, tau_s=wrong_tau * TAU_S, noise=wrong_noise * NOISE)
    right = learned(folder / "right", plan, seed, tau_s=TAU_S, noise=NOISE)
    with SimulatedBench.start(bench_file(folder / "bench", seed + 500, tau_s=TAU_S, noise=NOISE)) as simulation:
        station = write_demo_station(simulation, folder / "station.toml")
        with Bench.open(station) as bench:
            figures = {
                "spoilt_measured": tested(bench, spoilt.wiring, plan, seed, folder / "test-spoilt"),
                "unspoilt_measured": tested(bench, right.wiring, plan, seed, folder / "test-right"),
            }
            closed = gap_closed(bench, spoilt, plan, seed, folder / "gap", options.budget)
            figures["final_measured"] = tested(bench, closed.wiring, plan, seed, folder / "test-final")
            n_examples = len(closed.rounds) * (GAP.n_training_trials or 0)
            figures["readout_refitted_measured"] = tested(
                bench, spoilt.wiring, plan, seed, folder / "test-readout", n_training=n_examples
            )
            aware = physics_aware(bench, spoilt, plan, seed, folder / "aware", options.budget)
            figures["physics_aware_measured"] = tested(bench, aware["wiring"], plan, seed, folder / "test-aware")
    lost = figures["spoilt_measured"] - figures["unspoilt_measured"]
    shares = {
        f"{way}_share_recovered": (figures["spoilt_measured"] - figures[name]) / lost
        for way, name in (
            ("close_gap", "final_measured"),
            ("physics_aware", "physics_aware_measured"),
            ("readout_refitted", "readout_refitted_measured"),
        )
    }
    return {
        "simulated": True,
        "seed": seed,
        "spoilt_how": f"recordings of a device with {wrong_tau} of the time constant and {wrong_noise} of the noise",
        "spoilt_gates_passed": spoilt.twin.passed,
        "budget_s": options.budget,
        **figures,
        **shares,
        "recovered": bool(lost > 0 and shares["close_gap_share_recovered"] >= options.share),
        "ended": closed.ended,
        "device_seconds": closed.device_seconds,
        "rounds": [one.as_dict() for one in closed.rounds],
        "physics_aware": aware["figures"],
        "wall_seconds": time.perf_counter() - began_s,
    }


def the_plan() -> TaskPlan:
    """NARMA-10 on the leaky integrator alone, with shorter training than the plan's own."""
    plan = plan_for("narma10", (DEVICE,), dt_s=2e-4)
    return replace(plan, settings=replace(plan.settings, n_iterations=150, n_trials=32))


def bench_file(folder: Path, seed: int, *, tau_s: float, noise: float) -> Path:
    """The demo's bench with another leaky integrator and noise of another seed."""
    folder.mkdir(parents=True, exist_ok=True)
    text = demo_bench().read_text(encoding="utf-8").replace("seed = 7", f"seed = {1000 + seed}")
    as_it_is = "tau_s = 1e-3\nnoise_scale = 0.05"
    if as_it_is not in text:
        raise ValueError(f"the demo's bench has no leaky integrator with {as_it_is!r}")
    path = folder / "bench.toml"
    path.write_text(text.replace(as_it_is, f"tau_s = {tau_s}\nnoise_scale = {noise}"), encoding="utf-8")
    return path


def learned(folder: Path, plan: TaskPlan, seed: int, *, tau_s: float, noise: float) -> Learned:
    """Record such a device, fit its twin, and optimise a network on it; all networks begin alike."""
    with SimulatedBench.start(bench_file(folder, seed, tau_s=tau_s, noise=noise)) as simulation:
        station = write_demo_station(simulation, folder / "station.toml")
        with Bench.open(station) as bench:
            rng = np.random.default_rng([seed, 1])
            recorded = run(characterise(bench, DEVICE, folder=folder, rng=rng, design=DESIGN, seed=seed))
            low, high = bench.station.channel(f"{DEVICE}_drive").limits
    fit = fit_twin(DEVICE, [recorded.training], recorded.heldout, seed=seed, settings=FIT, folder=folder / "twin")
    fitted = run(fit)
    twin = fitted.load()
    lowest, highest = (float(edge) for edge in twin.drive_range[0])
    port = DevicePort.from_range(DEVICE, max(low, lowest), min(high, highest), drive_unit="V", response_unit="V")
    rng = np.random.default_rng([seed, 2])
    ports = measured_ports(
        [port],
        {DEVICE: twin},
        samples_per_step=plan.architecture.samples_per_step,
        rng=rng,
        generator=torch.Generator().manual_seed(seed),
    )
    start = random_wiring(plan.architecture, ports, rng, scales=plan.scales)
    tuned = run(fine_tune(start, {DEVICE: fitted.path}, plan, seed=seed, key="optimise"))
    training = recorded.training.path
    assert training is not None  # it was recorded into a file
    return Learned(fitted, training, tuned.wiring)


def tested(bench: Bench, wiring: Wiring, plan: TaskPlan, seed: int, folder: Path, *, n_training: int = 0) -> float:
    """The mean measured score on test examples that nothing was chosen by; with n_training, of a read-out fitted to those."""
    rng = np.random.default_rng([seed, 3])
    heldout = plan.task.sample(N_TEST, plan.n_steps, rng)
    training = plan.task.sample(n_training, plan.n_steps, rng) if n_training else None
    measured: Measurement = run(
        deploy(
            bench,
            wiring,
            clearance=clear([DEVICE], {}, override="a benchmark on simulated devices"),
            metric=plan.task.metric,
            heldout=heldout,
            training=training,
            n_repeats=N_REPEATS,
            folder=folder,
            key=folder.name,
            title=folder.name,
            seed=seed,
        )
    )
    return mean_of(measured.refitted_scores) if n_training else measured.mean


GAP = GapSettings(n_training_trials=16, n_judged_trials=16, n_repeats=3)


def gap_closed(bench: Bench, spoilt: Learned, plan: TaskPlan, seed: int, folder: Path, budget_s: float) -> ClosedGap:
    """Deploy, refit, fine-tune, within the budget."""
    return run(
        close_the_gap(
            bench,
            spoilt.wiring,
            {DEVICE: spoilt.twin.path},
            plan,
            clearance=spoilt.clearance,
            budget=GapBudget(budget_s),
            seed=seed,
            folder=folder,
            settings=GAP,
            recorded=Recorded(training={DEVICE: [spoilt.training]}),
        )
    )


def physics_aware(
    bench: Bench, spoilt: Learned, plan: TaskPlan, seed: int, folder: Path, budget_s: float
) -> Mapping[str, Any]:
    """Hardware forward, spoilt twin backward, within the same budget."""
    trained = run(
        train_physics_aware(
            bench,
            spoilt.wiring,
            {DEVICE: spoilt.twin.path},
            plan,
            clearance=spoilt.clearance,
            budget_s=budget_s,
            seed=seed,
            folder=folder,
            settings=PhysicsAwareSettings(),
        )
    )
    return {"wiring": trained.wiring, "figures": trained.as_dict()}


def told(one: Mapping[str, Any]) -> str:
    """One line of a run."""
    names = ("spoilt", "unspoilt", "final", "physics_aware", "readout_refitted")
    measured = ", ".join(f"{name} {one[f'{name}_measured']:.4f}" for name in names)
    return (
        f"seed {one['seed']}: measured {measured}; close_the_gap {one['ended']} after {one['device_seconds']:.0f} of "
        f"{one['budget_s']:.0f} s, recovered {one['recovered']}; {one['wall_seconds']:.0f} s"
    )


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians and ranges over seeds."""
    names = [name for name in runs[0] if name.endswith(("_measured", "_share_recovered"))] + ["device_seconds"]
    found: dict[str, Any] = {
        name: {
            "median": statistics.median(one[name] for one in runs),
            "lowest": min(one[name] for one in runs),
            "highest": max(one[name] for one in runs),
        }
        for name in names
    }
    return {**found, "n_seeds": len(runs), "recovered": sum(one["recovered"] for one in runs)}


if __name__ == "__main__":
    main()
