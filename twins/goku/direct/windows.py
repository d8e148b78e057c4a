"""A trace as short solutions, window by window: each from what its first sample shows, or from what fits it best."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from twins.goku.direct.map import Scores, StateMap
from twins.goku.network.window_starts import fitted_starts
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
    n_iterations: int = 0,
    substeps: int = 1,
) -> Float[Tensor, "trace time state"]:
    """Solutions without noise in windows of so many samples, joined where a window begins.

    A window shares its first sample with the one before it (the last one as many as are left over). states: where the
    windows begin; with n_iterations these are fitted, by Gauss-Newton, to the components that were seen in the window.
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
    begin = windows.fitted(targets[:, 0], n_iterations) if n_iterations else targets[:, 0]
    solved = windows.solved(begin)
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
        """The initial states that fit the windows best."""
        nudge = _NUDGE * float(self.targets.std())
        return fitted_starts(self._residuals, initial, nudge=nudge, n_iterations=n_iterations)

    def _residuals(self, initial: Tensor) -> Tensor:
        """(copy, window, state) -> (copy, window, number), in units of the components."""
        away = (self.solved(initial) - self.targets) @ self.to_scores.mT
        return torch.where(self.seen[..., None], away, 0.0).flatten(2)
