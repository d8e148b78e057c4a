"""The coefficients with which a flow leads where states are a frame later: nonlinear least squares and a choice of terms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from twins.nca.readable.flow import Flow, Place
from twins.nca.readable.pairs import FramePairs
from twins.nca.readable.regression import Folds, Rows

_BANDS = 4
_MOST_NUMBERS = 4_000_000
"""Rows times coefficients that are kept of a linearisation."""
_CHUNK = 250_000
"""Cells times coefficients whose tangents are in memory together."""
_LEAST_CHANGE = 0.03
"""Of a state, in units of the root mean square over all of them: below it errors count as they are."""
_DAMPINGS = (0.0, 1e-4, 1e-2, 1.0, 100.0)
_ALL = slice(None)
_SLOW = 1e-3
"""Relative gain of a step below which the search ends."""


class FlowProblem:
    """How far a flow ends from where the states are a frame later, in units of how much each channel of each state changes
    (root mean square over cells, and at least a little of the mean over states): what a model does wrong is mostly
    proportional to that, and without it a single wild frame would count for all others.

    Misfits are mean squares over states, channels and cells: predicting no change has a misfit of 1, or below. Parts that are
    held out are the folds of the pairs, or bands of rows where these are too few.
    """

    def __init__(self, flow: Flow, pairs: FramePairs) -> None:
        self.flow, self.pairs = flow, pairs
        squares = pairs.changes.square().mean(dim=(2, 3))
        sizes = torch.maximum(squares, _LEAST_CHANGE**2 * squares.mean(dim=0)).sqrt()
        self.weights = torch.where(sizes > 0.0, 1.0 / sizes, torch.ones_like(sizes))[:, :, None, None]
        n_states, _, n_rows, n_columns = pairs.changes.shape
        folds = torch.tensor(pairs.fold)[:, None].expand(n_states, n_rows)
        if len(set(pairs.fold)) < 2:  # too few states to hold any out
            folds = (torch.arange(n_rows) * _BANDS // n_rows).expand(n_states, n_rows)
        self.folds = folds[:, :, None].expand(n_states, n_rows, n_columns)
        self.parts: tuple[int, ...] = tuple(sorted(set(self.folds.flatten().tolist())))

    def residuals(
        self, coefficients: Float[Tensor, "channel term"], states: Tensor | slice = _ALL
    ) -> Float[Tensor, "state channel y x"]:
        """What is missing to where the states are a frame later."""
        with torch.no_grad():
            ended = self.flow.ended(self.pairs.fields[states], coefficients)
            return (self.pairs.after[states] - ended) * self.weights[states]

    def misfits_on(self, part: int, coefficients: Float[Tensor, "channel term"]) -> Float[np.ndarray, " channel"]:
        """Of each channel, on one of the parts."""
        inside = self.folds == part
        states = inside.any(dim=2).any(dim=1)
        squares = self.residuals(coefficients, states).square().permute(0, 2, 3, 1)
        return np.asarray(squares[inside[states]].mean(dim=0).numpy())

    def misfit(self, coefficients: Float[Tensor, "channel term"]) -> float:
        """Infinite for a flow that runs away."""
        value = float(self.residuals(coefficients).square().mean())
        return value if np.isfinite(value) else float("inf")

    def linearised(self, coefficients: Float[Tensor, "channel term"], wanted: Sequence[Place]) -> Folds:
        """Least squares in the wanted coefficients themselves, near the given ones, the others held."""
        fields, after = self.pairs.fields, self.pairs.after
        held = torch.stack([coefficients[place] for place in wanted])
        n_cells = fields.shape[2] * fields.shape[3]
        size = max(1, _CHUNK // (n_cells * len(wanted)))
        every = max(1, after.numel() * len(wanted) // _MOST_NUMBERS)
        rows: dict[int, list[Rows]] = {}
        for first in range(0, len(fields), size):
            part = slice(first, first + size)
            with torch.no_grad():
                ended, tangents = self.flow.with_tangents(fields[part], coefficients, wanted)
            tangents = tangents * self.weights[part]
            target = (after[part] - ended) * self.weights[part] + torch.tensordot(held, tangents, dims=1)
            columns = tangents.permute(1, 3, 4, 2, 0).flatten(0, 3).numpy()
            values = target.permute(0, 2, 3, 1).flatten().numpy()
            folds = self.folds[part, :, :, None].expand(*self.folds[part].shape, after.shape[1]).flatten().numpy()
            for fold in np.unique(folds):
                inside = np.flatnonzero(folds == fold)[first % every :: every]
                rows.setdefault(int(fold), []).append((columns[inside], values[inside]))
        return Folds(
            [(np.concatenate([c for c, _ in rows[k]]), np.concatenate([v for _, v in rows[k]])) for k in sorted(rows)]
        )


def descended(
    problem: FlowProblem, coefficients: Tensor, wanted: Sequence[Place], *, most_steps: int = 8
) -> tuple[Tensor, float]:
    """Levenberg-Marquardt in the wanted coefficients, the others as they are: the coefficients and their misfit.

    K. Levenberg, Q. Appl. Math. 2, 164 (1944); D. W. Marquardt, J. SIAM 11, 431 (1963): the step of least squares, damped
    until it makes the misfit smaller.
    """
    best, misfit = coefficients, problem.misfit(coefficients)
    for _ in range(most_steps if wanted else 0):
        folds = problem.linearised(best, wanted)
        found = _stepped(problem, folds, best, misfit, wanted)
        if found is None:
            break
        gained = misfit - found[1]
        best, misfit = found
        if gained < _SLOW * misfit:
            break
    return best, misfit


def _stepped(
    problem: FlowProblem, folds: Folds, coefficients: Tensor, misfit: float, wanted: Sequence[Place]
) -> tuple[Tensor, float] | None:
    """The first step that gains, with more and more damping; None where none does."""
    now = np.array([float(coefficients[place]) for place in wanted]) * folds.scales
    for damping in _DAMPINGS:
        tried = put(coefficients, wanted, folds.damped(now, damping) / folds.scales)
        gained = problem.misfit(tried)
        if gained < misfit:
            return tried, gained
    return None


def put(coefficients: Tensor, places: Sequence[Place], values: np.ndarray) -> Tensor:
    """A copy with other values in some places."""
    changed = coefficients.clone()
    for place, value in zip(places, values, strict=True):
        changed[place] = float(value)
    return changed
