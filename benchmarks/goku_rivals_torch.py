"""Solves of goku_speed.py in torch: ours, torchdiffeq, torchsde, and the floor. Forward, mean square, gradients.

Gradients are with respect to initial states and parameters of every trajectory. Imported in a process of each way.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from goku_speed_case import GRAVITY, N_OSCILLATORS, NOISE, STEP_S, STRENGTH, TIME_SCALE, Case
from torch import Tensor, nn

Run = Callable[[], Any]
Solve = Callable[[Tensor, Tensor], Tensor]


def runner(solve: Solve, initial: Any, parameters: Any) -> Run:
    """(path, gradient of the initial states, gradient of the parameters)."""
    x, p = (torch.tensor(one, dtype=torch.float32).requires_grad_() for one in (initial, parameters))

    def run() -> tuple[Tensor, ...]:
        path = solve(x, p)
        return path.detach(), *torch.autograd.grad(path.square().mean(), (x, p))

    return run


def system_of(case: Case, *, noisy: bool) -> Any:
    """The equation as twins has it."""
    from twins.goku.systems import system_named

    if case.name == "pendulum":
        return system_named("pendulum", gravity_m_per_s2=GRAVITY)
    return system_named(
        "stuart_landau_network", n_oscillators=N_OSCILLATORS, ranges="data", noise_strength=NOISE if noisy else 0.0
    )


def ours(case: Case, substeps: int, *, backend: str, windows: bool = False, noisy: bool = False) -> Run:
    """solve_system; windows: all windows in one batch. Noise is drawn anew in every run."""
    from goku_speed_case import WINDOW_STEPS

    from twins.goku.trajectories import solve_system

    system, generator = system_of(case, noisy=noisy), torch.Generator().manual_seed(0)
    n_steps = WINDOW_STEPS[case.name] if windows else case.n_steps

    def solve(x: Tensor, p: Tensor) -> Tensor:
        return solve_system(
            system, x, p, step_s=STEP_S, n_steps=n_steps, substeps=substeps, noisy=noisy, generator=generator,
            backend=backend,
        )  # fmt: skip

    return runner(solve, *(case.windows if windows else (case.initial, case.parameters)))


def coefficients_of(case: Case, p: Tensor) -> tuple[Tensor, ...]:
    """What of the parameters the drift needs, computed once a solve."""
    if case.name == "pendulum":
        return (-GRAVITY / p[..., 0],)
    n = N_OSCILLATORS
    into = (TIME_SCALE * STRENGTH) * p[..., 2 * n :].unflatten(-1, (n, n)).mT
    linear = torch.diag_embed(TIME_SCALE * p[..., :n] - into.sum(-1)) + into
    return linear, TIME_SCALE * p[..., n : 2 * n]


def drift_of(case: Case, x: Tensor, coefficients: tuple[Tensor, ...]) -> Tensor:
    """(…, state)."""
    if case.name == "pendulum":
        return torch.stack((x[..., 1], coefficients[0] * torch.sin(x[..., 0])), dim=-1)
    linear, turning = coefficients
    both = x.unflatten(-1, (2, N_OSCILLATORS))
    mixed = (linear @ both.mT).mT - TIME_SCALE * both.square().sum(-2, keepdim=True) * both
    return (mixed + torch.stack((-turning * both[..., 1, :], turning * both[..., 0, :]), dim=-2)).flatten(-2)


class _ThetaInState(nn.Module):
    """As GOKU-net of 2021 solves it: parameters are states that do not change, nothing is computed beforehand."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        self.case, self.n = case, case.initial.shape[1]

    def forward(self, _t: Tensor, state: Tensor) -> Tensor:
        x, p = state[:, : self.n], state[:, self.n :]
        if self.case.name == "pendulum":
            rates = torch.zeros_like(x)
            rates[:, 0] = x[:, 1]
            rates[:, 1] = -GRAVITY / p[:, 0] * torch.sin(x[:, 0])
        else:
            rates = drift_of(self.case, x, coefficients_of(self.case, p))
        return torch.cat((rates, torch.zeros_like(p)), dim=1)


def by_torchdiffeq(case: Case, substeps: int, *, adjoint: bool) -> Run:
    """adjoint: odeint_adjoint as the 2021 code uses it; else odeint at its best: coefficients once, plain gradients."""
    import torchdiffeq

    times = torch.arange(case.n_steps + 1, dtype=torch.float32) * STEP_S
    options = None if substeps == 1 else {"step_size": STEP_S / substeps}

    def solve(x: Tensor, p: Tensor) -> Tensor:
        if adjoint:
            state = torch.cat((x, p), dim=1)
            path: Tensor = torchdiffeq.odeint_adjoint(_ThetaInState(case), state, times, method="rk4", options=options)
            return path[..., : x.shape[1]]
        known = coefficients_of(case, p)
        found: Tensor = torchdiffeq.odeint(
            lambda _t, y: drift_of(case, y, known), x, times, method="rk4", options=options
        )  # fmt: skip
        return found

    return runner(solve, case.initial, case.parameters)


class _Equation(nn.Module):
    """For torchsde: diagonal additive noise; `stratonovich` where the scheme asks for it (here they are the same)."""

    def __init__(self, case: Case, known: tuple[Tensor, ...], sde_type: str, spread: float) -> None:
        super().__init__()
        self.case, self.known, self.sde_type, self.noise_type, self.spread = case, known, sde_type, "diagonal", spread

    def f(self, _t: Tensor, y: Tensor) -> Tensor:
        """Drift."""
        return drift_of(self.case, y, self.known)

    def g(self, _t: Tensor, y: Tensor) -> Tensor:
        """Diffusion."""
        return torch.full_like(y, self.spread)


def by_torchsde(case: Case, substeps: int, *, method: str, noisy: bool = True) -> Run:
    """sdeint with its step told to its Brownian motion, float64 times, coefficients once."""
    import torchsde

    step_s, generator = STEP_S / substeps, torch.Generator().manual_seed(0)
    times = torch.arange(case.n_steps + 1, dtype=torch.float64) * STEP_S
    sde_type = "stratonovich" if method in ("heun", "midpoint") else "ito"

    def solve(x: Tensor, p: Tensor) -> Tensor:
        equation = _Equation(case, coefficients_of(case, p), sde_type, NOISE if noisy else 0.0)
        entropy = int(torch.randint(2**31, (1,), generator=generator))
        area = "space-time" if method == "srk" else "none"
        motion = torchsde.BrownianInterval(
            0.0, float(times[-1]), size=x.shape, dt=step_s, entropy=entropy, levy_area_approximation=area
        )
        path: Tensor = torchsde.sdeint(equation, x, times, bm=motion, method=method, dt=step_s)
        return path

    return runner(solve, case.initial, case.parameters)


def floor(case: Case, substeps: int) -> Run:
    """The arithmetic alone: the drift of all stages at once and its gradient, as if the states were known; no steps."""
    x, p = (torch.tensor(one, dtype=torch.float32).requires_grad_() for one in (case.initial, case.parameters))
    copies = 4 * substeps * case.n_steps
    all_x = x.detach().expand(copies, *x.shape).contiguous().requires_grad_()

    def run() -> tuple[Tensor, ...]:
        drift = drift_of(case, all_x, coefficients_of(case, p))
        return torch.autograd.grad(drift.sum(), (all_x, p))

    return run


def make(way: str, case: Case, substeps: int, *, noisy: bool) -> Run:
    """The work of this name. noisy = False: without the noise of a stochastic way, to measure its error."""
    if way == "floor":
        return floor(case, substeps)
    if way.startswith("torchdiffeq"):
        return by_torchdiffeq(case, substeps, adjoint=way == "torchdiffeq_adjoint")
    if way.startswith("torchsde"):
        return by_torchsde(case, substeps, method=way.removeprefix("torchsde_"), noisy=noisy)
    return ours(
        case, substeps,
        backend="loop" if "loop" in way else "compiled", windows="windows" in way, noisy=noisy and "noisy" in way,
    )  # fmt: skip


def exact_path(name: str, initial: Any, parameters: Any, n_steps: int) -> Any:
    """By 64 steps of Runge-Kutta a sample, float64, the general loop."""
    from twins.goku.trajectories import solve_system

    case = Case(name, initial, parameters, None)
    path = solve_system(
        system_of(case, noisy=False), torch.tensor(initial), torch.tensor(parameters),
        step_s=STEP_S, n_steps=n_steps, substeps=64, backend="loop",
    )  # fmt: skip
    assert math.isfinite(float(path.sum()))
    return path.numpy()
