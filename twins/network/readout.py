"""Read-outs: ridge regression and L2-regularised softmax, solved exactly in float64.

    linear    W = argmin  mean |W f + b - y|²          + λ |W|²        (normal equations)
    softmax   W = argmin  mean cross-entropy(W f + b)  + λ/2 |W|²      (Newton with step halving)

b is not penalised. Both objectives are convex and solved to their minimum, so the gradient of the minimal value with
respect to the features is the partial gradient with the read-out held fixed (variable projection): solve here, then
backpropagate with W frozen.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twins.errors import TwinError

Array = NDArray[np.float64]
ReadoutKind = Literal["linear", "softmax"]
CANDIDATE_REGULARISATIONS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
_BIAS_PENALTY = 1e-9  # softmax: adding a constant to all biases changes nothing; this keeps the Hessian invertible
# Newton's decrement (of the objective) squares with every step near the minimum: a full step from here leaves nothing.
_LAST_DECREMENT = 1e-8


class ReadoutError(TwinError, ValueError):
    """A read-out cannot be fitted to, or applied to, these arrays."""


class ReadoutUnsolvableError(ReadoutError):
    """No read-out exists for these features: some are not finite, or too large to solve for."""


@dataclass(frozen=True, slots=True, eq=False)
class Readout:
    """y = weights · features + bias; softmax of it for classification. weights (output, feature), bias (output,)."""

    kind: ReadoutKind
    weights: Array
    bias: Array
    regularisation: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in ("linear", "softmax"):
            raise ReadoutError(f"read-out kind {self.kind!r} is unknown; it is 'linear' or 'softmax'")
        if self.weights.ndim != 2 or self.bias.shape != self.weights.shape[:1]:
            raise ReadoutError(f"read-out weights {self.weights.shape} and bias {self.bias.shape} do not fit together")
        if not (np.all(np.isfinite(self.weights)) and np.all(np.isfinite(self.bias))):
            raise ReadoutError("the read-out contains NaN or infinity")

    @property
    def n_features(self) -> int:
        """Features expected, without the constant."""
        return int(self.weights.shape[1])

    def apply(self, features: ArrayLike) -> Array:
        """features (..., feature) -> outputs (..., output); probabilities for a softmax read-out."""
        array = np.asarray(features, dtype=np.float64)
        if array.shape[-1] != self.n_features:
            raise ReadoutError(f"the read-out expects {self.n_features} features, not {array.shape[-1]}")
        linear: Array = array @ self.weights.T + self.bias
        return linear if self.kind == "linear" else _softmax(linear)


def fit_readout(
    kind: ReadoutKind,
    features: ArrayLike,
    targets: ArrayLike,
    *,
    regularisation: float,
    start: Readout | None = None,
) -> Readout:
    """The exact minimiser for features (row, feature) and targets (row, output); one-hot or probabilities for
    softmax.

    start: an earlier softmax read-out to begin Newton from. Raises ReadoutUnsolvableError where the features are not finite or
    too large, ReadoutError on wrong shapes, targets that are not finite, or regularisation <= 0.
    """
    F, Y = _rows(features, targets)
    if not regularisation > 0:
        raise ReadoutError(f"regularisation must be > 0, not {regularisation}")
    with np.errstate(over="ignore", invalid="ignore"):  # told by what comes out
        try:
            found = _ridge(F, Y, regularisation) if kind == "linear" else _newton(F, Y, regularisation, start)
        except np.linalg.LinAlgError as error:
            raise ReadoutUnsolvableError(_too_large(F)) from error
    weights, bias = found
    if not (np.all(np.isfinite(weights)) and np.all(np.isfinite(bias))):
        raise ReadoutUnsolvableError(_too_large(F))
    return Readout(kind, weights, bias, regularisation)


def _too_large(F: Array) -> str:
    return f"no read-out can be solved for: features reach {np.abs(F).max():.3g}"


def fit_readout_by_validation(
    kind: ReadoutKind,
    features: ArrayLike,
    targets: ArrayLike,
    groups: ArrayLike,
    *,
    candidates: Sequence[float] = CANDIDATE_REGULARISATIONS,
    n_folds: int = 4,
) -> Readout:
    """Choose the regularisation by cross-validation over whole groups (trials), then fit on all rows.

    groups (row,): rows with the same number, e.g. one trial in all its noise draws, are never split between fit and
    validation.
    """
    choice = readout_choice(kind, features, targets, groups, candidates=candidates, n_folds=n_folds)
    while True:
        try:
            next(choice)
        except StopIteration as finished:
            chosen: Readout = finished.value
            return chosen


def readout_choice(
    kind: ReadoutKind,
    features: ArrayLike,
    targets: ArrayLike,
    groups: ArrayLike,
    *,
    candidates: Sequence[float] = CANDIDATE_REGULARISATIONS,
    n_folds: int = 4,
) -> Generator[float, None, Readout]:
    """The same a candidate at a time: yields each penalty once it was tried, strongest first; returns the read-out."""
    F, Y = _rows(features, targets)
    group_of_row = np.asarray(groups)
    distinct = np.unique(group_of_row)
    if len(distinct) < 2:
        raise ReadoutError("cross-validation needs at least two groups (trials); give `fit_readout` a fixed penalty")
    fold_of_row = np.searchsorted(distinct, group_of_row) % min(n_folds, len(distinct))
    n_folds = int(fold_of_row.max()) + 1
    starts: list[Readout | None] = [None] * n_folds
    losses = {}
    for candidate in sorted(candidates, reverse=True):  # each solution is a good start for the next weaker penalty
        losses[candidate] = 0.0
        for fold in range(n_folds):
            inside = fold_of_row != fold
            fitted = fit_readout(kind, F[inside], Y[inside], regularisation=candidate, start=starts[fold])
            losses[candidate] += _loss_sum(fitted, F[~inside], Y[~inside])
            starts[fold] = fitted
        yield candidate
    return fit_readout(kind, F, Y, regularisation=min(losses, key=losses.__getitem__), start=starts[0])


def _loss_sum(readout: Readout, F: Array, Y: Array) -> float:
    out = readout.apply(F)
    if readout.kind == "linear":
        return float(np.sum((out - Y) ** 2))
    return float(-np.sum(Y * np.log(np.maximum(out, 1e-300))))


def _ridge(F: Array, Y: Array, regularisation: float) -> tuple[Array, Array]:
    """Weights and bias."""
    mean_f, mean_y = F.mean(axis=0), Y.mean(axis=0)
    centred = F - mean_f
    gram = centred.T @ centred / len(F) + regularisation * np.eye(F.shape[1])
    weights = np.linalg.solve(gram, centred.T @ (Y - mean_y) / len(F)).T
    return weights, mean_y - weights @ mean_f


def _newton(F: Array, Y: Array, regularisation: float, start: Readout | None) -> tuple[Array, Array]:
    """Weights and bias."""
    n_rows, n_outputs = Y.shape
    X = np.hstack([F, np.ones((n_rows, 1))])
    penalty = np.full(X.shape[1], regularisation)
    penalty[-1] = _BIAS_PENALTY
    theta = np.zeros((n_outputs, X.shape[1])) if start is None else np.hstack([start.weights, start.bias[:, None]])
    value, probabilities = _softmax_objective(theta, X, Y, penalty)
    for _ in range(100):
        gradient = (probabilities - Y).T @ X / n_rows + penalty * theta
        step = np.linalg.solve(_softmax_hessian(probabilities, X, penalty), gradient.ravel()).reshape(theta.shape)
        decrement = float(np.sum(step * gradient))
        if decrement < max(_LAST_DECREMENT * value, 1e-14):
            theta = theta - step
            break
        size = 1.0
        while size > 1e-8:
            trial, trial_probabilities = _softmax_objective(theta - size * step, X, Y, penalty)
            if trial <= value - 1e-4 * size * decrement:
                break
            size *= 0.5
        else:
            break  # no descent left within rounding: this is the minimum
        theta, value, probabilities = theta - size * step, trial, trial_probabilities
    return theta[:, :-1].copy(), theta[:, -1].copy()


def _softmax_hessian(P: Array, X: Array, penalty: Array) -> Array:
    """Probabilities add up to 1, so the blocks of each row add up to 0: only those off the diagonal are products."""
    n_rows, n_columns = X.shape
    n_outputs = P.shape[1]
    hessian = np.zeros((n_outputs, n_columns, n_outputs, n_columns))
    for a in range(n_outputs):
        for b in range(a):
            weighted = X * np.sqrt(P[:, a] * P[:, b] / n_rows)[:, None]
            block = weighted.T @ weighted  # of one matrix with itself: half the work
            hessian[a, :, b, :] = hessian[b, :, a, :] = -block
            hessian[a, :, a, :] += block
            hessian[b, :, b, :] += block
    for a in range(n_outputs):
        hessian[a, :, a, :] += np.diag(penalty)
    return hessian.reshape(n_outputs * n_columns, n_outputs * n_columns)


def _softmax_objective(theta: Array, X: Array, Y: Array, penalty: Array) -> tuple[float, Array]:
    logits = X @ theta.T
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return float(-np.sum(Y * log_p) / len(X) + 0.5 * np.sum(penalty * theta**2)), np.exp(log_p)


def _softmax(logits: Array) -> Array:
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities: Array = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return probabilities


def _rows(features: ArrayLike, targets: ArrayLike) -> tuple[Array, Array]:
    F, Y = np.asarray(features, dtype=np.float64), np.asarray(targets, dtype=np.float64)
    if F.ndim != 2 or Y.ndim != 2 or len(F) != len(Y) or len(F) == 0:
        raise ReadoutError(f"features (row, feature) and targets (row, output) expected, got {F.shape} and {Y.shape}")
    if not np.all(np.isfinite(Y)):
        raise ReadoutError("targets contain NaN or infinity")
    bad = int((~np.isfinite(F)).any(axis=1).sum())
    if bad:
        raise ReadoutUnsolvableError(f"{bad} of {len(F)} rows of features contain NaN or infinity")
    return F, Y
