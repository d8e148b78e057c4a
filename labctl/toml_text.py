"""Plain tables as TOML text. The standard library only reads TOML."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any


def toml_text(tables: Mapping[str, Any]) -> str:
    """Values first, then a [SECTION] for each table, or [SECTION.NAME] for each entry of a table of tables.

    Deeper tables are written in one line. Raises TypeError for what TOML does not have.
    """
    plain = {key: value for key, value in tables.items() if not isinstance(value, Mapping)}
    parts = [_assignments(plain)] if plain else []
    for section, table in tables.items():
        if not isinstance(table, Mapping):
            continue
        if table and all(isinstance(entry, Mapping) for entry in table.values()):
            parts += [f"[{key_text(section)}.{key_text(name)}]\n{_assignments(entry)}" for name, entry in table.items()]
        else:
            parts.append(f"[{key_text(section)}]\n{_assignments(table)}")
    return "\n".join(parts)


def dotted_lines(table: Mapping[str, Any]) -> str:
    """A table with everything in it as lines `part.key = value`, for a field of several lines."""
    lines = []
    for key, value in table.items():
        if isinstance(value, Mapping) and value:
            lines += [f"{key_text(key)}.{line}" for line in dotted_lines(value).splitlines()]
        else:
            lines.append(f"{key_text(key)} = {value_text(value)}")
    return "\n".join(lines)


def _assignments(table: Mapping[str, Any]) -> str:
    return "".join(f"{key_text(key)} = {value_text(value)}\n" for key, value in table.items() if value is not None)


def key_text(key: str) -> str:
    """A key, in quotation marks where it needs them."""
    bare = key.isascii() and key.replace("_", "").replace("-", "").isalnum()
    return key if bare else _string(key)


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def value_text(value: Any) -> str:
    """A value in one line; raises TypeError for what TOML does not have."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(value_text(entry) for entry in value) + "]"
    if isinstance(value, Mapping):
        entries = (f"{key_text(key)} = {value_text(entry)}" for key, entry in value.items() if entry is not None)
        return "{ " + ", ".join(entries) + " }"
    raise TypeError(f"TOML has no {type(value).__name__}")
