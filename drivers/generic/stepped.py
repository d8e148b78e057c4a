"""Stepped use of the generic driver: one terminal as set-point and meter."""

import math
import re
import time
from collections.abc import Callable

from drivers.errors import BadAnswer, BadOptions, NoReadBack, OutOfRange
from drivers.generic.commands import fill
from drivers.generic.parts import Terminal
from drivers.generic.polling import field_of
from drivers.generic.talking import Sender

UNLIMITED = (-math.inf, math.inf)


class SteppedTerminal:
    """Both roles; the driver gives it out as the one that its table has commands for."""

    def __init__(
        self, name: str, table: Terminal, sender: Sender, *, check_errors: Callable[[str], None] | None
    ) -> None:
        """check_errors: called after every set, or None."""
        self.name = name
        self.table = table
        self._sender = sender
        self._line = sender.line
        self._check_errors = check_errors
        self._limits = table.limits or UNLIMITED
        self._last_sent: float | None = table.initial if table.rest_level is None else table.rest_level
        self._last_enabled: bool | None = None
        self._pattern = None if table.answer_pattern is None else re.compile(table.answer_pattern)
        self._on = None if table.enabled_pattern is None else re.compile(table.enabled_pattern)

    @property
    def limits(self) -> tuple[float, float]:
        """Of the instrument, as the station file says; unlimited if it says nothing."""
        return self._limits

    @property
    def fixed_level(self) -> float | None:
        """The level of an output that can only be played; None for one that can be set."""
        return self.table.rest_level

    @property
    def reads_back(self) -> bool:
        """False when read_back() can only repeat what was sent."""
        return self.table.get is not None

    def set_value(self, value: float) -> None:
        """Send the value (SI), then wait settle_s."""
        lowest, highest = self._limits
        if not lowest <= value <= highest or not math.isfinite(value):
            raise OutOfRange(
                f"{self._line.address} terminal {self.name}: {value!r} is outside {lowest:g} … {highest:g}"
            )
        if self.table.rest_level is not None:
            if value != self.table.rest_level:
                raise OutOfRange(
                    f"{self._line.address} terminal {self.name}: {value:g}: this output can only be played; between plays "
                    f"it stands at its rest_level, {self.table.rest_level:g}"
                )
            return
        if not self.table.set:
            raise self._lacks("set")
        with self._line.locked():
            for command in self.table.set:
                self._sender.send(
                    command, value=value * self.table.set_scale + self.table.set_offset, terminal=self.name
                )
        self._last_sent = value
        if self._check_errors is not None:
            self._check_errors(f"setting terminal {self.name} to {value:g}")
        if self.table.settle_s:
            time.sleep(self.table.settle_s)

    def read_back(self) -> float:
        """The value (SI) that the instrument says it is set to; without a `get`, what was last sent since opening."""
        if self.table.get is not None:
            return (self._ask(self.table.get) - self.table.set_offset) / self.table.set_scale
        if self._last_sent is None:
            raise NoReadBack(
                f"{self._line.address} terminal {self.name}: has no `get`, and nothing was sent yet: give a `get`, or "
                "set it in `init` and say so with `initial`"
            )
        return self._last_sent

    def read_value(self) -> float:
        """Measure once (SI)."""
        if self.table.measure is None:
            raise self._lacks("measure")
        return (self._ask(self.table.measure) - self.table.measure_offset) * self.table.measure_scale

    def _ask(self, template: str) -> float:
        command = fill(template, terminal=self.name)
        answer = self._sender.ask(command)
        text = answer
        if self._pattern is not None:
            text = self._sender.found(self._pattern, answer, command, key="answer_pattern")
            return self._sender.plain_measurement(text, command)
        if self.table.answer_field is not None:
            text = field_of(answer, self.table.answer_field, address=self._line.address, command=command)
        elif "," in answer and not self._sender.has_number_pattern:
            raise BadAnswer(
                f"{self._line.address}: {command!r} was answered {answer[:80]!r}: which field is meant? (answer_field)"
            )
        return self._sender.measurement(text, command)

    def enable(self, on: bool) -> None:
        """Switch the output on or off. Without commands it is always on: off raises BadOptions."""
        commands = self.table.enable if on else self.table.disable
        if not commands and not on:
            raise BadOptions(
                f"{self._line.address} terminal {self.name}: the station file has no `disable`: cannot be switched off"
            )
        self._sender.send_each(commands, [self.name])
        self._last_enabled = on

    def enabled(self) -> bool:
        """Whether the output is on: as the instrument says, else as last commanded, else on if it has no switch."""
        if self.table.enabled is None:
            if self._last_enabled is None:
                # without knowing, on is the careful answer: an output that is taken to be on gets made safe
                return True
            return self._last_enabled
        command = fill(self.table.enabled, terminal=self.name)
        answer = self._sender.ask(command).strip().strip("\"'")
        if self._on is not None:
            return self._on.search(answer) is not None
        if answer.upper() in ("ON", "OFF"):
            return answer.upper() == "ON"
        return self._sender.number(answer, command) != 0

    def forget(self) -> None:
        """After a reconnection what was sent before counts no more."""
        self._last_sent = self.table.initial if self.table.rest_level is None else self.table.rest_level
        self._last_enabled = None

    def _lacks(self, key: str) -> BadOptions:
        return BadOptions(f"{self._line.address} terminal {self.name}: the station file has no `{key}` for it")
