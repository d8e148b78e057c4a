"""The same problem by torchsde, our reference (archived upstream; its traps are avoided here).

Times are float64, one call a step of dt, and the increments are replayed from the given noise: so the input is held
also in the stages at the end of a step, and both backends see the same path. Lévy areas, which log_ode needs, are
drawn from the generator, given the increments: they are not those of the finer path, so that general noise still has
strong order 0.5, as torchsde says of it, but the joint distribution of a step's double integrals is nearly right.
"""

from __future__ import annotations

import torch
import torchsde
from torch import Tensor, nn

from twins.errors import SolverRefused
from twins.solver.noise import ReplayedNoise, draw_noise
from twins.solver.problem import Problem, at_fraction, input_at

# Our name: torchsde's, the noise it takes, and the reading it asks for where the two agree (additive noise).
_METHODS = {
    "euler": ("euler", ("diagonal", "scalar", "additive", "general"), "ito"),
    "milstein": ("milstein", ("diagonal", "scalar", "additive"), None),
    "heun": ("heun", ("diagonal", "scalar", "additive", "general"), "stratonovich"),
    "log_ode": ("log_ode", ("scalar", "additive", "general"), "stratonovich"),
}


class _OneStep(nn.Module):
    """The equation during one step: its drive and its delayed states pinned."""

    def __init__(self, problem: Problem, sde_type: str) -> None:
        super().__init__()
        self._problem = problem
        self.sde_type, self.noise_type = sde_type, problem.scheme.noise_type
        self.batch = problem.history.shape[:-2]
        self.step, self.history = 0, problem.history
        self.ends: tuple[Tensor | None, Tensor | None] = (None, None)

    def f_and_g(self, t: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        p = self._problem
        x = y.reshape(*self.batch, -1)
        fraction = min(max(float(t) / p.dt - self.step, 0.0), 1.0)
        fraction = round(fraction * 2 * p.substeps) / (2 * p.substeps)  # stages stand at whole or half substeps
        f, g = p.evaluate(
            float(t), at_fraction(self.history, x, fraction, p.n_delays), input_at(self.ends, fraction)
        )  # fmt: skip
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
    known = [name for name, (_, noise_types, _) in _METHODS.items() if p.scheme.noise_type in noise_types]
    if p.method not in known or p.noise is None:
        raise SolverRefused(
            f"torchsde has no {p.method!r} here for {p.scheme.noise_type} noise; "
            + (f"use {', '.join(known)}, or backend='loop'" if known else "use backend='loop'")
        )
    name, _, reading = _METHODS[p.method]
    free = p.scheme.noise_type == "additive" and reading is not None
    held = _OneStep(p, str(reading) if free else p.scheme.sde_type)
    h = p.dt / p.substeps
    noise = p.noise.reshape(len(p.noise), -1, p.noise.shape[-1])
    areas = _levy_areas(p, noise, h) if p.method == "log_ode" else None
    brownian = ReplayedNoise(noise, h, levy_areas=areas)
    x = p.history[..., 0, :].reshape(noise.shape[1], -1)
    states = [x]
    for k, ends in enumerate(p.inputs()):
        held.step, held.ends = k, ends
        times = torch.tensor([k * p.dt, (k + 1) * p.dt], dtype=torch.float64, device=x.device)
        x = torchsde.sdeint(held, x, times, bm=brownian, method=name, dt=h)[-1]
        newest = x.reshape(*held.batch, 1, -1)
        held.history = torch.cat((newest, held.history[..., :-1, :]), dim=-2)
        states.append(x)
    return torch.stack(states).reshape(p.n_steps + 1, *held.batch, -1)


def _levy_areas(p: Problem, noise: Tensor, h: float) -> Tensor:
    """(step, batch, channel, channel), antisymmetric: Davie's approximation, given each step's increment.

    With the space-time area H ~ N(0, h/12): A = H W' - W H' + antisymmetric noise of variance h²/12. It has the mean
    and the covariance of the true area given W.
    """
    W = noise * h**0.5
    H = draw_noise(tuple(noise.shape), noise, p.generator) * (h / 12) ** 0.5
    rest = draw_noise((*noise.shape, noise.shape[-1]), noise, p.generator) * (h * h / 12) ** 0.5
    upper = rest.triu(1)
    crossed = H.unsqueeze(-1) * W.unsqueeze(-2)
    area: Tensor = crossed - crossed.mT + upper - upper.mT
    return area
