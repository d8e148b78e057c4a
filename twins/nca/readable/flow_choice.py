"""Which terms a flow needs: chosen in turns with the search for their coefficients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from twins.nca.readable.flow import Place
from twins.nca.readable.flow_fit import FlowProblem, descended, put
from twins.nca.readable.regression import Folds

_STEPS, _MOST_ROUNDS = 6, 5


@dataclass(frozen=True, slots=True, eq=False)
class FittedFlow:
    """coefficients: (channel, term), zero in all places but `kept`. errors: their standard errors, a jackknife over the
    folds. held_out: mean square on each fold of what was fitted on all others, per channel, in units of the change."""

    coefficients: Float[Tensor, "channel term"]
    kept: tuple[Place, ...]
    errors: Float[Tensor, "channel term"]
    held_out: Float[np.ndarray, "fold channel"]

    @property
    def error(self) -> float:
        """Over folds and channels."""
        return float(self.held_out.mean())


def fitted_flow(problem: FlowProblem, coefficients: Tensor, kept: Sequence[Place], *, most_steps: int) -> FittedFlow:
    """With these terms, from these coefficients."""
    found, _ = descended(problem, coefficients, kept, most_steps=most_steps)
    folds = problem.linearised(found, kept) if kept else None
    return _judged(problem, found, kept, folds)


def chosen_flow(
    problem: FlowProblem, coefficients: Tensor, wanted: Sequence[Place], *, tolerance: float
) -> tuple[FittedFlow, FittedFlow]:
    """The fewest terms whose held-out error is within one standard error of the best, or within `tolerance` (of the mean
    square change); and what all terms do. coefficients: to begin from.

    Terms are chosen where the flow is a straight line in the coefficients, about those found last; then these are sought
    again, until the choice stays the same. That begins at the given coefficients, at those of all terms, and at none,
    because terms that stand for each other together are not found to by exchanging one at a time.
    """
    full = fitted_flow(problem, coefficients, wanted, most_steps=_STEPS)
    found = {full.kept: full}
    for begun in (coefficients, full.coefficients, torch.zeros_like(coefficients)):
        at = begun
        for _ in range(_MOST_ROUNDS):
            folds = problem.linearised(at, wanted)
            kept = _fewest_here(folds, full, tolerance)
            places = tuple(wanted[k] for k in kept)
            if places in found:
                break
            values = folds.fitted(kept) / folds.scales[kept] if kept else np.zeros(0)
            straight = put(torch.zeros_like(at), places, values)
            same = put(torch.zeros_like(at), places, np.array([float(at[place]) for place in places]))
            start = min((straight, same, torch.zeros_like(at)), key=problem.misfit)
            found[places] = fitted_flow(problem, start, places, most_steps=_STEPS)
            at = found[places].coefficients
    best = min(found.values(), key=lambda one: one.error)
    allowed = best.error + _allowance(best.held_out.mean(axis=1), tolerance)
    good = [one for one in found.values() if one.error <= allowed]
    return min(good, key=lambda one: (len(one.kept), one.error)), full


def _fewest_here(folds: Folds, full: FittedFlow, tolerance: float) -> list[int]:
    """Of all sizes the smallest that does, near some coefficients; `full` says what can be had."""
    sets = folds.best_of_each_size()
    errors = [folds.held_out_errors(kept) for kept in sets]
    best = min(errors, key=lambda error: float(error.mean()))
    reached = max(float(best.mean()), full.error if np.isfinite(full.error) else 0.0)
    allowed = reached + _allowance(best, tolerance)
    return next(kept for kept, error in zip(sets, errors, strict=True) if error.mean() <= allowed)


def _allowance(errors: np.ndarray, tolerance: float) -> float:
    return max(float(errors.std(ddof=1) / np.sqrt(len(errors))), tolerance)


def _judged(problem: FlowProblem, found: Tensor, kept: Sequence[Place], folds: Folds | None) -> FittedFlow:
    n_folds = len(problem.parts)
    errors = torch.zeros_like(found)
    without = [found] * n_folds
    if folds is not None:
        every = list(range(folds.n_terms))
        values = np.array([folds.fitted(every, without=number) for number in range(n_folds)]) / folds.scales
        without = [put(found, kept, one) for one in values]
        errors = put(errors, kept, np.sqrt((n_folds - 1) * values.var(axis=0)))
    held_out = np.array([problem.misfits_on(part, one) for part, one in zip(problem.parts, without, strict=True)])
    return FittedFlow(found, tuple(kept), errors, np.where(np.isfinite(held_out), held_out, np.inf))
