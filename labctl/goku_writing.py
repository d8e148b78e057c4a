"""An equation while it is being written: what is wrong, and where it stands in the text."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labctl.errors import CampaignError
from labctl.goku_equation import equation_written
from labctl.toml_lines import key_lines, line_of

if TYPE_CHECKING:
    from labctl.goku_told import EquationTold

EXAMPLE = """name = "swing"

[states.angle]
unit = "rad"
range = [-2.0, 2.0]

[states.rate]
unit = "rad/s"
range = [-3.0, 3.0]

[parameters.length]
unit = "m"
range = [1.0, 2.0]

[parameters.friction]
unit = "1/s"
range = [0.02, 1.0]
scale = "log"

[constants]
gravity = 9.81

[drift]
angle = "rate"
rate = "-gravity / length * sin(angle) - friction * rate"

[observe.angle_seen]
formula = "angle"
unit = "rad"
"""
"""Something to begin with."""

_TOML_PLACE = re.compile(r"\s*\(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)")
_WHERE = (
    (re.compile(r"^(?P<table>drift|diffusion) of (?P<name>[^:]+):"), "{table}", "{name}"),
    (re.compile(r"^(?P<table>let|observe|constants): (?P<name>\w+)"), "{table}", "{name}"),
    (re.compile(r"^\[(?P<table>\w+)\.(?P<name>[^\]]+)\]"), "{table}", "{name}"),
    (re.compile(r"^\[(?P<table>\w+)\]"), "{table}", ""),
    (re.compile(r"^(?P<table>time_unit_s|noise|sde_type|name):"), "{table}", ""),
)
_NAMED = re.compile(r"(?:^|')(?P<name>\w+)(?='|:)")


@dataclass(frozen=True, slots=True)
class Problem:
    """line, column: from 1, column 0 where only the line is known; line 0 where it is of the whole text."""

    line: int
    column: int
    message: str

    def __str__(self) -> str:
        place = f"line {self.line}" + (f", column {self.column}" if self.column else "") if self.line else "equation"
        return f"{place}: {self.message}"


@dataclass(frozen=True, slots=True)
class Written:
    """What the text says, None where it is no equation yet; then problem says why."""

    told: EquationTold | None
    problem: Problem | None = None


def check_written(text: str) -> Written:
    """Read the text as `labctl goku fit` would, formulas by the same whitelist; nothing in it is run."""
    from labctl.goku_told import told_of
    from twins.errors import EquationInvalid

    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return Written(None, _toml_problem(text, str(error)))
    except RecursionError:
        return Written(None, Problem(0, 0, "brackets are nested too deeply"))
    try:
        return Written(told_of(equation_written(text).make()))
    except CampaignError as error:
        return Written(None, Problem(0, 0, str(error)))
    except EquationInvalid as error:
        plain = str(error).removeprefix(f"{equation_written(text).named}: ")
        return Written(None, _problem(text, content, plain))


def _toml_problem(text: str, message: str) -> Problem:
    found = _TOML_PLACE.search(message)
    words = _TOML_PLACE.sub("", message)
    if found is None:
        return Problem(0, 0, f"this is not TOML: {words}")
    if found["line"] is None:
        return Problem(len(text.splitlines()) or 1, 0, f"this is not TOML, it ends too early: {words}")
    return Problem(int(found["line"]), int(found["column"]), f"this is not TOML: {words}")


def _problem(text: str, content: Mapping[str, object], message: str) -> Problem:
    """Where a message of the reader is about; its drawing of the formula becomes a column."""
    said, _, drawing = message.partition("\n")
    path = _path(said, content)
    if not path:
        return Problem(0, 0, said)
    line = line_of(key_lines(text), path) or 0
    return Problem(line, _column(text, line, drawing), said)


def _path(said: str, content: Mapping[str, object]) -> tuple[str, ...]:
    for pattern, *parts in _WHERE:
        found = pattern.match(said)
        if found:
            named = {**found.groupdict(), "name": found.groupdict().get("name", "") or ""}
            return tuple(part.format(**named).strip() for part in parts if part.format(**named).strip())
    names = [found["name"] for found in _NAMED.finditer(said)]
    for name in names:  # one that cannot be, stands there twice, or has an empty range
        for table, entries in content.items():
            if table == name:
                return (table,)
            if isinstance(entries, Mapping) and name in entries:
                return (table, name)
    return ()


def _column(text: str, line: int, drawing: str) -> int:
    """Of the mark below a formula; 0 where the formula does not stand in that line."""
    shown, _, mark = drawing.partition("\n")
    lines = text.splitlines()
    if not (shown and mark.strip() == "^" and 0 < line <= len(lines)):
        return 0
    start, place = _find(lines, line, shown.strip()), len(mark) - 1 - (len(shown) - len(shown.lstrip()))
    return start + place + 1 if start >= 0 else 0


def _find(lines: Sequence[str], line: int, formula: str) -> int:
    return lines[line - 1].find(formula)
