"""What an automaton is judged by: validation frames, or what is kept back of the training frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twins.nca.frames import Frames
from twins.nca.training.events import ValidatedOn

_FEWEST_FRAMES = 12
"""Of a single sequence, so that its end can be held out: images to morph through are all needed in training."""


@dataclass(frozen=True, slots=True)
class Divided:
    """trained: what is learned from. judged: what free runs are compared with. held_out: trials held out, if any."""

    trained: Frames
    judged: Frames
    validated_on: ValidatedOn
    held_out: tuple[int, ...] = ()


def divided(frames: Frames, validation: Frames | None, share: float, rng: np.random.Generator) -> Divided:
    """Whole trials are held out where there are several and no validation frames; of one trial the last part.

    share: of the trials or of the frames. A single sequence of fewer than 12 frames is judged by itself.
    """
    if validation is not None:
        return Divided(frames, validation, "validation frames")
    n = frames.n_trials
    if n > 1:
        held_out = np.sort(rng.permutation(n)[: min(n - 1, max(1, round(share * n)))])
        trained = np.setdiff1d(np.arange(n), held_out)
        chosen = tuple(int(trial) for trial in held_out)
        return Divided(frames.select(trained), frames.select(held_out), "held-out trials", chosen)
    if frames.n_frames >= _FEWEST_FRAMES:
        n_kept = max(2, frames.n_frames - max(2, round(share * frames.n_frames)))
        return Divided(frames.span(0, n_kept), frames.span(n_kept - 1, frames.n_frames), "end of the sequence")
    return Divided(frames, frames, "training frames")
