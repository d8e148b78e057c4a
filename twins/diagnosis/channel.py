"""All that is said of one response channel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from twins.diagnosis.figures import ChannelDiagnosis, Drift, Estimate
from twins.diagnosis.one_step import LAGS, OneStep, highest_order
from twins.diagnosis.profile import MAX_ORDER
from twins.diagnosis.segments import Segments, cut_segments
from twins.diagnosis.separate import Separation, separate_noise

N_LAGS = 5
_COLOURED = 0.05  # largest innovation autocorrelation that a white model does not mind
_MIN_INPUTS = 4  # or stretches of a long one: fewer cannot teach a one-step model what the drive does
_MIN_FREE = 6  # repeats beyond the first, over all inputs, for deviations to stand for themselves
_QUICK_ORDER = 2  # of models where channels are many
_NOISY = 0.3  # observation over process noise, from where raw samples mislead
_NOISELESS = 1e-6  # of the spread
_DRIVE_WORTH = 0.002  # nats a sample that more drive lags must bring; free runs add up what one step hides
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
    data: ChannelData, segments: Segments, one_step: OneStep, *, n_most: int, thorough: bool, seed: int
) -> tuple[ChannelDiagnosis, Separation]:
    """Separate the channel's noise, in the raw samples and about the repeats' mean, and keep the sharper view.

    n_most: samples that the filter sees. thorough: try long models, and both views where there are two.
    """
    candidates: list[tuple[str, Separation]] = []
    n_drive = one_step.n_drive
    enough = len(data.deviations) > 0 and data.n_free >= _MIN_FREE
    most = MAX_ORDER if thorough else _QUICK_ORDER
    if (data.n_inputs >= _MIN_INPUTS and thorough) or not enough or data.multistable:
        few = segments.fewer(n_most, np.random.default_rng(seed))

        def separate(n_drive: int) -> Separation:
            n_columns = n_drive * data.drives[0].shape[2]
            order = min(highest_order(n_columns + 3), 3 if thorough else 2)
            part, rng = few.with_drive_columns(n_columns), np.random.default_rng(seed)
            return separate_noise(part, polynomial_order=order, max_order=most, rng=rng)

        separation = separate(n_drive)
        if thorough and separation.observation.value > _NOISY * separation.process.value:
            n_drive, separation = _fewest_drive_lags(separation, separate, n_drive)
        candidates.append(("one-step models", separation))
    if enough and not data.multistable:
        rng = np.random.default_rng(seed)
        about = cut_segments(
            data.deviations,
            [np.zeros((*one.shape, 1)) for one in data.deviations],
            n_drive_lags=0,
            n_most=n_most,
            rng=rng,
        )
        candidates.append(
            ("deviations from the repeats' mean", separate_noise(about, polynomial_order=1, max_order=most, rng=rng))
        )
    source, best = _sharper(candidates)
    white = not best.told_apart and data.autocorrelation is not None and abs(data.autocorrelation[0]) < _WHITE
    process, observation = best.process, best.observation
    if white:
        total = float(np.hypot(process.value, observation.value))
        process, observation = Estimate(0.0, process.sd), Estimate(total, total / np.sqrt(2.0 * best.innovation.size))
    innovation = _autocorrelation(best.innovation)
    noisy = np.hypot(best.process.value, best.observation.value) > _NOISELESS * segments.scale
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
            coloured=bool(noisy and max(abs(value) for value in innovation) > max(_COLOURED, significant)),
            loudness_range=best.loudness_range,
            memory=best.order,
            drive_memory=n_drive,
            one_step_error=one_step.errors,
        ),
        best,
    )


def _autocorrelation(innovation: np.ndarray) -> tuple[float, ...]:
    power = float((innovation**2).mean())
    most = min(N_LAGS, innovation.shape[1] - 1)
    return tuple(float((innovation[:, lag:] * innovation[:, :-lag]).mean() / power) for lag in range(1, most + 1))


def _fewest_drive_lags(
    separation: Separation, separate: Callable[[int], Separation], n_drive: int
) -> tuple[int, Separation]:
    """The fewest drive lags that foresee as well in the filter: raw one-step models also use them to average noise."""
    for fewer in (lag for lag in LAGS if lag < n_drive):
        tried = separate(fewer)
        if tried.loss < separation.loss + _DRIVE_WORTH:
            return fewer, tried
    return n_drive, separation


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
