"""What an automaton is judged by: validation frames, or what is kept back of the training frames."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from twins.nca.frames import Frames
from twins.nca.training.events import ValidatedOn

_FEWEST_FRAMES = 12
"""Of a single sequence, so that its end can be held out: images to morph through are all needed in training."""

_FEWEST_CYCLES = 3
"""That a free run goes through: one that strays does not come back to where it began."""


@dataclass(frozen=True, slots=True)
class Divided:
    """trained: what is learned from. judged: what free runs are compared with. held_out: trials held out, if any. whole: the
    sequence from its first frame, of whose end `judged` is; None where that begins with a first frame itself."""

    trained: Frames
    judged: Frames
    validated_on: ValidatedOn
    held_out: tuple[int, ...] = ()
    whole: Frames | None = None


def divided(
    frames: Frames, validation: Frames | None, share: float, rng: np.random.Generator, *, cyclic: bool = False
) -> Divided:
    """Whole trials are held out where there are several and no validation frames; of one trial the last part.

    share: of the trials or of the frames. A single sequence of fewer than 12 frames is judged by itself, and so is a single
    cycle (cyclic): without its end its first frame would no longer follow its last.
    """
    if validation is not None:
        return Divided(frames, validation, "validation frames")
    n = frames.n_trials
    if n > 1:
        held_out = np.sort(rng.permutation(n)[: min(n - 1, max(1, round(share * n)))])
        trained = np.setdiff1d(np.arange(n), held_out)
        chosen = tuple(int(trial) for trial in held_out)
        return Divided(frames.select(trained), frames.select(held_out), "held-out trials", chosen)
    if frames.n_frames >= _FEWEST_FRAMES and not cyclic:
        n_kept = max(2, frames.n_frames - max(2, round(share * frames.n_frames)))
        end = frames.span(n_kept - 1, frames.n_frames)
        return Divided(frames.span(0, n_kept), end, "end of the sequence", whole=frames)
    return Divided(frames, frames, "training frames")


def cycles(frames: Frames, times: float) -> Frames:
    """A cycle run through at least `times` times and at least three, so that its end is seen to lead into its beginning."""
    return replace(frames, values=np.concatenate([frames.values] * max(_FEWEST_CYCLES, math.ceil(times)), axis=1))
