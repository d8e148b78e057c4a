"""The statements of a TOML text, with where each stands: what an editor needs that must leave the rest as it is.

The standard library's parser gives values only. The text must be valid TOML (ask that parser first).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from labctl.errors import UsageError
from labctl.toml_lines import KeyPath

_QUOTES = ('"""', "'''", '"', "'")
_BARE = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_BLANK_OR_COMMENT = re.compile(r"[ \t]*(#[^\n]*)?(\n|\Z)")


@dataclass(frozen=True, slots=True)
class Statement:
    """`[table]`, `[[table]]` or `key = value`; positions are characters of the text.

    path: the whole key, from the top of the file. table: the key of the header that it stands under (its own, for a
    header). start, end: its whole lines, with the line break. key, value: the key's characters and the value's.
    """

    kind: Literal["table", "array", "value"]
    path: KeyPath
    table: KeyPath
    start: int
    end: int
    key: tuple[int, int]
    value: tuple[int, int]


def statements(text: str) -> list[Statement]:
    """Every header and every assignment, in the order of the text."""
    return list(_scan(text))


def dotted_path(key: str) -> KeyPath:
    """The parts of a dotted key as a person writes it: channels.gate.limits. Raises UsageError."""
    try:
        if "\n" in key or "=" in key:
            raise ValueError
        return _path(key)
    except ValueError as error:  # TOMLDecodeError is one
        raise UsageError(
            f"{key!r} is no key: give its parts with points between, such as channels.gate.limits"
        ) from error


def key_parts(text: str, key: tuple[int, int]) -> list[tuple[int, int]]:
    """The characters of each part of a dotted key, with its quotation marks."""
    found: list[tuple[int, int]] = []
    position, end = key
    while position < end:
        position = _skip(text, position, " \t.")
        start = position
        while position < end and text[position] not in " \t.":
            position = _after_string(text, position) if text[position] in "\"'" else position + 1
        if position > start:
            found.append((start, position))
    return found


def _scan(text: str) -> Iterator[Statement]:
    table: KeyPath = ()
    position = 0
    while position < len(text):
        start = position
        if (blank := _BLANK_OR_COMMENT.match(text, position)) and blank.end() > position:
            position = blank.end()
            continue
        position = _skip(text, position, " \t")
        if text[position] == "[":
            double = text.startswith("[[", position)
            first = position + (2 if double else 1)
            last = _end_of_key(text, first, "]")
            table = _path(text[first:last])
            position = _line_end(text, last)
            yield Statement("array" if double else "table", table, table, start, position, (first, last), (last, last))
            continue
        last = _end_of_key(text, position, "=")
        key = (position, position + len(text[position:last].rstrip()))
        value = _skip(text, last + 1, " \t")
        value_end = _end_of_value(text, value)
        path = (*table, *_path(text[key[0] : key[1]]))
        position = _line_end(text, value_end)
        yield Statement("value", path, table, start, position, key, (value, value_end))


def _skip(text: str, position: int, blanks: str) -> int:
    while position < len(text) and text[position] in blanks:
        position += 1
    return position


def _line_end(text: str, position: int) -> int:
    """After the line break of the line on which `position` is."""
    found = text.find("\n", position)
    return len(text) if found < 0 else found + 1


def _end_of_key(text: str, position: int, stop: str) -> int:
    while text[position] != stop:
        position = _after_string(text, position) if text[position] in "\"'" else position + 1
    return position


def _after_string(text: str, position: int) -> int:
    """The position behind the string that begins here."""
    quote = next(one for one in _QUOTES if text.startswith(one, position))
    position += len(quote)
    while not text.startswith(quote, position):
        position += 2 if text[position] == "\\" and quote[0] == '"' else 1
    position += len(quote)
    while len(quote) == 3 and text.startswith(quote[0], position):  # """"" ends with a quotation mark inside
        position += 1
    return position


def _end_of_value(text: str, position: int) -> int:
    depth = 0
    end = position
    while position < len(text):
        character = text[position]
        if character in "\"'":
            position = end = _after_string(text, position)
            continue
        if character == "#":
            if depth == 0:
                break
            position = _line_end(text, position)
            continue
        if character == "\n" and depth == 0:
            break
        depth += (character in "[{") - (character in "]}")
        position += 1
        if not character.isspace():
            end = position
    return end


def _path(key: str) -> KeyPath:
    """The parts of a dotted key, read as TOML reads them."""
    if _BARE.fullmatch(plain := key.strip()):
        return tuple(plain.split("."))
    found: list[str] = []
    inner: Any = tomllib.loads(f"{key.strip()} = 0")
    while isinstance(inner, dict):
        [(part, inner)] = inner.items()
        found.append(part)
    return tuple(found)
