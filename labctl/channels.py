"""The writable channels of an opened bench. Every check is made here, before a byte leaves."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator

from drivers.errors import DriverError, OutOfRange
from labctl.errors import InstrumentFault, MadeSafe, OutOfLimits, RampStopped, SafetyError, UnknownState
from labctl.inputs import InputChannel, InstrumentState
from labctl.ramping import RAMP_STEP_S, Ramp, ramp
from labctl.safe_output import SafeOutput

__all__ = ["RAMP_STEP_S", "InputChannel", "InstrumentState", "OutputChannel"]


_TRIES_TO_READ = 3
"""A line that is reopened between two answers makes them be asked for once more."""


class OutputChannel(SafeOutput):
    """One output: set within limits and ramp, read back, brought to its safe value.

    After a communication fault its state is unknown: `set` refuses until `get` has read it again; `go_safe` does not ask.
    Threads may share it: a lock is held over the checks and the one command that they allow, never over a whole ramp, and
    who writes compares the registry's epoch within it. So nothing is written once `go_safe` has had its turn.
    """

    def set(self, value: float, *, epoch: int | None = None) -> None:
        """Set the channel, in its unit, ramped at ramp_per_s; switches the output on first (at its rest level).

        epoch: the registry's when the caller's work began, if it began before this call.

        Raises OutOfLimits, UnknownState, SafetyError, MadeSafe (outputs were made safe meanwhile) before anything is
        sent; RampStopped if `stop_ramp` was called meanwhile; InstrumentFault if the instrument failed.
        """
        if epoch is None:
            epoch = self._safe_states.epoch
        with self._lock:
            value = self._check(value, epoch)
            self._stopped_ramps += 1  # of two who set it the later one has its way
            stopped = self._stopped_ramps
            if not self._enabled:
                self._switch_on(epoch)
            now = self._clock()
            ramp_per_s = self._ramp_per_s or 0.0
            if abs(value - self._level) <= ramp_per_s * min(now - self._written_s, RAMP_STEP_S):
                self._write(value, now, epoch)
                return
        self._ramp(value, ramp_per_s, epoch, stopped)

    def get(self) -> float:
        """Read the set-point back from the instrument; afterwards the channel's state is known again."""
        with self._lock:
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

    def confirm(self, when: str) -> tuple[float, bool]:
        """Read back that the output still stands as it was set, within its limits, and is on or off as it was.

        Returns the level, and whether its state had been unknown: a line that was reopened meanwhile is no harm where
        the instrument kept what it was set to. Raises InstrumentFault, with `when` in its words, if it did not.
        """
        with self._lock:
            known, set_to, was_on = self.known, self._level, self._enabled
            try:
                for _ in range(_TRIES_TO_READ):
                    seen = (self.state.line.generation, self.state.faults)
                    level, on = self.set_point.read_back() / self._factor, self.set_point.enabled()
                    if seen == (self.state.line.generation, self.state.faults):
                        break
            except DriverError as error:
                raise self._fault("reading it back", error) from error
            self._level, self._enabled, self._seen = level, on, seen
            slack, unit = self.channel.tolerance, self.channel.unit
            if not self._low - slack <= level <= self._high + slack:  # NaN is neither
                raise InstrumentFault(
                    f"{self.channel.name}: stands at {level:g} {unit} {when}, outside {self._low:g}..{self._high:g} {unit} "
                    f"({self.channel.where})"
                )
            if abs(level - set_to) > slack or on != was_on:
                stands = f"{level:g} {unit} and {'on' if on else 'off'}"
                raise InstrumentFault(
                    f"{self.channel.name}: stands at {stands} {when}, but {set_to:g} {unit} and {'on' if was_on else 'off'} was "
                    f"set; {self.state.name} was switched off meanwhile, or something else commands it"
                )
        return level, not known

    def enable_at_rest(self, *, epoch: int | None = None) -> None:
        """Bring the output to its rest level and switch it on, ready for a play."""
        if epoch is None:
            epoch = self._safe_states.epoch
        rest = self.channel.rest
        with self._lock:
            self._check(rest, epoch)
            if not self._enabled:
                self._switch_on(epoch)
        if abs(rest - self._level) > self.channel.tolerance:
            self.set(rest, epoch=epoch)

    @contextlib.contextmanager
    def held_for(self, recording: str) -> Iterator[None]:
        """While the block runs `set` refuses: the level is a condition of this recording. A ramp under way ends."""
        with self._lock:
            self._condition_of = recording
        try:
            yield
        finally:
            self._condition_of = ""

    def too_early_s(self, value: float) -> float:
        """How long to wait until `step` may set this value: ramp_per_s (else slew_per_s) holds in real time too."""
        change = abs(value - self._level)
        if self._step_per_s <= 0.0:  # only ever stays where it is
            return 0.0 if change <= self.channel.tolerance else math.inf
        needed_s = change / self._step_per_s * (1.0 - 1e-9)
        return max(0.0, needed_s - (self._clock() - self._written_s))

    def towards(self, target: float, *, within_s: float) -> float:
        """How near to `target` a single `step` may come within_s after the last one."""
        distance = target - self._level
        reach = self._step_per_s * within_s
        if self._step_per_s <= 0.0 or abs(distance) <= reach * (1.0 + 1e-9):
            return target
        return self._level + math.copysign(reach, distance)

    def step(self, value: float, epoch: int) -> None:
        """Set a value that was checked before, with its rate, as one sample of a stepped recording.

        Raises MadeSafe, UnknownState; InstrumentFault if it comes too early (see `too_early_s`) or the instrument failed.
        """
        with self._lock:
            if self._safe_states.epoch != epoch:
                raise MadeSafe(f"{self.channel.name}: the outputs were made safe during a recording")
            if not self.known:
                raise UnknownState(f"{self.channel.name}: {self.state.name} was reconnected during the recording")
            early_s = self.too_early_s(value)
            if early_s > 0.0:
                raise InstrumentFault(
                    f"{self.channel.name}: going from {self._level:g} to {value:g} {self.channel.unit} now is faster than "
                    f"{self._step_per_s:g} {self.channel.unit}/s; wait {early_s:.3g} s, or lower the device's sample_rate_Hz"
                )
            now = self._clock()
            self._write(value, now, epoch)
            # A command that took longer than usual may have acted that much later: the next one counts from there.
            took_s = self._clock() - now
            self._written_s = now + max(0.0, took_s - self._usual_s)
            self._usual_s = min(took_s, 1.1 * self._usual_s + 1e-5)

    def check_set(self, value: float) -> None:
        """Raise what `set` would raise before anything is sent."""
        with self._lock:
            self._within_limits(value)
            self._may_write(self._safe_states.epoch)
            if self._ramp_per_s is None and abs(value - self._level) > 0.0:
                raise self._no_ramp()

    def check_free(self) -> None:
        """Raise SafetyError while a recording plays on it or holds it as a condition."""
        with self._lock:
            self._not_in_use()

    def ramp_time_s(self, value: float) -> float:
        """How long a ramp there takes from the level last known; 0 for a channel without a ramp."""
        start = self._level if self._enabled else self.channel.rest
        return abs(value - start) / self._ramp_per_s if self._ramp_per_s else 0.0

    @property
    def ramp_under_way(self) -> Ramp | None:
        """How far its ramp is; from any thread, without asking the instrument."""
        ways = self._ramping
        if ways is None:
            return None
        start, target = ways
        level = self._level
        return Ramp(self.channel.name, self.channel.unit, start, level, target, self.ramp_time_s(target))

    def stop_ramp(self) -> bool:
        """End a ramp where it is: nothing more is written by it once this has returned. False if there is none."""
        with self._lock:
            self._stopped_ramps += 1
            return self._ramping is not None

    def _check(self, value: float, epoch: int) -> float:
        number = self._within_limits(value)
        self._safe_states.check_thread()
        self._may_write(epoch)
        if self._safe_states.making_safe:
            raise MadeSafe(f"{self.channel.name}: the outputs are being made safe")
        self._safe_states.arm()
        return number

    def _within_limits(self, value: float) -> float:
        try:
            number = float(value)
        except (TypeError, ValueError) as error:
            raise OutOfLimits(f"{self.channel.name}: {value!r} is not a number") from error
        if not self._low <= number <= self._high:  # NaN is neither
            raise OutOfLimits(
                f"{self.channel.name}: {number:g} {self.channel.unit} is outside {self._low:g}..{self._high:g} "
                f"{self.channel.unit} ({self.channel.where})"
            )
        return number

    def _may_write(self, epoch: int) -> None:
        if self._safe_states.epoch != epoch:
            raise MadeSafe(f"{self.channel.name}: the outputs were made safe before it was set")
        if not self.known:
            raise UnknownState(
                f"{self.channel.name}: its state is unknown since {self.state.name} had a communication fault; "
                f"read it first with get({self.channel.name!r})"
            )
        self._not_in_use()

    def _not_in_use(self) -> None:
        if self.playing:
            raise SafetyError(f"{self.channel.name}: a recording is playing on it; stop that first")
        if self._condition_of:
            raise SafetyError(
                f"{self.channel.name}: is a condition of {self._condition_of}, which is under way; finish or close that first"
            )

    def _switch_on(self, epoch: int) -> None:
        """Switch the output on without a jump: programmed to its rest level while it is still off."""
        try:
            if abs(self._level - self.channel.rest) > 0.0:
                self.set_point.set_value(self.channel.rest * self._factor)
            self.set_point.enable(True)
            if self._safe_states.epoch != epoch:
                self._safe_states.arm()
                self.set_point.enable(False)
                self._level = self.channel.rest
                raise MadeSafe(
                    f"{self.channel.name}: the outputs were made safe while it was switched on; it is off again"
                )
        except DriverError as error:
            raise self._fault("switching it on", error) from error
        except MadeSafe:
            raise
        except BaseException:
            self.state.faults += 1  # a signal broke in: whether it is on is unknown
            raise
        self._level, self._enabled = self.channel.rest, True

    def _ramp(self, value: float, ramp_per_s: float, epoch: int, stopped: int) -> None:
        if ramp_per_s <= 0.0:
            raise self._no_ramp()

        def write(level: float, now: float) -> None:
            with self._lock:
                if self._stopped_ramps != stopped:
                    raise RampStopped(
                        f"{self.channel.name}: stopped at {self._level:g} {self.channel.unit} on its way to {value:g} "
                        f"{self.channel.unit}; the output is on"
                    )
                self._may_write(epoch)
                self._write(level, now, epoch)

        self._ramping = (self._level, value)
        try:
            ramp(value, ramp_per_s, position=self._position, write=write, clock=self._clock, sleep=self._sleep)
        finally:
            self._ramping = None

    def _no_ramp(self) -> SafetyError:
        return SafetyError(
            f"{self.channel.name}: has no ramp_per_s, so it can be played but not set ({self.channel.where})"
        )

    def _write(self, value: float, now: float, epoch: int) -> None:
        """With the lock held and the epoch compared."""
        safe_states = self._safe_states
        if not safe_states.armed:
            safe_states.arm()
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
        if safe_states.epoch != epoch:
            safe_states.arm()  # `go_safe` comes after this, or has given up waiting for it: then it is not safe
            raise MadeSafe(f"{self.channel.name}: the outputs were made safe while it was set to {value:g}")

    def _fault(self, doing: str, error: DriverError) -> InstrumentFault:
        self.state.faults += 1
        return InstrumentFault(
            f"{self.channel.name} ({self.state.name}): {doing} failed: {error}. Its state is unknown until it is read again"
        )
