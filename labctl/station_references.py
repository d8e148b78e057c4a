"""Where a station file names an instrument or a channel, so that it can be renamed everywhere at once."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from labctl.toml_editing import renamed, with_value
from labctl.toml_lines import KeyPath


def references_to(tables: Mapping[str, Any], section: str, name: str) -> list[KeyPath]:
    """The keys whose value (or, for a pulse, whose own name) names this entry."""
    found = {"instruments": _of_instrument, "channels": _of_channel}.get(section)
    return list(found(tables, name)) if found else []


def with_other_name(text: str, where: KeyPath, name: str, other: str) -> str:
    """The text with this reference changed."""
    if where[-1] == name and where[-2] == "pulse":
        return renamed(text, where, other)
    value: Any = tomllib.loads(text)
    for key in where:
        value = value[key]
    changed = [other if one == name else one for one in value] if isinstance(value, list) else other
    return with_value(text, where, changed)


def _entries(tables: Mapping[str, Any], *keys: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    inner: Any = tables
    for key in keys:
        inner = inner.get(key, {}) if isinstance(inner, Mapping) else {}
    if isinstance(inner, Mapping):
        yield from ((name, entry) for name, entry in inner.items() if isinstance(entry, Mapping))


def _of_instrument(tables: Mapping[str, Any], name: str) -> Iterator[KeyPath]:
    for channel, table in _entries(tables, "channels"):
        if table.get("instrument") == name:
            yield ("channels", channel, "instrument")
    for device, _ in _entries(tables, "devices"):
        for start, table in _entries(tables, "devices", device, "starts"):
            if table.get("instrument") == name:
                yield ("devices", device, "starts", start, "instrument")


def _of_channel(tables: Mapping[str, Any], name: str) -> Iterator[KeyPath]:
    for device, table in _entries(tables, "devices"):
        for role in ("drive", "response", "conditions"):
            if isinstance(table.get(role), list) and name in table[role]:
                yield ("devices", device, role)
        for key, pulse in _entries(tables, "devices", device, "preparation"):
            if key == "pulse" and name in pulse:
                yield ("devices", device, "preparation", "pulse", name)
