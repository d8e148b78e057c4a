"""Ask a twin for free runs of inputs and set them beside what was measured. Loads torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from labctl.spectra import autocorrelation, power_density
from labctl.twin_evidence import FreeRuns, free_run_of
from labctl.twin_prediction import BANDS, PredictedInput, TwinPrediction
from twins import AnyTwin, Traces
from twins.objectives.scores import crps, interval

Array = NDArray[np.float64]

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
EDGES = np.linspace(-6.0, 6.0, 61)
N_LAGS = 40
MOST_KEPT = 8_000_000  # values of all inputs that are kept sample by sample


@dataclass(slots=True, eq=False)
class Predicting:
    """Inputs asked so far, one after another, and what is pooled over them; `prediction` says what came of it.

    n_draws: free runs an input, at least 39, since fewer have no 95 % interval.
    """

    twin: AnyTwin
    n_draws: int
    seed: int
    inputs: list[PredictedInput] = field(default_factory=list)
    n_inputs: int = 0
    n_trials: int = 0
    _kept: int = 0
    _covered: list[Array] = field(default_factory=list)
    _counts: list[tuple[Array, Array, Array]] = field(default_factory=list)
    _residuals: list[tuple[Array, Array]] = field(default_factory=list)
    _signals: list[tuple[Array, Array, Array, Array]] = field(default_factory=list)
    _generator: torch.Generator = field(default_factory=torch.Generator)

    def __post_init__(self) -> None:
        if self.n_draws < 39:
            raise ValueError(f"n_draws must be at least 39 for a 95 % interval, not {self.n_draws}")
        self._generator.manual_seed(self.seed)

    def ask(self, traces: Traces, input_id: int, label: str) -> PredictedInput:
        """Free runs of one input of these traces, from the measured starts of its repeats in turn."""
        case = free_run_of(self.twin, traces, input_id, n_draws=self.n_draws, generator=self._generator)
        scale = np.maximum(traces.scored()[1].std((0, 1)), 1e-300)
        covered = _covered(case)
        one = _predicted(case, traces, label, scale, covered)
        values = one.measured.size + (len(BANDS) + 3) * one.mean.size + one.drive.size
        if not self.inputs or self._kept + values <= MOST_KEPT:
            self.inputs.append(one)
            self._kept += values
        own = case.twin_deviations / np.maximum(one.spread, 1e-300)
        residuals = one.residuals
        self._covered.append(covered)
        self._counts.append((_histogram(residuals), _histogram(own), (np.abs(residuals) > EDGES[-1]).mean((0, 1))))
        self._residuals.append((residuals, own))
        self._signals.append(
            (_about_mean(case.device), _about_mean(case.twin), case.device - one.mean, case.twin_deviations)
        )
        self.n_inputs += 1
        self.n_trials += len(case.device)
        return one

    def prediction(self, name: str, recordings: Sequence[str], traces: Traces, *, simulated: bool) -> TwinPrediction:
        """All of it. traces: whose channels these are."""
        covered = np.array(self._covered)
        error = np.full(covered.shape[1:], np.nan)
        if self.n_inputs > 1:
            error = covered.std(0, ddof=1) / math.sqrt(self.n_inputs)
        density, own_density, beyond = (np.mean(one, axis=0) for one in zip(*self._counts, strict=True))
        residuals, own = zip(*self._residuals, strict=True)
        spectra = [power_density(one, traces.dt_s) for one in zip(*self._signals, strict=True)]
        return TwinPrediction(
            twin=name,
            recordings=tuple(recordings),
            simulated=simulated,
            n_draws=self.n_draws,
            n_inputs=self.n_inputs,
            n_trials=self.n_trials,
            dt_s=traces.dt_s,
            drive_names=traces.drive_names,
            drive_units=traces.drive_units,
            response_names=traces.response_names,
            response_units=traces.response_units,
            inputs=tuple(self.inputs),
            levels=np.array(LEVELS),
            covered=covered.mean(0),
            covered_error=np.asarray(error),
            edges=EDGES,
            density=density,
            own_density=own_density,
            beyond=beyond,
            lags=np.arange(N_LAGS + 1, dtype=np.float64),
            acf=autocorrelation(residuals, N_LAGS),
            own_acf=autocorrelation(own, N_LAGS),
            frequency_Hz=spectra[0][0],
            power_measured=spectra[0][1],
            power_predicted=spectra[1][1],
            power_residual=spectra[2][1],
            power_own=spectra[3][1],
        )


def _predicted(case: FreeRuns, traces: Traces, label: str, scale: Array, covered: Array) -> PredictedInput:
    first = case.start - traces.n_prepare
    drawn, measured = torch.tensor(case.twin), [torch.tensor(one) for one in case.device]
    return PredictedInput(
        label=label,
        time_s=np.asarray((first + np.arange(len(case.drive))) * traces.dt_s, dtype=np.float64),
        drive=case.drive,
        measured=case.device,
        bands=np.quantile(case.twin, BANDS, axis=0, method="weibull"),
        mean=case.twin.mean(0),
        spread=case.twin.std(0, ddof=1),
        draw=case.twin[0],
        coverage_90=float(covered[LEVELS.index(0.9)].mean()),
        score=float(np.mean([(crps(drawn, one).numpy() / scale).mean() for one in measured])),
    )


def _covered(case: FreeRuns) -> Array:
    """(level, response): share of measured values inside the twin's interval."""
    shares = []
    for level in LEVELS:
        lower, upper = interval(case.twin, level)
        shares.append(((case.device >= lower) & (case.device <= upper)).mean((0, 1)))
    return np.array(shares)


def _histogram(residuals: Array) -> Array:
    """(bin, response): density; what lies outside of the edges counts for the whole, not for a bin."""
    width = EDGES[1] - EDGES[0]
    counts = [np.histogram(residuals[..., number], EDGES)[0] for number in range(residuals.shape[2])]
    return np.asarray(np.array(counts).T / (residuals[..., 0].size * width))


def _about_mean(signals: Array) -> Array:
    """(trial, time, channel) without each trial's own mean, which is no part of a spectrum."""
    return np.asarray(signals - signals.mean(1, keepdims=True))
