"""How much memory and which nonlinearity foresee the next sample of held-out stretches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twins.diagnosis.features import least_squares, polynomial_terms, products, select_terms
from twins.diagnosis.segments import Segments

LAGS = (1, 2, 3, 4, 6, 8)
_RICH = 8  # response lags while drive lags are chosen, so that these do not stand in for the state
_COMPARED = 4, 3  # most response and drive lags where orders are compared
_WORTH = 0.015  # relative fall of the held-out error that another lag must bring
_WORTH_DRIVE = 0.03  # more for drive lags: in noisy data they also help to average the state
_EXACT = 1e-6  # of the spread: an error that means nothing
_CHANCE = 3.0  # standard errors
_MAX_PRODUCTS = 330
_MAX_TERMS = 60


@dataclass(frozen=True, slots=True)
class OneStep:
    """n_response, n_drive: lags (1 = the newest sample only). errors: held-out, linear to cubic, over the spread.

    polynomial_order: the lowest that no higher one beats by more than chance and half a per cent.
    """

    n_response: int
    n_drive: int
    errors: tuple[float, float, float]
    polynomial_order: int


def one_step_models(segments: Segments, n_drive_channels: int) -> OneStep:
    """Choose lags and compare orders. The drive terms of `segments` hold the largest of LAGS for every channel."""
    held_out = _held_out(segments)
    longest = segments.response.shape[1] // 3
    lags = [lag for lag in LAGS if lag <= longest]

    def error(n_response: int, n_drive: int, order: int, *, powers: bool = True) -> np.ndarray:
        return _errors(segments, held_out, n_response, n_drive, n_drive_channels, order, powers=powers)

    scan = [_root_mean(error(min(_RICH, longest), q, 1)) for q in lags]
    n_drive = lags[_smallest(scan, _WORTH_DRIVE)]
    n_columns = n_drive * n_drive_channels
    order = highest_order(_COMPARED[0] + n_columns)
    n_response = lags[_smallest([_root_mean(error(p, n_drive, order)) for p in lags], _WORTH)]
    # noisy data ask for long averages; whether the device is linear shows as well in its newest samples
    fewer = min(n_response, _COMPARED[0]), min(n_drive, _COMPARED[1])
    order = highest_order(fewer[0] + fewer[1] * n_drive_channels)
    by_order = [error(*fewer, one, powers=False) for one in range(1, order + 1)]
    by_order += [by_order[-1]] * (3 - order)
    first, second, third = (_root_mean(one) for one in by_order)
    return OneStep(n_response, n_drive, (first, second, third), _lowest_order(by_order))


def highest_order(n_columns: int) -> int:
    """The highest polynomial order up to 3 with a bearable number of products of so many columns."""
    counts = (n_columns, n_columns * (n_columns + 3) // 2, n_columns * (n_columns**2 + 6 * n_columns + 11) // 6)
    return max((order for order, count in zip((1, 2, 3), counts, strict=True) if count <= _MAX_PRODUCTS), default=1)


def _lowest_order(by_order: list[np.ndarray]) -> int:
    best = min(by_order, key=_root_mean)
    for order, squares in enumerate(by_order, start=1):
        # in the mean, and in the logarithm, which few bad stretches do not rule
        worse = squares - best
        ratio = np.log(np.maximum(squares, _EXACT**2) / np.maximum(best, _EXACT**2))
        if worse.mean() <= max(_by_chance(worse), 0.01 * float(best.mean()), _EXACT**2) and ratio.mean() <= max(
            _by_chance(ratio), 0.01
        ):
            return order
    return len(by_order)


def _by_chance(differences: np.ndarray) -> float:
    return _CHANCE * float(differences.std()) / float(np.sqrt(len(differences)))


def _root_mean(squares: np.ndarray) -> float:
    return float(np.sqrt(squares.mean()))


def _smallest(errors: list[float], worth: float) -> int:
    return int(np.flatnonzero(np.array(errors) <= (1.0 + worth) * min(errors) + _EXACT)[0])


def held_out_errors(segments: Segments, n_response: int, n_drive: int, n_drive_channels: int, order: int) -> np.ndarray:
    """Mean squared error of each held-out stretch, in squares of the spread, of a model of so many lags and that order."""
    return _errors(segments, _held_out(segments), n_response, n_drive, n_drive_channels, order, powers=False)


def _held_out(segments: Segments) -> np.ndarray:
    """A third of the trials, or of the segments where there are few trials."""
    trials = np.unique(segments.trial)
    place = np.searchsorted(trials, segments.trial) if len(trials) >= 6 else np.arange(len(segments.trial))
    out: np.ndarray = place % 3 == 2
    return out


def _errors(
    segments: Segments,
    held_out: np.ndarray,
    n_response: int,
    n_drive: int,
    n_channels: int,
    order: int,
    *,
    powers: bool,
) -> np.ndarray:
    """Mean squared held-out error of each stretch, in squares of the spread."""
    first = min(max(LAGS) - 1, segments.response.shape[1] // 2)
    rows, target = segments.rows(n_response, first=max(first, n_response - 1))
    n_all = segments.n_drive_lags
    columns = 1 + n_response + np.arange(n_drive * n_channels)
    extra = np.arange(1 + n_response + n_all, rows.shape[1] if powers else 1 + n_response + n_all)
    table = rows[:, np.concatenate((np.arange(1 + n_response), columns, extra))]
    terms = polynomial_terms(n_response, len(columns), len(extra), order)
    if powers and order == 1:
        alone = [(c, c, 0) for c in range(1 + n_response, 1 + n_response + len(columns))]
        terms = np.concatenate((terms, alone, [(a, a, a) for a, _, _ in alone]))
    features = products(table.T, terms).T
    test = np.repeat(held_out, len(target) // len(held_out))
    n_linear = 1 + n_response + len(columns)
    kept = select_terms(features[~test], target[~test], n_kept=n_linear, n_most=max(_MAX_TERMS, n_linear))
    coefficients = least_squares(features[~test][:, kept], target[~test])
    wrong = (target[test] - features[test][:, kept] @ coefficients).reshape(int(held_out.sum()), -1)
    out: np.ndarray = (wrong**2).mean(1)
    return out
