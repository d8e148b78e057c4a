"""A trace as short solutions, window by window: each from the initial state that fits its window best."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from twins.goku.direct_map import Scores, StateMap
from twins.goku.system import System
from twins.goku.trajectories import solve_system

_NUDGE = 1e-6


def windowed(
    system: System,
    data: Scores,
    found: StateMap,
    states: Float[Tensor, "trace time state"],
    parameters: Float[Tensor, "trace parameter"],
    *,
    window_samples: int,
    n_iterations: int = 3,
    substeps: int = 1,
) -> Float[Tensor, "trace time state"]:
    """Solutions without noise in windows of so many samples, joined where a window begins.

    A window shares its first sample with the one before it (the last one as many as are left over). states: where the
    windows begin to search; what is fitted are the components that were seen.
    """
    n_samples = states.shape[1]
    length = min(window_samples, n_samples)
    last = n_samples - length
    starts = sorted({*range(0, last, max(1, length - 1)), last})
    places = torch.tensor(starts)[:, None] + torch.arange(length)
    targets, seen = states[:, places].flatten(0, 1), data.seen[:, places].flatten(0, 1)
    steps = data.steps_s[:, places[:, :-1]].flatten(0, 1)
    drive = None if data.drive is None else data.drive[:, places[:, :-1]].flatten(0, 1)
    windows = _Windows(
        system, parameters.repeat_interleave(len(starts), 0), steps, drive, targets, seen, found, substeps
    )
    solved = windows.solved(windows.fitted(targets[:, 0], n_iterations))
    solved = solved.reshape(len(states), len(starts), *solved.shape[1:])
    joined = torch.empty_like(states)
    for window, start in enumerate(starts):  # a later window takes over from its first sample on
        joined[:, start : start + length] = solved[:, window]
    return joined


class _Windows:
    """All windows of all traces as one batch."""

    def __init__(
        self,
        system: System,
        parameters: Tensor,
        steps_s: Tensor,
        drive: Tensor | None,
        targets: Tensor,
        seen: Tensor,
        found: StateMap,
        substeps: int,
    ) -> None:
        self.system, self.parameters, self.targets, self.seen = system, parameters, targets, seen
        self.steps_s, self.drive, self.substeps = steps_s, drive, substeps
        self.to_scores = torch.linalg.inv(found.weight)

    def solved(self, initial: Tensor) -> Tensor:
        """(copy … window, state) -> (copy … window, time, state)."""
        drive = None if self.drive is None else self.drive.transpose(0, 1)
        if drive is not None and initial.ndim == 3:
            drive = drive[:, None]
        steps = self.steps_s.mT if initial.ndim == 2 else self.steps_s.mT[:, None]
        states = solve_system(
            self.system, initial, self.parameters, step_s=steps, n_steps=self.steps_s.shape[1], drive=drive,
            substeps=self.substeps,
        )  # fmt: skip
        return states.movedim(0, -2)

    def fitted(self, initial: Tensor, n_iterations: int) -> Tensor:
        """Gauss-Newton in the initial states; a window that would get worse stays as it is."""
        n = initial.shape[-1]
        scale = float(self.targets.std())
        nudges = torch.cat((torch.zeros(1, n, dtype=initial.dtype), _NUDGE * scale * torch.eye(n, dtype=initial.dtype)))
        cost = torch.full((len(initial),), torch.inf, dtype=initial.dtype)
        tried = initial
        for _ in range(n_iterations + 1):
            residuals = self._residuals(tried + nudges[:, None])
            new_cost = residuals[0].square().sum(-1)
            better = new_cost < cost
            initial, cost = torch.where(better[:, None], tried, initial), torch.where(better, new_cost, cost)
            slopes = ((residuals[1:] - residuals[0]) / (_NUDGE * scale)).permute(1, 2, 0)
            hessian = slopes.mT @ slopes
            hessian = hessian + 1e-9 * hessian.diagonal(dim1=-2, dim2=-1).diag_embed()
            step = torch.linalg.solve_ex(hessian, slopes.mT @ residuals[0][..., None])[0][..., 0]
            usable = better & torch.isfinite(step).all(-1)
            tried = torch.where(usable[:, None], initial - step, initial)
        return initial

    def _residuals(self, initial: Tensor) -> Tensor:
        """(copy, window, state) -> (copy, window, number), in units of the components."""
        away = (self.solved(initial) - self.targets) @ self.to_scores.mT
        return torch.where(self.seen[..., None], away, 0.0).flatten(2)
