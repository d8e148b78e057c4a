"""From the units of the images to the [0, 1] that automata live in, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from twins.errors import FramesInvalid
from twins.nca.frames import Frames


@dataclass(frozen=True, slots=True)
class Scaling:
    """lows, highs: the values of each channel that become 0 and 1. Nothing is clipped."""

    lows: tuple[float, ...]
    highs: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.lows) != len(self.highs):
            raise FramesInvalid("a scaling needs one low and one high value a channel")
        for low, high in zip(self.lows, self.highs, strict=True):
            if not (np.isfinite(low) and np.isfinite(high) and low < high):
                raise FramesInvalid(
                    f"a scaling needs finite low < high, not {low:g}..{high:g}; is the channel constant?"
                )

    @classmethod
    def of(cls, frames: Frames, *, per: Literal["global", "channel"] = "global") -> Scaling:
        """The range of these frames: one for all channels, as the publication does it, or one for each.

        A constant channel gets a range of one.
        """
        values = frames.values.astype(np.float64)
        axes = (0, 1, 2, 3) if per == "channel" else (0, 1, 2, 3, 4)
        lows = np.broadcast_to(values.min(axis=axes), frames.n_channels)
        highs = np.broadcast_to(values.max(axis=axes), frames.n_channels)
        highs = np.where(highs > lows, highs, lows + 1.0)
        return cls(tuple(lows.tolist()), tuple(highs.tolist()))

    def to_unit(self, values: Float[np.ndarray, "*place channel"]) -> Float[np.ndarray, "*place channel"]:
        """In units of the range."""
        low, high = np.array(self.lows), np.array(self.highs)
        return np.asarray((values - low) / (high - low), dtype=np.float32)

    def from_unit(self, values: Float[np.ndarray, "*place channel"]) -> Float[np.ndarray, "*place channel"]:
        """In the units of the images."""
        low, high = np.array(self.lows), np.array(self.highs)
        return np.asarray(low + values * (high - low), dtype=np.float32)
