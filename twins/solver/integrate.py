"""solve: the one door to the solver."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from twins.errors import SolverRefused
from twins.solver import schemes
from twins.solver.contract import Coefficients, checked_types, coefficients
from twins.solver.noise import draw_noise

METHODS: dict[str, Callable[..., Tensor]] = {"euler": schemes.euler, "heun": schemes.heun, "rk4": schemes.rk4}
_INTERPRETATION = {"euler": "ito", "heun": "stratonovich", "rk4": "ito"}


@dataclass(frozen=True, slots=True)
class Problem:
    """A checked initial-value problem, as the backends take it."""

    sde: Any
    evaluate: Coefficients
    history: Tensor  # (…, n_delays + 1, state), newest first
    u: Tensor | None  # (step, …, channel)
    noise: Tensor | None  # (step * substeps, …, noise channel), unit variance
    dt: float
    n_steps: int
    substeps: int
    method: str


def solve(
    sde: Any,
    x0: Float[Tensor, "..."],
    u: Float[Tensor, "time ..."] | None = None,
    *,
    dt: float,
    n_steps: int,
    substeps: int = 1,
    method: str = "euler",
    noise: Float[Tensor, "..."] | None = None,
    generator: torch.Generator | None = None,
    backend: str = "auto",
) -> Float[Tensor, "time ..."]:
    """Integrate `sde` over n_steps steps of dt; returns (n_steps + 1, …, state), the initial state first.

    x0: (…, state) with any batch dimensions, or the history (…, n_delays + 1, state), newest first, if the equation
    has delays. Between samples, delayed states are interpolated linearly on the grid of dt.
    u: (n_steps, …, channel), held over its step, in every stage and substep; it broadcasts over the batch.
    noise: (n_steps * substeps, …, noise channel) standard normal numbers; else they are drawn once from `generator`.
    backend: "loop" (also "auto"): exact gradients through the steps. "torchsde": the reference, slow, same noise.

    Time is t = k dt, k an integer. Raises SolverRefused.
    """
    problem = _checked(
        sde, x0, u, dt=dt, n_steps=n_steps, substeps=substeps, method=method, noise=noise, generator=generator
    )
    if backend in ("auto", "loop"):
        return _loop(problem)
    if backend == "torchsde":
        from twins.solver.reference import solve_with_torchsde  # optional, slow to import

        return solve_with_torchsde(problem)
    raise SolverRefused(f"backend must be 'auto', 'loop' or 'torchsde', not {backend!r}")


def at_fraction(history: Tensor, x: Tensor, fraction: float, n_delays: int) -> Tensor:
    """What the coefficients see: x alone, or x with its delayed states, `fraction` of a step after history[0]."""
    if n_delays == 0:
        return x
    older = history[..., 1:, :]
    if fraction > 0.0:
        older = torch.lerp(older, history[..., :-1, :], fraction)
    return torch.cat((x.unsqueeze(-2), older), dim=-2)


def _loop(p: Problem) -> Tensor:
    step, apply = METHODS[p.method], schemes.diagonal if p.sde.noise_type == "diagonal" else schemes.matrix
    h, root_h = p.dt / p.substeps, math.sqrt(p.dt / p.substeps)
    n_delays = p.history.shape[-2] - 1
    history, x = p.history, p.history[..., 0, :]
    states = [x]
    for k in range(p.n_steps):
        held = None if p.u is None else p.u[k]
        for j in range(p.substeps):

            def evaluate(
                y: Tensor, since: float, *, k: int = k, j: int = j, held: Tensor | None = held, past: Tensor = history
            ) -> tuple[Tensor, Tensor | None]:
                fraction = (j * h + since) / p.dt
                return p.evaluate((k + fraction) * p.dt, at_fraction(past, y, fraction, n_delays), held)

            dW = None if p.noise is None else p.noise[k * p.substeps + j] * root_h
            x = step(evaluate, apply, x, h, dW)
        newest = x.unsqueeze(-2)
        history = torch.cat((newest, history[..., :-1, :]), dim=-2) if n_delays else newest
        states.append(x)
    return torch.stack(states)


def _checked(
    sde: Any,
    x0: Tensor,
    u: Tensor | None,
    *,
    dt: float,
    n_steps: int,
    substeps: int,
    method: str,
    noise: Tensor | None,
    generator: torch.Generator | None,
) -> Problem:
    sde_type, noise_type = checked_types(sde)
    if method not in METHODS:
        raise SolverRefused(f"method must be one of {', '.join(METHODS)}, not {method!r}")
    if noise_type not in ("none", "additive") and sde_type != _INTERPRETATION[method]:
        raise SolverRefused(
            f"{method} solves {_INTERPRETATION[method]} equations; this one is {sde_type} with {noise_type} noise, "
            "where the two differ"
        )
    if not (math.isfinite(dt) and dt > 0) or n_steps < 1 or substeps < 1:
        raise SolverRefused(f"dt must be positive, n_steps and substeps at least 1, not {dt}, {n_steps}, {substeps}")
    n_delays = int(getattr(sde, "n_delays", 0))
    history = x0 if n_delays else x0.unsqueeze(-2)
    if not x0.is_floating_point() or history.ndim < 2 or (n_delays and x0.shape[-2] != n_delays + 1):
        axes = f"{n_delays + 1}, state" if n_delays else "state"
        raise SolverRefused(f"x0 must be floating point (…, {axes}), not {x0.dtype} {tuple(x0.shape)}")
    if u is not None and (u.ndim < 2 or len(u) != n_steps):
        raise SolverRefused(f"u must be (time, …, channel) with n_steps = {n_steps} times, not {tuple(u.shape)}")
    for name, values in (("x0", x0), ("u", u), ("noise", noise)):
        if values is not None and not torch.isfinite(values).all():
            raise SolverRefused(f"{name} holds values that are not finite")
    evaluate = coefficients(sde, driven=u is not None)
    if noise_type != "none":
        n_noise = _noise_channels(sde, evaluate, history, u, n_delays)
        shape = (n_steps * substeps, *history.shape[:-2], n_noise)
        noise = draw_noise(shape, x0, generator) if noise is None else noise
        if noise.shape != shape:
            raise SolverRefused(f"noise must be (step, …, channel) = {shape}, not {tuple(noise.shape)}")
    return Problem(sde, evaluate, history, u, noise if noise_type != "none" else None, dt, n_steps, substeps, method)


def _noise_channels(sde: Any, evaluate: Coefficients, history: Tensor, u: Tensor | None, n_delays: int) -> int:
    if sde.noise_type == "diagonal":
        return int(history.shape[-1])
    if sde.noise_type == "scalar":
        return 1
    with torch.no_grad():
        x = at_fraction(history, history[..., 0, :], 0.0, n_delays)
        _, g = evaluate(0.0, x, None if u is None else u[0])
    if g is None or g.ndim < 2:
        raise SolverRefused(f"g of {sde.noise_type} noise must be (…, state, noise channel)")
    return int(g.shape[-1])
