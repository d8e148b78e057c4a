"""Free runs and their derivatives by the weights that the drift is linear in: what Gauss–Newton steps are made of."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from twins.device.backbone import higher_terms
from twins.device.twin import DeviceTwin
from twins.errors import TracesInvalid
from twins.fitting.rollouts import Rollouts, free_run, jacobian

_MOST_NUMBERS = 10_000_000  # of derivatives held at once
_MOST_WEIGHTS = 2000  # their Gram matrix takes seconds


@dataclass(frozen=True, slots=True, eq=False)
class NormalEquations:
    """Of the squared error of free runs, a sample and channel: error, half its gradient's negative, Gram matrix."""

    error: float
    gradient: Float[Tensor, " weight"]
    gram: Float[Tensor, "weight weight"]


class LinearWeights:
    """The weights that a drift is linear in, as one vector: the backbone, and the net's last layer once it is trained.

    twin: in float64, changed in place. Raises TracesInvalid for a drift that is not linear in them, or too many of
    them.
    """

    def __init__(self, twin: DeviceTwin) -> None:
        spec = twin.spec
        if spec.scheme != "euler":
            raise TracesInvalid(f'phase "simulation" needs scheme="euler", not {spec.scheme!r}; use phase "rollout"')
        self.twin = twin
        n = spec.n_response
        last = twin.nets.last_layers(torch.zeros(1, spec.n_inputs).to(twin.linear_weight))[0].weight[:, :n]
        parts = [twin.linear_weight, twin.linear_bias.unsqueeze(0), twin.higher_weight]
        scales = [torch.ones_like(twin.increment_scale)] * len(parts)
        self._with_net = bool(last.abs().max() > 0)
        if self._with_net:
            parts, scales = [*parts, last], [*scales, twin.increment_scale]
        self._parts, self._scales = [part.detach() for part in parts], scales
        self._rows = [len(part) for part in self._parts]
        self.size = sum(self._rows) * n
        if self.size > _MOST_WEIGHTS:
            raise TracesInvalid(
                f'phase "simulation" can tell at most {_MOST_WEIGHTS} weights, this twin has {self.size}; '
                'use fewer delays or a lower backbone_order, or phase "rollout"'
            )

    def vector(self) -> Tensor:
        """All weights, as they count in the normalised increment."""
        return torch.cat([(part * scale).flatten() for part, scale in zip(self._parts, self._scales, strict=True)])

    def assign(self, vector: Tensor) -> None:
        """Give the twin these weights."""
        n = self.twin.spec.n_response
        values = torch.split(vector, [n * rows for rows in self._rows])
        for part, scale, own in zip(self._parts, self._scales, values, strict=True):
            part.copy_(own.reshape(part.shape) / scale)

    def penalised(self) -> Tensor:
        """1 for weights that are to stay small, 0 for the bias."""
        mask = torch.ones(self.size, dtype=torch.float64)
        first = self.twin.spec.n_inputs * self.twin.spec.n_response
        mask[first : first + self.twin.spec.n_response] = 0.0
        return mask

    def features(self, rows: Tensor) -> Tensor:
        """(row, inputs) -> (row, feature): the increment is features @ weights plus what they do not reach."""
        twin = self.twin
        parts = [rows, torch.ones_like(rows[:, :1]), higher_terms(rows, twin.spec.backbone_order)]
        if self._with_net:
            parts.append(twin.nets.last_layers(rows @ twin.features)[0].hidden)
        return torch.cat(parts, dim=1)


def squared_error(weights: LinearWeights, windows: Rollouts, *, burn_in: int) -> float:
    """Mean squared error of free runs without their first burn_in steps, normalised units; infinite if one diverges."""
    n = weights.twin.spec.n_response
    error = free_run(weights.twin, windows.start, windows.u)[1 + burn_in :, :, :n] - windows.observed[burn_in:]
    value = float(error.square().mean())
    return value if math.isfinite(value) else math.inf


def normal_equations(weights: LinearWeights, windows: Rollouts, *, burn_in: int) -> NormalEquations:
    """The same with its derivatives, exact to first order in the weights."""
    parts = gather_equations(weights, windows, burn_in=burn_in)
    while True:
        try:
            next(parts)
        except StopIteration as done:
            found: NormalEquations = done.value
            return found


@torch.no_grad()
def gather_equations(
    weights: LinearWeights, windows: Rollouts, *, burn_in: int
) -> Generator[None, bool | None, NormalEquations]:
    """normal_equations, a part of the windows at a time; ends early, with those of the parts so far, if True is sent."""
    n, size = weights.twin.spec.n_response, weights.size
    gram, gradient = torch.zeros(size, size, dtype=torch.float64), torch.zeros(size, dtype=torch.float64)
    total, count = 0.0, 0
    at_once = max(1, _MOST_NUMBERS // (windows.n_steps * n * size))
    for first in range(0, windows.n_windows, at_once):
        part = windows.part(slice(first, first + at_once))
        rows = free_run(weights.twin, part.start, part.u)
        error = (part.observed - rows[1:, :, :n])[burn_in:].reshape(-1)
        slopes = _sensitivities(weights, rows[:-1])[burn_in:].reshape(-1, size)
        gram += slopes.T @ slopes
        gradient += slopes.T @ error
        total, count = total + float(error.square().sum()), count + len(error)
        if (yield):
            break
    return NormalEquations(total / count, gradient / count, gram / count)


def _sensitivities(weights: LinearWeights, rows: Tensor) -> Float[Tensor, "step window response weight"]:
    """Derivatives of the state after each step: S' = A S + ∂increment/∂weights along the run."""
    spec = weights.twin.spec
    n, lags = spec.n_response, spec.response_delays + 1
    n_steps, n_windows, flat = rows.shape[0], rows.shape[1], rows.flatten(0, 1)
    slopes = jacobian(weights.twin, flat).reshape(n_steps, n_windows, n, lags, n)
    features = weights.features(flat).reshape(n_steps, n_windows, 1, -1, 1)
    direct = features * torch.eye(n, dtype=rows.dtype)[:, None, :]  # (step, window, response, feature, response)
    sensitivity = direct.reshape(n_steps, n_windows, n, -1).contiguous()
    for k in range(n_steps):
        for lag in range(min(lags, k)):
            sensitivity[k] += slopes[k, :, :, lag] @ sensitivity[k - 1 - lag]
    return sensitivity
