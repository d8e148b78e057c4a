"""The gap between what twins promise of a network and what the device measures, and when it is closed.

    gap = mean measured score - mean promised score                    both on the same examples, with one read-out
    inside, if |gap| <= spreads * max(repeat spread, promise spread)

The repeat spread is the standard deviation of the measured score over repeats of the same examples, the promise spread
that of the promised score over as many noise draws of the twins as are asked for. With 3 repeats and 24 draws a perfect
twin is found inside in 92 of 100 cases, one that is off by one spread in 57, by two in 11 and by three in 0.5 (normal
scores, drawn). The larger of both spreads counts because three repeats alone often agree by chance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Gap:
    """Promised beside measured, on the same examples. Scores are errors: lower is better, so a gap > 0 is a broken promise.

    spreads: how many of the larger spread the gap may be.
    """

    promised: float
    promise_spread: float
    measured: float
    repeat_spread: float
    spreads: float = 1.0

    @property
    def gap(self) -> float:
        """Measured less promised."""
        return self.measured - self.promised

    @property
    def allowed(self) -> float:
        """The largest size of a gap that counts as closed."""
        return self.spreads * max(self.repeat_spread, self.promise_spread)

    @property
    def closed(self) -> bool:
        """Whether the gap is inside the device's own spread."""
        return abs(self.gap) <= self.allowed

    def as_dict(self) -> dict[str, Any]:
        """Plain data, with the gap and whether it is closed."""
        return {**asdict(self), "gap": self.gap, "allowed": self.allowed, "closed": self.closed}


@dataclass(frozen=True, slots=True)
class GapRound:
    """One deployment: the gap with the twins that the wiring was optimised on, after how much device time in all.

    readout_refitted: the measured score with a read-out fitted to what the bench answered on the training examples of the
    round, which is what a new read-out alone would have given. explained: the gap of the same wiring on the same examples
    with the twins as refitted afterwards, which costs no device time; None where they were not refitted. cleared: whether
    these twins passed their gates, or were overridden.
    """

    number: int
    gap: Gap
    device_seconds: float
    readout_refitted: float | None = None
    explained: float | None = None
    cleared: bool | None = None
    twins: Mapping[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain data, one level deep but for the figures of the twins."""
        return {
            "round": self.number,
            "device_seconds": self.device_seconds,
            **self.gap.as_dict(),
            "readout_refitted": self.readout_refitted,
            "explained": self.explained,
            "cleared": self.cleared,
            "twins": dict(self.twins or {}),
        }
