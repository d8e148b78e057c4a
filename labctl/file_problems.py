"""What is wrong with a TOML file that a person wrote: each problem with its file, line, key, and what is allowed."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from labctl.errors import LabctlError
from labctl.toml_lines import KeyPath, key_lines, line_of

LARGEST_FILE_BYTES = 2**20
"""Far more than a person writes by hand."""

_TOO_DEEP = "brackets, or the parts of a key, are nested far too deeply"

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong at a key of the file."""

    where: tuple[str | int, ...]
    message: str


def read_text(path: Path, *, error: type[LabctlError]) -> str:
    """The text of a file; raises `error` where it cannot be read, is too large or is no text."""
    try:
        if path.stat().st_size > LARGEST_FILE_BYTES:
            raise error(f"{path}: {path.stat().st_size} bytes are too many (at most {LARGEST_FILE_BYTES})")
        return path.read_text(encoding="utf-8")
    except OSError as fault:
        raise error(f"{path}: cannot be read: {fault.strerror}") from fault
    except UnicodeDecodeError as fault:
        raise error(f"{path}: is not a text file in UTF-8: {fault}") from fault


def parse_toml(
    text: str, model: type[Model], *, name: str, error: type[LabctlError]
) -> tuple[Model, dict[KeyPath, int]]:
    """The text of a TOML file as a `model`, and the lines of its keys.

    name: of the file, for messages. Raises `error` with every problem that the model sees, each with its line.
    """
    try:
        tables = tomllib.loads(text)
        lines = key_lines(text)
        return model.model_validate(tables), lines
    except tomllib.TOMLDecodeError as fault:
        line = re.search(r"line (\d+)", str(fault))
        raise error(f"{name}{':' + line[1] if line else ''}: not valid TOML: {fault}") from fault
    except ValidationError as fault:
        raise error(_all_told(name, lines, model, fault)) from fault
    except RecursionError as fault:
        raise error(f"{name}: {_TOO_DEEP}") from fault


def _all_told(name: str, lines: Mapping[KeyPath, int], model: type[BaseModel], fault: ValidationError) -> str:
    try:
        return told(name, lines, [problem_of(model, detail) for detail in fault.errors()])
    except RecursionError:  # of showing what was given
        return f"{name}: {_TOO_DEEP}"


def told(name: str, lines: Mapping[KeyPath, int], problems: Iterable[Problem]) -> str:
    """Problems in words, one a line: file:line: key: what is wrong."""
    said = []
    for problem in problems:
        line = line_of(lines, problem.where)
        key = ".".join(str(part) for part in problem.where)
        said.append(f"{name}:{line}: {key}: {problem.message}" if line else f"{name}: {key}: {problem.message}")
    return "\n".join(said)


def problem_of(model: type[BaseModel], detail: Mapping[str, Any], *, under: tuple[str, ...] = ()) -> Problem:
    """One of pydantic's errors in our words; under: where in the file the table of this model stands."""
    inside = tuple(part for part in detail["loc"] if part != "[key]")
    where = (*under, *inside)
    kind, given = detail["type"], detail.get("input")
    if kind == "extra_forbidden":
        return Problem(where, f"unknown key {where[-1]!r}; known here are {', '.join(known_keys(model, inside[:-1]))}")
    if kind == "missing":
        return Problem(where, "is missing")
    message = str(detail["msg"]).removeprefix("Value error, ")
    shown = "" if isinstance(given, dict) else f" (given: {given!r})"
    return Problem(where, f"{message}{shown}")


def known_keys(model: type[BaseModel], where: Sequence[str | int]) -> list[str]:
    """The keys allowed in the table at this place of a file of this model."""
    schema = model.model_json_schema()
    node: dict[str, Any] = schema
    for part in where:
        candidates = (
            node.get("properties", {}).get(part),
            node.get("additionalProperties"),
            *node.get("patternProperties", {}).values(),
        )
        inner: dict[str, Any] = next((item for item in candidates if isinstance(item, dict)), {})
        inner = next((option for option in inner.get("anyOf", ()) if "$ref" in option), inner)
        reference = inner.get("$ref", "")
        node = schema["$defs"][reference.rsplit("/", 1)[-1]] if reference else inner
    return list(node.get("properties", {}))
