"""PyMeasure's drivers by name, over our lines. The only module that knows PyMeasure; it is imported when asked for.

Station file:

    [instruments.smu]
    driver = "pymeasure:keithley.Keithley2400"        # pymeasure.instruments.<this>
    address = "ASRL/dev/ttyUSB0::INSTR"
    [instruments.smu.options]
    settings = { source_mode = "voltage", compliance_current = 1e-3 }   # properties set on opening and reconnecting
    enable = "source_enabled"                         # property (true/false) that switches the output on and off
    # or:  enable = ["enable_source", "disable_source"]                 methods that do
    # or:  enable = ".output_enabled"                 with a dot: of the channel that the terminal belongs to
    limits = { source_voltage = [-20, 20] }           # tighter than the driver's own
    arguments = { }                                   # further arguments of the driver's class

Terminals are names of properties ("source_voltage"), of channels too ("ch_1.voltage"). A property without a setter is no
set-point, one that cannot be read is no meter. PyMeasure's dynamic properties end here: beyond this module there are
typed roles, strict limits and our errors. Truncating validators never come to act: what they would clip is refused.
"""

import importlib
import inspect
import math
from collections.abc import Mapping
from typing import Any

from pydantic import Field
from pymeasure.adapters import Adapter
from pymeasure.instruments import Instrument
from pymeasure.instruments.validators import strict_discrete_range, strict_range, truncated_range

from drivers.errors import (
    BadOptions,
    DriverError,
    InstrumentReported,
    LineLost,
    LineTimeout,
    OutOfRange,
    UnknownDriver,
)
from drivers.line import Line
from drivers.named_property import NamedProperty
from drivers.options import Options, read_options
from drivers.scpi import ScpiDriver

RANGE_VALIDATORS = (strict_range, strict_discrete_range, truncated_range)
QUIET_S = 0.1
"""After how long without a byte an answer of unknown length is taken to be complete."""


class PymeasureOptions(Options):
    """The option table of the station file."""

    settings: dict[str, Any] = Field(default_factory=dict)
    enable: str | tuple[str, str] | None = None
    limits: dict[str, tuple[float, float]] = Field(default_factory=dict)
    arguments: dict[str, Any] = Field(default_factory=dict)


class LineAdapter(Adapter):  # type: ignore[misc]  # pymeasure has no types
    """PyMeasure's idea of a connection, over one of our lines: locking and repair come with it."""

    def __init__(self, line: Line) -> None:
        """line: stays open when the adapter goes; it belongs to whoever opened it."""
        super().__init__()
        self.line = line
        self._answers_expected = False

    def close(self) -> None:
        """Leave the line open (PyMeasure calls this when an adapter is garbage-collected)."""
        return

    def _write(self, command: str, **_: Any) -> None:
        self._write_bytes((command + self.line.write_termination).encode("ascii"))

    def _write_bytes(self, content: bytes, **_: Any) -> None:
        self.line.write_bytes(content, answers_expected=self._answers_expected)
        self._answers_expected = self._answers_expected or b"?" in content

    def _read(self, **_: Any) -> str:
        self._answers_expected = False
        return self.line.read()

    def _read_bytes(self, count: int, break_on_termchar: bool, **_: Any) -> bytes:
        self._answers_expected = False
        if count >= 0:
            return self.line.read_bytes(count)
        if break_on_termchar:
            return (self.line.read() + self.line.read_termination).encode("latin-1")
        return self.line.read_all(quiet_s=QUIET_S)

    def flush_read_buffer(self) -> None:
        """Throw away what waits to be read."""
        self._answers_expected = False
        self.line.discard_input()

    def __repr__(self) -> str:
        """As PyMeasure shows it."""
        return f"<LineAdapter({self.line.address!r})>"


def locked_class(kind: type[Instrument]) -> type[Instrument]:
    """The same driver class, but with question and answer under the line's lock."""

    class Locked(kind):  # type: ignore[misc]
        def ask(self, *arguments: Any, **keywords: Any) -> Any:
            with self.adapter.line.locked():
                return super().ask(*arguments, **keywords)

        def binary_values(self, *arguments: Any, **keywords: Any) -> Any:
            with self.adapter.line.locked():
                return super().binary_values(*arguments, **keywords)

    Locked.__name__ = Locked.__qualname__ = kind.__name__
    Locked.__doc__ = kind.__doc__
    return Locked


def find_class(name: str) -> type[Instrument]:
    """The PyMeasure class of "maker.Class"; raises UnknownDriver with what there is."""
    module_name, _, class_name = name.rpartition(".")
    if not module_name:
        raise UnknownDriver(
            f"pymeasure:{name}: write pymeasure:<module>.<Class>, such as pymeasure:keithley.Keithley2400"
        )
    try:
        module = importlib.import_module(f"pymeasure.instruments.{module_name}")
    except ImportError as error:
        raise UnknownDriver(f"pymeasure:{name}: PyMeasure cannot import instruments.{module_name}: {error}") from error
    kind = getattr(module, class_name, None)
    if not (isinstance(kind, type) and issubclass(kind, Instrument)):
        there = ", ".join(
            sorted(
                key for key, found in vars(module).items() if isinstance(found, type) and issubclass(found, Instrument)
            )
        )
        raise UnknownDriver(f"pymeasure:{name}: no instrument of this name in {module_name}; there are {there}")
    return kind


def _has(accessor: Any, command_parameter: str) -> bool:
    """Whether a property's getter or setter does anything: PyMeasure makes both, but one without its command raises."""
    if accessor is None:
        return False
    parameter = inspect.signature(accessor).parameters.get(command_parameter)
    return parameter is None or parameter.default is not None


def _validator_limits(owner: Any, name: str, found: Any) -> tuple[float, float]:
    """What the property's validator allows, where that is a range; dynamic properties keep theirs on the instance."""
    unbounded = (-math.inf, math.inf)
    if found.fset is None:
        return unbounded
    defaults = {key: entry.default for key, entry in inspect.signature(found.fset).parameters.items()}
    values = getattr(owner, f"{name}_values", defaults.get("values"))
    validator = getattr(owner, f"{name}_validator", defaults.get("validator"))
    if validator not in RANGE_VALIDATORS or not isinstance(values, (list, tuple)) or not values:
        return unbounded
    return float(min(values)), float(max(values))


class PymeasureDriver(ScpiDriver):
    """Any PyMeasure instrument; .instrument is PyMeasure's own object, for what the roles do not offer."""

    def __init__(self, kind: type[Instrument], line: Line, options: Mapping[str, Any]) -> None:
        """Make PyMeasure's object and apply the settings of the station file."""
        super().__init__(line)
        self.options = read_options(
            PymeasureOptions, options, where=f"{line.address}: driver pymeasure:{kind.__name__}"
        )
        self._kind = locked_class(kind)
        self._set_up()
        line.on_reconnect(self._set_up)

    @property
    def roles_offered(self) -> str:  # type: ignore[override]
        """The properties that can be set, for messages."""
        names = ", ".join(name for name, found in _properties(type(self.instrument)) if _has(found.fset, "set_command"))
        return f"set_point() and meter() of properties, those that can be set being {names}"

    def _set_up(self) -> None:
        """On opening and after every reconnection: a new object of PyMeasure's class, whose constructor may send
        commands that the class relies on, and the settings of the station file."""
        with self.line.locked():
            self.instrument = self._kind(LineAdapter(self.line), **self.options.arguments)
            for name, value in self.options.settings.items():
                self.assign(name, value)

    def assign(self, terminal: str, value: Any) -> None:
        """Set a property under the lock; PyMeasure's ValueError becomes OutOfRange."""
        owner, name = self.owner(terminal)
        try:
            with self.line.locked():
                setattr(owner, name, value)
        except DriverError:
            raise
        except (ValueError, TypeError) as error:
            raise OutOfRange(f"{self.line.address} {terminal} = {value!r}: {error}") from error

    def read(self, terminal: str) -> Any:
        """Read a property under the lock, once more after a repair of the line."""
        with self.line.locked():
            owner, name = self.owner(terminal)
            try:
                return getattr(owner, name)
            except (LineTimeout, LineLost):
                return getattr(owner, name)

    def owner(self, terminal: str) -> tuple[Any, str]:
        """The instrument or channel, and the property's own name; raises UnknownTerminal."""
        *path, name = terminal.split(".")
        found: Any = self.instrument
        for step in path:
            found = getattr(found, step, None)
        if found is None or not isinstance(getattr(type(found), name, None), property):
            raise self.no_role(terminal, "found as a property")
        return found, name

    def _property(self, terminal: str) -> NamedProperty:
        """Limits come from the station file, else from the driver's validator, else there are none."""
        owner, name = self.owner(terminal)
        found = getattr(type(owner), name)
        limits = self.options.limits.get(terminal)
        return NamedProperty(
            self,
            terminal,
            settable=_has(found.fset, "set_command"),
            readable=_has(found.fget, "get_command"),
            limits=_validator_limits(owner, name, found) if limits is None else limits,
        )

    def set_point(self, terminal: str) -> NamedProperty:
        """The property as a set-point, if it has a setter."""
        found = self._property(terminal)
        if not found.settable:
            raise self.no_role(terminal, "set (the property has no setter)")
        return found

    def meter(self, terminal: str) -> NamedProperty:
        """The property as a meter, if it can be read."""
        found = self._property(terminal)
        if not found.readable:
            raise self.no_role(terminal, "read (the property has no getter)")
        return found

    def enable(self, terminal: str, on: bool) -> None:
        """Switch the output of a terminal as the option `enable` says; without it, off raises BadOptions."""
        how = self.options.enable
        if isinstance(how, tuple):
            with self.line.locked():
                getattr(self.instrument, how[0] if on else how[1])()
        elif how is not None:
            self.assign(_switch_of(terminal, how), bool(on))
        elif not on:
            raise BadOptions(f"{self.line.address}: cannot be switched off: the station file names no `enable`")

    def enabled(self, terminal: str) -> bool:
        """Whether the output is on; True where the station file names no way to ask."""
        how = self.options.enable
        return bool(self.read(_switch_of(terminal, how))) if isinstance(how, str) else True

    def check_errors(self, context: str = "") -> None:
        """What PyMeasure's own check finds."""
        with self.line.locked():
            found = self.instrument.check_errors()
        if found:
            entries = [(int(entry[0]), str(entry[1])) if len(entry) > 1 else (0, str(entry)) for entry in found]
            raise InstrumentReported(self.line.address, entries, context)

    def describe_settings(self) -> dict[str, str]:
        """The settings of the station file, as read from the instrument where they can be read."""
        found = {}
        for terminal in self.options.settings:
            owner, name = self.owner(terminal)
            if _has(getattr(type(owner), name).fget, "get_command"):
                found[terminal] = str(self.read(terminal))
        return found


def _switch_of(terminal: str, how: str) -> str:
    """The property that switches a terminal: ".name" is a property of the terminal's own channel."""
    return terminal.rpartition(".")[0] + how if how.startswith(".") else how


def _properties(kind: type) -> list[tuple[str, Any]]:
    return [(name, found) for name, found in inspect.getmembers(kind) if isinstance(found, property)]


def open_pymeasure_driver(name: str, line: Line, options: Mapping[str, Any]) -> PymeasureDriver:
    """The driver "maker.Class" of PyMeasure on one of our lines."""
    return PymeasureDriver(find_class(name), line, options)
