"""Solve a system from initial states, for many samples at once, with those that diverge told apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from twins.errors import EquationInvalid, SolverRefused
from twins.goku.bound import BoundSystem
from twins.goku.compiled.solve import kernels_for, solve_compiled
from twins.goku.held import unheld
from twins.solver import draw_noise
from twins.solver.loop import solve_by_loop
from twins.solver.problem import checked_problem

if TYPE_CHECKING:
    from twins.goku.system import System

BACKENDS = ("auto", "loop", "compiled")
LARGEST_STATE = 1e4
"""A sample counts as diverged where a state leaves this many half-widths of its range (or 1e8, if it has none)."""


@dataclass(frozen=True, slots=True)
class Solved:
    """states: (time, …, state), the initial state first, finite everywhere; diverged: (…), those that ran away.

    A diverged sample stays at its initial state, without a gradient.
    """

    states: Float[Tensor, "time ... state"]
    diverged: Bool[Tensor, "..."]


def default_method(system: System) -> str:
    """RK4 in the drift where noise is absent or additive; Heun (Stratonovich) or Milstein (Itô) where it depends on the
    state, Euler for general Itô noise."""
    if system.noise in ("none", "additive"):
        return "rk4"
    if system.sde_type == "stratonovich":
        return "heun"
    return "milstein" if system.noise == "diagonal" else "euler"


def solve_system(
    system: System,
    initial: Float[Tensor, "... state"],
    parameters: Float[Tensor, "... parameter"],
    *,
    step_s: float | Float[Tensor, "time ..."],
    n_steps: int,
    drive: Float[Tensor, "time ... channel"] | None = None,
    drive_between: str = "held",
    substeps: int = 1,
    method: str | None = None,
    noisy: bool = False,
    noise: Float[Tensor, "step ... channel"] | None = None,
    generator: torch.Generator | None = None,
    backend: str = "auto",
) -> Float[Tensor, "time ... state"]:
    """(n_steps + 1, …, state), the initial state first. What diverges comes out as it is; see ``solve_guarded``.

    step_s: seconds a step, or (n_steps, …), a length of its own for every step and sample.
    drive: (n_steps, …, channel), held over its step; with drive_between = "interpolated" (n_steps + 1, …, channel).
    noisy: with the system's own noise, drawn once from `generator` or given as `noise` (unit variance).
    Batch axes of initial, parameters, step_s and drive broadcast.
    backend: "compiled": in C, see ``twins.goku.compiled.solve``; SolverRefused where that cannot be. "loop": step by step in
    torch, on any device. "auto": compiled where it can be; the results are equal to rounding.
    """
    if backend not in BACKENDS:
        raise SolverRefused(f"backend must be one of {', '.join(BACKENDS)}, not {backend!r}")
    if bool(system.drives) != (drive is not None):
        wanted = ", ".join(quantity.name for quantity in system.drives) or "none"
        raise EquationInvalid(
            f"{system.name}: its drives are {wanted}; {'none was' if drive is None else 'one was'} given"
        )
    noisy = noisy and system.stochastic
    stepped, u = isinstance(step_s, Tensor), drive
    batch = np.broadcast_shapes(
        initial.shape[:-1], parameters.shape[:-1], step_s.shape[1:] if isinstance(step_s, Tensor) else ()
    )
    if isinstance(step_s, Tensor):
        if drive_between != "held" and drive is not None:
            raise EquationInvalid(
                "a drive is interpolated only where all steps are equally long; use drive_between='held'"
            )
        lengths = step_s.to(initial).expand(n_steps, *batch).unsqueeze(-1)
        u = lengths if drive is None else torch.cat((drive.to(initial).expand(n_steps, *batch, -1), lengths), dim=-1)
    bound = BoundSystem(system, parameters.to(initial), stepped=stepped, noisy=noisy)
    problem = checked_problem(
        bound,
        initial.expand(*batch, -1),
        u,
        dt=1.0 if isinstance(step_s, Tensor) else step_s,
        n_steps=n_steps,
        substeps=substeps,
        method=method or default_method(system),
        drive="held" if u is None or stepped else drive_between,
        noise=noise if noisy else None,
        generator=generator if noisy else None,
        backend="loop",
    )
    if backend != "loop":
        of_each = step_s if isinstance(step_s, Tensor) else None
        whole, numbers = unheld(system, parameters.to(initial))
        kernels = kernels_for(whole, problem, numbers, of_each)
        if not isinstance(kernels, str):
            return solve_compiled(kernels, whole, problem, numbers, of_each)
        if backend == "compiled":
            raise SolverRefused(f"backend='compiled' cannot take this: {kernels}; use backend='loop'")
    return solve_by_loop(problem)


def solve_guarded(
    system: System,
    initial: Float[Tensor, "batch state"],
    parameters: Float[Tensor, "batch parameter"],
    *,
    step_s: float | Float[Tensor, "time batch"],
    n_steps: int,
    drive: Float[Tensor, "time batch channel"] | None = None,
    noisy: bool = False,
    noise: Float[Tensor, "step batch channel"] | None = None,
    generator: torch.Generator | None = None,
    **options: Any,
) -> Solved:
    """``solve_system`` for ONE batch axis, where a sample that runs away harms no other one.

    The noise is drawn for all; if any sample diverges, the others are solved once more without it, so that no gradient
    that is not finite reaches them.
    """
    if noisy and system.stochastic and noise is None:
        noise = drawn_noise(system, initial, parameters, drive, n_steps, int(options.get("substeps", 1)), generator)

    def run(chosen: Tensor | slice) -> Tensor:
        return solve_system(
            system, initial[chosen], parameters[chosen],
            step_s=step_s[:, chosen] if isinstance(step_s, Tensor) else step_s,
            n_steps=n_steps,
            drive=None if drive is None else drive[:, chosen],
            noisy=noisy, noise=None if noise is None else noise[:, chosen], **options,
        )  # fmt: skip

    begins_well = torch.isfinite(initial).all(-1) & torch.isfinite(parameters).all(-1)
    if bool(begins_well.all()):
        states = run(slice(None))
        diverged = ran_away(system, states)
        if not bool(diverged.any()):
            return Solved(states, diverged)
    else:
        diverged = ~begins_well
        chosen = begins_well.nonzero().squeeze(-1)
        if len(chosen):
            with torch.no_grad():
                diverged = diverged.index_put((chosen,), ran_away(system, run(chosen)))
    kept = (~diverged).nonzero().squeeze(-1)
    still = torch.nan_to_num(initial.detach(), nan=0.0, posinf=0.0, neginf=0.0).expand(n_steps + 1, *initial.shape)
    return Solved(still.index_copy(1, kept, run(kept)) if len(kept) else still, diverged)


def ran_away(system: System, states: Float[Tensor, "time ... state"]) -> Bool[Tensor, "..."]:
    """Which samples are not finite, or beyond LARGEST_STATE half-widths of the states' ranges."""
    low, high = system.state_range(states)
    half = torch.nan_to_num(0.5 * (high - low), posinf=1e4)
    with torch.no_grad():
        inside = (states - torch.nan_to_num(0.5 * (low + high))).abs() <= LARGEST_STATE * half
    return ~inside.all(-1).all(0)


def drawn_noise(
    system: System,
    initial: Tensor,
    parameters: Tensor,
    drive: Tensor | None,
    n_steps: int,
    substeps: int,
    generator: torch.Generator | None,
) -> Float[Tensor, "step batch channel"]:
    """The numbers that so many steps of the system's own noise need, unit variance."""
    channels = system.n_states
    if system.noise == "general":
        with torch.no_grad():
            _, g = BoundSystem(system, parameters).coefficients_at(initial, None if drive is None else drive[0])
        assert g is not None
        channels = g.shape[-1]
    return draw_noise((n_steps * substeps, len(initial), channels), initial, generator)
