"""All that is said of one response channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from twins.diagnosis.figures import ChannelDiagnosis, Drift, Estimate
from twins.diagnosis.one_step import OneStep, highest_order
from twins.diagnosis.segments import Segments, cut_segments
from twins.diagnosis.separate import Separation, separate_noise

N_LAGS = 5
_COLOURED = 0.05  # largest innovation autocorrelation that a white model does not mind
_MIN_INPUTS = 4  # fewer cannot teach a one-step model what the drive does
_MIN_FREE = 6  # repeats beyond the first, over all inputs, for deviations to stand for themselves
_CLOSE = 0.02  # nats a sample
_WHITE = 0.1  # residual autocorrelation at lag 1 below which a device remembers nothing of its noise


@dataclass(frozen=True, slots=True, eq=False)
class ChannelData:
    """responses, drives: as measured, without drift, (trial, time) and (trial, time, drive channel) each.

    deviations: from the repeats' mean, without drift, (repeat, time) each; empty where there are none to speak of.
    autocorrelation: of the deviations, or None.
    """

    name: str
    unit: str
    responses: Sequence[np.ndarray]
    drives: Sequence[np.ndarray]
    deviations: Sequence[np.ndarray]
    n_free: int
    n_inputs: int
    multistable: bool
    drift: Drift | None
    autocorrelation: tuple[float, ...] | None


def diagnose_channel(
    data: ChannelData, segments: Segments, one_step: OneStep, *, n_most: int, seed: int
) -> tuple[ChannelDiagnosis, Separation]:
    """Separate the channel's noise, in the raw samples and about the repeats' mean, and keep the sharper view."""
    candidates: list[tuple[str, Separation]] = []
    enough = len(data.deviations) > 0 and data.n_free >= _MIN_FREE
    if data.n_inputs >= _MIN_INPUTS or not enough:
        n_columns = one_step.n_drive * data.drives[0].shape[2]
        few = segments.with_drive_columns(n_columns).fewer(n_most, np.random.default_rng(seed))
        rng = np.random.default_rng(seed)
        order = highest_order(n_columns + 3)
        candidates.append(("one-step models", separate_noise(few, polynomial_order=order, rng=rng)))
    if enough and not data.multistable:
        rng = np.random.default_rng(seed)
        about = cut_segments(
            data.deviations,
            [np.zeros((*one.shape, 1)) for one in data.deviations],
            n_drive_lags=0,
            n_most=n_most,
            rng=rng,
        )
        candidates.append(("deviations from the repeats' mean", separate_noise(about, polynomial_order=1, rng=rng)))
    source, best = _sharper(candidates)
    white = not best.told_apart and data.autocorrelation is not None and abs(data.autocorrelation[0]) < _WHITE
    process, observation = best.process, best.observation
    if white:
        total = float(np.hypot(process.value, observation.value))
        process, observation = Estimate(0.0, process.sd), Estimate(total, total / np.sqrt(2.0 * best.innovation.size))
    innovation = _autocorrelation(best.innovation)
    significant = 4.0 / np.sqrt(best.innovation.size)
    return (
        ChannelDiagnosis(
            name=data.name,
            unit=data.unit,
            spread=segments.scale,
            process_noise=process,
            observation_noise=observation,
            observation_noise_known=best.told_apart,
            observation_noise_reason=_reason(best, source, white=white),
            observation_share=best.observation_share,
            drift=data.drift,
            residual_autocorrelation=data.autocorrelation,
            innovation_autocorrelation=innovation,
            coloured=max(abs(value) for value in innovation) > max(_COLOURED, significant),
            loudness_range=best.loudness_range,
            memory=best.order,
            one_step_error=one_step.errors,
        ),
        best,
    )


def _autocorrelation(innovation: np.ndarray) -> tuple[float, ...]:
    power = float((innovation**2).mean())
    most = min(N_LAGS, innovation.shape[1] - 1)
    return tuple(float((innovation[:, lag:] * innovation[:, :-lag]).mean() / power) for lag in range(1, most + 1))


def _sharper(candidates: list[tuple[str, Separation]]) -> tuple[str, Separation]:
    """The view that foresees best; a view hardly worse that tells the noises apart wins over one that does not."""
    least = min(one.loss for _, one in candidates)
    close = [named for named in candidates if named[1].loss < least + _CLOSE]
    return min(close, key=lambda named: (not named[1].told_apart, named[1].loss))


def _reason(best: Separation, source: str, *, white: bool) -> str:
    low, high = best.observation_share
    allowed = f"the {source} allow an observation share of {low:.2f} to {high:.2f} of one step's noise variance"
    if best.told_apart:
        return f"told apart: {allowed}"
    if white:
        return (
            f"not told apart: {allowed}; deviations are white in time, so the device remembers none of its noise, and noise "
            "of its own would look the same as the instrument's; counted as observation noise"
        )
    return f"not told apart: {allowed}; more or longer trials, or repeats, would narrow it"
