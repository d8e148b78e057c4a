"""Whether a response shows a drive one sample earlier than a twin takes it to.

A twin's drive[k] acts between samples k and k + 1, as a converter that holds it from sample k on makes it. Where drive
and response were sampled together and the drive moved on between samples, response[k + 1] already shows drive[k + 1].
One-step models of both readings tell: where the drive was held, the next sample of it says nothing new.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from twins.diagnosis.one_step import LAGS, held_out_errors, highest_order
from twins.diagnosis.segments import MIN_SAMPLES, Segments, cut_segments

BETTER = 1.25
"""Factor by which the error must fall; held drives reach 1.13 by misfit of the models, where the error is small anyway."""
PLAINLY, MATTERS = 1.5, 1e-3
"""The same factor for data of which nobody knows whether they were moved already: one sample more then helps by up to 1.4,
as a better interpolation of the drive. MATTERS: over the spread, an error that is worth a warning."""
_BEYOND_CHANCE = 4.0  # standard errors, of the squares and of their logarithms
_LAGS = ((max(LAGS), 1), (4, 3))  # of response and drive, and the most order
_SAMPLES = 8_000
_EXACT = 1e-12  # of the spread's square: an error that means nothing
_MOST_CHANNELS = 4
_FEWEST_SEGMENTS, _LEAST_SEGMENTS = 12, 24  # a third of them is held out; shorter ones where data are few


@dataclass(frozen=True, slots=True)
class Alignment:
    """channel: number of the response channel that tells. errors: held-out one-step errors over its spread, of the
    drive as it stands and of the drive one sample ahead. ahead: 1 if that is clearly better, else 0. plain: it is so
    much better that the data as they are cannot have been moved before.
    """

    channel: int
    errors: tuple[float, float]
    ahead: int

    @property
    def plain(self) -> bool:
        return bool(self.ahead and self.errors[0] > max(MATTERS, PLAINLY * self.errors[1]))


def drive_alignment(
    responses: Sequence[np.ndarray], drives: Sequence[np.ndarray], *, seed: int = 0
) -> Alignment | None:
    """Compare drive[k] and drive[k + 1] as what acts between samples k and k + 1, for the channel that shows most.

    responses: (trial, time, channel) each, drives likewise. None where trials are too short or too few to tell, or no
    response moves. The outcome follows from the seed and the data.
    """
    parts = [pair for pair in zip(responses, drives, strict=True) if pair[0].shape[1] > MIN_SAMPLES]
    if not parts:
        return None
    moving = np.flatnonzero(np.any([np.ptp(response, axis=(0, 1)) > 0 for response, _ in parts], axis=0))
    found = []
    for place in np.linspace(0, len(moving) - 1, min(_MOST_CHANNELS, len(moving))).astype(int):
        channel = int(moving[place])
        one = _of_channel([(response[..., channel], drive) for response, drive in parts], channel, seed)
        if one is not None:
            found.append(one)
    return max(found, key=lambda one: (one.ahead, one.errors[0] / max(one.errors[1], 1e-300)), default=None)


def _of_channel(parts: Sequence[tuple[np.ndarray, np.ndarray]], channel: int, seed: int) -> Alignment | None:
    responses = [response[:, :-1] for response, _ in parts]
    n_drive = parts[0][1].shape[2]
    as_it_stands = _squares(_segments(responses, [drive[:, :-1] for _, drive in parts], seed), n_drive)
    ahead = _squares(_segments(responses, [drive[:, 1:] for _, drive in parts], seed), n_drive)
    if not ahead:
        return None
    best = [min(tried, key=lambda squares: float(squares.mean())) for tried in (as_it_stands, ahead)]
    before, after = (float(np.sqrt(squares.mean())) for squares in best)
    # models that miss the device's law can profit by luck, but not the linear and the polynomial one
    sure = all(_clearly(old, new) for old, new in zip((*as_it_stands, best[0]), (*ahead, best[1]), strict=True))
    return Alignment(channel, (before, after), int(sure and before > BETTER * (after + np.sqrt(_EXACT))))


def _segments(responses: Sequence[np.ndarray], drives: Sequence[np.ndarray], seed: int) -> Segments:
    return cut_segments(
        responses,
        drives,
        n_drive_lags=max(LAGS),
        n_most=_SAMPLES,
        rng=np.random.default_rng(seed),
        with_powers=False,
        n_least=_LEAST_SEGMENTS,
    )


def _squares(segments: Segments, n_channels: int) -> list[np.ndarray]:
    """Mean squared held-out error of each stretch, of a long linear and a short polynomial model; empty for too few."""
    if len(segments.response) < _FEWEST_SEGMENTS:
        return []
    return [
        held_out_errors(segments, lags, lags, n_channels, min(order, highest_order(lags * (1 + n_channels))))
        for lags, order in _LAGS
    ]


def _clearly(old: np.ndarray, new: np.ndarray) -> bool:
    """Whether squares fell beyond chance, in the mean and in the logarithm, which few bad stretches do not rule."""
    ratio = np.log((old + _EXACT) / (new + _EXACT))
    chance = _BEYOND_CHANCE / np.sqrt(len(old))
    return bool((old - new).mean() > chance * (old - new).std() and ratio.mean() > chance * ratio.std())
