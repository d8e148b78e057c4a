"""How many solver steps a sample needs: one rule, and what ``generate`` makes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from twins.errors import EquationInvalid
from twins.goku.system import System
from twins.goku.trajectories import default_method, ran_away, solve_system

MOST_SUBSTEPS = 1024
FEWEST_WITH_NOISE = 4
"""The noise of a step enters at its ends; with fewer, what a state shows within one sample is another law."""
_MOST_SAMPLES = 32
_N_POINTS = 20
_LONGEST_PATH = 200
_FEWEST_KEPT = 0.5  # of the paths; with fewer, finer ones are tried
_COARSE = 8  # steps a sample of the first path along which points are taken

Solution = TypeVar("Solution")


@dataclass(frozen=True, slots=True)
class Steps:
    """substeps: solver steps a sample. error: what halving them changes; `enough` is whether that is little enough."""

    substeps: int
    error: float
    enough: bool


def fewest_steps(
    solve: Callable[[int], Solution],
    change: Callable[[Solution, Solution], float],
    *,
    tolerance: float,
    fewest: int = 1,
    most: int = MOST_SUBSTEPS,
) -> Steps:
    """The first of fewest, twice that, …, up to `most`, where ``change`` to twice as many steps is below `tolerance`.

    Every search for solver steps goes by this rule. Where none is enough, the last one is told with ``enough`` False: the
    caller says what that means.
    """
    substeps, found = fewest, solve(fewest)
    while True:
        finer = solve(2 * substeps)
        error = change(found, finer)
        if error < tolerance or 2 * substeps > most:
            return Steps(substeps, error, error < tolerance)
        substeps, found = 2 * substeps, finer


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
    look = _Look(system, step_s, tolerance or (1e-4 if noisy else 1e-7), FEWEST_WITH_NOISE if noisy else 1)
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
        path, kept = self._path(start, p, u, n_steps, along)
        path, p = path[:, kept], p[kept]
        spread = path.reshape(-1, self.system.n_states).std(0).clamp_min(1e-9)
        when = torch.linspace(0, n_steps - 1, min(n_steps, _N_POINTS)).long()
        points, held = path[when], None if u is None else u[:, kept][when].unsqueeze(0)
        method = default_method(self.system)
        scheme = "euler" if method == "milstein" else method  # what is left of it without noise
        steps = fewest_steps(
            lambda substeps: self._solve(points, p, held, 1, substeps, scheme)[-1],
            lambda coarse, fine: float(((coarse - fine).abs() / spread).max()),
            tolerance=self.tolerance,
            fewest=self.fewest,
        )
        if not steps.enough:
            raise EquationInvalid(
                f"{self.system.name}: {MOST_SUBSTEPS} steps a sample of {self.step_s:g} s are not accurate; sample faster, "
                "or narrow the ranges"
            )
        return steps.substeps

    def _path(self, start: Tensor, p: Tensor, u: Tensor | None, n_steps: int, along: int) -> tuple[Tensor, Tensor]:
        """A path and which of its traces do not run away; with too few steps it may be the solver that does."""
        before = 0.0
        while True:
            path = self._solve(start, p, u, n_steps, along, "rk4")
            kept = ~ran_away(self.system, path)
            share = float(kept.double().mean())
            if share >= _FEWEST_KEPT or 0.0 < share <= before or along >= MOST_SUBSTEPS:
                break
            along, before = 2 * along, share
        if not bool(kept.any()):
            raise EquationInvalid(
                f"{self.system.name}: all trajectories run away, so that no step can be found for them"
            )
        return path, kept

    def _solve(self, z: Tensor, p: Tensor, u: Tensor | None, n_steps: int, substeps: int, method: str) -> Tensor:
        return solve_system(
            self.system, z, p, step_s=self.step_s, n_steps=n_steps, drive=u, substeps=substeps, method=method
        )
