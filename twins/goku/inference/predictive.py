"""What a posterior says of a trace's course: reconstruction where it was measured, forecast beyond its end.

Draws of parameters and initial states are solved on. For an equation with noise of its own the state is followed by the
cubature Kalman filter (``twins.goku.inference.kalman``) as far as there are samples, drawn from what the filter leaves open, and
from the last sample on simulated with that noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from twins.errors import SeriesInvalid
from twins.goku.inference.kalman import Flow, Look
from twins.goku.inference.likelihood import frozen_observation
from twins.goku.inference.small_matrices import lower_factor
from twins.goku.inference.trace_data import TraceData
from twins.goku.observation import Observation
from twins.goku.posterior import Posterior
from twins.goku.series import Series
from twins.goku.system import System
from twins.goku.trajectories import solve_guarded

_MOST_NUMBERS = 20_000_000  # of states held at once; more traces are taken in turn


@dataclass(frozen=True, slots=True, eq=False)
class Predicted:
    """signal: (draw, trace, time, channel), what the channels show without noise of the instrument; measured: the same with
    it. times_s: (trace, time). n_seen: samples of each trace that were there; what follows is forecast. diverged: (draw,
    trace), draws that ran away; they are NaN and count for nothing. ahead_mean, ahead_sd: (trace, time, channel), mean and
    standard deviation of each measured value given those before it (without noise of the equation's own: given none),
    whereas the signal of an equation with noise knows the value itself as well.
    """

    signal: Float64[np.ndarray, "draw trace time channel"]
    measured: Float64[np.ndarray, "draw trace time channel"]
    times_s: Float64[np.ndarray, "trace time"]
    n_seen: int
    diverged: Bool[np.ndarray, "draw trace"]
    ahead_mean: Float64[np.ndarray, "trace time channel"]
    ahead_sd: Float64[np.ndarray, "trace time channel"]

    def mean(self) -> Float64[np.ndarray, "trace time channel"]:
        """Of the signal, over the draws that did not run away; NaN where all did."""
        return _over_draws(self.signal, lambda values: values.mean(axis=0))

    def band(self, level: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        """(low, high) of the central interval in which a measured value is expected, (trace, time, channel) each."""
        ends = (0.5 * (1.0 - level), 0.5 * (1.0 + level))
        low, high = (
            _over_draws(self.measured, lambda values, end=end: np.quantile(values, end, axis=0)) for end in ends
        )
        return low, high

    def part(self, start: int, stop: int) -> Predicted:
        """Samples start..stop - 1."""
        cut = (slice(None), slice(None), slice(start, stop))
        return replace(
            self, signal=self.signal[cut], measured=self.measured[cut], times_s=self.times_s[:, start:stop],
            n_seen=min(max(self.n_seen - start, 0), stop - start),
            ahead_mean=self.ahead_mean[:, start:stop], ahead_sd=self.ahead_sd[:, start:stop],
        )  # fmt: skip

    def select(self, traces: Int64[np.ndarray, " chosen"]) -> Predicted:
        """These traces, in this order."""
        return replace(
            self, signal=self.signal[:, traces], measured=self.measured[:, traces], times_s=self.times_s[traces],
            diverged=self.diverged[:, traces], ahead_mean=self.ahead_mean[traces], ahead_sd=self.ahead_sd[traces],
        )  # fmt: skip

    @classmethod
    def joined(cls, parts: Sequence[Predicted]) -> Predicted:
        """Of several lots of traces."""
        signal, measured, diverged = (
            np.concatenate([getattr(part, name) for part in parts], axis=1)
            for name in ("signal", "measured", "diverged")
        )
        times_s, mean, sd = (
            np.concatenate([getattr(part, name) for part in parts]) for name in ("times_s", "ahead_mean", "ahead_sd")
        )
        return cls(signal, measured, times_s, parts[0].n_seen, diverged, mean, sd)


def predict_course(
    system: System,
    observation: Observation | None,
    series: Series,
    posterior: Posterior,
    *,
    n_forecast: int = 0,
    drive: Float64[np.ndarray, "trace time drive"] | None = None,
    n_draws: int = 200,
    substeps: int = 1,
    generator: torch.Generator,
) -> Predicted:
    """The course of every trace of the series and n_forecast samples beyond it.

    drive: of the samples beyond, for a driven equation. n_draws: taken from the posterior by their weights. substeps: solver
    steps a sample. Raises SeriesInvalid where the posterior is of other traces, or a drive is missing.
    """
    if posterior.n_traces != series.n_traces:
        raise SeriesInvalid(f"the posterior is of {posterior.n_traces} traces, the series have {series.n_traces}")
    whole = extended(series, n_forecast, drive)
    n_states = max(system.n_states, series.n_channels)
    each = max(1, _MOST_NUMBERS // (n_draws * whole.n_samples * n_states))
    parts = []
    for start in range(0, series.n_traces, each):
        chosen = np.arange(start, min(start + each, series.n_traces))
        course = _Course(system, observation, whole.select(chosen), series.n_samples, substeps, generator)
        parts.append(course.predicted(posterior.select(chosen), n_draws))
    return Predicted.joined(parts)


def extended(series: Series, n_samples: int, drive: Float64[np.ndarray, "trace time drive"] | None = None) -> Series:
    """The series with so many missing samples more at the end of every trace, at its median step.

    Raises SeriesInvalid where it is driven and the drive of those samples is not given, (trace, n_samples, channel).
    """
    if n_samples < 0:
        raise SeriesInvalid(f"a forecast has 0 samples or more, not {n_samples}")
    if not n_samples:
        return series
    steps = np.median(np.diff(series.times_s, axis=1), axis=1)
    times = series.times_s[:, -1:] + steps[:, None] * np.arange(1, n_samples + 1)
    missing = np.full((series.n_traces, n_samples, series.n_channels), np.nan)
    driven = series.drive
    if driven is not None:
        wanted = (series.n_traces, n_samples, driven.shape[2])
        if drive is None or drive.shape != wanted:
            raise SeriesInvalid(
                f"these traces are driven, so a forecast needs the drive of its samples, (trace, time, channel) = {wanted}, "
                f"not {None if drive is None else drive.shape}"
            )
        driven = np.concatenate([driven, drive], axis=1)
    elif drive is not None:
        raise SeriesInvalid("these traces are not driven, so a forecast of them takes no drive")
    return replace(
        series, values=np.concatenate([series.values, missing], axis=1),
        times_s=np.concatenate([series.times_s, times], axis=1), drive=driven,
    )  # fmt: skip


class _Course:
    """One lot of traces, all draws of all of them as one batch."""

    def __init__(
        self,
        system: System,
        observation: Observation | None,
        whole: Series,
        n_seen: int,
        substeps: int,
        generator: torch.Generator,
    ) -> None:
        self._system, self._observation = system, frozen_observation(observation)
        self._whole, self._n_seen, self._substeps, self._generator = whole, n_seen, substeps, generator
        self._data = TraceData.of(whole, system)

    @torch.no_grad()
    def predicted(self, posterior: Posterior, n_draws: int) -> Predicted:
        picked = torch.multinomial(
            torch.from_numpy(posterior.weights.copy()), n_draws, replacement=True, generator=self._generator
        )
        parameters, initial, noise_sd = (
            torch.from_numpy(np.take_along_axis(values, picked.numpy()[:, :, None], axis=1).swapaxes(0, 1).copy())
            for values in (posterior.parameters, posterior.initial, posterior.noise_sd)
        )
        before: list[tuple[Tensor, Tensor]] = []
        if self._system.stochastic:
            states, diverged = self._filtered(parameters, initial, noise_sd, before)
        else:
            states, diverged = self._solved(parameters, initial)
        n_traces, n_samples = self._data.n_traces, self._data.n_samples
        flat = parameters.reshape(n_draws * n_traces, -1)
        shown = self._observation(self._system.outputs_of(states, flat))
        signal = shown.reshape(n_samples, n_draws, n_traces, -1).permute(1, 2, 0, 3).clone()
        signal[diverged.reshape(n_draws, n_traces)] = torch.nan
        unit = torch.randn(signal.shape, dtype=signal.dtype, generator=self._generator)
        measured = signal + noise_sd.unsqueeze(2) * unit
        lost = diverged.reshape(n_draws, n_traces)
        mean, sd = _mixed(measured, lost)
        for k, (means, variances) in enumerate(before):
            there = self._data.seen[k].unsqueeze(0).expand_as(signal[:, :, k])
            ahead, spread = _mixed(means.reshape(n_draws, n_traces, -1), lost)
            inside, _ = _mixed(variances.reshape(n_draws, n_traces, -1), lost)
            mean[:, k] = torch.where(there[0], ahead, mean[:, k])
            sd[:, k] = torch.where(there[0], (spread.square() + inside).sqrt(), sd[:, k])
        return Predicted(
            signal.numpy(), measured.numpy(), self._whole.times_s, self._n_seen, lost.numpy(), mean.numpy(), sd.numpy()
        )

    def _solved(self, parameters: Tensor, initial: Tensor) -> tuple[Tensor, Tensor]:
        copies = len(parameters)
        solved = solve_guarded(
            self._system, initial.flatten(0, 1), parameters.flatten(0, 1), step_s=self._steps(copies, 0),
            n_steps=self._data.n_samples - 1, drive=self._drive(copies, 0), substeps=self._substeps,
        )  # fmt: skip
        return solved.states, solved.diverged

    def _filtered(
        self, parameters: Tensor, initial: Tensor, noise_sd: Tensor, before: list[tuple[Tensor, Tensor]]
    ) -> tuple[Tensor, Tensor]:
        """(states drawn given the samples so far, and on from the last one; diverged). before: gets mean and variance of each
        sample before it was looked at."""
        copies, data = len(parameters), self._data
        flat = parameters.flatten(0, 1)
        flow = Flow(self._system, flat, self._substeps)
        look = Look(self._system, self._observation, flat, noise_sd.flatten(0, 1).square())
        m = initial.flatten(0, 1)
        P = m.new_zeros(*m.shape, m.shape[-1])
        states = []
        for k in range(self._n_seen):
            m, P, mean, covariance = look(m, P, data.values[k].repeat(copies, 1), data.seen[k].repeat(copies, 1))
            before.append((mean, covariance.diagonal(dim1=-2, dim2=-1)))
            states.append(self._drawn(m, P))
            if k + 1 < self._n_seen:
                step = data.step_s[k].repeat(copies).unsqueeze(-1) if isinstance(data.step_s, Tensor) else data.step_s
                m, P = flow(m, P, step, None if data.drive is None else data.drive[k].repeat(copies, 1))
        seen = torch.stack(states)
        diverged = flow.left | ~torch.isfinite(seen).all(-1).all(0)
        seen = torch.where(diverged.unsqueeze(-1), m.new_zeros(()), seen)
        n_steps = data.n_samples - self._n_seen
        if not n_steps:
            return seen, diverged
        solved = solve_guarded(
            self._system, seen[-1], flat, step_s=self._steps(copies, self._n_seen - 1), n_steps=n_steps,
            drive=self._drive(copies, self._n_seen - 1), noisy=True, generator=self._generator, substeps=self._substeps,
        )  # fmt: skip
        return torch.cat((seen, solved.states[1:])), diverged | solved.diverged

    def _drawn(self, m: Tensor, P: Tensor) -> Tensor:
        low, high = self._system.state_range(m)
        floor = torch.diag((1e-6 * torch.nan_to_num(0.5 * (high - low), posinf=1.0)).square())
        unit = torch.randn((*m.shape, 1), dtype=m.dtype, generator=self._generator)
        return m + (lower_factor(P + floor) @ unit).squeeze(-1)

    def _steps(self, copies: int, start: int) -> float | Tensor:
        step = self._data.step_s
        return step[start:].repeat(1, copies) if isinstance(step, Tensor) else step

    def _drive(self, copies: int, start: int) -> Tensor | None:
        drive = self._data.drive
        return None if drive is None else drive[start:].repeat(1, copies, 1)


def _mixed(values: Tensor, lost: Tensor) -> tuple[Tensor, Tensor]:
    """(mean, standard deviation) over the draws (first axis) that did not run away; NaN where all did."""
    kept = (~lost).reshape(*lost.shape, *(1 for _ in values.shape[2:]))
    count = kept.sum(0).to(values.dtype)
    count = torch.where(count > 0, count, torch.nan)
    mean = torch.where(kept, values, 0.0).sum(0) / count
    return mean, (torch.where(kept, (values - mean).square(), 0.0).sum(0) / count).sqrt()


def _over_draws(values: np.ndarray, reduce: object) -> np.ndarray:
    """A reduction over the draws that are there, trace by trace."""
    there = np.isfinite(values).all(axis=(2, 3))
    empty = np.full(values.shape[2:], np.nan)
    assert callable(reduce)
    return np.stack([reduce(values[there[:, k], k]) if there[:, k].any() else empty for k in range(values.shape[1])])
