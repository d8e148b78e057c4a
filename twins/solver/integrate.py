"""solve: the one door to the solver."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from twins.errors import SolverRefused
from twins.solver.adjoint import solve_by_adjoint, why_not
from twins.solver.loop import solve_by_loop
from twins.solver.problem import checked_problem

BACKENDS = ("auto", "loop", "adjoint", "torchsde")


def solve(
    sde: Any,
    x0: Float[Tensor, "..."],
    u: Float[Tensor, "time ..."] | None = None,
    *,
    dt: float,
    n_steps: int,
    substeps: int = 1,
    method: str = "euler",
    drive: str = "held",
    noise: Float[Tensor, "..."] | None = None,
    generator: torch.Generator | None = None,
    backend: str = "auto",
) -> Float[Tensor, "time ..."]:
    """Integrate `sde` over n_steps steps of dt; returns (n_steps + 1, …, state), the initial state first.

    x0: (…, state) with any batch dimensions, or the history (…, n_delays + 1, state), newest first, if the equation
    has delays. Between samples, delayed states are interpolated linearly on the grid of dt.
    u: (n_steps, …, channel), held over its step, in every stage and substep; it broadcasts over the batch. With
    drive="interpolated" (n_steps + 1, …, channel), linear between the samples: stages see it at their own times.
    method: see ``twins.solver.schemes`` for what each solves and its order. Itô or Stratonovich is the equation's to
    say; a scheme for the other is refused where they differ (``as_ito`` and ``as_stratonovich`` convert).
    noise: (n_steps * substeps, …, noise channel) standard normal numbers; else they are drawn once from `generator`.
    backend: "loop": any equation and scheme, exact gradients through the steps, on any device. "adjoint": the same for
    Euler's steps of a ``PairedSDE``, several times faster; no second derivatives. "auto": "adjoint" where it applies,
    else "loop". "torchsde": the reference, slow, same noise; it alone has method="log_ode" (Stratonovich, general noise
    with drawn Lévy areas, from `generator`).

    Time is t = k dt, k an integer. Raises SolverRefused.
    """
    if backend not in BACKENDS:
        raise SolverRefused(f"backend must be one of {', '.join(BACKENDS)}, not {backend!r}")
    problem = checked_problem(
        sde,
        x0,
        u,
        dt=dt,
        n_steps=n_steps,
        substeps=substeps,
        method=method,
        drive=drive,
        noise=noise,
        generator=generator,
        backend=backend,
    )
    if backend == "torchsde":
        from twins.solver.reference import solve_with_torchsde  # optional, slow to import

        return solve_with_torchsde(problem)
    reason = why_not(problem) if backend in ("auto", "adjoint") else "the loop was asked for"
    if reason is None:
        return solve_by_adjoint(problem)
    if backend == "adjoint":
        raise SolverRefused(f"backend='adjoint' cannot take this: {reason}; use backend='loop'")
    return solve_by_loop(problem)
