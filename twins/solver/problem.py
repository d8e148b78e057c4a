"""A checked initial-value problem, as the backends take it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from twins.errors import SolverRefused
from twins.solver.calculus import check_commutes
from twins.solver.contract import Coefficients, checked_types, coefficients
from twins.solver.noise import draw_noise
from twins.solver.schemes import METHODS, SOLVES, Scheme

DRIVES = ("held", "interpolated")
LEVY_AREA_METHODS = ("log_ode",)  # torchsde's alone


@dataclass(frozen=True, slots=True)
class Problem:
    """Everything a backend needs, checked."""

    sde: Any
    scheme: Scheme
    evaluate: Coefficients
    history: Tensor  # (…, n_delays + 1, state), newest first
    u: Tensor | None  # (step, …, channel), or (step + 1, …, channel) if interpolated
    noise: Tensor | None  # (step * substeps, …, noise channel), unit variance
    dt: float
    n_steps: int
    substeps: int
    method: str
    interpolated: bool
    generator: torch.Generator | None

    @property
    def n_delays(self) -> int:
        """Delayed states that the coefficients see besides the newest."""
        return self.history.shape[-2] - 1

    def inputs(self) -> list[tuple[Tensor | None, Tensor | None]]:
        """The drive at both ends of every step; the second None where it is held.

        Taken apart once: an index a step would cost a whole tensor of zeros a step in the gradient.
        """
        if self.u is None:
            return [(None, None)] * self.n_steps
        values = self.u.unbind(0)
        ends = values[1:] if self.interpolated else [None] * self.n_steps
        return list(zip(values, ends, strict=False))


def at_fraction(history: Tensor, x: Tensor, fraction: float, n_delays: int) -> Tensor:
    """What the coefficients see: x alone, or x with its delayed states, `fraction` of a step after history[0]."""
    if n_delays == 0:
        return x
    older = history[..., 1:, :]
    if fraction > 0.0:
        older = torch.lerp(older, history[..., :-1, :], fraction)
    return torch.cat((x.unsqueeze(-2), older), dim=-2)


def input_at(ends: tuple[Tensor | None, Tensor | None], fraction: float) -> Tensor | None:
    """The drive a fraction of a step after its beginning."""
    begin, end = ends
    return begin if begin is None or end is None or fraction == 0.0 else torch.lerp(begin, end, fraction)


def checked_problem(
    sde: Any,
    x0: Tensor,
    u: Tensor | None,
    *,
    dt: float,
    n_steps: int,
    substeps: int,
    method: str,
    drive: str,
    noise: Tensor | None,
    generator: torch.Generator | None,
    backend: str,
) -> Problem:
    """Check equation, scheme and shapes against each other; draw the noise if it was not given."""
    scheme = _checked_scheme(sde, method, backend)
    if not (math.isfinite(dt) and dt > 0) or n_steps < 1 or substeps < 1:
        raise SolverRefused(f"dt must be positive, n_steps and substeps at least 1, not {dt}, {n_steps}, {substeps}")
    history = _checked_history(sde, x0)
    _check_drive(u, n_steps, drive)
    for name, values in (("x0", x0), ("u", u), ("noise", noise)):
        if values is not None and not torch.isfinite(values).all():
            raise SolverRefused(f"{name} holds values that are not finite")
    evaluate = coefficients(sde, driven=u is not None)
    first = None if u is None else u[0]
    if method == "milstein":
        n_delays = history.shape[-2] - 1
        check_commutes(
            lambda y: evaluate(0.0, at_fraction(history, y, 0.0, n_delays), first)[1],
            history[..., 0, :],
            scheme.noise_type,
        )
    if scheme.noise_type == "none":
        noise = None
    else:
        shape = (n_steps * substeps, *history.shape[:-2], _noise_channels(scheme, evaluate, history, first))
        noise = draw_noise(shape, x0, generator) if noise is None else noise
        if noise.shape != shape:
            raise SolverRefused(f"noise must be (step, …, channel) = {shape}, not {tuple(noise.shape)}")
    interpolated = drive == "interpolated" and u is not None
    return Problem(
        sde, scheme, evaluate, history, u, noise, dt, n_steps, substeps, method, interpolated, generator
    )  # fmt: skip


def _checked_scheme(sde: Any, method: str, backend: str) -> Scheme:
    sde_type, noise_type = checked_types(sde)
    if method in LEVY_AREA_METHODS:
        if backend != "torchsde":
            raise SolverRefused(f"{method} needs Lévy areas, which only backend='torchsde' draws, not {backend!r}")
        solved: tuple[str, ...] = ("stratonovich",)
    elif method in METHODS:
        solved = SOLVES[method]
    else:
        raise SolverRefused(f"method must be one of {', '.join((*METHODS, *LEVY_AREA_METHODS))}, not {method!r}")
    if noise_type not in ("none", "additive") and sde_type not in solved:
        fitting = [name for name, types in SOLVES.items() if sde_type in types]
        raise SolverRefused(
            f"{method} solves {' and '.join(solved)} equations; this one is {sde_type} with {noise_type} noise, where "
            f"the two differ; use {', '.join(fitting)}, or twins.solver.as_{solved[0]}(sde)"
        )
    return Scheme(sde_type, noise_type)


def _checked_history(sde: Any, x0: Tensor) -> Tensor:
    n_delays = int(getattr(sde, "n_delays", 0))
    history = x0 if n_delays else x0.unsqueeze(-2)
    if not x0.is_floating_point() or history.ndim < 2 or (n_delays and x0.shape[-2] != n_delays + 1):
        axes = f"{n_delays + 1}, state" if n_delays else "state"
        raise SolverRefused(f"x0 must be floating point (…, {axes}), not {x0.dtype} {tuple(x0.shape)}")
    return history


def _check_drive(u: Tensor | None, n_steps: int, drive: str) -> None:
    if drive not in DRIVES:
        raise SolverRefused(f"drive must be one of {', '.join(DRIVES)}, not {drive!r}")
    wanted = n_steps + (drive == "interpolated")
    if u is not None and (u.ndim < 2 or len(u) != wanted):
        ends = " + 1, a value at both ends of every step," if drive == "interpolated" else f" = {n_steps}"
        raise SolverRefused(f"u must be (time, …, channel) with n_steps{ends} times, not {tuple(u.shape)}")


def _noise_channels(scheme: Scheme, evaluate: Coefficients, history: Tensor, u: Tensor | None) -> int:
    if scheme.noise_type == "diagonal":
        return int(history.shape[-1])
    if scheme.noise_type == "scalar":
        return 1
    with torch.no_grad():
        x = at_fraction(history, history[..., 0, :], 0.0, history.shape[-2] - 1)
        _, g = evaluate(0.0, x, u)
    if g is None or g.ndim < 2 or g.shape[-2] != history.shape[-1]:
        raise SolverRefused(f"g of {scheme.noise_type} noise must be (…, state, noise channel)")
    return int(g.shape[-1])
