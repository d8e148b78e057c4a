"""How an automaton fares on its own: errors by frame, one transition, and whether it stays stable."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from twins.errors import FramesInvalid
from twins.nca.frames import Frames
from twins.nca.model import NcaModel

LOWEST, HIGHEST = -0.5, 1.5
"""What a stable automaton stays within, in units of the data's range."""
LEAST_SD, LARGEST_SD = 0.5, 1.5
"""Of the pattern's standard deviation, as a multiple of the data's."""
_SD_FLOOR = 0.01
"""Added to both standard deviations, in units of the range: a field that has levelled out has no pattern to compare."""


@dataclass(frozen=True, slots=True, eq=False)
class FreeRun:
    """Errors are in units of the data's range: Euclidean norms over cells and observed channels.

    error, nrmse, no_change_error: (trial, frame), of the frames after the first that were run and are in the data. nrmse: in
    standard deviations of the trial about its channels' means. no_change_error: of staying where it began.
    transition_error, transition_no_change: (trial, transition), one frame ahead from each true frame, hidden channels at
    zero; empty unless asked for.
    lowest, highest, sd_ratio: (trial, frame), of all frames run; sd_ratio is the pattern's standard deviation over that
    of the data at the same frame (the last one, beyond the data), of the channel that is farthest off.
    finite: (trial, frame).
    """

    error: Float[np.ndarray, "trial frame"]
    nrmse: Float[np.ndarray, "trial frame"]
    no_change_error: Float[np.ndarray, "trial frame"]
    transition_error: Float[np.ndarray, "trial transition"]
    transition_no_change: Float[np.ndarray, "trial transition"]
    lowest: Float[np.ndarray, "trial frame_run"]
    highest: Float[np.ndarray, "trial frame_run"]
    sd_ratio: Float[np.ndarray, "trial frame_run"]
    finite: Bool[np.ndarray, "trial frame_run"]

    @property
    def stable_trials(self) -> Bool[np.ndarray, " trial"]:
        """Always finite, always within [-0.5, 1.5], and with 0.5 to 1.5 of the data's standard deviation where they end.

        Beyond the data nobody knows how strong a pattern should be.
        """
        within = (self.lowest >= LOWEST) & (self.highest <= HIGHEST) & self.finite
        last = self.sd_ratio[:, self.error.shape[1] - 1]
        return np.asarray(within.all(axis=1) & (last >= LEAST_SD) & (last <= LARGEST_SD))

    @property
    def stable(self) -> bool:
        """Whether every trial is."""
        return bool(self.stable_trials.all())

    @property
    def score(self) -> float:
        """Mean nrmse over frames and trials; infinite where the automaton ran away."""
        mean = float(self.nrmse.mean())
        return mean if np.isfinite(mean) else float("inf")

    @property
    def transition_ratio(self) -> float:
        """Mean error of one transition over that of predicting no change."""
        if not self.transition_error.size:
            raise FramesInvalid("transitions were not run: call free_run(..., transitions=True)")
        below = float(self.transition_no_change.mean())
        ratio = float(self.transition_error.mean()) / below if below > 0 else float("inf")
        return ratio if np.isfinite(ratio) else float("inf")


def free_run(
    model: NcaModel,
    frames: Frames,
    *,
    n_frames: int | None = None,
    generator: torch.Generator | None = None,
    transitions: bool = False,
) -> FreeRun:
    """Run the automaton from the first frame of every trial and compare it with what follows.

    n_frames: how many frames to run, by default as many as follow in the data; more is allowed, errors end with the data.
    generator: draws which cells fire, where not all do. transitions: also predict one frame ahead from every true frame.
    Raises FramesInvalid.
    """
    model.check(frames)
    truth = model.observed(frames)
    n = frames.n_frames - 1 if n_frames is None else n_frames
    if n < 1 or frames.n_frames < 2:
        raise FramesInvalid(f"a free run needs a frame to go to: {frames.n_frames} frames, n_frames = {n}")
    centred = truth - truth.mean(dim=(1, 3, 4), keepdim=True)
    spread = centred.square().sum(dim=(2, 3, 4)).mean(dim=1).sqrt().clamp_min(1e-12)
    errors, stays, watched = [], [], []
    for number, state in enumerate(model.states(frames, n, generator=generator), start=1):
        seen = state[:, : truth.shape[2]]
        watched.append(_watch(state, seen, truth[:, min(number, frames.n_frames - 1)]))
        if number < frames.n_frames:
            errors.append(_norm(seen - truth[:, number]))
            stays.append(_norm(truth[:, 0] - truth[:, number]))
    error = torch.stack(errors, dim=1)
    lowest, highest, ratio, finite = (torch.stack(list(part), dim=1) for part in zip(*watched, strict=True))
    ahead, ahead_stays = _transitions(model, frames, truth, generator) if transitions else (error[:, :0], error[:, :0])
    return FreeRun(
        _numpy(error), _numpy(error / spread[:, None]), _numpy(torch.stack(stays, dim=1)), _numpy(ahead),
        _numpy(ahead_stays), _numpy(lowest), _numpy(highest), _numpy(ratio), finite.cpu().numpy(),
    )  # fmt: skip


def _watch(state: Tensor, seen: Tensor, truth: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Lowest, highest, the ratio of standard deviations that is farthest from 1, and whether all is finite."""
    ratios = (seen.flatten(2).std(dim=2) + _SD_FLOOR) / (truth.flatten(2).std(dim=2) + _SD_FLOOR)
    farthest = ratios.log().abs().nan_to_num(nan=float("inf")).argmax(dim=1, keepdim=True)
    finite = torch.isfinite(state).flatten(1).all(dim=1)
    return seen.flatten(1).amin(dim=1), seen.flatten(1).amax(dim=1), ratios.gather(1, farthest)[:, 0], finite


def _transitions(
    model: NcaModel, frames: Frames, truth: Tensor, generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    conditions, errors = model.conditions(frames), []
    with torch.no_grad():
        for number in range(frames.n_frames - 1):
            state = model.automaton.unroll(
                model.start(frames, number), model.steps_per_frame, generator=generator, conditions=conditions
            ).state
            errors.append(_norm(state[:, : truth.shape[2]] - truth[:, number + 1]))
    stays: Tensor = torch.linalg.vector_norm(truth.diff(dim=1), dim=(2, 3, 4))
    return torch.stack(errors, dim=1), stays


def _norm(difference: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(difference, dim=(1, 2, 3))
    return norm


def _numpy(values: Tensor) -> np.ndarray:
    return np.asarray(values.double().cpu().numpy())
