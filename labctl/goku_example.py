"""Simulated traces of an equation: to look at while it is written, and as an example to try everything on.

Nothing here was measured, and everything that comes of it says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from labctl.background import in_background
from labctl.campaign import Campaign, Step
from labctl.errors import CampaignError
from labctl.events import Reported
from labctl.goku_equation import EquationSource

if TYPE_CHECKING:
    from twins.goku.system import System

TRUTH = "goku_truth"
"""The key of the provenance under which true values stand."""
_A_RADIAN = 0.2  # of the quickest motion, from sample to sample
_DRAWS = 64
_HELD_SAMPLES = 10  # of a drive's steps
_ROUND = (1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleDesign:
    """n_traces of n_samples, dt_s apart (None: as the equation's own motion suggests); noise: of the instrument, as a share of
    each channel's spread; missing: share of samples left out. Raises CampaignError."""

    n_traces: int = 4
    n_samples: int = 80
    dt_s: float | None = None
    noise: float = 0.02
    missing: float = 0.0

    def __post_init__(self) -> None:
        if not (1 <= self.n_traces <= 1000 and 4 <= self.n_samples <= 100_000):
            raise CampaignError(
                f"simulate 1 to 1000 traces of 4 to 100000 samples, not {self.n_traces} of {self.n_samples}"
            )
        if self.dt_s is not None and not 0.0 < self.dt_s < math.inf:
            raise CampaignError(f"the time between samples must be positive (s), not {self.dt_s:g}")
        if not (0.0 < self.noise <= 1.0 and 0.0 <= self.missing < 1.0):
            raise CampaignError(
                f"noise is a share above 0 and at most 1, missing one below 1, not {self.noise:g} and {self.missing:g}"
            )


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedTraces:
    """values: (trace, time, channel), NaN where left out; times_s: (time,); drive: (trace, time, drive channel).

    parameters: (trace, parameter), the true ones. noise_sd: (channel,).
    """

    equation: str
    values: NDArray[np.float64]
    times_s: NDArray[np.float64]
    names: tuple[str, ...]
    units: tuple[str, ...]
    drive: NDArray[np.float64]
    drive_names: tuple[str, ...]
    drive_units: tuple[str, ...]
    parameter_names: tuple[str, ...]
    parameters: NDArray[np.float64]
    noise_sd: NDArray[np.float64]
    dt_s: float


def simulated_traces(source: EquationSource, *, seed: int, design: ExampleDesign | None = None) -> SimulatedTraces:
    """Draw parameters and initial states from their ranges and solve. Raises CampaignError, twins.TwinError."""
    from twins.goku.simulated.generate import Design, generate

    design = design or ExampleDesign()
    system = source.make()
    dt_s = design.dt_s or suggested_dt_s(system, seed=seed)
    times_s = np.asarray(dt_s * np.arange(design.n_samples), dtype=np.float64)
    rng = np.random.default_rng(seed)
    drive = _steps(system, design, rng)
    made = generate(system, design.n_traces, Design(times_s=times_s, drive=drive), seed=seed, name="example")
    clean = made.series.values
    spread = np.std(clean, axis=(0, 1))
    noise_sd = design.noise * np.where(spread > 0.0, spread, 1.0)
    values = clean + noise_sd * rng.standard_normal(clean.shape)
    if design.missing:
        values[rng.random(values.shape[:2]) < design.missing] = np.nan
    return SimulatedTraces(
        equation=system.name,
        values=values,
        times_s=times_s,
        names=made.series.names,
        units=made.series.units,
        drive=np.empty((*values.shape[:2], 0)) if drive is None else drive,
        drive_names=made.series.drive_names,
        drive_units=made.series.drive_units,
        parameter_names=system.parameter_names,
        parameters=made.parameters,
        noise_sd=noise_sd,
        dt_s=dt_s,
    )


def simulated_from_text(text: str, *, seed: int, design: ExampleDesign | None = None) -> SimulatedTraces:
    """Of an equation that is being written."""
    from labctl.goku_equation import equation_written

    return simulated_traces(equation_written(text), seed=seed, design=design)


def simulate_goku(
    source: EquationSource, *, path: Path, seed: int, design: ExampleDesign | None = None
) -> Campaign[Path]:
    """Write simulated traces as a recording, marked simulated, with the true parameters beside them."""
    key = f"goku/simulate/{path.stem}"
    step = Step(key, f"Simulate traces of {source.named}")
    yield step.started()
    made = yield from in_background(lambda: simulated_traces(source, seed=seed, design=design), key=key)
    write_simulated(path, made, source, seed=seed)
    yield Reported(key, {"simulated": True, "traces": len(made.values), "dt_s": made.dt_s}, (str(path),))
    yield step.finished(f"{len(made.values)} simulated traces, {made.dt_s:g} s from sample to sample")
    return path


def example_into(
    source: EquationSource, *, folder: Path, seed: int, design: ExampleDesign | None = None
) -> Campaign[Path]:
    """As `simulate_goku`, into example.h5 of a folder."""
    return (yield from simulate_goku(source, path=folder / "example.h5", seed=seed, design=design))


def write_simulated(path: Path, made: SimulatedTraces, source: EquationSource, *, seed: int) -> None:
    """As a recording of labctl's own. Raises RecordingError where the file is there already."""
    from labctl.provenance import collect_provenance
    from labctl.recording import Block, RecordingHeader
    from labctl.store import RecordingWriter

    n_traces, n_samples, _ = made.values.shape
    truth: dict[str, Any] = {
        "equation": source.as_dict(),
        "parameters": {name: made.parameters[:, k].tolist() for k, name in enumerate(made.parameter_names)},
        "noise_sd": dict(zip(made.names, made.noise_sd.tolist(), strict=True)),
    }
    header = RecordingHeader(
        shape=(n_traces, n_samples),
        dt_s=made.dt_s,
        drive_names=made.drive_names,
        drive_units=made.drive_units,
        response_names=made.names,
        response_units=made.units,
        n_prepare=0,
        input_id=np.arange(n_traces),
        simulated=True,
        provenance={**collect_provenance(simulated=True, seed=seed), TRUTH: truth},
    )
    with RecordingWriter(path, header) as writer:
        writer.note("simulated traces of an equation; nothing here was measured")
        writer.append_many([Block(trial, 0, made.drive[trial], made.values[trial]) for trial in range(n_traces)])
        writer.finish(complete=True, ended="simulated to the end")


def suggested_dt_s(system: System, *, seed: int) -> float:
    """So that the equation's quickest motion, at most draws from its ranges, turns by a fifth of a radian a sample; rounded.

    From the eigenvalues of the drift's Jacobian.
    """
    import torch

    from twins.goku.bound import BoundSystem

    generator = torch.Generator().manual_seed(seed)
    initial, parameters = system.draw_states(_DRAWS, generator), system.draw_parameters(_DRAWS, generator)
    drive = torch.zeros((_DRAWS, len(system.drives)), dtype=torch.float64) if system.drives else None
    bound = BoundSystem(system, parameters, noisy=False)
    nudge = 1e-5
    columns = []
    for k in range(system.n_states):
        ends = []
        for sign in (1.0, -1.0):
            moved = initial.clone()
            moved[:, k] += sign * nudge
            ends.append(bound.coefficients_at(moved, drive)[0])
        columns.append((ends[0] - ends[1]) / (2.0 * nudge))
    jacobian = torch.stack(columns, dim=-1)
    finite = torch.isfinite(jacobian).all(-1).all(-1)
    if not bool(finite.any()):
        raise CampaignError(f"{system.name}: its drift is not finite in its ranges; give the time between samples")
    rate = float(torch.linalg.eigvals(jacobian[finite]).abs().amax(-1).median())
    return _rounded(_A_RADIAN * system.time_unit_s / rate) if rate > 0.0 else system.time_unit_s


def _rounded(value: float) -> float:
    """To 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value))
    nearest = min(_ROUND, key=lambda one: abs(math.log(one * power / value)))
    return float(f"{nearest * power:.3g}")


def _steps(system: System, design: ExampleDesign, rng: np.random.Generator) -> NDArray[np.float64] | None:
    """(trace, time, drive): steps of random height within each drive's range, -1..1 where it has none."""
    if not system.drives:
        return None
    channels = []
    for quantity in system.drives:
        low, high = (quantity.low, quantity.high) if quantity.bounded else (-1.0, 1.0)
        n_steps = -(-design.n_samples // _HELD_SAMPLES)
        heights = rng.uniform(low, high, (design.n_traces, n_steps))
        channels.append(np.repeat(heights, _HELD_SAMPLES, axis=1)[:, : design.n_samples])
    return np.stack(channels, axis=-1)


def example_file(source: EquationSource, *, path: Path, seed: int, design: ExampleDesign | None = None) -> Path:
    """As `simulate_goku`, at once. Raises CampaignError, twins.TwinError, RecordingError."""
    write_simulated(path, simulated_traces(source, seed=seed, design=design), source, seed=seed)
    return path
