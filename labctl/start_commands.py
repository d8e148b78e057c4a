"""Commands that begin a trial must not set an output: only a channel's limits may let a value pass."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_SETTING = ("set", "enable", "disable")


def output_commands(scpi: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(terminal, header) of every command by which the generic driver's table sets a terminal, or switches it."""
    terminals = scpi.get("terminals")
    for terminal, table in terminals.items() if isinstance(terminals, Mapping) else ():
        for key in _SETTING if isinstance(table, Mapping) else ():
            template = table.get(key)
            if isinstance(template, str) and template.strip():
                *_, last = _headers(template.split("{value")[0] or template)
                yield str(terminal), last


def sets_output(command: str, output_header: str) -> bool:
    """Whether a command of a start is, or contains, the one with this header; short and long forms are alike."""
    return any(_alike(header, output_header) for header in _headers(command))


def _headers(text: str) -> list[str]:
    """The header of each command of a line, from the root of the command tree."""
    found: list[str] = []
    for part in text.split(";"):
        header = re.split(r"[\s=]", part.strip(), maxsplit=1)[0].upper()
        relative = found and not header.startswith((":", "*"))
        parent = found[-1].rpartition(":")[0] if relative else ""
        found.append(f"{parent}:{header}" if parent else header.lstrip(":"))
    return found


def _alike(one: str, other: str) -> bool:
    if one.endswith("?") != other.endswith("?"):
        return False
    ours, theirs = one.split(":"), other.split(":")
    return len(ours) == len(theirs) and all(map(_same_word, ours, theirs))


def _same_word(one: str, other: str) -> bool:
    """PUMP and PUMP1, RATE and RAT: a number that is left away is 1, a word may be cut short."""
    (word, number), (longer, its) = (_parted(text) for text in (one, other))
    if one == other:
        return True
    shorter = min(len(word), len(longer))
    return number == its and shorter >= 3 and (word.startswith(longer) or longer.startswith(word))


def _parted(word: str) -> tuple[str, str]:
    letters = word.rstrip("0123456789")
    return letters, word[len(letters) :] or "1"
