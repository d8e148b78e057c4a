"""How an automaton fares on its own: errors by frame, one transition, and whether it stays stable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from twins.errors import FramesInvalid
from twins.nca.frames import Frames
from twins.nca.metrics import are_stable, like_the_data, sd_ratio
from twins.nca.metrics.stable_runs import HIGHEST, LOWEST, NO_PATTERN
from twins.nca.model import NcaModel

__all__ = ["HIGHEST", "LOWEST", "FreeRun", "free_run"]

_RECENT = 4
"""The share of the data, one in so many, that tells whether its pattern was fading or growing when it ended."""


@dataclass(frozen=True, slots=True, eq=False)
class FreeRun:
    """Errors are in units of the data's range: Euclidean norms over cells and observed channels.

    error, nrmse, no_change_error: (trial, frame), of the frames after the first that were run and are in the data. nrmse: in
    standard deviations of the trial about its channels' means. no_change_error: of staying where it began.
    transition_error, transition_no_change: (trial, transition), one frame ahead from each true frame, hidden channels at
    zero; empty unless asked for.
    lowest, highest, sd_ratio: (trial, frame), of all frames run; sd_ratio is the pattern's standard deviation over that
    of the data at the same frame, of the observed channel that is farthest off (see twins.nca.metrics.sd_ratio).
    Beyond the data it is compared with the data's last frame. Where the data's own pattern was fading or growing towards
    its end (over its last quarter), it may go on doing so: whatever lies between the last frame's and what that rate has
    made of it by then has a ratio of 1.
    finite: (trial, frame). spread: (trial,), the standard deviations that nrmse is in.
    Two flags: `stable`, whether it is a pattern like the data's where the data ends, and `kept`, whether it is still one
    where the run ends.
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
    spread: Float[np.ndarray, " trial"]

    @property
    def stable_trials(self) -> Bool[np.ndarray, " trial"]:
        """Always finite, always within [-0.5, 1.5], and with 0.5 to 1.5 of the data's standard deviation where they end:
        what twins.nca.metrics.stability says.

        What becomes of the pattern beyond the data is told by `kept_trials`.
        """
        last = self.sd_ratio[:, self.error.shape[1] - 1]
        return are_stable(np.asarray(self.finite.all(axis=1)), self.lowest.min(axis=1), self.highest.max(axis=1), last)

    @property
    def kept_trials(self) -> Bool[np.ndarray, " trial"]:
        """Stable, and with 0.5 to 1.5 of the standard deviation of the data's last frame (see sd_ratio) where the run ends.

        Without frames beyond the data it says what `stable_trials` says.
        """
        return np.asarray(self.stable_trials & like_the_data(self.sd_ratio[:, -1]))

    @property
    def stable(self) -> bool:
        """Whether every trial is."""
        return bool(self.stable_trials.all())

    @property
    def kept(self) -> bool:
        """Whether every trial is stable and keeps its pattern to the end of the run."""
        return bool(self.kept_trials.all())

    @property
    def score(self) -> float:
        """Mean nrmse over frames and trials; infinite where the automaton ran away."""
        mean = float(self.nrmse.mean())
        return mean if np.isfinite(mean) else float("inf")

    @property
    def no_change_nrmse(self) -> Float[np.ndarray, "trial frame"]:
        """Of staying where it began, in the units of nrmse."""
        return np.asarray(self.no_change_error / self.spread[:, None])

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
    on_frame: Callable[[int, Tensor], None] | None = None,
) -> FreeRun:
    """Run the automaton from the first frame of every trial and compare it with what follows.

    n_frames: how many frames to run, by default as many as follow in the data; more is allowed, errors end with the data.
    generator: draws which cells fire, where not all do. transitions: also predict one frame ahead from every true frame.
    on_frame: called with the number (from 1) and the state, hidden channels included, of every frame that is run.
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
        if on_frame is not None:
            on_frame(number, state)
        seen = state[:, : truth.shape[2]]
        watched.append(_watch(state, seen))
        if number < frames.n_frames:
            errors.append(_norm(seen - truth[:, number]))
            stays.append(_norm(truth[:, 0] - truth[:, number]))
    error = torch.stack(errors, dim=1)
    lowest, highest, sds, finite = (torch.stack(list(part), dim=1) for part in zip(*watched, strict=True))
    ahead, ahead_stays = _transitions(model, frames, truth, generator) if transitions else (error[:, :0], error[:, :0])
    return FreeRun(
        _numpy(error), _numpy(error / spread[:, None]), _numpy(torch.stack(stays, dim=1)), _numpy(ahead),
        _numpy(ahead_stays), _numpy(lowest), _numpy(highest), _sd_ratios(_numpy(sds), _numpy(_sds(truth))),
        finite.cpu().numpy(), _numpy(spread),
    )  # fmt: skip


def _sd_ratios(
    ours: Float[np.ndarray, "trial frame_run channel"], theirs: Float[np.ndarray, "trial time channel"]
) -> Float[np.ndarray, "trial frame_run"]:
    """From the standard deviations in the run, which begins a frame later, and in the data."""
    n_known = theirs.shape[1] - 1
    recent = max(1, n_known // _RECENT)
    late = np.maximum(theirs[:, -1 - recent :: recent], NO_PATTERN)
    growth = np.log(late[:, -1:] / late[:, :1]) / recent
    numbers = np.arange(1, ours.shape[1] + 1)
    since = np.maximum(numbers - n_known, 0)[None, :, None]
    return sd_ratio(ours, theirs[:, np.minimum(numbers, n_known)], growth=growth * since)


def _sds(images: Tensor) -> Tensor:
    """(…, channel, y, x) -> (…, channel)."""
    return images.flatten(-2).std(dim=-1, correction=0)


def _watch(state: Tensor, seen: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Lowest, highest, the standard deviations of the channels, and whether all is finite."""
    finite = torch.isfinite(state).flatten(1).all(dim=1)
    return seen.flatten(1).amin(dim=1), seen.flatten(1).amax(dim=1), _sds(seen), finite


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
