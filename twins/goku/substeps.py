"""How many solver steps a sample needs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from twins.errors import EquationInvalid
from twins.goku.system import System
from twins.goku.trajectories import default_method, ran_away, solve_system

MOST_SUBSTEPS = 1024
_MOST_SAMPLES = 32
_N_POINTS = 20
_LONGEST_PATH = 200
_COARSE = 8  # steps a sample of the first path along which points are taken
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
    along their trajectories. noisy: they will be solved with noise. tolerance: by default 1e-7 without noise, 1e-4 with it,
    where chance hides the rest. Raises EquationInvalid where MOST_SUBSTEPS are not enough.
    """
    chosen, n_steps = slice(0, _MOST_SAMPLES), min(n_steps, _LONGEST_PATH)
    start, p = initial[chosen].double(), parameters[chosen].double()
    u = None if drive is None else drive[:n_steps, chosen].double().expand(n_steps, len(start), -1)
    look = _Look(system, step_s, tolerance or (1e-4 if noisy else 1e-7), _FEWEST_WITH_NOISE if noisy else 1)
    with torch.no_grad():
        found = look.substeps(start, p, u, n_steps, along=_COARSE)
        if found > 4 * _COARSE:  # the path was far too coarse to say where trajectories lead
            found = look.substeps(start, p, u, n_steps, along=found // 2)
    return found


@dataclass(frozen=True, slots=True)
class _Look:
    system: System
    step_s: float
    tolerance: float
    fewest: int

    def substeps(self, start: Tensor, p: Tensor, u: Tensor | None, n_steps: int, *, along: int) -> int:
        """As few as do at points along paths solved with `along` steps a sample."""
        path = self._solve(start, p, u, n_steps, along, "rk4")
        kept = ~ran_away(self.system, path)
        if not bool(kept.any()):
            raise EquationInvalid(
                f"{self.system.name}: all trajectories run away, so that no step can be found for them"
            )
        path, p = path[:, kept], p[kept]
        spread = path.reshape(-1, self.system.n_states).std(0).clamp_min(1e-9)
        when = torch.linspace(0, n_steps - 1, min(n_steps, _N_POINTS)).long()
        points, held = path[when], None if u is None else u[:, kept][when].unsqueeze(0)
        method = default_method(self.system)
        scheme = "euler" if method == "milstein" else method  # what is left of it without noise
        substeps = self.fewest
        found = self._solve(points, p, held, 1, substeps, scheme)[-1]
        while substeps <= MOST_SUBSTEPS:
            finer = self._solve(points, p, held, 1, 2 * substeps, scheme)[-1]
            if float(((found - finer).abs() / spread).max()) < self.tolerance:
                return substeps
            substeps, found = 2 * substeps, finer
        raise EquationInvalid(
            f"{self.system.name}: {MOST_SUBSTEPS} steps a sample of {self.step_s:g} s are not accurate; sample faster, or "
            "narrow the ranges"
        )

    def _solve(self, z: Tensor, p: Tensor, u: Tensor | None, n_steps: int, substeps: int, method: str) -> Tensor:
        return solve_system(
            self.system, z, p, step_s=self.step_s, n_steps=n_steps, drive=u, substeps=substeps, method=method
        )
