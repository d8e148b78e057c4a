"""The same problem by torchsde, our reference (archived upstream; its traps are avoided here).

Times are float64, one call a held step, and the increments are replayed from the given noise: so the input is held
also in the stages at the end of a step, and both backends see the same path.
"""

from __future__ import annotations

import torch
import torchsde
from torch import Tensor, nn

from twins.errors import SolverRefused
from twins.solver.integrate import Problem, at_fraction
from twins.solver.noise import ReplayedNoise

_METHODS = {"euler": "euler", "heun": "heun"}


class _HeldStep(nn.Module):
    """The equation during one step: its drive and its delayed states pinned."""

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        self._problem = problem
        self.sde_type, self.noise_type = problem.sde.sde_type, problem.sde.noise_type
        if self.noise_type == "additive":  # torchsde wants heun told as Stratonovich; the two agree here
            self.sde_type = {"euler": "ito", "heun": "stratonovich"}[problem.method]
        self.batch = problem.history.shape[:-2]
        self.n_delays = problem.history.shape[-2] - 1
        self.step, self.history = 0, problem.history

    def f_and_g(self, t: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        p = self._problem
        x = y.reshape(*self.batch, -1)
        seen = at_fraction(self.history, x, float(t) / p.dt - self.step, self.n_delays)
        f, g = p.evaluate(float(t), seen, None if p.u is None else p.u[self.step])
        assert g is not None  # noise_type "none" is refused below
        n_batch_axes = len(self.batch)
        return f.reshape(y.shape), g.expand(*self.batch, *g.shape[n_batch_axes:]).reshape(
            len(y), *g.shape[n_batch_axes:]
        )

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        return self.f_and_g(t, y)[0]

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        return self.f_and_g(t, y)[1]


def solve_with_torchsde(problem: Problem) -> Tensor:
    """(n_steps + 1, …, state). Raises SolverRefused for what torchsde has not (rk4, equations without noise)."""
    p = problem
    if p.method not in _METHODS or p.noise is None:
        raise SolverRefused(f"torchsde has no {p.method!r} here; use {tuple(_METHODS)} on an equation with noise")
    held = _HeldStep(p)
    h = p.dt / p.substeps
    noise = p.noise.reshape(len(p.noise), -1, p.noise.shape[-1])
    brownian = ReplayedNoise(noise, h)
    x = p.history[..., 0, :].reshape(noise.shape[1], -1)
    states = [x]
    for k in range(p.n_steps):
        held.step = k
        ends = torch.tensor([k * p.dt, (k + 1) * p.dt], dtype=torch.float64, device=x.device)
        x = torchsde.sdeint(held, x, ends, bm=brownian, method=_METHODS[p.method], dt=h)[-1]
        newest = x.reshape(*held.batch, 1, -1)
        held.history = torch.cat((newest, held.history[..., :-1, :]), dim=-2)
        states.append(x)
    return torch.stack(states).reshape(p.n_steps + 1, *held.batch, -1)
