"""Who hears whom in a network that is being edited. Importing this loads no torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from labctl.errors import NetworkFileError
from labctl.network_draft import NetworkDraft, check_known, explicit_tables, heard_by_layer, layer_of
from labctl.network_schema import INPUT


@dataclass(frozen=True, slots=True)
class Connection:
    """Who hears whom. delays: how many steps ago (taps of the input, coupling delays of a layer), None: as the task's plan
    has them; they and the density hold for all that `target` hears of the same kind. loops: makes the network recurrent.
    """

    source: str
    target: str
    delays: tuple[int, ...] | None
    density: float
    loops: bool


def delays_key(source: str) -> str:
    """The key of a layer that says how many steps ago it hears `source`."""
    return "input_taps" if source == INPUT else "coupling_delays"


def density_key(source: str) -> str:
    """The key of a layer that says which part of its weights to `source` exists."""
    return "input_density" if source == INPUT else "coupling_density"


def connections(draft: NetworkDraft) -> tuple[Connection, ...]:
    """Every connection; those to the read-out, which hears all layers, are left out."""
    found = []
    for number, target in enumerate(draft.layers):
        table = layer_of(draft, target)
        for source in heard_by_layer(draft, target):
            own = table.get(delays_key(source), draft.tables.get(delays_key(source)))
            loops = source in draft.layers and draft.layers.index(source) >= number
            density = float(table.get(density_key(source), 1.0))
            found.append(Connection(source, target, None if own is None else tuple(own), density, loops))
    return tuple(found)


def deaf_layers(draft: NetworkDraft) -> tuple[str, ...]:
    """Layers that hear nothing yet."""
    return tuple(name for name in draft.layers if not heard_by_layer(draft, name))


def connect(draft: NetworkDraft, source: str, target: str) -> NetworkDraft:
    """Let `target` hear `source` ("input" or a layer; itself or a later one makes the network recurrent)."""
    check_known(draft, source)
    if source in heard_by_layer(draft, target):
        raise NetworkFileError(f"{target} hears {source} already")
    tables = explicit_tables(draft)
    tables["layers"][target]["listens_to"].append(source)
    return replace(draft, tables=tables)


def disconnect(draft: NetworkDraft, source: str, target: str) -> NetworkDraft:
    """Let `target` no longer hear `source`."""
    if source not in heard_by_layer(draft, target):
        raise NetworkFileError(f"{target} does not hear {source}; it hears {', '.join(heard_by_layer(draft, target))}")
    tables = explicit_tables(draft)
    table = tables["layers"][target]
    table["listens_to"].remove(source)
    forget_unheard(table)
    return replace(draft, tables=tables)


def forget_unheard(table: dict[str, Any]) -> None:
    """Delays and densities of what a layer does not hear any more are errors in a file."""
    hears = table["listens_to"]
    for key, heard in (("input", INPUT in hears), ("coupling", any(one != INPUT for one in hears))):
        if not heard:
            for what in ("input_taps" if key == "input" else "coupling_delays", f"{key}_density"):
                table.pop(what, None)
