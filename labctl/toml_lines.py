"""Where a key stands in a TOML file. The standard library's parser gives values but no line numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

KeyPath = tuple[str, ...]

_HEADER = re.compile(r"^\s*\[{1,2}(?P<keys>[^\[\]]+)\]{1,2}\s*(#.*)?$")
_PART = re.compile(
    r"""\s*(?:"(?P<basic>(?:[^"\\]|\\.)*)"|'(?P<literal>[^']*)'|(?P<bare>[A-Za-z0-9_-]+))\s*(?P<after>\.|=|$)"""
)
_STRINGS = re.compile(r'"""(?:.|\n)*?"""|\'\'\'(?:.|\n)*?\'\'\'|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'')


def key_lines(text: str) -> dict[KeyPath, int]:
    """Line number (from 1) of every table header and every `key = value` of a valid TOML text.

    Keys inside an inline table or an array get no entry of their own: `line_of` falls back to the line of the value.
    """
    lines: dict[KeyPath, int] = {}
    table: KeyPath = ()
    depth = 0
    originals = text.splitlines() or [""]
    for number, line in enumerate(_without_strings(text), start=1):
        original = originals[number - 1]
        if depth == 0 and line.lstrip()[:1] not in ("", "#"):
            header = _HEADER.match(original)
            path = _split(header["keys"]) if header else _assigned(original)
            if header:
                table = path
            full = path if header else (*table, *path)
            for length in range(1, len(full) + 1):
                lines.setdefault(full[:length], number)
            if header:
                continue
        code = line.split("#", 1)[0]
        depth += sum(code.count(bracket) for bracket in "[{") - sum(code.count(bracket) for bracket in "]}")
    return lines


def line_of(lines: Mapping[KeyPath, int], path: Sequence[str | int]) -> int | None:
    """The line of a key, or of the nearest thing around it that has one."""
    keys = tuple(str(part) for part in path)
    for length in range(len(keys), 0, -1):
        if keys[:length] in lines:
            return lines[keys[:length]]
    return None


def _without_strings(text: str) -> list[str]:
    """The lines with the contents of strings blanked, so that brackets and # inside them count for nothing."""

    def blank(match: re.Match[str]) -> str:
        # what follows the first line of a multi-line string is no line of its own
        return re.sub(r"[^\n]", " " if match[0][:3] in ('"""', "'''") else "_", match[0])

    # A comment may hold a lonely quotation mark; strings are therefore blanked line by line unless they are multi-line.
    kept = [line if not line.lstrip().startswith("#") else "#" for line in text.splitlines()]
    return _STRINGS.sub(blank, "\n".join(kept)).split("\n")


def _assigned(line: str) -> KeyPath:
    """The keys before the equals sign of `a.b = …`."""
    return _split(line, stop="=")


def _split(text: str, *, stop: str = "") -> KeyPath:
    keys: list[str] = []
    position = 0
    while position < len(text):
        match = _PART.match(text, position)
        if match is None:
            break
        keys.append(next(part for part in (match["basic"], match["literal"], match["bare"]) if part is not None))
        position = match.end()
        if match["after"] == stop or not match["after"]:
            break
    return tuple(keys)
