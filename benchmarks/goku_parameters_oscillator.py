"""The oscillator of goku_parameters.py: simulated devices, each with parameters of its own, recorded through an oscilloscope.

Every device is a simulated bench in a process of its own: a generator plays the bias, an eight-bit oscilloscope samples
the voltage, labctl records both. Nothing of the device's physics is shared with the equation that is fitted; its
parameters are known here because they were written into the bench's file. Device time is virtual.
"""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from labctl.bench import Bench
from labctl.excitation import Excitation
from labctl.plant import collect
from labctl.simulation import SimulatedBench, bundled_station
from twins.goku.series import Series
from twins.goku.system import System
from twins.goku.systems import StuartLandau

NAME = "oscillator_through_its_oscilloscope"
DT_S = 2e-5
N_SAMPLES = 250
HOLD = 25  # samples of one level of the bias, 0.5 ms
BIAS_V = (0.4, 1.2)
NOISE_V = (1e-3, 1e-2)
"""Prior of the measurement noise: the oscilloscope's 2 mV and the rounding of its eight bits, 2.3 mV, are inside."""
RANGES = {
    "growth_per_V": (1.0, 3.0),
    "threshold": (0.1, 0.4),
    "angular_frequency": (8.0, 16.0),
    "shear": (-3.0, 3.0),
    "noise": (0.02, 0.2),
    "gain": (0.15, 0.35),
    "offset": (-0.1, 0.1),
    "real": (-0.4, 0.4),
    "imaginary": (-0.4, 0.4),
}
SATURATION_PER_MS = 1.0
BENCH = """name = "oscillator bench"
seed = {seed}

[devices.oscillator]
kind = "stuart_landau"
frequency_Hz = {frequency_Hz:.9g}
growth_per_V_s = {growth_per_V_s:.9g}
threshold_V = {threshold_V:.9g}
saturation_per_s = {saturation_per_s:.9g}
shear_Hz = {shear_Hz:.9g}
noise_scale = {noise_scale:.9g}
gain_V = {gain_V:.9g}
offset_V = {offset_V:.9g}

[instruments.awg]
model = "keysight_33522b"
serial = "SIM-33522B-021"
outputs = {{ 1 = "oscillator.drive" }}

[instruments.scope]
model = "keysight_dsox1204g"
serial = "SIM-DSOX1204G-021"
inputs = {{ 1 = "oscillator.voltage" }}
noise_V = 2e-3
trigger = "awg"
"""


@dataclass(frozen=True, slots=True, eq=False)
class Recorded:
    """Traces of all devices, and the parameters (trace, parameter) that were written into their files."""

    series: Series
    truth: np.ndarray


def equation() -> System:
    """What is fitted: all but the saturation is unknown (a gain cannot be told from it)."""
    system = StuartLandau(driven=True, gain=None, saturation=SATURATION_PER_MS, time_unit_s=1e-3)
    return system.with_ranges(RANGES).check()


def record(n_devices: int, n_traces: int, *, seed: int) -> Recorded:
    """`n_traces` of each of `n_devices`, under the same bias."""
    system = equation()
    generator = torch.Generator().manual_seed(seed)
    parameters = system.draw_parameters(n_devices, generator).numpy()
    levels = np.random.default_rng([seed, 3]).uniform(*BIAS_V, -(-N_SAMPLES // HOLD))
    bias = np.repeat(levels, HOLD)[:N_SAMPLES]
    parts = [
        _measured(dict(zip(system.parameter_names, row, strict=True)), bias, n_traces, 1000 * seed + number)
        for number, row in enumerate(parameters)
    ]
    first = parts[0]
    assert first.drive is not None
    series = Series(
        np.concatenate([part.values for part in parts]), first.times_s[0], first.names, first.units,
        np.concatenate([part.drive for part in parts if part.drive is not None]), first.drive_names, first.drive_units,
    )  # fmt: skip
    return Recorded(series, np.repeat(parameters, n_traces, axis=0))


def _measured(parameters: dict[str, float], bias: np.ndarray, n_traces: int, seed: int) -> Series:
    """Record one device from its instruments."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "bench.toml").write_text(BENCH.format(seed=seed, **device_values(parameters)))
        with SimulatedBench.start(folder / "bench.toml") as simulation:
            file = simulation.write_station(folder / "station.toml", bundled_station("oscillator"))
            with Bench.open(file) as bench:
                drive = np.repeat(bias[None, :, None], n_traces, axis=0)
                input_id = np.zeros(n_traces, dtype=np.int64)
                recording = collect(bench.respond(Excitation(drive, ("bias",), DT_S, input_id)))
    return Series.of(recording.traces())


def device_values(parameters: dict[str, float]) -> dict[str, float]:
    """The bench file's numbers, in seconds and hertz, for parameters in milliseconds and radians."""
    return {
        "frequency_Hz": 1e3 * parameters["angular_frequency"] / (2.0 * math.pi),
        "growth_per_V_s": 1e3 * parameters["growth_per_V"],
        "threshold_V": parameters["threshold"],
        "saturation_per_s": 1e3 * SATURATION_PER_MS,
        "shear_Hz": 1e3 * parameters["shear"] / (2.0 * math.pi),
        "noise_scale": math.sqrt(1e3) * parameters["noise"],
        "gain_V": parameters["gain"],
        "offset_V": parameters["offset"],
    }
