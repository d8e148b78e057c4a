"""One output as far as its safe state goes: what is known of it, and the way to its safe value."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from drivers.errors import LineLost, LineTimeout
from drivers.roles import SetPoint
from labctl.errors import SafetyError, StationError
from labctl.inputs import InstrumentState
from labctl.ramping import longest_ramp_s, ramp
from labctl.safety import SafeAction, SafeStateRegistry
from labctl.station import Channel

Answer = TypeVar("Answer")


class SafeOutput:
    """One output that can be brought to its safe value, whatever is known of it and whoever writes to it."""

    def __init__(
        self,
        channel: Channel,
        set_point: SetPoint,
        state: InstrumentState,
        safe_states: SafeStateRegistry,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if channel.safe is None:
            raise StationError(f"{channel.name}: nothing may write to a channel without a safe value")
        self.channel = channel
        self.set_point = set_point
        self.state = state
        self.playing = False
        self._safe = channel.safe
        self._low, self._high = channel.limits
        self._factor = channel.to_instrument
        self._ramp_per_s = channel.ramp_per_s
        self._step_per_s = channel.ramp_per_s or channel.slew_per_s or 0.0
        self._safe_states = safe_states
        self._lock = threading.Lock()
        self._condition_of = ""
        self._usual_s = math.inf
        self._answered_s = -math.inf
        self._patience_s = 0.0
        self._clock, self._sleep = clock, sleep
        self._level = 0.0
        self._enabled = False
        self._written_s = -1e9
        self._seen = (-1, -1)
        self._ramping: tuple[float, float] | None = None
        self._stopped_ramps = 0

    @property
    def known(self) -> bool:
        """Whether the level is known: read or written since the last fault or reconnection."""
        return self._seen == (self.state.line.generation, self.state.faults)

    @property
    def driving(self) -> str:
        """What it was last read to drive, in words, where that is not its safe state; "" otherwise. Asks nothing."""
        away = abs(self._level - self._safe.value) > self.channel.tolerance
        if not self.known or not self._enabled or not (away or self._safe.output == "off"):
            return ""
        return f"{self.channel.name} ON at {self._level:g} {self.channel.unit}"

    def action(self, player: str | None) -> SafeAction:
        """How this channel is made safe, for the registry."""
        silence_s = 4.0 * (self.state.timeout_s + self.state.reconnect_s) + 5.0
        longest_s = silence_s
        if self._safe.how == "ramp" and self._ramp_per_s:
            longest_s += 1.5 * longest_ramp_s(self._high - self._low, self._ramp_per_s, command_s=self.state.timeout_s)
        return SafeAction(
            channel=self.channel.name,
            unit=self.channel.unit,
            target=self._safe.value,
            tolerance=self.channel.tolerance,
            budget_s=silence_s,
            run=self._go_safe_insisting,
            player=player,
            longest_s=longest_s,
            answered_s=lambda: self._answered_s,
        )

    def go_safe(self) -> float:
        """Bring the output to its safe value, whatever is known of it; switch it off where the station says so.

        Returns the value read back. Raises what the driver raises, or SafetyError if the output stayed on or another
        thread would not let go of it.
        """
        target = self._safe.value
        self._patience_s = self.state.timeout_s + self.state.reconnect_s
        with self._taken_over():
            ramped = self._safe.how == "ramp" and bool(self._ramp_per_s) and self._told(self.set_point.enabled())
            if ramped:
                self._level = self._told(self.set_point.read_back()) / self._factor
                self._written_s = self._clock()
        if ramped:
            ramp(
                target,
                self._ramp_per_s or 0.0,
                position=self._position,
                write=self._write_safely,
                clock=self._clock,
                sleep=self._sleep,
            )
        with self._taken_over() as alone:
            if not ramped:
                self.set_point.set_value(target * self._factor)
                self._answered_s = self._clock()
            if self._safe.output == "off":
                self.set_point.enable(False)
                if self._told(self.set_point.enabled()):
                    raise SafetyError(f"{self.channel.name}: the output is still on")
            self._enabled = self._told(self.set_point.enabled())
            self._level = self._told(self.set_point.read_back()) / self._factor
            if not alone:
                raise SafetyError(f"{self.channel.name}: another thread is in the middle of a command to it")
            self._written_s = self._clock()
            self._seen = (self.state.line.generation, self.state.faults)
            return self._level

    @contextlib.contextmanager
    def _taken_over(self) -> Iterator[bool]:
        """For `go_safe`: the lock, if it can be had in the time that one command may take; else without it from then on."""
        alone = self._lock.acquire(timeout=self._patience_s)
        self._seen = (-1, -1)
        if not alone:
            self._patience_s = 0.0
        try:
            yield alone
        finally:
            if alone:
                self._lock.release()

    def _told(self, answer: Answer) -> Answer:
        """Note when the instrument answered last: as long as it does, `make_safe` waits."""
        self._answered_s = self._clock()
        return answer

    def _position(self) -> tuple[float, float]:
        return self._level, self._written_s

    def _write_safely(self, value: float, now: float) -> None:
        with self._taken_over():
            self.set_point.set_value(value * self._factor)
            self._level, self._written_s, self._answered_s = value, now, self._clock()

    def _go_safe_insisting(self) -> float:
        began = self._clock()
        try:
            return self.go_safe()
        except LineTimeout:  # the line heals itself before its next use: once more, from the beginning
            return self.go_safe()
        except LineLost:
            if self._clock() - began >= self.state.reconnect_s:  # it tried to reopen already, as long as it may
                raise
            return self.go_safe()
