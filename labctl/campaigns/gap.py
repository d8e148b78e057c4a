"""The gap between what twins promise of a network and what the device measures, and when it is closed.

    gap = mean measured score - mean promised score          both on the same examples, with one read-out
    closed, if gap² <= spread² (spreads² + 1/R + 1/D)        R repeats, D noise draws

In one sentence: the gap is closed if its square, less what R repeats and D draws add to it by chance when twin and device
are alike, is at most that of `spreads` of the DEVICE'S OWN spread, the standard deviation of the measured score over
repeats of the same examples. Repeats of several rounds are pooled where their spreads do not contradict one another.

The twins' own spread has no say: a vague twin is not sooner closed. Where nothing but that covers the gap, `verdict` says so.
standard_error is that of the gap as it was measured; where it is well above the spread, more draws or repeats are needed.

Normal scores, drawn (see the tests): with 5 repeats and 48 draws a perfect twin is found closed in 92 of 100 cases, one
that is off by two of the device's spreads in 6; with the repeats of three such rounds pooled in 96 and 4.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Verdict = Literal["closed", "open, but within the twins' spread", "open"]
CONTRADICTION = 0.01
"""Repeats are not pooled where a ratio of variances as large as theirs has less than this chance."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Promised beside measured, on the same examples. Scores are errors: lower is better, so a gap > 0 is a broken promise.

    promise_spread, repeat_spread: standard deviations over n_draws noise draws and over the n_repeats repeats of this round.
    device_spread: of n_pooled repeats, those of other rounds included (see device_spread_of). spreads: how many of them the
    gap may be.
    """

    promised: float
    promise_spread: float
    n_draws: int
    measured: float
    repeat_spread: float
    n_repeats: int
    device_spread: float
    n_pooled: int
    spreads: float = 1.0

    @property
    def gap(self) -> float:
        """Measured less promised."""
        return self.measured - self.promised

    @property
    def allowed(self) -> float:
        """The largest size of a gap that counts as closed."""
        return self.device_spread * math.sqrt(self.spreads**2 + 1.0 / self.n_repeats + 1.0 / self.n_draws)

    @property
    def standard_error(self) -> float:
        """Of the gap: of a mean of so many repeats less a mean of so many draws."""
        return math.sqrt(self.device_spread**2 / self.n_repeats + self.promise_spread**2 / self.n_draws)

    @property
    def closed(self) -> bool:
        """Whether the gap is inside the device's own spread."""
        return abs(self.gap) <= self.allowed

    @property
    def verdict(self) -> Verdict:
        """In words; a gap that only the twins' vagueness covers is open."""
        if self.closed:
            return "closed"
        covered = abs(self.gap) <= self.spreads * self.promise_spread
        return "open, but within the twins' spread" if covered else "open"

    def __str__(self) -> str:
        """All that the verdict is made of."""
        return (
            f"{self.gap:.4g} (standard error {self.standard_error:.2g}) where {self.allowed:.2g} is allowed, "
            f"the device's spread being {self.device_spread:.2g}: {self.verdict}"
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain data, with the gap and whether it is closed."""
        return {
            **asdict(self),
            "gap": self.gap,
            "allowed": self.allowed,
            "standard_error": self.standard_error,
            "closed": self.closed,
            "verdict": self.verdict,
        }


def device_spread_of(repeat_spread: float, n_repeats: int, before: Sequence[Gap]) -> tuple[float, int]:
    """(the device's spread, of how many repeats): those of this round, and of rounds before whose variance does not
    contradict it (F test, CONTRADICTION); wirings that were only fine-tuned in between have nearly the same."""
    squares, dof, n_pooled = (n_repeats - 1) * repeat_spread**2, n_repeats - 1, n_repeats
    for one in before:
        if _alike(repeat_spread, n_repeats - 1, one.repeat_spread, one.n_repeats - 1):
            squares += (one.n_repeats - 1) * one.repeat_spread**2
            dof += one.n_repeats - 1
            n_pooled += one.n_repeats
    return math.sqrt(squares / dof), n_pooled


def _alike(one: float, one_dof: int, other: float, other_dof: int) -> bool:
    from scipy.stats import f as f_distribution

    if one == other:
        return True
    if not one or not other:
        return False
    below = float(f_distribution.cdf((one / other) ** 2, one_dof, other_dof))
    return min(below, 1.0 - below) > CONTRADICTION / 2.0


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
