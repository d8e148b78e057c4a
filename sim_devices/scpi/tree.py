"""Headers: short and long forms, optional nodes, numeric suffixes, and the path that ';' leaves behind."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from sim_devices.scpi.errors import ScpiError
from sim_devices.scpi.parameters import Parameters, short_form

# A handler takes the instrument, the parameters and the numeric suffixes by name; it may return an awaitable of the answer.
Handler = Callable[..., Any]
AnyHandler = TypeVar("AnyHandler", bound=Handler)

_NODE = re.compile(r"(\[)?:?(\*?[A-Za-z]+[A-Za-z0-9]*)(?:<(\w+)>)?:?(\])?(\?)?")


@dataclass(frozen=True, slots=True)
class Command:
    """One header pattern and who answers it."""

    pattern: str
    handler: Handler
    parameters: tuple[int, int]
    indefinite: bool = False


def command(
    *patterns: str, parameters: tuple[int, int] | int | None = None, indefinite: bool = False
) -> Callable[[AnyHandler], AnyHandler]:
    """Mark a method as the handler of headers such as "[SOURce<ch>:]VOLTage[:LEVel]" or, as a query, "...?".

    Args:
        patterns: headers; upper case is the short form, brackets are optional, <name> is a numeric suffix (1 when left out).
        parameters: how many parameters, or (fewest, most); by default one for a command and none for a query.
        indefinite: the answer has no definite end, so no query may follow in the same message (-440).
    """

    def mark(handler: AnyHandler) -> AnyHandler:
        for pattern in patterns:
            span = (0 if pattern.endswith("?") else 1) if parameters is None else parameters
            limits = (span, span) if isinstance(span, int) else span
            handler.__dict__.setdefault("scpi_commands", []).append((pattern, limits, indefinite))
        return handler

    return mark


def pattern_expression(pattern: str) -> re.Pattern[str]:
    """Regular expression for a header pattern; suffixes become groups named s_<name>_<position>."""
    parts: list[str] = []
    for position, match in enumerate(_NODE.finditer(pattern)):
        opened, name, suffix, _closed, _query = match.groups()
        short, long = short_form(name), name.upper()
        word = short if short == long else f"(?:{re.escape(long)}|{re.escape(short)})"
        word = re.escape(word) if name.startswith("*") else word
        if suffix:
            word += f"(?P<s_{suffix}_{position}>\\d+)?"
        parts.append(f"(?::{word})?" if opened else f":{word}")
    return re.compile("".join(parts) + (r"\?" if pattern.endswith("?") else ""))


class CommandTree:
    """All the headers of an instrument; finds the handler of a header as sent."""

    def __init__(self, commands: list[Command]) -> None:
        self._commands = [(pattern_expression(command.pattern), command) for command in commands]
        self._found: dict[str, tuple[Command, dict[str, int]]] = {}

    def find(self, header: str, path: str) -> tuple[Command, dict[str, int], str]:
        """Resolve a header against the path that earlier units of the message left.

        Args:
            header: upper case, as sent; a leading ':' starts from the root, '*' ignores the path.
            path: "" or ":NODE:NODE", from the unit before.

        Returns:
            (command, suffixes by name, new path).

        Raises:
            ScpiError: -113.
        """
        if header.startswith("*"):
            full, new_path = f":{header}", path
        else:
            full = header if header.startswith(":") else f"{path}:{header}"
            new_path = full[: full.rindex(":")]
        found = self._found.get(full)
        if found is None:
            found = self._look_up(full, header)
            if len(self._found) < 10_000:
                self._found[full] = found
        return found[0], found[1], new_path

    def _look_up(self, full: str, header: str) -> tuple[Command, dict[str, int]]:
        for expression, candidate in self._commands:
            match = expression.fullmatch(full)
            if match is not None:
                groups = match.groupdict()
                suffixes: dict[str, int] = {}
                for group, digits in groups.items():
                    name = group.split("_")[1]
                    if digits is not None or name not in suffixes:
                        suffixes[name] = int(digits) if digits is not None else 1
                return candidate, suffixes
        raise ScpiError(-113, detail=header if len(header) < 80 else header[:77] + "...")


def collect_commands(owner: object) -> list[Command]:
    """Bound handlers of every method that `command` marked, base classes included; a subclass's pattern wins."""
    commands: dict[str, Command] = {}
    for base in type(owner).__mro__:
        for name, member in vars(base).items():
            for pattern, limits, indefinite in getattr(member, "scpi_commands", ()):
                commands.setdefault(pattern, Command(pattern, getattr(owner, name), limits, indefinite))
    return list(commands.values())


def check_count(count: int, limits: tuple[int, int]) -> None:
    """-109 for too few parameters, -108 for too many."""
    if count < limits[0]:
        raise ScpiError(-109)
    if count > limits[1]:
        raise ScpiError(-108)


__all__ = ["Command", "CommandTree", "Parameters", "check_count", "collect_commands", "command"]
