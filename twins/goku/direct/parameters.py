"""Parameters of every trace given the map of its states: the likeliest, with the covariance around them.

All traces at once by damped Gauss-Newton (Levenberg-Marquardt) in the logits of the parameters' ranges, slopes by
differences in one batch. The logits' prior is Gaussian, about as wide as the ranges.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from twins.goku.direct.map import PRIOR_SD, Scores, StateMap, flow
from twins.goku.system import System

_ROWS_AT_ONCE = 200_000  # of a solve: traces, steps and nudged copies together
_NUDGE = 1e-5  # of a logit; the error of the slopes, about as large, only slows the last iterations


@dataclass(frozen=True, slots=True, eq=False)
class LogitPrior:
    """mean, sd: (parameter,), of logit((θ - low) / (high - low)) over traces."""

    mean: Float[Tensor, " parameter"]
    sd: Float[Tensor, " parameter"]

    @classmethod
    def of_ranges(cls, system: System) -> LogitPrior:
        """Nearly uniform in the ranges."""
        return cls(
            torch.zeros(system.n_parameters, dtype=torch.float64),
            torch.full((system.n_parameters,), PRIOR_SD, dtype=torch.float64),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Logits:
    """mean: (trace, parameter), the likeliest; covariance: (trace, parameter, parameter), of the Gaussian there."""

    mean: Float[Tensor, "trace parameter"]
    covariance: Float[Tensor, "trace parameter parameter"]


def likeliest(
    system: System,
    data: Scores,
    found: StateMap,
    prior: LogitPrior,
    *,
    begin: Float[Tensor, "trace parameter"] | None = None,
    n_iterations: int = 15,
    substeps: int = 1,
) -> Logits:
    """See the module. begin: where to start; the prior's mean if None."""
    means, covariances = [], []
    rows_a_trace = data.scores.shape[1] * (system.n_parameters + 1)
    at_once = max(1, _ROWS_AT_ONCE // rows_a_trace)
    for start in range(0, len(data.scores), at_once):
        rows = slice(start, start + at_once)
        part = data.part(rows, slice(0, None))
        states = found.states(part.scores)
        first = prior.mean.repeat(len(states), 1) if begin is None else begin[rows]
        fit = _Fit(system, part, states, torch.exp(-found.log_sd), prior, substeps)
        result = fit.solve(first, n_iterations)
        means.append(result.mean)
        covariances.append(result.covariance)
    return Logits(torch.cat(means), torch.cat(covariances))


@dataclass(frozen=True, slots=True, eq=False)
class _Fit:
    system: System
    data: Scores
    states: Tensor
    per_sd: Tensor
    prior: LogitPrior
    substeps: int

    @torch.no_grad()
    def solve(self, logits: Tensor, n_iterations: int) -> Logits:
        damping = torch.full((len(logits),), 1e-2, dtype=logits.dtype)
        residual, jacobian = self._linearised(logits)
        cost = self._cost(residual, logits)
        identity = torch.eye(logits.shape[1], dtype=logits.dtype)
        precision = torch.diag(self.prior.sd**-2)
        for _ in range(n_iterations):
            hessian = jacobian.mT @ jacobian + precision
            slope = (jacobian.mT @ residual[..., None])[..., 0] + (logits - self.prior.mean) @ precision
            damped = hessian + damping[:, None, None] * hessian.diagonal(dim1=-2, dim2=-1).diag_embed()
            tried = logits - torch.linalg.solve(damped + 1e-12 * identity, slope)
            new_residual, new_jacobian = self._linearised(tried)
            new_cost = self._cost(new_residual, tried)
            better = new_cost < cost  # false for NaN: a step too far is not taken
            gain = torch.where(better, cost - new_cost, torch.zeros_like(cost)).max()
            logits = torch.where(better[:, None], tried, logits)
            residual = torch.where(better[:, None], new_residual, residual)
            jacobian = torch.where(better[:, None, None], new_jacobian, jacobian)
            cost = torch.where(better, new_cost, cost)
            damping = torch.where(better, 0.2 * damping, 5.0 * damping).clamp(1e-8, 1e8)
            if bool(better.all()) and float(gain) < 1e-6:
                break
        covariance = torch.linalg.inv(jacobian.mT @ jacobian + precision)
        return Logits(logits, covariance)

    def _linearised(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Residuals (trace, number) in standard deviations, and their derivative (trace, number, parameter)."""
        n = logits.shape[1]
        nudges = torch.cat((torch.zeros(1, n, dtype=logits.dtype), _NUDGE * torch.eye(n, dtype=logits.dtype)))
        residuals = self._residual(logits + nudges[:, None])
        return residuals[0], ((residuals[1:] - residuals[0]) / _NUDGE).permute(1, 2, 0)

    def _residual(self, logits: Tensor) -> Tensor:
        """(copy, trace, parameter) -> (copy, trace, number), all copies in one solve."""
        copies, data = len(logits), self.data
        drive = None if data.drive is None else data.drive[:, :-1].repeat(copies, 1, 1)
        predicted = flow(
            self.system, self.states[:, :-1].repeat(copies, 1, 1), logits.flatten(0, 1),
            data.steps_s.repeat(copies, 1), drive, substeps=self.substeps,
        )  # fmt: skip
        moved = predicted.reshape(copies, *self.states[:, 1:].shape) - self.states[:, 1:]
        residual: Tensor = moved * self.per_sd * data.pairs[..., None]
        return residual.flatten(2)

    def _cost(self, residual: Tensor, logits: Tensor) -> Tensor:
        away = (logits - self.prior.mean) / self.prior.sd
        return 0.5 * (residual.square().sum(1) + away.square().sum(1))
