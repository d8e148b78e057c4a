"""Drivers as tables of settings, in PyMeasure's style: get string, set string, strict validator, docstring with unit.

    class Source(ScpiDriver):
        level_V = Number("SOUR:VOLT?", "SOUR:VOLT {value:.9g}", "Source voltage", unit="V", within=(-210, 210))
        output = Switch("OUTP?", "OUTP {value}", "Whether the output is on")

A value that does not pass its validator raises OutOfRange before a byte leaves; nothing is ever clipped. Instances may
have placeholders of their own: with `place = {"ch": "2"}`, "SOUR{ch}:VOLT?" becomes "SOUR2:VOLT?".
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Generic, Protocol, TypeVar, overload

from drivers.errors import BadAnswer, InstrumentReported, LineTimeout, OutOfRange, UnknownTerminal
from drivers.identity import Identity
from drivers.line import Line
from drivers.roles import Camera, Digitiser, Meter, Player, SetPoint

MOST_ERRORS = 64
"""The error queue is drained at most this far: some instruments never say that it is empty."""

OVERFLOW = 9e37
"""IEEE 488.2 instruments write 9.9E37 for infinity and 9.91E37 for not-a-number."""

Value = TypeVar("Value", float, bool, str)


class HasLine(Protocol):
    """What a setting needs of its owner."""

    line: Line
    place: Mapping[str, str]


class Setting(Generic[Value]):
    """One row of the table; a descriptor. Reading asks the instrument, assigning commands it."""

    def __init__(self, get: str | None, set: str | None, doc: str, *, unit: str = "") -> None:  # noqa: A002
        """get, set: commands (None where there is none); {value} and the owner's placeholders are filled in."""
        if get is None and set is None:
            raise ValueError(f"{doc}: a setting needs a get or a set command")
        self.get = get
        self.set = set
        self.unit = unit
        self.name = ""
        self.__doc__ = f"{doc} ({unit})." if unit else f"{doc}."

    def __set_name__(self, owner: type, name: str) -> None:
        """Remember the attribute's name for messages."""
        self.name = name

    @overload
    def __get__(self, owner: None, kind: type) -> "Setting[Value]": ...
    @overload
    def __get__(self, owner: HasLine, kind: type) -> Value: ...
    def __get__(self, owner: HasLine | None, kind: type) -> "Setting[Value] | Value":
        """Ask the instrument."""
        if owner is None:
            return self
        if self.get is None:
            raise AttributeError(f"{self.name} can be set but not read")
        command = self.get.format(**owner.place)
        return self.parse(owner.line.query(command), owner.line.address, command)

    def __set__(self, owner: HasLine, value: Value) -> None:
        """Check the value and send it."""
        if self.set is None:
            raise AttributeError(f"{self.name} can be read but not set")
        owner.line.write(self.set.format(value=self.check(value), **owner.place))

    def check(self, value: Value) -> Any:
        """The value as it goes into the set string; raises OutOfRange."""
        raise NotImplementedError

    def parse(self, answer: str, address: str, command: str) -> Value:
        """The value in an answer; raises BadAnswer."""
        raise NotImplementedError


class Number(Setting[float]):
    """A number within limits, or one of a few."""

    def __init__(
        self,
        get: str | None,
        set: str | None,  # noqa: A002
        doc: str,
        *,
        unit: str,
        within: tuple[float, float] | None = None,
        one_of: tuple[float, ...] | None = None,
    ) -> None:
        """within: lowest and highest value allowed; one_of: the only ones allowed."""
        super().__init__(get, set, doc, unit=unit)
        self.within = within
        self.one_of = one_of

    def check(self, value: float) -> float:
        """Strict: finite, within the limits, one of the allowed."""
        number = float(value)
        if not math.isfinite(number):
            raise OutOfRange(f"{self.name}: {value!r} is not a finite number")
        if self.within is not None and not self.within[0] <= number <= self.within[1]:
            raise OutOfRange(f"{self.name}: {number:g} {self.unit} is outside {self.within[0]:g} … {self.within[1]:g}")
        if self.one_of is not None and number not in self.one_of:
            allowed = ", ".join(f"{choice:g}" for choice in self.one_of)
            raise OutOfRange(f"{self.name}: {number:g} {self.unit} is not one of {allowed}")
        return number

    def parse(self, answer: str, address: str, command: str) -> float:
        """A plain number."""
        return parse_number(answer, address, command)


class Switch(Setting[bool]):
    """On or off, sent as 1 or 0."""

    def check(self, value: bool) -> int:
        """Only True and False are taken."""
        if not isinstance(value, bool):
            raise OutOfRange(f"{self.name}: {value!r} is neither True nor False")
        return int(value)

    def parse(self, answer: str, address: str, command: str) -> bool:
        """1, 0, +1, ON or OFF."""
        text = answer.strip().upper()
        if text in ("ON", "OFF"):
            return text == "ON"
        return parse_number(text, address, command) != 0


class Choice(Setting[str]):
    """One of a few words; the short forms as the instrument answers them."""

    def __init__(
        self,
        get: str | None,
        set: str | None,  # noqa: A002
        doc: str,
        *,
        one_of: tuple[str, ...],
    ) -> None:
        """one_of: the words allowed."""
        super().__init__(get, set, f"{doc}: {', '.join(one_of)}")
        self.one_of = one_of

    def check(self, value: str) -> str:
        """Exactly one of the words."""
        if value not in self.one_of:
            raise OutOfRange(f"{self.name}: {value!r} is not one of {', '.join(self.one_of)}")
        return value

    def parse(self, answer: str, address: str, command: str) -> str:  # noqa: ARG002
        """Without quotes; instruments may answer words beyond those that may be set."""
        return answer.strip().strip("\"'")


def parse_number(answer: str, address: str, command: str) -> float:
    """The number in an answer; raises BadAnswer that names address and command."""
    try:
        return float(answer)
    except ValueError:
        raise BadAnswer(f"{address}: {command!r} was answered {answer[:80]!r}, which is not a number") from None


def parse_measurement(answer: str, address: str, command: str) -> float:
    """Like parse_number, but overflow and not-a-number are errors too."""
    number = parse_number(answer, address, command)
    if not abs(number) < OVERFLOW:
        raise BadAnswer(f"{address}: {command!r} was answered {answer!r}: overflow, or nothing was measured")
    return number


def settings_of(owner: object) -> Iterator[Setting[Any]]:
    """Every row of an object's table, in the order of definition."""
    for kind in reversed(type(owner).__mro__):
        for entry in vars(kind).values():
            if isinstance(entry, Setting):
                yield entry


class ScpiDriver:
    """Base of the drivers of this package: identity, error queue, settings for the provenance. Roles are refused unless
    a driver offers them."""

    error_query: ClassVar[str | None] = "SYST:ERR?"
    roles_offered: ClassVar[str] = "none"
    """What to name in the message when another role is asked for."""

    def __init__(self, line: Line) -> None:
        """line: open and identified; the driver closes it with close()."""
        self.line = line
        self.place: Mapping[str, str] = {}

    def identity(self) -> Identity:
        """Who answers at this address."""
        return self.line.identity

    def check_errors(self, context: str = "") -> None:
        """Drain the error queue (first in, first out, until 0); raise InstrumentReported if it held anything."""
        if self.error_query is None:
            return
        entries: list[tuple[int, str]] = []
        for _ in range(MOST_ERRORS):
            # popping is not idempotent: after a lost answer the entry is gone, and asking again would hide that
            answer = self.line.query(self.error_query, idempotent=False)
            code_text, _, text = answer.partition(",")
            code = int(parse_number(code_text, self.line.address, self.error_query))
            if code == 0:
                break
            entries.append((code, text.strip().strip('"')))
        if entries:
            raise InstrumentReported(self.line.address, entries, context)

    def measure(self, command: str) -> str:
        """Ask for a measurement; if no answer comes, let the error queue say why."""
        try:
            return self.line.query(command, idempotent=False)
        except LineTimeout:
            self.check_errors(command)
            raise

    def describe_settings(self) -> dict[str, str]:
        """Every readable row of the table, as read from the instrument now, with its unit."""
        return describe(self)

    def close(self) -> None:
        """Close the line; outputs stay as they are."""
        self.line.close()

    def set_point(self, terminal: str) -> SetPoint:
        """The terminal as something to set."""
        raise self.no_role(terminal, "set")

    def meter(self, terminal: str) -> Meter:
        """The terminal as something to measure."""
        raise self.no_role(terminal, "measured")

    def player(self) -> Player:
        """The instrument as a player of waveforms."""
        raise self.no_role("player", "played")

    def digitiser(self) -> Digitiser:
        """The instrument as a recorder of waveforms."""
        raise self.no_role("digitiser", "recorded")

    def camera(self) -> Camera:
        """The instrument as a camera."""
        raise self.no_role("camera", "filmed")

    def no_role(self, terminal: str, verb: str) -> UnknownTerminal:
        """The error for a role that is not there."""
        return UnknownTerminal(
            f"{self.line.address} ({type(self).__name__}): {terminal!r} cannot be {verb}; it offers {self.roles_offered}"
        )


def describe(owner: HasLine, prefix: str = "") -> dict[str, str]:
    """name -> "value unit" of every readable setting of one table."""
    found = {}
    for setting in settings_of(owner):
        if setting.get is not None:
            value = getattr(owner, setting.name)
            found[prefix + setting.name] = f"{value:g} {setting.unit}" if isinstance(value, float) else str(value)
    return found
