"""How much memory a polynomial needs where free runs err by the model: held-out free runs decide, not single steps.

One-step errors fall with every delay that helps to average what is left; a twin is used in free runs, where surplus
products of many delays extrapolate badly. So the loudest stretches are held out. Of all memories whose free runs of
these are as good as the best's, within one standard error of that, the one with the fewest products is taken (the
one-standard-error rule: Breiman, Friedman, Olshen and Stone, Classification and Regression Trees, 1984, section 3.4.3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from twins.diagnosis.features import least_squares, polynomial_terms, products
from twins.diagnosis.one_step import highest_order

STRETCH = 240
"""Samples of a free run, or as many as trials have."""
_MOST_LAGS = 5
_MOST_ROWS, _MOST_RUNS = 12_000, 96
_FEWEST_STRETCHES = 9
_LOUD = 2 / 3  # quantile of the stretches' peaks, from which on they are held out
_RUNAWAY = 1e3  # spreads: a free run that is so far off has no error worth a number


@dataclass(frozen=True, slots=True, eq=False)
class _Stretches:
    """response and drive, (stretch, time, channel), of zero mean and unit spread; held_out: (stretch,)."""

    response: np.ndarray
    drive: np.ndarray
    held_out: np.ndarray


def free_run_delays(
    responses: Sequence[np.ndarray], drives: Sequence[np.ndarray], *, order: int, seed: int = 0
) -> tuple[int, int] | None:
    """(response delays, drive delays) of the smallest polynomial of that order that is as good as the best in free runs.

    responses: (trial, time, channel) each, drives likewise. None where there are too few data, or every free run
    diverges. The outcome follows from the seed and the data.
    """
    rng = np.random.default_rng(seed)
    stretches = _cut(responses, drives)
    if stretches is None:
        return None
    n_response, n_drive = stretches.response.shape[2], stretches.drive.shape[2]
    lags = range(1, _MOST_LAGS + 1)
    allowed = [
        (p, q)
        for p in lags
        for q in lags
        if abs(p - q) <= 1 and highest_order(p * n_response + q * n_drive) >= order and 4 * p < stretches.drive.shape[1]
    ]
    squares = {pair: _free_run_squares(stretches, *pair, order, rng) for pair in allowed}
    sound = {pair: one for pair, one in squares.items() if np.isfinite(one).all()}
    if not sound:
        return None
    best = min(sound.values(), key=lambda one: float(one.mean()))
    limit = best.mean() + best.std() / np.sqrt(len(best))
    as_good = [pair for pair, one in sound.items() if one.mean() <= limit]
    p, q = min(as_good, key=lambda pair: (pair[0] * n_response + pair[1] * n_drive, float(sound[pair].mean())))
    return p - 1, q - 1


def _cut(responses: Sequence[np.ndarray], drives: Sequence[np.ndarray]) -> _Stretches | None:
    """Stretches of one length, the loudest third of them held out."""
    length = min(STRETCH, *(one.shape[1] for one in responses))
    places = [
        (number, trial, start)
        for number, one in enumerate(responses)
        for trial in range(one.shape[0])
        for start in range(0, one.shape[1] - length + 1, length)
    ]
    if len(places) < _FEWEST_STRETCHES:
        return None
    response = np.stack([responses[i][j, k : k + length] for i, j, k in places])
    drive = np.stack([drives[i][j, k : k + length] for i, j, k in places])
    unit = _unit(response)
    peak = np.abs(unit).max((1, 2))
    return _Stretches(unit, _unit(drive), peak >= np.quantile(peak, _LOUD))


def _unit(values: np.ndarray) -> np.ndarray:
    spread = values.std((0, 1))
    out: np.ndarray = (values - values.mean((0, 1))) / np.where(spread > 0, spread, 1.0)
    return out


def _free_run_squares(stretches: _Stretches, p: int, q: int, order: int, rng: np.random.Generator) -> np.ndarray:
    """Mean squared error of each held-out stretch in a free run, infinite for one that runs away."""
    terms = polynomial_terms(p * stretches.response.shape[2], q * stretches.drive.shape[2], 0, order)
    trained = ~stretches.held_out
    response, drive = stretches.response[trained], stretches.drive[trained]
    newest = np.arange(_MOST_LAGS - 1, response.shape[1] - 1)
    row = _row([response[:, newest - lag] for lag in range(p)], [drive[:, newest - lag] for lag in range(q)])
    target = response[:, newest + 1].reshape(-1, response.shape[2])
    row = row.reshape(-1, row.shape[-1])
    chosen = rng.permutation(len(target))[:_MOST_ROWS]
    coefficients = least_squares(products(row[chosen].T, terms).T, target[chosen])
    some = np.flatnonzero(stretches.held_out)
    some = rng.permutation(some)[:_MOST_RUNS]
    return _run(coefficients, terms, stretches.response[some], stretches.drive[some], p, q)


def _run(
    coefficients: np.ndarray, terms: np.ndarray, response: np.ndarray, drive: np.ndarray, p: int, q: int
) -> np.ndarray:
    first = _MOST_LAGS - 1
    state = [response[:, first - lag] for lag in range(p)]
    total = np.zeros(len(response))
    for k in range(first, response.shape[1] - 1):
        row = _row(state, [drive[:, k - lag] for lag in range(q)])
        state = [products(row.T, terms).T @ coefficients, *state[:-1]]
        away = ~(np.abs(state[0]) < _RUNAWAY).all(1)
        state[0] = np.where(away[:, None], np.nan, state[0])
        total += ((state[0] - response[:, k + 1]) ** 2).mean(1)
    return np.where(np.isfinite(total), total / (response.shape[1] - 1 - first), np.inf)


def _row(past: Sequence[np.ndarray], driven: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate((np.ones((*past[0].shape[:-1], 1)), *past, *driven), axis=-1)
