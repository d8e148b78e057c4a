"""How many solver steps a sample needs."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from twins.errors import EquationInvalid
from twins.goku.system import System
from twins.goku.trajectories import default_method, ran_away, solve_system

MOST_SUBSTEPS = 512
_MOST_SAMPLES = 32
_N_POINTS = 20
_LONGEST_PATH = 200
_FEWEST_WITH_NOISE = 4  # the noise of a step enters at its ends


def substeps_for(
    system: System,
    initial: Float[Tensor, "batch state"],
    parameters: Float[Tensor, "batch parameter"],
    *,
    step_s: float,
    n_steps: int,
    drive: Float[Tensor, "time batch channel"] | None = None,
    noisy: bool = False,
    tolerance: float | None = None,
) -> int:
    """The smallest power of 2 with which the error of one sample step is below `tolerance` of each state's spread.

    Looked up on up to 32 of the samples, without noise, by the scheme that would solve them (``default_method``), from points
    along their trajectories. noisy: they will be solved with noise. tolerance: by default 1e-8 without noise, 1e-4 with it,
    where chance hides the rest.
    Raises EquationInvalid where MOST_SUBSTEPS are not enough.
    """
    chosen = slice(0, _MOST_SAMPLES)
    start, p = initial[chosen].double(), parameters[chosen].double()
    u = None if drive is None else drive[:, chosen].double().expand(n_steps, len(start), -1)
    tolerance = tolerance or (1e-4 if noisy else 1e-8)
    method = default_method(system)
    scheme = "euler" if method == "milstein" else method  # what is left of it without noise
    with torch.no_grad():
        n_steps = min(n_steps, _LONGEST_PATH)
        u = None if u is None else u[:n_steps]
        for coarse in (4, 32):
            path = solve_system(
                system, start, p, step_s=step_s, n_steps=n_steps, drive=u, substeps=coarse, method="rk4"
            )
            kept = ~ran_away(system, path)
            if bool(kept.all()):
                break
        if not bool(kept.any()):
            raise EquationInvalid(f"{system.name}: all trajectories run away, so that no step can be found for them")
        path, p = path[:, kept], p[kept]
        spread = path.reshape(-1, system.n_states).std(0).clamp_min(1e-9)
        when = torch.linspace(0, n_steps - 1, min(n_steps, _N_POINTS)).long()
        points = path[when]
        held = None if u is None else u[:, kept][when]

        def one_sample(substeps: int) -> Tensor:
            u_of_point = None if held is None else held.unsqueeze(0)
            return solve_system(
                system, points, p, step_s=step_s, n_steps=1, drive=u_of_point, substeps=substeps, method=scheme
            )[-1]  # fmt: skip

        substeps = _FEWEST_WITH_NOISE if noisy else 1
        found = one_sample(substeps)
        while substeps <= MOST_SUBSTEPS:
            finer = one_sample(2 * substeps)
            if float(((found - finer).abs() / spread).max()) < tolerance:
                return substeps
            substeps, found = 2 * substeps, finer
    raise EquationInvalid(
        f"{system.name}: {MOST_SUBSTEPS} steps a sample of {step_s:g} s are not accurate; sample faster, or narrow the ranges"
    )
