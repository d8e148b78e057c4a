"""Stretches of one response channel with the drive behind them, in units of their own spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from twins.diagnosis.features import DRIVE_POWERS

MIN_SAMPLES = 24
_N_SAMPLES, _MIN_SEGMENTS = 80, 6


@dataclass(frozen=True, slots=True, eq=False)
class Segments:
    """response: (segment, time), zero mean and unit spread. drive_terms: (segment, time, term): lags of the drive,
    newest first, n_drive_lags of them, then powers of the newest; terms at k act on the step from k to k + 1.

    trial: the trial each segment was cut from, (segment,). scale: spread of the response in its own units.
    """

    response: np.ndarray
    drive_terms: np.ndarray
    n_drive_lags: int
    trial: np.ndarray
    scale: float

    def rows(self, order: int, *, first: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """One-step rows [1 | response newest first | drive terms], (row, column), and their next samples (row,).

        first: earliest sample that acts as newest (default order - 1).
        """
        start = order - 1 if first is None else first
        newest = np.arange(start, self.response.shape[1] - 1)
        past = self.response[:, newest[:, None] - np.arange(order)]
        ones = np.ones((*past.shape[:2], 1))
        rows = np.concatenate((ones, past, self.drive_terms[:, newest]), axis=-1)
        return rows.reshape(-1, rows.shape[-1]), self.response[:, newest + 1].reshape(-1)

    def with_drive_columns(self, n: int) -> Segments:
        """Only the newest n of the drive's lagged columns, and its powers."""
        terms = np.concatenate((self.drive_terms[..., :n], self.drive_terms[..., self.n_drive_lags :]), axis=-1)
        return replace(self, drive_terms=terms, n_drive_lags=n)

    def fewer(self, n_samples: int, rng: np.random.Generator) -> Segments:
        """A random part of the segments with about n_samples samples in all, at least 4 segments."""
        n = max(4, n_samples // self.response.shape[1])
        if n >= len(self.response):
            return self
        chosen = np.sort(rng.permutation(len(self.response))[:n])
        return replace(
            self,
            response=self.response[chosen],
            drive_terms=self.drive_terms[chosen],
            trial=self.trial[chosen],
        )


def cut_segments(
    responses: Sequence[np.ndarray],
    drives: Sequence[np.ndarray],
    *,
    n_drive_lags: int,
    n_most: int,
    rng: np.random.Generator,
    with_powers: bool = True,
    n_least: int = _MIN_SEGMENTS,
) -> Segments:
    """Cut (trial, time) responses and (trial, time, channel) drives to segments of one length.

    At most about n_most samples, at random; n_least segments or more where that leaves each of them 24 samples.
    n_drive_lags: samples of every drive channel that the rows show; 0: none.
    """
    n_all = sum(one.shape[0] * one.shape[1] for one in responses)
    length = min(_N_SAMPLES, *(one.shape[1] for one in responses), max(MIN_SAMPLES, n_all // n_least))
    places = [
        (number, trial, start)
        for number, one in enumerate(responses)
        for start in range(0, one.shape[1] - length + 1, length)
        for trial in range(one.shape[0])
    ]
    if len(places) * length > n_most:
        chosen = np.sort(rng.permutation(len(places))[: max(4, n_most // length)])
        places = [places[i] for i in chosen]
    mean = float(np.mean([one.mean() for one in responses]))
    spread = float(np.sqrt(np.mean([((one - mean) ** 2).mean() for one in responses])))
    terms = [_drive_terms(drive, drives, n_drive_lags, with_powers) for drive in drives]
    first_trial = np.cumsum([0] + [len(one) for one in responses])
    return Segments(
        response=np.stack([(responses[i][j, k : k + length] - mean) / spread for i, j, k in places]),
        drive_terms=np.stack([terms[i][j, k : k + length] for i, j, k in places]),
        n_drive_lags=n_drive_lags * drives[0].shape[2],
        trial=np.array([first_trial[i] + j for i, j, _ in places]),
        scale=spread,
    )


def _drive_terms(drive: np.ndarray, drives: Sequence[np.ndarray], n_lags: int, with_powers: bool) -> np.ndarray:
    if n_lags == 0:
        return np.zeros((*drive.shape[:2], 0))
    centre = np.mean([one.mean((0, 1)) for one in drives], axis=0)
    spread = np.sqrt(np.mean([((one - centre) ** 2).mean((0, 1)) for one in drives], axis=0))
    unit = (drive - centre) / np.where(spread > 0, spread, 1.0)
    lagged = [
        np.concatenate((np.repeat(unit[:, :1], lag, 1), unit[:, : unit.shape[1] - lag]), 1) for lag in range(n_lags)
    ]
    powers = [unit**power for power in range(4, DRIVE_POWERS + 1)] if with_powers else []
    return np.concatenate((*lagged, *powers), axis=-1)


def n_stretches(n_inputs: int, n_samples: int) -> int:
    """Different inputs, where a long one counts as several."""
    return n_inputs * max(1, n_samples // _N_SAMPLES)
