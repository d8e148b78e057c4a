"""The backend that takes any equation, any scheme and any device: a Python loop with exact gradients."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from twins.solver.problem import Problem, at_fraction, input_at
from twins.solver.schemes import METHODS


class _Stages:
    """The coefficients within one substep, as the schemes ask for them."""

    __slots__ = ("_delays", "_p", "ends", "history", "step", "substep")

    def __init__(self, problem: Problem) -> None:
        self._p, self._delays = problem, problem.n_delays
        self.history = problem.history
        self.step, self.substep = 0, 0
        self.ends: tuple[Tensor | None, Tensor | None] = (None, None)

    def __call__(self, x: Tensor, since: float) -> tuple[Tensor, Tensor | None]:
        p = self._p
        fraction = (self.substep + since) / p.substeps
        seen = at_fraction(self.history, x, fraction, self._delays) if self._delays else x
        return p.evaluate((self.step + fraction) * p.dt, seen, input_at(self.ends, fraction))


def solve_by_loop(p: Problem) -> Tensor:
    """(n_steps + 1, …, state)."""
    step, h = METHODS[p.method], p.dt / p.substeps
    increments = [None] * (p.n_steps * p.substeps) if p.noise is None else list((p.noise * math.sqrt(h)).unbind(0))
    stages, x = _Stages(p), p.history[..., 0, :]
    states, taken = [x], iter(increments)
    for k, ends in enumerate(p.inputs()):
        stages.step, stages.ends = k, ends
        for j in range(p.substeps):
            stages.substep = j
            x = step(stages, x, h, next(taken), p.scheme)
        states.append(x)
        if p.n_delays:
            stages.history = torch.cat((x.unsqueeze(-2), stages.history[..., :-1, :]), dim=-2)
    return torch.stack(states)
