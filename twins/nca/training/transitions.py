"""The inputs of all transitions of all sequences, and how they change from epoch to epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from twins.errors import FramesInvalid


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """A minibatch. sequences, starts: which transitions. inputs: their states. targets: the next `horizon` frames.
    before: the true frame at the start. conditions: of the automaton."""

    sequences: Int64[Tensor, " batch"]
    starts: Int64[Tensor, " batch"]
    inputs: Float[Tensor, "batch channel y x"]
    targets: Float[Tensor, "horizon batch observed y x"]
    before: Float[Tensor, "batch observed y x"]
    conditions: Float[Tensor, "batch condition"] | None


class Transitions:
    """Sequences of true states (sequence, time, channel, y, x), hidden channels at zero, and the inputs derived from them.

    n_observed: channels that are targets. cyclic: after the last frame comes the first.
    """

    def __init__(
        self,
        true: Float[Tensor, "sequence time channel y x"],
        n_observed: int,
        *,
        conditions: Float[Tensor, "sequence condition"] | None = None,
        cyclic: bool = False,
    ) -> None:
        if true.shape[1] < 2:
            raise FramesInvalid(f"training needs sequences of at least 2 frames, not {true.shape[1]}")
        self.true, self.n_observed, self.conditions, self.cyclic = true, n_observed, conditions, cyclic
        self.inputs = true.clone()
        self._outputs = true.clone()
        self._written = torch.zeros(true.shape[:2], dtype=torch.bool)

    @property
    def n_sequences(self) -> int:
        """Replicas included."""
        return len(self.true)

    def n_starts(self, horizon: int) -> int:
        """Frames of each sequence from which `horizon` frames follow. Raises FramesInvalid if there are none."""
        n_frames = self.true.shape[1]
        n = n_frames if self.cyclic else n_frames - horizon
        if n < 1:
            raise FramesInvalid(
                f"a horizon of {horizon} frames needs sequences of at least {horizon + 1}; they have {n_frames}"
            )
        return n

    def draw(self, numbers: np.ndarray, horizon: int) -> Drawn:
        """The transitions with these numbers, of n_sequences · n_starts(horizon) in all."""
        at = torch.from_numpy(np.asarray(numbers, dtype=np.int64))
        sequences, starts = at // self.n_starts(horizon), at % self.n_starts(horizon)
        n_frames, observed = self.true.shape[1], slice(0, self.n_observed)
        targets = [self.true[sequences, (starts + k) % n_frames, observed] for k in range(1, horizon + 1)]
        return Drawn(
            sequences, starts, self.inputs[sequences, starts], torch.stack(targets), self.true[sequences, starts, observed],
            None if self.conditions is None else self.conditions[sequences],
        )  # fmt: skip

    def hand_in(self, drawn: Drawn, outputs: Float[Tensor, "batch channel y x"], good: Bool[Tensor, " batch"]) -> None:
        """What the automaton made of a minibatch, one frame on; where not good, the inputs become true frames again."""
        following = drawn.starts + 1
        inside = good & (following < self.true.shape[1]) if not self.cyclic else good
        place = drawn.sequences[inside], following[inside] % self.true.shape[1]
        self._outputs[place], self._written[place] = outputs[inside], True
        bad = drawn.sequences[~good], drawn.starts[~good]
        self.inputs[bad] = self.true[bad]

    def end_epoch(self, *, propagate: bool, injection: float | Literal["first"], generator: torch.Generator) -> None:
        """Outputs become inputs where an output was handed in; then some inputs become true frames.

        injection: "first": those of the first sequence; a share: of all inputs, drawn from the generator.
        """
        if propagate:
            self.inputs[self._written] = self._outputs[self._written]
        self._written[:] = False
        if injection == "first":
            self.inputs[0] = self.true[0]
        else:
            chosen = torch.rand(self.true.shape[:2], generator=generator) < injection
            self.inputs[chosen] = self.true[chosen]
