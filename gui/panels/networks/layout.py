"""Where the layers of a network are drawn that nobody has put anywhere: in columns, by how far they are from the input."""

from __future__ import annotations

from labctl.network_editing import OUTPUT, NetworkDraft, Position, connections
from labctl.network_schema import INPUT

COLUMN = 165.0
ROW = 110.0


def auto_layout(draft: NetworkDraft) -> dict[str, Position]:
    """A place for the input, every layer and the read-out."""
    forward: dict[str, list[str]] = {name: [] for name in draft.layers}
    for one in connections(draft):
        if not one.loops and one.source in forward:
            forward[one.target].append(one.source)
    depth: dict[str, int] = {}
    for name in draft.layers:  # in playing order, so that what a layer hears forward is known before
        depth[name] = 1 + max((depth.get(source, 0) for source in forward[name]), default=0)
    columns: dict[int, list[str]] = {}
    for name, number in depth.items():
        columns.setdefault(number, []).append(name)
    places: dict[str, Position] = {INPUT: (0.0, 0.0)}
    for number, names in columns.items():
        # Layers of odd columns stand half a row lower than those of even ones, so that connections past them are seen.
        lower = ROW / 2 if (len(names) + number) % 2 == 0 else 0.0
        for row, name in enumerate(names):
            places[name] = (COLUMN * number, ROW * (row - (len(names) - 1) / 2) + lower)
    places[OUTPUT] = (COLUMN * (max(columns, default=0) + 1), 0.0)
    return places


def places_of(draft: NetworkDraft) -> dict[str, Position]:
    """Where everything stands: where a person put it, and where it falls otherwise."""
    return {**auto_layout(draft), **draft.positions}
