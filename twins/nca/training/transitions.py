"""The inputs of all transitions of all sequences, and how they change from epoch to epoch."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from twins.errors import FramesInvalid

_COPIED_AT_ONCE = 64
"""Frames; long recordings need no third copy."""


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
    """Sequences of true states, and the inputs derived from them.

    true: with hidden channels at zero, and an environment that is the same in all frames; it becomes the inputs, so that
    none but the observed channels are held twice. n_observed: channels that are targets; of them the true values are
    `observed`. cyclic: after the last frame comes the first.
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
        self.n_observed, self.conditions, self.cyclic = n_observed, conditions, cyclic
        self.observed: Float[Tensor, "sequence time observed y x"] = true[:, :, :n_observed].clone()
        self._others = true[:, 0, n_observed:].clone()
        self.inputs = true
        self._outputs: Float[Tensor, "sequence time channel y x"] | None = None
        self._written = torch.zeros(true.shape[:2], dtype=torch.bool)

    def true(
        self, sequences: Int64[Tensor, " batch"], times: Int64[Tensor, " batch"] | int
    ) -> Float[Tensor, "batch channel y x"]:
        """True states of these sequences at these frames."""
        return torch.cat((self.observed[sequences, times], self._others[sequences]), dim=1)

    @property
    def n_sequences(self) -> int:
        """Replicas included."""
        return len(self.inputs)

    @property
    def n_frames(self) -> int:
        """Of every sequence."""
        return int(self.inputs.shape[1])

    def n_starts(self, horizon: int) -> int:
        """Frames of each sequence from which `horizon` frames follow. Raises FramesInvalid if there are none."""
        n_frames = self.n_frames
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
        targets = [self.observed[sequences, (starts + k) % self.n_frames] for k in range(1, horizon + 1)]
        return Drawn(
            sequences, starts, self.inputs[sequences, starts], torch.stack(targets), self.observed[sequences, starts],
            None if self.conditions is None else self.conditions[sequences],
        )  # fmt: skip

    def hand_in(self, drawn: Drawn, outputs: Float[Tensor, "batch channel y x"], good: Bool[Tensor, " batch"]) -> None:
        """What the automaton made of a minibatch, one frame on; where not good, the inputs become true frames again."""
        following = drawn.starts + 1
        inside = good & (following < self.n_frames) if not self.cyclic else good
        place = drawn.sequences[inside], following[inside] % self.n_frames
        if self._outputs is None:
            self._outputs = torch.empty_like(self.inputs)
        self._outputs[place], self._written[place] = outputs[inside], True
        bad = drawn.sequences[~good], drawn.starts[~good]
        self.inputs[bad] = self.true(*bad)

    def end_epoch(self, *, propagate: bool, injection: float | Literal["first"], generator: torch.Generator) -> None:
        """Outputs become inputs where an output was handed in; then some inputs become true frames.

        injection: "first": those of the first sequence; a share: of all inputs, drawn from the generator.
        """
        if propagate and self._outputs is not None:
            for inputs, outputs, written in zip(self.inputs, self._outputs, self._written, strict=True):
                for at in _pieces(written):
                    inputs[at] = outputs[at]
        self._written[:] = False
        chosen = torch.zeros(self._written.shape, dtype=torch.bool)
        if injection == "first":
            chosen[0] = True
        else:
            chosen = torch.rand(self._written.shape, generator=generator) < injection
        for sequence, times in enumerate(chosen):
            for at in _pieces(times):
                self.inputs[sequence, at] = self.true(torch.full_like(at, sequence), at)


def _pieces(chosen: Bool[Tensor, " time"]) -> tuple[Int64[Tensor, " some"], ...]:
    """Which are chosen, a few at a time."""
    times = torch.nonzero(chosen).flatten()
    return times.chunk(-(-len(times) // _COPIED_AT_ONCE) or 1)


def checked_size(n_sequences: int, n_frames: int, n_channels: int, n_observed: int, size: tuple[int, int]) -> int:
    """Bytes that Transitions of such sequences come to hold: inputs, outputs and the true observed channels.

    Raises FramesInvalid where this machine has less memory than that.
    """
    n_bytes = 4 * n_sequences * n_frames * (2 * n_channels + n_observed) * size[0] * size[1]
    memory = memory_bytes()
    if memory is not None and n_bytes > memory:
        raise FramesInvalid(
            f"{n_sequences} sequences (replicas included) of {n_frames} frames of {size[0]}×{size[1]} cells with "
            f"{n_channels} channels need {n_bytes / 1e9:.1f} GB in training, and this machine has {memory / 1e9:.1f} GB: take "
            "fewer frames (stride), fewer replicas or channels, or smaller images"
        )
    return n_bytes


def memory_bytes() -> int | None:
    """Of this machine; None where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
