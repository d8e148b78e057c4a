"""One noise level and seed of noise_matters.py: a simulated bench, its device recorded, networks optimised and measured."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from labctl.bench import Bench
from labctl.campaign import Campaign
from labctl.recording import Recording
from labctl.simulation import SimulatedBench

RIDGES = (1e-5, 1e-3)
ODE_FITTED = "ode_fitted"
DT_S = 2e-4
OVERRIDE = "a benchmark: every noise level is measured, whatever the gates say of its twin"
BENCH = """name = "noise bench"
seed = {seed}

[devices.leaky]
kind = "leaky_integrator"
tau_s = 1e-3
noise_scale = {noise}

[instruments.awg]
model = "keysight_33522b"
serial = "SIM-33522B-001"
outputs = {{ 1 = "leaky.drive" }}

[instruments.digitiser]
model = "keysight_l4532a"
serial = "SIM-L4532A-001"
inputs = {{ 1 = "leaky.response" }}
noise_V = 1e-3
trigger = "awg"
"""
STATION = """[station]
name = "noise bench"
simulated = true

[instruments.awg]
driver = "keysight_33500b"
address = "{awg}"
serial = "SIM-33522B-001"

[instruments.digitiser]
driver = "keysight_l4532a"
address = "{digitiser}"

[channels.leaky_drive]
kind = "drive"
instrument = "awg"
terminal = "1"
unit = "V"
limits = [-2.0, 2.0]
slew_per_s = 2.1e4
ramp_per_s = 100.0
safe = { value = 0.0, how = "ramp", output = "off" }

[channels.leaky_response]
kind = "sense"
instrument = "digitiser"
terminal = "1"
unit = "V"
range = 2.0

[devices.leaky]
drive = ["leaky_drive"]
response = ["leaky_response"]
time_constant_s = 1e-3
sample_rate_Hz = 5000.0
preparation = { pulse = { leaky_drive = 1.0 }, pulse_s = 2e-3 }
"""


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything; held-out and training trials are of n_steps steps, 20 of them washout."""

    n_seeds: int
    n_iterations: int
    n_nodes: int = 6  # of each of two layers
    n_trials: int = 32
    n_steps: int = 100
    n_training_trials: int = 40
    n_heldout_trials: int = 48
    n_repeats: int = 6
    n_starts: int = 8
    n_reservoir_draws: int = 60
    n_promise_draws: int = 24
    n_characterised: int = 60  # trials of 600 samples
    ode_fitted: bool = False


def on_own_bench(noise: float, seed: int, size: Size) -> Campaign[dict[str, Any]]:
    """Record, fit, optimise with every knowledge and measure, on a simulated bench that ends with it."""
    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "bench.toml").write_text(BENCH.format(seed=1000 * seed + round(1000 * noise), noise=noise))
        with SimulatedBench.start(folder / "bench.toml") as simulation:
            station = simulation.write_station(folder / "station.toml", STATION)
            with Bench.open(station) as bench:
                result = yield from measured(bench, folder, noise=noise, seed=seed, size=size)
    return result


def measured(bench: Bench, folder: Path, *, noise: float, seed: int, size: Size) -> Campaign[dict[str, Any]]:
    """The figures of one noise level and seed."""
    from labctl.campaigns.characterise import CharacterisationDesign, characterise
    from labctl.campaigns.compare_noise import compare_noise_knowledge
    from labctl.campaigns.drive_ranges import allowed_ranges
    from labctl.campaigns.fit_twin import FitSettings, fit_twin
    from labctl.clearance import clear

    design = CharacterisationDesign(n_trials=size.n_characterised)
    rng = np.random.default_rng([seed, round(1000 * noise)])
    recorded = yield from characterise(bench, "leaky", folder=folder, rng=rng, design=design, seed=seed)
    settings = FitSettings(choice="plain", response_delays=1, drive_delays=1, hidden=(16, 16), n_calibration_draws=49)
    fitted = yield from fit_twin(
        "leaky", [recorded.training], recorded.heldout, seed=seed, settings=settings, folder=folder / "twin"
    )
    comparison = yield from compare_noise_knowledge(
        bench,
        {"leaky": fitted.path},
        {"leaky": [recorded.training.traces()]},
        plan_of(size),
        clearance=clear(("leaky",), {"leaky": fitted.gates}, override=OVERRIDE),
        ranges=allowed_ranges({"leaky": fitted.load()}, bench.station),
        regularisations=RIDGES,
        seed=seed,
        examples_seed=1000 + seed,
        folder=folder / "compared",
        further_models=fit_ode(fitted.path, recorded.training, folder, seed=seed) if size.ode_fitted else None,
        n_workers=1,
        n_promise_draws=size.n_promise_draws,
    )
    told = comparison.as_dict()
    del told["clearance"]
    return {
        **told,
        "twin": {name: fitted.figures.get(name) for name in ("std_ratio", "coverage_90", "energy_relative")},
        "gates_passed": fitted.passed,
        "device_seconds": bench.device_seconds,
    }


def fit_ode(twin: Path, training: Recording, folder: Path, *, seed: int) -> dict[str, dict[str, Path]]:
    """A twin of the same structure without noise, fitted by the error of free runs (after single steps, as a start)."""
    from twins import DeviceTwin, fit, load_twin, save_twin

    ode = DeviceTwin(replace(load_twin(twin).spec, noise_diagonal=False))
    for _ in fit(ode, [training.traces()], seed=seed, phases=("likelihood", "rollout")):
        pass
    return {ODE_FITTED: {"leaky": save_twin(ode, folder / ODE_FITTED, provenance={"simulated": True})}}


def plan_of(size: Size) -> Any:
    """NARMA-10 on two layers of the one device; three samples of a hold of 0.6 time constants."""
    from labctl.campaigns.plans import TaskPlan
    from twins.network.initialise import Architecture, InitialScales
    from twins.network.optimise import OptimiserSettings
    from twins.network.tasks import Narma10

    return TaskPlan(
        task=Narma10(washout=20),
        architecture=Architecture(
            layers=(("leaky",) * size.n_nodes,) * 2,
            samples_per_step=3,
            sample_offsets=(0, 1, 2),
            dt_s=DT_S,
            input_taps=tuple(range(10)),
            washout=20,
        ),
        scales=InitialScales(),
        settings=OptimiserSettings(
            n_iterations=size.n_iterations,
            n_trials=size.n_trials,
            n_steps=44,
            learning_rate=0.04,
            n_validation_trials=48,
            n_readout_trials=100,
        ),
        n_steps=size.n_steps,
        n_training_trials=size.n_training_trials,
        n_heldout_trials=size.n_heldout_trials,
        n_repeats=size.n_repeats,
        n_reservoir_draws=size.n_reservoir_draws,
        n_reservoir_trials=32,
        n_starts=size.n_starts,
    )
