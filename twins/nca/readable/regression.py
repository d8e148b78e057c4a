"""Sparse regression: the few terms that explain a rate.

Terms are dropped one by one, the one that matters least first: the sequential thresholding of SINDy (Brunton, Proctor, Kutz,
PNAS 113, 3932 (2016)) with a threshold that rises from term to term (Boninsegna, Nüske, Clementi, J. Chem. Phys. 148, 241723
(2018)). How many stay is decided on parts of the data that were held out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

_EXCHANGE_GAIN = 1e-3
"""Share of the misfit that an exchange of one term for another must gain."""
_MOST_EXCHANGED = 30
"""Terms, beyond which exchanging them takes too long."""
Rows = tuple[Float[np.ndarray, "row term"], Float[np.ndarray, " row"]]


@dataclass(frozen=True, slots=True, eq=False)
class SparseFit:
    """coefficients, standard_errors: (term,), zero for a term that was dropped; the errors are a jackknife over the folds.
    r2: share of the variance explained on held-out folds, at most 1, below 0 where a constant would do better.
    r2_all: the same with all terms."""

    coefficients: Float[np.ndarray, " term"]
    standard_errors: Float[np.ndarray, " term"]
    r2: float
    r2_all: float


class Folds:
    """Least squares on parts of the data, each compressed to a small triangle that has the same squares.

    rows: of each fold, (terms, rate). Columns are scaled to a root mean square of one.
    """

    def __init__(self, rows: Sequence[Rows]) -> None:
        self.n_terms = rows[0][0].shape[1]
        n = sum(len(rate) for _, rate in rows)
        squares = sum((np.square(terms).sum(axis=0) for terms, _ in rows), np.zeros(self.n_terms))
        self.scales = np.where(squares > 0.0, np.sqrt(squares / n), 1.0)
        total = np.concatenate([rate for _, rate in rows])
        self.mean_square_about_mean = float(np.var(total))
        self.sizes = [len(rate) for _, rate in rows]
        self.triangles = [_triangle(np.column_stack((terms / self.scales, rate))) for terms, rate in rows]

    def fitted(self, kept: Sequence[int], *, without: int | None = None) -> Float[np.ndarray, " kept"]:
        """Scaled coefficients of the kept terms, on all folds or on all but one."""
        stacked = np.concatenate([t for number, t in enumerate(self.triangles) if number != without])
        return np.asarray(np.linalg.lstsq(stacked[:, list(kept)], stacked[:, -1], rcond=None)[0])

    def damped(self, about: Float[np.ndarray, " term"], damping: float) -> Float[np.ndarray, " term"]:
        """Scaled coefficients of all terms on all folds, drawn towards those of `about`: as if `damping` times all rows
        said so. Columns have a mean square of one."""
        pull = np.sqrt(damping * sum(self.sizes)) * np.eye(self.n_terms)
        stacked = np.concatenate((*self.triangles, np.column_stack((pull, pull @ about))))
        return np.asarray(np.linalg.lstsq(stacked[:, :-1], stacked[:, -1], rcond=None)[0])

    def held_out_errors(self, kept: Sequence[int]) -> Float[np.ndarray, " fold"]:
        """Mean squared error on each fold of what was fitted on all others."""
        errors = []
        for number, (triangle, size) in enumerate(zip(self.triangles, self.sizes, strict=True)):
            fitted = self.fitted(kept, without=number)
            errors.append(float(np.square(triangle[:, -1] - triangle[:, list(kept)] @ fitted).sum()) / size)
        return np.array(errors)

    def r2(self, kept: Sequence[int]) -> float:
        """1 - held-out error over variance; nothing to explain is explained."""
        if self.mean_square_about_mean == 0.0:
            return 1.0
        weights = np.array(self.sizes) / sum(self.sizes)
        return 1.0 - float(weights @ self.held_out_errors(kept)) / self.mean_square_about_mean

    def best_of_each_size(self) -> list[list[int]]:
        """Sets of no term, one, two … to all: each grown by the term that helps most, then terms exchanged for others as
        long as that helps (sequential replacement, A. J. Miller, "Subset Selection in Regression", 2002); or left over
        from all terms, dropped one by one, where that is better. Terms that stand for each other are told apart so."""
        usable = [number for number in range(self.n_terms) if np.abs(self._together[:, number]).max() > 0.0]
        fewer = {len(kept): kept for kept in self.dropped_one_by_one()}
        kept: list[int] = []
        found = [kept]
        for size in range(1, len(usable) + 1):
            others = [term for term in usable if term not in kept]
            kept = [*kept, min(others, key=lambda term: _misfit(self._together, [*kept, term]))]
            kept = min((self._exchanged(kept, usable), fewer[size]), key=lambda one: _misfit(self._together, one))
            found.append(sorted(kept))
        return found

    def _exchanged(self, kept: list[int], usable: list[int]) -> list[int]:
        misfit, gained = _misfit(self._together, kept), len(usable) <= _MOST_EXCHANGED
        while gained:
            gained = False
            for place in range(len(kept)):
                for term in [term for term in usable if term not in kept]:
                    tried = [*kept[:place], term, *kept[place + 1 :]]
                    now = _misfit(self._together, tried)
                    if now < misfit * (1.0 - _EXCHANGE_GAIN):
                        kept, misfit, gained = tried, now, True
        return kept

    @cached_property
    def _together(self) -> np.ndarray:
        return _triangle(np.concatenate(self.triangles))

    def dropped_one_by_one(self) -> list[list[int]]:
        """The terms that are left, from all to none: each time without the one whose loss costs least."""
        together = self._together
        kept = [number for number in range(self.n_terms) if np.abs(together[:, number]).max() > 0.0]
        path = [kept]
        while kept:
            costs = [_misfit(together, [k for k in kept if k != term]) for term in kept]
            least = kept[int(np.argmin(costs))]
            kept = [k for k in kept if k != least]
            path.append(kept)
        return path


def sparse_fit(folds: Folds, *, tolerance: float, only: Sequence[int] | None = None) -> SparseFit:
    """The fewest terms whose held-out error is within one standard error of the best, or within `tolerance` times the
    variance of the rate. only: these terms, without choosing."""
    everything = list(range(folds.n_terms))
    kept = list(only) if only is not None else _chosen(folds, tolerance)
    n_folds = len(folds.triangles)
    coefficients, errors = np.zeros(folds.n_terms), np.zeros(folds.n_terms)
    if kept:
        coefficients[kept] = folds.fitted(kept)
        without = np.array([folds.fitted(kept, without=number) for number in range(n_folds)])
        errors[kept] = np.sqrt((n_folds - 1) * without.var(axis=0))
    return SparseFit(coefficients / folds.scales, errors / folds.scales, folds.r2(kept), folds.r2(everything))


def _chosen(folds: Folds, tolerance: float) -> list[int]:
    path = folds.dropped_one_by_one()
    errors = np.array([folds.held_out_errors(kept) for kept in path])
    means = errors.mean(axis=1)
    best = int(np.argmin(means))
    spread = errors[best].std(ddof=1) / np.sqrt(errors.shape[1])
    allowed = means[best] + max(float(spread), tolerance * folds.mean_square_about_mean)
    return path[int(np.flatnonzero(means <= allowed)[-1])]  # the last one has the fewest terms


def _triangle(matrix: np.ndarray) -> np.ndarray:
    """R of the QR decomposition: least squares with it are those with the matrix."""
    return np.asarray(np.linalg.qr(matrix, mode="r"))


def _misfit(triangle: np.ndarray, kept: Sequence[int]) -> float:
    if not kept:
        return float(np.square(triangle[:, -1]).sum())
    fitted = np.linalg.lstsq(triangle[:, kept], triangle[:, -1], rcond=None)[0]
    return float(np.square(triangle[:, -1] - triangle[:, kept] @ fitted).sum())
