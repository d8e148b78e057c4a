"""The process in which an automaton runs: it steps, does what it is told in the order it is told, and shows the newest picture.

A picture goes out only when one is asked for and something changed since the last one, so that none ever waits in line.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import Literal

from labctl.errors import LabctlError
from labctl.nca_actions import Action, Done
from labctl.nca_live_frames import LiveFrame, LiveMetrics, LiveSource
from labctl.nca_live_state import LiveState

BUSY_S = 0.02
"""Steps are taken in parts of about this length, so that a hand on the mouse is answered at once."""
_IDLE_S = 0.25
_BEHIND_S = 0.25
"""Steps that are due for longer are not caught up with."""
_OVER_S = 1.0
_MOST_AT_ONCE = 4096
_MOST_PASSED, _FIGURES_S = 64, 1 / 60
_RARELY, _QUICK_S = 10.0, 0.008
"""Pictures that take longer than this with their wavelengths have them about a tenth of the time."""


@dataclass(frozen=True, slots=True)
class Play:
    """Go on by itself. steps_per_s: at most; 0: as fast as it can."""

    steps_per_s: float


@dataclass(frozen=True, slots=True)
class Pause:
    """Stand still."""


@dataclass(frozen=True, slots=True)
class Step:
    """So many steps, then stand still; what is told afterwards waits for them."""

    n_steps: int


@dataclass(frozen=True, slots=True)
class Enlarge:
    """Send this hidden channel in full, too; or none."""

    channel: int | None


@dataclass(frozen=True, slots=True)
class Reload:
    """Take the automaton's file as it is now."""


@dataclass(frozen=True, slots=True)
class Settle:
    """Answer once all that was told before is done."""

    number: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """Send the newest picture."""


Told = Play | Pause | Step | Enlarge | Reload | Settle | Wanted | Action


@dataclass(frozen=True, slots=True)
class Settled:
    """All is done: how it looks now, and all actions so far."""

    number: int
    frame: LiveFrame
    done: tuple[Done, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """What was told could not be done, and why; fatal: nothing could be begun."""

    why: str
    fatal: bool = False


def serve(source: LiveSource, pipe: Connection) -> None:
    """Run until the other end is closed. In a process of its own."""
    from twins.errors import TwinError

    try:
        state = LiveState(source)
    except (LabctlError, TwinError, OSError, ValueError) as error:
        pipe.send(Refused(str(error), fatal=True))
        return
    try:
        pipe.send(state.facts)
        _Player(state, pipe, TwinError).run()
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # whoever wanted it is gone


class _Player:
    """The clock, and the order of things."""

    def __init__(self, state: LiveState, pipe: Connection, twin_error: type[Exception]) -> None:
        self._state, self._pipe, self._twin_error = state, pipe, twin_error
        self._waiting: deque[Told] = deque()
        self._playing: float | None = None
        self._left = 0
        self._wanted, self._changed, self._number = False, True, 0
        self._ran_away = False
        self._enlarged: int | None = None
        self._since = time.monotonic()
        self._taken = 0
        self._step_s = 1e-3
        self._reached: deque[tuple[float, int]] = deque()
        self._waves_due = 0.0
        self._passed: deque[LiveMetrics] = deque(maxlen=_MOST_PASSED)
        self._figures_due = 0.0

    def run(self) -> None:
        """Never returns; ends with EOFError."""
        while True:
            self._listen()
            while self._waiting and not self._left:
                self._obey(self._waiting.popleft())
            self._go_on()
            if self._wanted and self._changed:
                self._pipe.send(self._look())
                self._passed.clear()
                self._wanted = self._changed = False

    def _listen(self) -> None:
        wait_s = 0.0 if self._left or (self._waiting and not self._left) else self._rest_s()
        while self._pipe.poll(wait_s):
            told: Told = self._pipe.recv()
            wait_s = 0.0
            if isinstance(told, Wanted):
                self._wanted = True
            elif isinstance(told, Pause):
                self._stand_still()
            else:
                self._waiting.append(told)

    def _rest_s(self) -> float:
        """How long nothing is to be done, unless something is told."""
        if self._playing is None or self._ran_away:
            return 0.0 if self._wanted and self._changed else _IDLE_S
        if self._playing == 0.0:
            return 0.0
        return min(_IDLE_S, max(0.0, (self._taken + 1) / self._playing - (time.monotonic() - self._since)))

    def _stand_still(self) -> None:
        self._playing, self._left, self._changed = None, 0, True
        self._reached.clear()

    def _obey(self, told: Told) -> None:
        match told:
            case Play():
                self._playing, self._since, self._taken = told.steps_per_s, time.monotonic(), 0
            case Step():
                self._playing, self._left = None, told.n_steps
            case Enlarge():
                self._enlarged = told.channel
            case Settle():
                self._pipe.send(Settled(told.number, self._look(), tuple(self._state.done)))
            case Wanted() | Pause():
                pass
            case _:
                self._do(told)
        self._changed = True

    def _do(self, told: Action | Reload) -> None:
        try:
            if isinstance(told, Reload):
                self._state.reload()
            else:
                self._state.do(told)
        except (LabctlError, self._twin_error, OSError, ValueError) as error:
            self._pipe.send(Refused(str(error)))
        self._ran_away = not self._state.finite

    def _go_on(self) -> None:
        """The steps that are due, no more than take BUSY_S, and not beyond the next whole frame."""
        if self._ran_away:
            self._left = 0
            return
        due = self._left or self._due()
        n_steps = min(due, self._state.steps_to_frame, max(1, int(BUSY_S / self._step_s)), _MOST_AT_ONCE)
        if n_steps < 1:
            return
        begun = time.monotonic()
        self._state.advance(n_steps)
        now = time.monotonic()
        self._step_s = 0.5 * self._step_s + 0.5 * (now - begun) / n_steps
        self._taken += n_steps
        self._left = max(0, self._left - n_steps)
        self._changed = True
        self._ran_away = not self._state.finite
        if now >= self._figures_due and self._state.at_whole_frame and not self._ran_away:
            self._passed.append(self._state.figures())
            self._figures_due = now + _FIGURES_S
        self._reached.append((now, self._state.total_steps))
        while now - self._reached[0][0] > _OVER_S:
            self._reached.popleft()

    def _due(self) -> int:
        if self._playing is None:
            return 0
        if self._playing == 0.0:
            return _MOST_AT_ONCE
        passed_s = time.monotonic() - self._since
        due = int(passed_s * self._playing) - self._taken
        if due > _BEHIND_S * self._playing + 1:
            self._since, self._taken = time.monotonic(), 0
            return 1
        return max(0, due)

    def _look(self) -> LiveFrame:
        self._number += 1
        doing: Literal["playing", "paused", "ran away"] = "paused" if self._playing is None else "playing"
        if self._ran_away:
            doing = "ran away"
        rate = 0.0
        if len(self._reached) > 1 and doing == "playing":
            (first_s, first), (last_s, last) = self._reached[0], self._reached[-1]
            rate = (last - first) / (last_s - first_s) if last_s > first_s else 0.0
        begun = time.monotonic()
        waves = doing != "playing" or begun >= self._waves_due
        frame = self._state.look(self._number, doing=doing, steps_per_s=rate, enlarged=self._enlarged, waves=waves)
        if waves:
            now = time.monotonic()
            self._waves_due = now + _RARELY * (now - begun - _QUICK_S)
        return replace(frame, passed=tuple(self._passed))
