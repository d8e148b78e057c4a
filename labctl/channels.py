"""The writable and the readable channels of an opened bench. Every check is made here, before a byte leaves."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from drivers.errors import DriverError, LineError, LineLost, LineTimeout, OutOfRange
from drivers.roles import Meter, SetPoint
from labctl.errors import InstrumentFault, MadeSafe, OutOfLimits, SafetyError, StationError, UnknownState
from labctl.safety import SafeAction, SafeStateRegistry
from labctl.station import Channel

RAMP_STEP_S = 0.02
"""A ramp goes in steps of at most this much of its rate; after a pause no larger first step is allowed either."""


class HasGeneration(Protocol):
    """A line, as far as this module looks at it."""

    @property
    def generation(self) -> int:
        """How often the line was reopened."""
        ...


@dataclass(slots=True)
class InstrumentState:
    """What all channels of one instrument share: its line, and how many faults it has had."""

    name: str
    line: HasGeneration
    timeout_s: float
    reconnect_s: float
    faults: int = 0


class OutputChannel:
    """One output: set within limits and ramp, read back, brought to its safe value.

    After a communication fault its state is unknown: `set` refuses until `get` has read it again; `go_safe` does not ask.
    """

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
        self._safe_states = safe_states
        self._clock, self._sleep = clock, sleep
        self._level = 0.0
        self._enabled = False
        self._written_s = -1e9
        self._seen = (-1, -1)

    @property
    def known(self) -> bool:
        """Whether the level is known: read or written since the last fault or reconnection."""
        return self._seen == (self.state.line.generation, self.state.faults)

    def set(self, value: float) -> None:
        """Set the channel, in its unit, ramped at ramp_per_s; switches the output on first (at its rest level).

        Raises OutOfLimits, UnknownState, SafetyError, MadeSafe (outputs were made safe meanwhile) before anything is
        sent; InstrumentFault if the instrument failed.
        """
        value = self._check(value)
        if not self._enabled:
            self._switch_on()
        now = self._clock()
        ramp_per_s = self._ramp_per_s or 0.0
        step = ramp_per_s * min(now - self._written_s, RAMP_STEP_S)
        if abs(value - self._level) <= step:
            self._write(value, now)
        else:
            self._ramp(value, ramp_per_s, self._safe_states.epoch)

    def get(self) -> float:
        """Read the set-point back from the instrument; afterwards the channel's state is known again."""
        try:
            seen = (self.state.line.generation, self.state.faults)
            level = self.set_point.read_back() / self._factor
            if seen != self._seen:
                self._enabled = self.set_point.enabled()
                seen = (self.state.line.generation, self.state.faults)
        except DriverError as error:
            raise self._fault("reading it back", error) from error
        self._level, self._seen = level, seen
        return level

    def enable_at_rest(self) -> None:
        """Bring the output to its rest level and switch it on, ready for a play."""
        rest = self.channel.rest
        self._check(rest)
        if not self._enabled:
            self._switch_on()
        if abs(rest - self._level) > self.channel.tolerance:
            self.set(rest)

    def action(self, player: str | None) -> SafeAction:
        """How this channel is made safe, for the registry."""
        ramp_s = 0.0
        if self._safe.how == "ramp" and self._ramp_per_s:
            ramp_s = (self._high - self._low) / self._ramp_per_s
        return SafeAction(
            channel=self.channel.name,
            unit=self.channel.unit,
            target=self._safe.value,
            tolerance=self.channel.tolerance,
            budget_s=1.5 * ramp_s + 4.0 * (self.state.timeout_s + self.state.reconnect_s) + 5.0,
            run=self._go_safe_insisting,
            player=player,
        )

    def go_safe(self) -> float:
        """Bring the output to its safe value, whatever is known of it; switch it off where the station says so.

        Returns the value read back. Raises what the driver raises, or SafetyError if the output stayed on.
        """
        target = self._safe.value
        self._seen = (-1, -1)
        if self._safe.how == "ramp" and self._ramp_per_s and self.set_point.enabled():
            level = self.set_point.read_back() / self._factor
            step = self._ramp_per_s * RAMP_STEP_S
            while abs(target - level) > step:
                level += step if target > level else -step
                self.set_point.set_value(level * self._factor)
                self._sleep(RAMP_STEP_S)
        self.set_point.set_value(target * self._factor)
        if self._safe.output == "off":
            self.set_point.enable(False)
            if self.set_point.enabled():
                raise SafetyError(f"{self.channel.name}: the output is still on")
        self._enabled = self.set_point.enabled()
        self._level = self.set_point.read_back() / self._factor
        self._written_s = self._clock()
        self._seen = (self.state.line.generation, self.state.faults)
        return self._level

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

    def step(self, value: float, epoch: int) -> None:
        """Set a value that was checked before, with its rate, as one sample of a stepped recording."""
        if self._safe_states.epoch != epoch:
            raise MadeSafe(f"{self.channel.name}: the outputs were made safe during a recording")
        if not self.known:
            raise UnknownState(f"{self.channel.name}: {self.state.name} was reconnected during the recording")
        self._write(value, self._clock())

    def _check(self, value: float) -> float:
        try:
            number = float(value)
        except (TypeError, ValueError) as error:
            raise OutOfLimits(f"{self.channel.name}: {value!r} is not a number") from error
        if not self._low <= number <= self._high:  # NaN is neither
            raise OutOfLimits(
                f"{self.channel.name}: {number:g} {self.channel.unit} is outside {self._low:g}..{self._high:g} "
                f"{self.channel.unit} ({self.channel.where})"
            )
        if not self.known:
            raise UnknownState(
                f"{self.channel.name}: its state is unknown since {self.state.name} had a communication fault; "
                f"read it first with get({self.channel.name!r})"
            )
        if self.playing:
            raise SafetyError(f"{self.channel.name}: a recording is playing on it; stop that first")
        if self._safe_states.making_safe:
            raise MadeSafe(f"{self.channel.name}: the outputs are being made safe")
        self._safe_states.arm()
        return number

    def _switch_on(self) -> None:
        """Switch the output on without a jump: programmed to its rest level while it is still off."""
        try:
            if abs(self._level - self.channel.rest) > 0.0:
                self.set_point.set_value(self.channel.rest * self._factor)
            self.set_point.enable(True)
        except DriverError as error:
            raise self._fault("switching it on", error) from error
        self._level, self._enabled = self.channel.rest, True

    def _ramp(self, value: float, ramp_per_s: float, epoch: int) -> None:
        if ramp_per_s <= 0.0:
            raise SafetyError(
                f"{self.channel.name}: has no ramp_per_s, so it can be played but not set ({self.channel.where})"
            )
        while True:
            now = self._clock()
            if self._safe_states.epoch != epoch:
                raise MadeSafe(f"{self.channel.name}: the outputs were made safe during its ramp to {value:g}")
            waited = min(now - self._written_s, RAMP_STEP_S)
            distance, step = value - self._level, ramp_per_s * waited
            if abs(distance) <= step:
                self._write(value, now)
                return
            if waited < RAMP_STEP_S:
                self._sleep(min(RAMP_STEP_S, abs(distance) / ramp_per_s) - waited + 1e-6)
                continue
            self._write(self._level + (step if distance > 0.0 else -step), now)

    def _write(self, value: float, now: float) -> None:
        try:
            self.set_point.set_value(value * self._factor)
        except OutOfRange as error:
            raise OutOfLimits(f"{self.channel.name}: {error}") from error
        except BaseException as error:
            # Whether it arrived is unknown, also where a signal broke in between sending and noting it.
            if not isinstance(error, DriverError):
                self.state.faults += 1
                raise
            raise self._fault(f"setting it to {value:g} {self.channel.unit}", error) from error
        self._level = value
        self._written_s = now
        # A line that had to be reopened on the way leaves `known` false: the instrument may have been switched off.

    def _fault(self, doing: str, error: DriverError) -> InstrumentFault:
        self.state.faults += 1
        return InstrumentFault(
            f"{self.channel.name} ({self.state.name}): {doing} failed: {error}. Its state is unknown until it is read again"
        )


class InputChannel:
    """One measured channel."""

    def __init__(self, channel: Channel, meter: Meter, state: InstrumentState) -> None:
        self.channel = channel
        self._meter = meter
        self._state = state
        self._factor = channel.to_instrument

    def read(self) -> float:
        """Measure once, in the channel's unit; raises InstrumentFault."""
        try:
            return self._meter.read_value() / self._factor
        except DriverError as error:
            if isinstance(error, LineError):  # a refusal to measure says nothing about the outputs
                self._state.faults += 1
            raise InstrumentFault(f"{self.channel.name} ({self._state.name}): reading failed: {error}") from error
