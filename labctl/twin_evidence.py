"""What a twin foresees of held-out inputs beside what was measured, as arrays for a report. Loads torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from labctl.spectra import autocorrelation, power_density
from twins import AnyTwin, Histories, Traces, histories_of
from twins.device.history import start_sample
from twins.objectives.scores import interval, lag1_autocorrelation

Array = NDArray[np.float64]

LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
N_SHOWN = 3
N_LAGS = 20
MOST_VALUES = 10_000_000  # drawn for one input


@dataclass(frozen=True, slots=True, eq=False)
class ShownInput:
    """One held-out input: time_s (time,), drive (time, drive), measured and sampled (repeat or draw, time, response),
    from sample `start` of the scored part of the trial on."""

    input_id: int
    start: int
    time_s: Array
    drive: Array
    measured: Array
    sampled: Array


@dataclass(frozen=True, slots=True)
class ChannelRow:
    """One response channel over all held-out inputs, in its unit.

    bias, rms_error: of the twin's mean against the mean of the repeats; rms_error_by_chance: what the finite numbers of
    repeats and draws alone would make of a perfect twin. device_std, twin_std: spread about their means. coverage_90: of
    the 90 % interval.
    """

    name: str
    unit: str
    bias: float
    rms_error: float
    rms_error_by_chance: float
    device_std: float
    twin_std: float
    coverage_90: float
    lag1_device: float
    lag1_twin: float


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """All that the report draws.

    coverage_90_by_input (input,). covered (level,): share of measured values inside the twin's central interval of each
    of levels (level,). residuals: measured deviations from the twin's mean over the twin's spread, which are standard normal for
    a Gaussian device and a perfect twin; twin_residuals: the twin's own. lags, acf_device, acf_twin (lag,): of
    deviations from the mean. frequency_Hz, power_device, power_twin (frequency,): of the same, density in unit²/Hz,
    mean over inputs and channels in units of each channel's spread.
    """

    shown: tuple[ShownInput, ...]
    input_ids: tuple[int, ...]
    coverage_90_by_input: Array
    levels: Array
    covered: Array
    residuals: Array
    twin_residuals: Array
    lags: Array
    acf_device: Array
    acf_twin: Array
    frequency_Hz: Array
    power_device: Array
    power_twin: Array
    channels: tuple[ChannelRow, ...]
    repeated: bool


@dataclass(frozen=True, slots=True, eq=False)
class FreeRuns:
    """One input: drive (time, drive), device (repeat, time, response) and free runs of the twin (draw, time, response),
    from sample `start` of the trial on."""

    input_id: int
    start: int
    drive: Array
    device: Array
    twin: Array

    @property
    def device_deviations(self) -> Array:
        """About the repeats' mean, unbiased; about the twin's mean where nothing was repeated."""
        n = len(self.device)
        if n < 2:
            about_twin: Array = self.device - self.twin.mean(0)
            return about_twin
        deviations: Array = (self.device - self.device.mean(0)) * np.sqrt(n / (n - 1))
        return deviations

    @property
    def twin_deviations(self) -> Array:
        """About the mean of the draws, unbiased."""
        n = len(self.twin)
        deviations: Array = (self.twin - self.twin.mean(0)) * np.sqrt(n / (n - 1))
        return deviations


def evidence_of(twin: AnyTwin, traces: Traces, *, n_draws: int = 99, seed: int) -> Evidence:
    """Ask the twin for n_draws free runs of every input (at least 39), from the measured starts of its repeats in turn."""
    cases = free_runs(twin, traces, n_draws=max(39, n_draws), seed=seed)  # fewer have no 95 % interval
    repeated = [case for case in cases if len(case.device) > 1] or cases
    scale = np.maximum(traces.scored()[1].std((0, 1)), 1e-300)
    standardised = [(case.device - case.twin.mean(0)) / _spread(case.twin) for case in cases]
    own = [case.twin_deviations / _spread(case.twin) for case in cases]
    frequency, power_device = _spectrum([case.device_deviations / scale for case in repeated], traces.dt_s)
    _, power_twin = _spectrum([case.twin_deviations / scale for case in repeated], traces.dt_s)
    return Evidence(
        shown=tuple(_shown(case, traces) for case in cases[:N_SHOWN]),
        input_ids=tuple(case.input_id for case in cases),
        coverage_90_by_input=np.array([_covered(case, 0.9) for case in cases]),
        levels=np.array(LEVELS),
        covered=np.array([np.mean([_covered(case, level) for case in cases]) for level in LEVELS]),
        residuals=np.concatenate([one.ravel() for one in standardised]),
        twin_residuals=np.concatenate([one.ravel() for one in own]),
        lags=np.arange(N_LAGS + 1, dtype=np.float64),
        acf_device=_acf([case.device_deviations for case in repeated]),
        acf_twin=_acf([case.twin_deviations for case in repeated]),
        frequency_Hz=frequency,
        power_device=power_device,
        power_twin=power_twin,
        channels=tuple(_row(cases, repeated, traces, number) for number in range(len(traces.response_names))),
        repeated=any(len(case.device) > 1 for case in cases),
    )


def free_runs(twin: AnyTwin, traces: Traces, *, n_draws: int, seed: int) -> list[FreeRuns]:
    """n_draws free runs of every input, from the measured starts of its repeats in turn; long inputs are cut."""
    generator = torch.Generator().manual_seed(seed)
    return [
        free_run_of(twin, traces, int(one), n_draws=n_draws, generator=generator) for one in np.unique(traces.inputs)
    ]


def free_run_of(twin: AnyTwin, traces: Traces, input_id: int, *, n_draws: int, generator: torch.Generator) -> FreeRuns:
    """n_draws free runs of one input, from the measured starts of its repeats in turn; a long one is cut."""
    same = traces.select(traces.inputs == input_id)
    start = start_sample(twin.spec, same)
    stop = min(same.n_samples, start + 1 + MOST_VALUES // (n_draws * len(same.response_names)))
    measured, turn = histories_of(twin.spec, same), torch.arange(n_draws) % same.n_trials
    with torch.no_grad():
        drawn = twin.respond(
            torch.tensor(same.drive[:, start:stop])[turn],
            history=Histories(measured.response[turn], measured.drive[turn]),
            generator=generator,
            conditions=same.conditions,
            check_range=False,
        )
    # The first sample is the measured start itself.
    return FreeRuns(
        input_id,
        start + 1,
        same.drive[0, start + 1 : stop],
        same.response[:, start + 1 : stop],
        drawn[:, 1:].double().numpy(),
    )


def _shown(case: FreeRuns, traces: Traces) -> ShownInput:
    first = case.start - traces.n_prepare
    time_s = np.asarray((first + np.arange(len(case.drive))) * traces.dt_s, dtype=np.float64)
    return ShownInput(case.input_id, first, time_s, case.drive, case.device, case.twin)


def _spread(twin: Array) -> Array:
    spread: Array = np.maximum(twin.std(0, ddof=1), 1e-300)
    return spread


def _covered(case: FreeRuns, level: float) -> float:
    lower, upper = interval(case.twin, level)
    return float(((case.device >= lower) & (case.device <= upper)).mean())


def _acf(deviations: Sequence[Array]) -> Array:
    """(lag,), mean over channels."""
    return np.asarray(autocorrelation(deviations, N_LAGS).mean(1))


def _spectrum(deviations: Sequence[Array], dt_s: float) -> tuple[Array, Array]:
    """(frequency in Hz, power density), mean over channels."""
    frequency_Hz, density = power_density(deviations, dt_s)
    return frequency_Hz, np.asarray(density.mean(1))


def _row(cases: Sequence[FreeRuns], repeated: Sequence[FreeRuns], traces: Traces, number: int) -> ChannelRow:
    errors = [case.twin.mean(0)[:, number] - case.device.mean(0)[:, number] for case in cases]
    device = [case.device_deviations[..., number] for case in repeated]
    own = [case.twin_deviations[..., number] for case in repeated]
    inside = []
    for case in cases:
        lower, upper = interval(case.twin[..., number], 0.9)
        inside.append(((case.device[..., number] >= lower) & (case.device[..., number] <= upper)).mean())
    device_std = float(np.sqrt(np.mean([(one**2).mean() for one in device])))
    return ChannelRow(
        name=traces.response_names[number],
        unit=traces.response_units[number],
        bias=float(np.mean([one.mean() for one in errors])),
        rms_error=float(np.sqrt(np.mean([(one**2).mean() for one in errors]))),
        rms_error_by_chance=device_std
        * float(np.sqrt(np.mean([1 / len(one.device) + 1 / len(one.twin) for one in cases]))),
        device_std=device_std,
        twin_std=float(np.sqrt(np.mean([(one**2).mean() for one in own]))),
        coverage_90=float(np.mean(inside)),
        lag1_device=float(np.mean([lag1_autocorrelation(one[..., None]) for one in device])),
        lag1_twin=float(np.mean([lag1_autocorrelation(one[..., None]) for one in own])),
    )
