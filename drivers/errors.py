# ruff: noqa: N818 - the names say what happened; "Error" would add nothing
"""Every error that a driver or a line raises. Each message names the address, the command, and what to do.

DriverError
├── LineError                 something between us and the instrument (has .address and .command)
│   ├── LineRefused           it could not be opened: refused port, unknown host, missing tty
│   ├── LineTimeout           it is open, but no answer (or half of one) came in time
│   ├── LineLost              it was open and broke: peer closed, cable pulled, pty hung up
│   └── LineClosed            we closed it ourselves
├── WrongIdentity             another instrument answers at this address
├── InstrumentReported        the instrument's own error queue was not empty
├── OutOfRange (ValueError)   a value, rate or length that the instrument cannot take; nothing was sent
├── BadAnswer  (ValueError)   an answer that cannot be understood
├── BadOptions (ValueError)   an option table of the station file that makes no sense
├── UnknownTerminal           the driver has no such terminal, or it does not play this role
└── UnknownDriver             no driver of this name
"""

from collections.abc import Iterable


class DriverError(Exception):
    """Root of everything that drivers raise on purpose."""


class LineError(DriverError):
    """Something between us and the instrument went wrong.

    address: the instrument's address. command: what was being asked or sent, "" when opening.
    """

    def __init__(self, address: str, command: str, reason: str) -> None:
        """Compose "address: reason (command: …)"."""
        self.address = address
        self.command = command
        self.reason = reason
        during = f" (command: {command!r})" if command else ""
        super().__init__(f"{address}: {reason}{during}")

    def __reduce__(self) -> tuple[type["LineError"], tuple[str, str, str]]:
        """Errors cross process borders: pickle rebuilds from the three parts."""
        return type(self), (self.address, self.command, self.reason)


class LineRefused(LineError):
    """The line could not be opened."""


class LineTimeout(LineError):
    """No answer, or only part of one, came in time. The line is dirty and heals itself before its next use."""


class LineLost(LineError):
    """The connection broke. A command under way may or may not have been carried out."""


class LineClosed(LineError):
    """The line was closed by us, perhaps from another thread, and stays closed."""


class WrongIdentity(DriverError):
    """The instrument that answers is not the one expected."""


class InstrumentReported(DriverError):
    """The instrument's error queue held entries.

    entries: (code, text) pairs in the order in which they arose.
    """

    def __init__(self, address: str, entries: Iterable[tuple[int, str]], context: str = "") -> None:
        """Compose one message from all entries."""
        self.address = address
        self.entries = tuple(entries)
        self.context = context
        listed = "; ".join(f"{code}, {text}" for code, text in self.entries)
        after = f" after {context}" if context else ""
        super().__init__(f"{address}: the instrument reported{after}: {listed}")

    def __reduce__(self) -> tuple[type["InstrumentReported"], tuple[str, tuple[tuple[int, str], ...], str]]:
        """Errors cross process borders: pickle rebuilds from the parts."""
        return type(self), (self.address, self.entries, self.context)


class OutOfRange(DriverError, ValueError):
    """A value, rate or length that the instrument cannot take. Nothing was sent."""


class BadAnswer(DriverError, ValueError):
    """The instrument answered something that cannot be understood here."""


class BadOptions(DriverError, ValueError):
    """Options of the station file that this driver cannot work with."""


class NoReadBack(DriverError):
    """The instrument, or its description, has no way to read a set value back."""


class UnknownTerminal(DriverError):
    """The driver has no such terminal, or the terminal cannot play the role asked for."""


class UnknownDriver(DriverError):
    """No driver of this name is known."""
