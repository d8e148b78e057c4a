"""From one level to another, no faster than allowed, however long each command takes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

RAMP_STEP_S = 0.02
"""A ramp goes in steps of this much of its rate; after a pause no larger first step is allowed either."""
LONGEST_STEP_S = 0.1
"""Where commands take longer than a step, a step makes up for at most so much time."""
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class Ramp:
    """How far a ramp is: from `start` over `level`, where it is now, to `target` (the channel's unit)."""

    channel: str
    unit: str
    start: float
    level: float
    target: float
    seconds_left: float

    @property
    def fraction(self) -> float:
        """How much of the way is done, 0 to 1."""
        whole = self.target - self.start
        return 1.0 if whole == 0.0 else min(1.0, max(0.0, (self.level - self.start) / whole))

    def __str__(self) -> str:
        return f"{self.channel}: {self.level:+.4g} {self.unit} on the way to {self.target:+.4g}, {self.seconds_left:.1f} s left"


def ramp(
    target: float,
    rate_per_s: float,
    *,
    position: Callable[[], tuple[float, float]],
    write: Callable[[float, float], None],
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> None:
    """Write level after level towards `target`, the target itself last.

    position: the level now, and when it was written (s, by `clock`). write(level, now): send it, and note both. A step is
    as large as rate_per_s allows in the time since the last one, so slow commands do not slow the ramp down until one
    takes longer than LONGEST_STEP_S; what is lost beyond that is not made up for. Raises what `write` raises.
    """
    earliest_s = clock() - RAMP_STEP_S
    while True:
        now = clock()
        level, written_s = position()
        waited_s = min(now - max(written_s, earliest_s), LONGEST_STEP_S)
        distance = target - level
        due_s = min(RAMP_STEP_S, abs(distance) / rate_per_s)
        if waited_s < due_s * (1.0 - _ROUNDING):
            sleep(due_s - waited_s)
        elif abs(distance) <= rate_per_s * waited_s * (1.0 + 2.0 * _ROUNDING):
            write(target, now)
            return
        else:
            write(level + math.copysign(rate_per_s * waited_s, distance), now)


def longest_ramp_s(distance: float, rate_per_s: float, *, command_s: float) -> float:
    """How long a ramp may take if every command takes up to command_s."""
    ramp_s = distance / rate_per_s
    return ramp_s + command_s * math.ceil(ramp_s / LONGEST_STEP_S)
