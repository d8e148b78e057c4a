"""Frames between the frames: a cheap first lesson where a sequence is smooth in time.

A rule of 32 steps a frame is learned eight times faster from eighths of a frame: four steps that nearly say what one step
does. Between frames runs a cubic through two of them with slopes by central differences (Catmull and Rom, 1974). Where it
cannot be trusted, nothing is drawn.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from twins.nca.training.transitions import Drawn, Transitions

_ROUGHEST = 0.5
"""Of the second difference's norm over that of the central difference. Noise has 1.7, a parabola's middle 0."""
_FEWEST_FRAMES = 4


def smooth_intervals(
    observed: Float[Tensor, "sequence time observed y x"],
) -> Bool[Tensor, "sequence interval"]:
    """Between which neighbouring frames the cubic can be trusted, by how much the slope changes at both of them."""
    n_sequences, n_frames = observed.shape[:2]
    smooth = torch.ones(n_sequences, n_frames - 1, dtype=torch.bool)
    if n_frames < _FEWEST_FRAMES:
        return ~smooth
    before, here, after = observed[:, :-2], observed[:, 1:-1], observed[:, 2:]
    second = torch.linalg.vector_norm(after - 2 * here + before, dim=(2, 3, 4))
    central = torch.linalg.vector_norm(after - before, dim=(2, 3, 4))
    fine = (second < _ROUGHEST * central).cpu()
    smooth[:, 1:] &= fine  # the interval after a frame, and the one before it
    smooth[:, :-1] &= fine
    return smooth


class Interpolated:
    """Draws transitions of a part of a frame from the true frames of `transitions`, at any time within smooth intervals."""

    def __init__(self, transitions: Transitions) -> None:
        self._transitions = transitions
        self._observed = transitions.observed
        self.places = smooth_intervals(self._observed).nonzero().numpy()

    @property
    def usable(self) -> bool:
        """Whether at least half of the intervals are smooth."""
        return 2 * len(self.places) >= self._transitions.n_sequences * (self._transitions.n_frames - 1)

    def draw(self, batch: int, parts: int, *, rng: np.random.Generator) -> Drawn:
        """`batch` transitions of one `parts`-th of a frame."""
        sequences, starts = (
            torch.from_numpy(axis) for axis in self.places[rng.integers(0, len(self.places), batch)].T
        )  # fmt: skip
        begin = torch.from_numpy(rng.uniform(0.0, 1.0 - 1.0 / parts, batch))
        inputs = self._transitions.true(sequences, starts)
        before = self._between(sequences, starts, begin)
        inputs[:, : self._transitions.n_observed] = before
        target = self._between(sequences, starts, begin + 1.0 / parts)
        conditions = self._transitions.conditions
        return Drawn(
            sequences, starts, inputs, target[None], before, None if conditions is None else conditions[sequences]
        )

    def _between(self, sequences: Tensor, starts: Tensor, share: Tensor) -> Tensor:
        n_frames = self._observed.shape[1]
        first, second = (self._observed[sequences, starts + shift] for shift in (0, 1))
        earlier = self._observed[sequences, (starts - 1).clamp_min(0)]
        later = self._observed[sequences, (starts + 2).clamp_max(n_frames - 1)]
        at = share.to(first)[:, None, None, None]
        rises = (starts > 0).to(first)[:, None, None, None], (starts < n_frames - 2).to(first)[:, None, None, None]
        slopes = (second - earlier) / (1 + rises[0]), (later - first) / (1 + rises[1])
        square, cube = at**2, at**3
        held = (2 * cube - 3 * square + 1) * first + (3 * square - 2 * cube) * second
        return held + (cube - 2 * square + at) * slopes[0] + (cube - square) * slopes[1]
