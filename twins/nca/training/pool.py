"""A pool: states at the last frame that live on from epoch to epoch, so that the automaton learns to keep them.

Propagation carries a state from frame to frame and lets go of it at the end; how the picture lasts is not learned from
that. In a pool some states at the end are their own next input: they grow old, the worst of them are replaced, the best
damaged (Mordvintsev et al., "Growing Neural Cellular Automata", Distill 2020). The last frame therefore stands there twice:
A, B, C, C is the sequence of Richardson et al. 2024 (doi 10.1371/journal.pcbi.1011589).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from twins.errors import AutomatonInvalid, FramesInvalid
from twins.nca.frames import Frames
from twins.nca.spec import NcaSpec
from twins.nca.training.damage import Damage
from twins.nca.training.transitions import Drawn, Transitions

Renewal = Literal["true", "arrived"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """kept: share of the sequences (trials times replicas) whose state at the last frame lives on.

    renewed: share of the kept ones that are replaced after every epoch, the worst first, on average exactly so; also
    replaced is every one whose loss is above largest_loss. renewed_by: "true" frames, hidden channels at zero, or what
    "arrived" from the frame before, which comes to grow old as in a free run.
    share: of an epoch's transitions that kept states begin; of all the others as many are drawn as that leaves room for.
    None: all transitions are in every epoch.
    damage: what is done to the kept ones afterwards, its share of them, the best first, once `damage_after` of the training
    is done: a picture must be kept before it can heal.

    Raises AutomatonInvalid.
    """

    kept: float = 0.5
    renewed: float = 0.125
    renewed_by: Renewal = "arrived"
    share: float | None = None
    largest_loss: float = float("inf")
    damage: Damage | None = None
    damage_after: float = 0.5

    def __post_init__(self) -> None:
        for name in ("kept", "renewed", "damage_after"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise AutomatonInvalid(f"{name} of a pool must lie in 0..1, not {getattr(self, name)!r}")
        if self.share is not None and not 0.0 < self.share <= 1.0:
            raise AutomatonInvalid(f"share of a pool must be above 0 and at most 1, or None, not {self.share!r}")
        if self.kept == 0.0:
            raise AutomatonInvalid("a pool keeps something: kept must be above 0, or leave the pool away")
        if self.renewed_by not in ("true", "arrived"):
            raise AutomatonInvalid(f"renewed_by must be true or arrived, not {self.renewed_by!r}")
        if not self.largest_loss > 0:
            raise AutomatonInvalid(f"largest_loss must be positive, not {self.largest_loss!r}")


def lasting(frames: Frames) -> Frames:
    """The frames with the last one once more, unless it stands there twice already: A, B, C becomes A, B, C, C."""
    values = frames.values
    if frames.n_frames >= 2 and np.array_equal(values[:, -1], values[:, -2]):
        return frames
    return replace(frames, values=np.concatenate((values, values[:, -1:]), axis=1))


class KeptStates:
    """The pool of one training. It acts on the inputs of `transitions` after they were propagated.

    Raises FramesInvalid unless the last frame of every sequence is the one before it.
    """

    def __init__(self, pool: Pool, transitions: Transitions, spec: NcaSpec) -> None:
        observed = transitions.observed[:, -2:]
        if transitions.cyclic or not torch.equal(observed[:, 0], observed[:, 1]):
            raise FramesInvalid(
                "a pool keeps states at the last frame, which must therefore be the same as the one before it, and not be "
                "followed by the first (cyclic): repeat the last frame, as in A, B, C, C; of a single sequence of 12 frames "
                "or more the end is held out: pass validation frames"
            )
        self.pool, self.transitions, self.spec = pool, transitions, spec
        n_kept = max(1, round(pool.kept * transitions.n_sequences))
        self.sequences = torch.arange(transitions.n_sequences - n_kept, transitions.n_sequences)
        """Those kept: the last ones, so that the first are propagated and injected as without a pool."""
        self.states: Float[Tensor, "kept channel y x"] = transitions.true(self.sequences, -2)
        self.arrived: Float[Tensor, "kept channel y x"] = self.states.clone()
        """What came last from the frame before, in each of these sequences."""
        self.losses: Float[Tensor, " kept"] = torch.zeros(n_kept, dtype=torch.float64)
        self.ages = torch.zeros(n_kept, dtype=torch.long)
        """Frames since each was renewed."""

    def hand_in(
        self, drawn: Drawn, outputs: Float[Tensor, "batch channel y x"], losses: Float[Tensor, " batch"],
        good: Bool[Tensor, " batch"],
    ) -> None:  # fmt: skip
        """What the automaton made of a minibatch, one frame on, and how well; of it those that are kept are taken."""
        first, last_start = int(self.sequences[0]), self.transitions.n_frames - 2
        arriving = good & (drawn.starts == last_start - 1) & (drawn.sequences >= first)
        self.arrived[drawn.sequences[arriving] - first] = outputs[arriving]
        mine = (drawn.starts == last_start) & (drawn.sequences >= first)
        at = drawn.sequences[mine] - first
        self.states[at] = outputs[mine]
        self.losses[at] = torch.where(good[mine], losses[mine].double().cpu(), torch.inf)
        self.ages[at] += 1

    def numbers(self, horizon: int, *, rng: np.random.Generator) -> Int64[np.ndarray, " transition"]:
        """Which transitions (see Transitions.draw) the next epoch is made of."""
        n_starts = self.transitions.n_starts(horizon)
        every = np.arange(self.transitions.n_sequences * n_starts)
        last_start = self.transitions.n_frames - 2
        mine = (every % n_starts == last_start) & (every // n_starts >= int(self.sequences[0]))
        if self.pool.share is None or not mine.any():
            return every
        n_others = min(round(mine.sum() * (1.0 / self.pool.share - 1.0)), int((~mine).sum()))
        return np.concatenate((every[mine], rng.choice(every[~mine], n_others, replace=False)))

    def end_epoch(self, progress: float, *, generator: torch.Generator) -> int:
        """Kept states become inputs, the worst are renewed, the best damaged. Returns how many were renewed.

        progress: share of the training that is done. Call it after ``Transitions.end_epoch``.
        """
        order = self.losses.argsort(descending=True)
        lucky = float(torch.rand(1, generator=generator, dtype=torch.float64, device=generator.device))
        n_renewed = int(self.pool.renewed * len(order) + lucky)
        renewed = torch.zeros(len(order), dtype=torch.bool)
        renewed[order[:n_renewed]] = True
        renewed |= self.losses.isinf() | (self.losses > self.pool.largest_loss)
        inputs, true = self.transitions.inputs, self.transitions.true
        fresh = true(self.sequences, -2) if self.pool.renewed_by == "true" else self.arrived
        self.states[renewed] = fresh[renewed]
        self.losses[renewed], self.ages[renewed] = 0.0, 0
        placed = self.states.clone()
        if self.pool.damage is not None and progress >= self.pool.damage_after:
            best = [int(item) for item in order.flip(0) if not renewed[item]]
            placed = self.pool.damage.apply(placed, self.spec, generator=generator, items=best)
        inputs[self.sequences, -2] = placed
        return int(renewed.sum())
