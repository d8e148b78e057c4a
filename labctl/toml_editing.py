"""Change a TOML text key by key, and leave every other line as its author wrote it: comments, order, blank lines.

    text = with_value(text, ("channels", "gate", "limits"), [-1.0, 1.0])
    text = without(text, ("channels", "gate", "description"))
    text = renamed(text, ("channels", "gate"), "top_gate")

Each change is read back and compared with what was wanted; one that the text is written too unusually for is refused.
"""

from __future__ import annotations

import copy
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from labctl.errors import LabctlError, UsageError
from labctl.toml_lines import KeyPath
from labctl.toml_statements import Statement, key_parts, statements
from labctl.toml_text import key_text, value_text

LONGEST_LINE = 100
"""A table whose text in one line would be longer gets a section of its own."""

Path = Sequence[str]


class NotEditable(LabctlError):  # noqa: N818 - the name says what happened
    """The text is written in a way that this editor cannot change; it stays as it was."""


@lru_cache(maxsize=8)
def tables_of(text: str) -> dict[str, Any]:
    """What a text says; the last few are kept, so do not change them. Raises TOMLDecodeError."""
    return tomllib.loads(text)


def with_value(text: str, path: Path, value: Any) -> str:
    """The text with the value of one key replaced, or added; a mapping replaces a whole table.

    value: what TOML has: bool, int, float, str, list or tuple, mapping. Raises TypeError for others, NotEditable.
    """
    keys = tuple(path)

    def wanted(tables: dict[str, Any]) -> None:
        inner = tables
        for key in keys[:-1]:
            inner = inner.setdefault(key, {})
            if not isinstance(inner, dict):
                raise UsageError(f"{'.'.join(keys)}: {key!r} is a value, not a table")
        inner[keys[-1]] = _plain(value)

    return _checked(text, wanted, lambda: _put(text, keys, _plain(value)), keys)


def without(text: str, path: Path) -> str:
    """The text without a key, or without a whole table. Raises UsageError where there is none, NotEditable."""
    keys = tuple(path)

    def wanted(tables: dict[str, Any]) -> None:
        inner = _inner(tables, keys[:-1])
        if keys[-1] not in inner:
            there = ", ".join(inner) or "none"
            raise UsageError(f"{'.'.join(keys)}: there is no {keys[-1]!r}; there are {there}")
        del inner[keys[-1]]

    return _checked(text, wanted, lambda: _cut(text, keys), keys, empty_is_none=True)


def renamed(text: str, path: Path, name: str) -> str:
    """The text with the last part of a key, or of a table's, called otherwise. Raises UsageError, NotEditable."""
    keys = tuple(path)

    def wanted(tables: dict[str, Any]) -> None:
        inner = _inner(tables, keys[:-1])
        if keys[-1] not in inner:
            raise UsageError(f"{'.'.join(keys)}: there is no {keys[-1]!r}; there are {', '.join(inner) or 'none'}")
        if name in inner:
            raise UsageError(f"{'.'.join((*keys[:-1], name))}: there is one already; give another name")
        inner[name] = inner.pop(keys[-1])

    return _checked(text, wanted, lambda: _rename(text, keys, name), keys)


def _checked(
    text: str,
    change: Callable[[dict[str, Any]], None],
    edit: Callable[[], str],
    keys: KeyPath,
    *,
    empty_is_none: bool = False,
) -> str:
    """Make the change to the text and to its tables; the two must come to the same.

    empty_is_none: a table that only had what was removed may be gone with it.
    """
    wanted = copy.deepcopy(tables_of(text))
    change(wanted)
    edited = edit()
    try:
        same = _same(tables_of(edited), wanted, empty_is_none=empty_is_none)
    except tomllib.TOMLDecodeError:
        same = False
    if not same:
        raise NotEditable(
            f"{'.'.join(keys)}: this file is written in a way that cannot be changed without rewriting it; edit it by hand"
        )
    return edited


def _same(one: Any, other: Any, *, empty_is_none: bool = False) -> bool:
    """Equal, NaN to NaN as well, and not 1 for True or 1.0."""
    return repr(_sorted(one, empty_is_none)) == repr(_sorted(other, empty_is_none))


def _sorted(value: Any, empty_is_none: bool) -> Any:
    if isinstance(value, dict):
        entries = {key: _sorted(value[key], empty_is_none) for key in sorted(value)}
        return {key: entry for key, entry in entries.items() if entry != {} or not empty_is_none}
    return [_sorted(entry, empty_is_none) for entry in value] if isinstance(value, list) else value


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items() if entry is not None}
    return [_plain(entry) for entry in value] if isinstance(value, list | tuple) else value


def _inner(tables: dict[str, Any], keys: Path) -> dict[str, Any]:
    inner: Any = tables
    for key in keys:
        inner = inner.get(key, {}) if isinstance(inner, dict) else {}
    return inner if isinstance(inner, dict) else {}


# ---- putting -------------------------------------------------------------------------------------------------------


def _put(text: str, path: KeyPath, value: Any) -> str:
    all_of_it = statements(text)
    for one in all_of_it:
        if one.kind == "value" and one.path == path:
            return _with_new_value(text, one, value_text(value))
        if one.kind == "value" and path[: len(one.path)] == one.path:
            return _put_inside(text, one, path[len(one.path) :], value)
    if any(one.path[: len(path)] == path for one in all_of_it):  # it is a table: replace what differs
        return _put_table(text, path, value)
    return _insert(text, all_of_it, path, value)


def _put_table(text: str, path: KeyPath, value: Any) -> str:
    """Replace a table that has lines of its own, key by key, so that what stays the same stays as it is written."""
    if not isinstance(value, dict):
        return _put(_cut(text, path), path, value)
    before = _inner(tables_of(text), path)
    for key in before:
        if key not in value:
            text = _cut(text, (*path, key))
    for key, entry in value.items():
        if key not in before or not _same(before[key], entry):
            text = _put(text, (*path, key), entry)
    return text


def _put_inside(text: str, one: Statement, rest: KeyPath, value: Any) -> str:
    """Change a key of an inline table: its line is written anew."""
    table = _value_of(text, one)
    if not isinstance(table, dict):
        raise UsageError(f"{'.'.join(one.path)} is a value, not a table")
    inner = table
    for key in rest[:-1]:
        inner = inner.setdefault(key, {})
    inner[rest[-1]] = value
    return _with_new_value(text, one, value_text(table))


def _value_of(text: str, one: Statement) -> Any:
    return tomllib.loads(f"x = {text[slice(*one.value)]}")["x"]


def _with_new_value(text: str, one: Statement, written: str) -> str:
    """Put another value in its place; a comment behind it stays in its column where there is room."""
    first, last = one.value
    rest = text[last : one.end]
    comment = re.match(r"([ \t]{2,})(#.*)", rest, flags=re.DOTALL)
    if comment and "\n" not in text[first:last]:
        room = max(2, last - first + len(comment[1]) - len(written))
        rest = " " * room + comment[2]
    return text[:first] + written + rest + text[one.end :]


def _insert(text: str, all_of_it: list[Statement], path: KeyPath, value: Any) -> str:
    """Add a key that is not there, or a table."""
    parent = path[:-1]
    if isinstance(value, dict) and (len(path) == 2 or (len(path) == 1 and value)):
        return _insert_section(text, all_of_it, path, value)
    if not parent:
        first_header = next((one.start for one in all_of_it if one.kind != "value"), len(text))
        return _line_put_in(text, first_header, f"{key_text(path[0])} = {value_text(value)}\n")
    header = next((one for one in all_of_it if one.kind == "table" and one.path == parent), None)
    if header is not None:
        under = [one for one in all_of_it if one.kind == "value" and one.table == parent and one.start > header.start]
        at = under[-1].end if under else header.end
        return _line_put_in(text, at, f"{key_text(path[-1])} = {value_text(value)}\n")
    deeper = next((one for one in all_of_it if one.kind != "value" and one.path[: len(parent)] == parent), None)
    if deeper is not None:  # the table has sub-tables but no header of its own yet
        at = _with_comment_above(text, deeper.start)
        return _line_put_in(text, at, f"[{_header(parent)}]\n{key_text(path[-1])} = {value_text(value)}\n\n")
    return _insert_dotted(text, all_of_it, path, value)


def _insert_dotted(text: str, all_of_it: list[Statement], path: KeyPath, value: Any) -> str:
    """Add a key to a table that is written as dotted keys (safe.value = 0), or is not there at all."""
    parent = path[:-1]
    dotted = [one for one in all_of_it if one.kind == "value" and one.path[: len(parent)] == parent]
    if dotted:
        last = dotted[-1]
        relative = path[len(last.table) :]
        return _line_put_in(text, last.end, f"{_header(relative)} = {value_text(value)}\n")
    return _insert(text, all_of_it, parent, {path[-1]: value})


def _insert_section(text: str, all_of_it: list[Statement], path: KeyPath, value: Mapping[str, Any]) -> str:
    """Add a table behind its sisters, or at the end."""
    sisters = [one for one in all_of_it if path[:-1] and one.table[: len(path) - 1] == path[:-1]]
    at = sisters[-1].end if sisters else len(text.rstrip()) + 1
    text = text if text.endswith("\n") or not text else text + "\n"
    before = text[:at]
    gap = "" if not before.strip() else "\n" if before.endswith("\n") else "\n\n"
    return before + gap + section_text(path, value) + text[at:]


def section_text(path: KeyPath, value: Mapping[str, Any]) -> str:
    """A table under a header of its own; tables in it that would make long lines get headers as well."""
    short, long = [], []
    for key, entry in value.items():
        line = f"{key_text(key)} = {value_text(entry)}\n"
        if isinstance(entry, Mapping) and len(line) > LONGEST_LINE:
            long.append(section_text((*path, key), entry))
        else:
            short.append(line)
    own = f"[{_header(path)}]\n{''.join(short)}" if short or not long else ""
    return "\n".join([own, *long] if own else long)


def _line_put_in(text: str, at: int, line: str) -> str:
    before = text[:at]
    return before + ("" if not before or before.endswith("\n") else "\n") + line + text[at:]


def _header(path: Path) -> str:
    return ".".join(key_text(key) for key in path)


# ---- cutting, renaming ---------------------------------------------------------------------------------------------


def _cut(text: str, path: KeyPath) -> str:
    all_of_it = statements(text)
    for one in all_of_it:
        if one.kind == "value" and len(one.path) < len(path) and path[: len(one.path)] == one.path:
            table = _value_of(text, one)
            inner = _inner(table, path[len(one.path) : -1])
            inner.pop(path[-1], None)
            return _with_new_value(text, one, value_text(table))
    gone: list[tuple[int, int]] = []
    for one in all_of_it:
        if one.path[: len(path)] == path:
            start = _with_comment_above(text, one.start) if one.kind != "value" else one.start
            # from header to header, comments between its lines included
            inside = one.kind == "value" and gone and one.table[: len(path)] == path
            gone.append((gone[-1][1] if inside else start, one.end))
    for start, end in reversed(gone):
        blank_above = text[:start].endswith("\n\n") or not text[:start].strip()
        rest = text[end:]
        kept = text[:start].rstrip("\n") + "\n" if blank_above and not rest.strip() else text[:start]
        text = kept + (rest.removeprefix("\n") if blank_above else rest)
    return text


def _with_comment_above(text: str, start: int) -> int:
    """Where the comment begins that stands directly above this line."""
    while start > 0:
        above = text.rfind("\n", 0, start - 1) + 1
        if not text[above:start].lstrip().startswith("#"):
            break
        start = above
    return start


def _rename(text: str, path: KeyPath, name: str) -> str:
    for one in reversed(statements(text)):
        if one.path[: len(path)] != path:
            if one.kind == "value" and path[: len(one.path)] == one.path:  # a key of an inline table
                table = _value_of(text, one)
                inner = _inner(table, path[len(one.path) : -1])
                entries = [(name if key == path[-1] else key, entry) for key, entry in inner.items()]
                inner.clear()
                inner.update(entries)
                return _with_new_value(text, one, value_text(table))
            continue
        above = len(one.table) if one.kind == "value" else 0
        if above >= len(path):
            continue  # the header above it says the name
        first, last = key_parts(text, one.key)[len(path) - 1 - above]
        text = text[:first] + key_text(name) + text[last:]
    return text
