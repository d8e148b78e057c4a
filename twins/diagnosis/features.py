"""Polynomial one-step models: which products of past response and drive foresee the next sample."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np

DRIVE_POWERS = 7  # of the newest drive alone: a saturating input is no cubic, and its misfit would look like noise


@dataclass(frozen=True, slots=True, eq=False)
class OneStepModel:
    """x[k+1] = coefficients · products of (1, x[k] … x[k-n_response+1], drive terms); the coefficients are kept apart.

    terms: (feature, 3) columns of the row [1 | response newest first | drive terms] that are multiplied.
    """

    n_response: int
    terms: np.ndarray

    def slope_form(self, coefficients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The prediction's derivatives by each past response as products and their weights.

        coefficients: (ratio, feature). Returns terms (product, 3) and weights (response lag, product, ratio).
        """
        found: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for feature, term in enumerate(self.terms):
            for place in range(3):
                lag = int(term[place]) - 1
                if 0 <= lag < self.n_response:
                    left = sorted(int(column) for other, column in enumerate(term) if other != place)
                    found.setdefault((left[0], left[1]), []).append((lag, feature))
        found = found or {(0, 0): []}
        weights = np.zeros((self.n_response, len(found), len(coefficients)))
        for number, parts in enumerate(found.values()):
            for lag, feature in parts:
                weights[lag, number] += coefficients[:, feature]
        return np.array([(*left, 0) for left in found], dtype=np.int64), weights


def products(row: np.ndarray, terms: np.ndarray) -> np.ndarray:
    """(column, …) -> (feature, …): the product of three columns each; column 0 is one."""
    first, second, third = terms.T
    out: np.ndarray = row[first]
    if second.any():
        out = out * row[second]
    if third.any():
        out = out * row[third]
    return out


def polynomial_terms(n_response: int, n_drive: int, n_powers: int, order: int) -> np.ndarray:
    """All products up to `order` of response and drive columns, then each further drive power alone, (feature, 3)."""
    columns = range(1, 1 + n_response + n_drive)
    terms = [(0, 0, 0)] + [(column, 0, 0) for column in columns]
    for degree in range(2, order + 1):
        for chosen in combinations_with_replacement(columns, degree):
            terms.append((*chosen, *(0,) * (3 - degree)))  # type: ignore[arg-type]
    if order > 1:
        first = 1 + n_response + n_drive
        terms += [(column, 0, 0) for column in range(first, first + n_powers)]
    return np.array(terms, dtype=np.int64)


def least_squares(features: np.ndarray, target: np.ndarray, *, ridge: float = 1e-8) -> np.ndarray:
    """Coefficients (feature,) or (feature, channel); ridge relative to the features' own power."""
    gram = features.T @ features
    gram[np.diag_indices_from(gram)] *= 1.0 + ridge
    gram[np.diag_indices_from(gram)] += 1e-12 * np.trace(gram) / len(gram)
    return np.linalg.solve(gram, features.T @ target)


def select_terms(features: np.ndarray, target: np.ndarray, *, n_kept: int, n_most: int) -> np.ndarray:
    """Indices of features by orthogonal matching pursuit: the first `n_kept` always, then what lowers the residual most.

    Stops where the Bayesian information criterion does not fall any more, or at n_most.
    """
    n = len(target)
    gram, cross, power = features.T @ features, features.T @ target, float(target @ target)
    chosen = list(range(min(n_kept, features.shape[1])))
    norms = np.sqrt(np.diag(gram)) + 1e-300
    best = np.inf
    while True:
        block = gram[np.ix_(chosen, chosen)].copy()
        block[np.diag_indices_from(block)] *= 1.0 + 1e-9
        inverse = np.linalg.pinv(block, hermitian=True)
        coefficients = inverse @ cross[chosen]
        left = max(power - float(coefficients @ cross[chosen]), 1e-14 * power)
        criterion = n * np.log(left / n) + len(chosen) * np.log(n)
        if criterion >= best:
            return np.array(chosen[:-1])
        best = criterion
        if len(chosen) >= min(n_most, features.shape[1]):
            return np.array(chosen)
        # what each remaining feature adds once made orthogonal to the chosen
        correlation = cross - gram[:, chosen] @ coefficients
        rest = norms**2 - np.einsum("ij,jk,ik->i", gram[:, chosen], inverse, gram[:, chosen])
        gain = correlation**2 / np.maximum(rest, 1e-8 * norms**2 + 1e-300)
        gain[chosen] = -1.0
        chosen.append(int(np.argmax(gain)))
