"""A network that is being edited: its tables, twins and places in the drawing, and its file. Importing this loads no torch."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labctl.errors import NetworkFileError
from labctl.file_problems import read_text
from labctl.network_file import NetworkDescription, parse_network_file
from labctl.network_schema import INPUT
from labctl.network_view import View, load_view, save_view
from labctl.toml_text import toml_text
from twins.files import write_whole

Position = tuple[float, float]


@dataclass(frozen=True, slots=True)
class NetworkDraft:
    """A network that is being edited.

    tables: as the TOML file has them. twins: the file of each device's twin. positions: of layers in a drawing. The last
    two are kept beside the file (see labctl.network_view), and are no part of the network.
    """

    tables: Mapping[str, Any]
    twins: Mapping[str, Path] = field(default_factory=dict)
    positions: Mapping[str, Position] = field(default_factory=dict)

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers, in playing order."""
        return tuple(self.tables.get("layers", {}))

    @property
    def task(self) -> str:
        """What the network is for."""
        return str(self.tables.get("task", ""))

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices that nodes are on, each once."""
        return tuple(dict.fromkeys(device for name in self.layers for device in nodes_of(self, name)))


def load_draft(path: Path) -> NetworkDraft:
    """The network file as a draft, with its view if there is one. Raises NetworkFileError with all that is wrong."""
    text = read_text(path, error=NetworkFileError)
    parse_network_file(text, path=path)
    view = load_view(path)
    return NetworkDraft(tomllib.loads(text), view.twins, view.positions)


def save_draft(draft: NetworkDraft, path: Path) -> NetworkDescription:
    """Write the file, and its view beside it; raises NetworkFileError, before anything is written, for what is wrong.

    Comments of a file that was there before are not kept (see `has_comments`).
    """
    description = checked(draft, path=path)
    write_whole(path, description.text.encode())
    names = set(draft.layers)
    positions = {name: place for name, place in draft.positions.items() if name in names | {INPUT, OUTPUT}}
    save_view(path, View(positions, dict(draft.twins)))
    return description


OUTPUT = "output"
"""The read-out in a drawing. It hears every layer."""


def has_comments(path: Path) -> bool:
    """Whether a file has comments, which saving a draft in its place would lose."""
    if not path.is_file():
        return False
    text = read_text(path, error=NetworkFileError)
    return any(line.lstrip().startswith("#") or " #" in line for line in text.splitlines())


def text_of(draft: NetworkDraft) -> str:
    """The TOML text of a draft."""
    return toml_text(draft.tables)


def checked(draft: NetworkDraft, *, path: Path | None = None) -> NetworkDescription:
    """The draft as a network that can be optimised; raises NetworkFileError with every problem of it."""
    return parse_network_file(text_of(draft), path=path)


def nodes_of(draft: NetworkDraft, layer: str) -> dict[str, int]:
    """device -> how many nodes of this layer are on it."""
    nodes = layer_of(draft, layer).get("nodes", {})
    if isinstance(nodes, Mapping):
        return {str(device): int(count) for device, count in nodes.items()}
    names = [str(device) for device in nodes]
    return {device: names.count(device) for device in dict.fromkeys(names)}


def heard_by_layer(draft: NetworkDraft, layer: str) -> tuple[str, ...]:
    """What a layer listens to: "input" and names of layers; the input and the layer before if the file does not say."""
    table = layer_of(draft, layer)
    if table.get("listens_to") is not None:
        return tuple(table["listens_to"])
    number = draft.layers.index(layer)
    return (INPUT, *draft.layers[max(number - 1, 0) : number])


def value_at(draft: NetworkDraft, keys: Sequence[str]) -> Any:
    """What stands there; None if nothing does."""
    inner: Any = draft.tables
    for key in keys:
        if not isinstance(inner, Mapping) or key not in inner:
            return None
        inner = inner[key]
    return inner


def layer_of(draft: NetworkDraft, name: str) -> Mapping[str, Any]:
    """The table of a layer; raises NetworkFileError if there is none of that name."""
    layers = draft.tables.get("layers", {})
    if name not in layers:
        raise NetworkFileError(f"there is no layer {name!r}; there are {_listed(layers)}")
    table: Mapping[str, Any] = layers[name]
    return table


def check_known(draft: NetworkDraft, source: str, *, also: Iterable[str] = ()) -> None:
    """Raises NetworkFileError if `source` is nothing that a layer can hear."""
    known = (INPUT, *draft.layers, *also)
    if source not in known:
        raise NetworkFileError(f"there is no layer {source!r}; a layer can hear {', '.join(known)}")


def explicit_tables(draft: NetworkDraft) -> dict[str, Any]:
    """Own tables, in which every layer says what it listens to: what is left out depends on the order of layers."""
    tables = deepcopy(dict(draft.tables))
    for name, table in tables.setdefault("layers", {}).items():
        table["listens_to"] = list(heard_by_layer(draft, name))
    return tables


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
