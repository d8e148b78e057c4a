"""How much memory a polynomial needs where free runs err by the model: held-out free runs decide, not single steps.

One-step errors fall with every delay that helps to average what is left; a twin is used in free runs, where surplus
products of many delays extrapolate badly. But where it is the device's own noise that drives free runs apart, they say
nothing of the model (noise_share). The loudest stretches are held out. Of all memories whose free runs of
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
_MOST_ROWS, _MOST_RUNS = 24_000, 128
_FEWEST_STRETCHES = 9
_LOUD = 2 / 3  # quantile of the stretches' peaks, from which on they are held out
_RUNAWAY = 1e3  # spreads: a free run that is so far off has no error worth a number


@dataclass(frozen=True, slots=True, eq=False)
class _Stretches:
    """response and drive, (stretch, time, channel), of zero mean and unit spread; held_out: (stretch,)."""

    response: np.ndarray
    drive: np.ndarray
    held_out: np.ndarray


@dataclass(frozen=True, slots=True)
class FreeRuns:
    """delays: (response, drive) of the smallest polynomial that is as good as the best in free runs.

    noise_share: of the best one's squared error, what its one-step residuals, taken for process noise, would cause.
    error: of the best one, root mean square over the spread.
    """

    delays: tuple[int, int]
    noise_share: float
    error: float = 1.0


def free_runs(
    responses: Sequence[np.ndarray], drives: Sequence[np.ndarray], *, order: int, seed: int = 0
) -> FreeRuns | None:
    """What free runs of polynomials of that order say about memory and noise.

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
    runs = {pair: _free_run_squares(stretches, *pair, order, rng) for pair in allowed}
    sound = {pair: squares for pair, (squares, _) in runs.items() if np.isfinite(squares).all()}
    if not sound:
        return None
    leader = min(sound, key=lambda pair: float(sound[pair].mean()))
    best = sound[leader]
    limit = best.mean() + best.std() / np.sqrt(len(best))
    as_good = [pair for pair, one in sound.items() if one.mean() <= limit]
    p, q = min(as_good, key=lambda pair: (pair[0] * n_response + pair[1] * n_drive, float(sound[pair].mean())))
    return FreeRuns((p - 1, q - 1), _share(runs[leader][1], best), float(np.sqrt(best.mean())))


def _share(moved: np.ndarray, error: np.ndarray) -> float:
    return float(moved.mean() / error.mean()) if len(moved) and error.any() else 1.0


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


def _free_run_squares(
    stretches: _Stretches, p: int, q: int, order: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Mean squared error of each held-out stretch in a free run, infinite for one that runs away, and how far noise of
    the size of the one-step residuals drives each of them away."""
    terms = polynomial_terms(p * stretches.response.shape[2], q * stretches.drive.shape[2], 0, order)
    trained = ~stretches.held_out
    response, drive = stretches.response[trained], stretches.drive[trained]
    newest = np.arange(_MOST_LAGS - 1, response.shape[1] - 1)
    row = _row([response[:, newest - lag] for lag in range(p)], [drive[:, newest - lag] for lag in range(q)])
    target = response[:, newest + 1].reshape(-1, response.shape[2])
    row = row.reshape(-1, row.shape[-1])
    chosen = rng.permutation(len(target))[:_MOST_ROWS]
    design = products(row[chosen].T, terms).T
    coefficients = least_squares(design, target[chosen])
    residual = (target[chosen] - design @ coefficients).std(0)
    some = np.flatnonzero(stretches.held_out)
    some = rng.permutation(some)[:_MOST_RUNS]
    measured, driven = stretches.response[some], stretches.drive[some]
    clean = _run(coefficients, terms, measured, driven, p, q)
    kicks = rng.standard_normal((measured.shape[1], len(some), measured.shape[2])) * residual
    moved = _squares(_run(coefficients, terms, measured, driven, p, q, kicks), clean)
    return _squares(clean, measured), moved[np.isfinite(moved)]


def _run(
    coefficients: np.ndarray,
    terms: np.ndarray,
    response: np.ndarray,
    drive: np.ndarray,
    p: int,
    q: int,
    kicks: np.ndarray | None = None,
) -> np.ndarray:
    """The free run from the first measured samples, (stretch, time, channel), NaN from where it runs away."""
    path = response.copy()
    for k in range(_MOST_LAGS - 1, response.shape[1] - 1):
        row = _row([path[:, k - lag] for lag in range(p)], [drive[:, k - lag] for lag in range(q)])
        following = products(row.T, terms).T @ coefficients
        if kicks is not None:
            following = following + kicks[k]
        away = ~(np.abs(following) < _RUNAWAY).all(1)
        path[:, k + 1] = np.where(away[:, None], np.nan, following)
    return path


def _squares(path: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Mean squared difference of each stretch after its start, infinite where one of them ran away."""
    total: np.ndarray = ((path - other)[:, _MOST_LAGS:] ** 2).mean((1, 2))
    return np.where(np.isfinite(total), total, np.inf)


def _row(past: Sequence[np.ndarray], driven: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate((np.ones((*past[0].shape[:-1], 1)), *past, *driven), axis=-1)
