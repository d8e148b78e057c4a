"""Editing a network: every operation takes a draft and returns another one, so that whoever keeps the old one can undo.

    draft = load_draft(Path("network.toml"))
    draft = add_layer(draft, "third", {"leaky": 4}, listens_to=("input", "second"))
    save_draft(draft, Path("network.toml"))

A draft may be unfinished (a layer that hears nothing yet); `checked` says all that is wrong with it, and only what is
whole is saved. Importing this loads no torch.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from labctl.errors import NetworkFileError
from labctl.file_problems import read_text
from labctl.network_file import NetworkDescription, parse_network_file
from labctl.network_schema import INPUT
from labctl.network_view import View, load_view, save_view
from labctl.station_schema import Name
from labctl.toml_text import toml_text
from twins.files import write_whole

Position = tuple[float, float]
Nodes = Mapping[str, int]
"""How many nodes of a layer are on each device."""
_NAME: TypeAdapter[str] = TypeAdapter(Name)


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


def new_draft(task: str, layers: Mapping[str, Nodes] | None = None) -> NetworkDraft:
    """A network for `task`: `layers` in playing order, each hearing the input and the layer before."""
    draft = NetworkDraft({"task": task, "layers": {}})
    before: tuple[str, ...] = ()
    for name, nodes in (layers or {}).items():
        draft = add_layer(draft, name, nodes, listens_to=(INPUT, *before))
        before = (name,)
    return draft


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


# ---- layers ------------------------------------------------------------------------------------------------------------


def nodes_of(draft: NetworkDraft, layer: str) -> dict[str, int]:
    """device -> how many nodes of this layer are on it."""
    nodes = _layer(draft, layer).get("nodes", {})
    if isinstance(nodes, Mapping):
        return {str(device): int(count) for device, count in nodes.items()}
    names = [str(device) for device in nodes]
    return {device: names.count(device) for device in dict.fromkeys(names)}


def heard_by_layer(draft: NetworkDraft, layer: str) -> tuple[str, ...]:
    """What a layer listens to: "input" and names of layers; the input and the layer before if the file does not say."""
    table = _layer(draft, layer)
    if table.get("listens_to") is not None:
        return tuple(table["listens_to"])
    number = draft.layers.index(layer)
    return (INPUT, *draft.layers[max(number - 1, 0) : number])


def add_layer(
    draft: NetworkDraft, name: str, nodes: Nodes, *, listens_to: Sequence[str] = (), position: Position | None = None
) -> NetworkDraft:
    """One more layer, played last. Raises NetworkFileError for a name that is taken or no name, or for no nodes."""
    _free(draft, name)
    tables = _explicit(draft)
    tables["layers"][name] = {"nodes": _counted(nodes), "listens_to": list(listens_to)}
    for source in listens_to:
        _known(draft, source, also=(name,))
    places = {**draft.positions, **({} if position is None else {name: position})}
    return replace(draft, tables=tables, positions=places)


def remove_layer(draft: NetworkDraft, name: str) -> NetworkDraft:
    """Without this layer, and without what was connected to it; devices that no node is left on lose their table."""
    _layer(draft, name)
    tables = _explicit(draft)
    del tables["layers"][name]
    for table in tables["layers"].values():
        table["listens_to"] = [one for one in table["listens_to"] if one != name]
        _forget_unheard(table)
    places = {one: place for one, place in draft.positions.items() if one != name}
    return _without_idle_devices(replace(draft, tables=tables, positions=places))


def rename_layer(draft: NetworkDraft, name: str, to: str) -> NetworkDraft:
    """The same layer under another name."""
    _layer(draft, name)
    if name == to:
        return draft
    _free(draft, to)
    tables = _explicit(draft)
    tables["layers"] = {to if one == name else one: table for one, table in tables["layers"].items()}
    for table in tables["layers"].values():
        table["listens_to"] = [to if one == name else one for one in table["listens_to"]]
    places = {to if one == name else one: place for one, place in draft.positions.items()}
    return replace(draft, tables=tables, positions=places)


def set_nodes(draft: NetworkDraft, layer: str, nodes: Nodes) -> NetworkDraft:
    """Other nodes on a layer: device -> how many."""
    return _without_idle_devices(set_value(draft, ("layers", layer, "nodes"), _counted(nodes)))


# ---- connections -------------------------------------------------------------------------------------------------------


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
        table = _layer(draft, target)
        for source in heard_by_layer(draft, target):
            own = table.get(delays_key(source), draft.tables.get(delays_key(source)))
            loops = source in draft.layers and draft.layers.index(source) >= number
            density = float(table.get(density_key(source), 1.0))
            found.append(Connection(source, target, None if own is None else tuple(own), density, loops))
    return tuple(found)


def connect(draft: NetworkDraft, source: str, target: str) -> NetworkDraft:
    """Let `target` hear `source` ("input" or a layer; itself or a later one makes the network recurrent)."""
    _known(draft, source)
    if source in heard_by_layer(draft, target):
        raise NetworkFileError(f"{target} hears {source} already")
    tables = _explicit(draft)
    tables["layers"][target]["listens_to"].append(source)
    return replace(draft, tables=tables)


def disconnect(draft: NetworkDraft, source: str, target: str) -> NetworkDraft:
    """Let `target` no longer hear `source`."""
    if source not in heard_by_layer(draft, target):
        raise NetworkFileError(f"{target} does not hear {source}; it hears {', '.join(heard_by_layer(draft, target))}")
    tables = _explicit(draft)
    table = tables["layers"][target]
    table["listens_to"].remove(source)
    _forget_unheard(table)
    return replace(draft, tables=tables)


# ---- everything else ---------------------------------------------------------------------------------------------------


def set_value(draft: NetworkDraft, keys: Sequence[str], value: Any) -> NetworkDraft:
    """Set what stands at ("optimiser", "n_iterations") or any other place of the file; None: leave it out, for the default.

    Whether the value is allowed is told by `checked`. Raises NetworkFileError where a layer of that name is not there.
    """
    if not keys:
        raise NetworkFileError("which key is to be set? For example sizes.n_steps")
    tables = _explicit(draft) if keys[0] == "layers" else deepcopy(dict(draft.tables))
    if keys[0] == "layers" and len(keys) > 1:
        _layer(draft, keys[1])
    inner = tables
    for key in keys[:-1]:
        inner = inner.setdefault(key, {})
        if not isinstance(inner, dict):
            raise NetworkFileError(f"{'.'.join(keys)}: {key} is a value, not a table")
    if value is None:
        inner.pop(keys[-1], None)
    else:
        inner[keys[-1]] = list(value) if isinstance(value, tuple) else value
    if len(keys) > 1 and keys[0] != "layers" and not tables.get(keys[0]):
        tables.pop(keys[0], None)
    return replace(draft, tables=tables)


def value_at(draft: NetworkDraft, keys: Sequence[str]) -> Any:
    """What stands there; None if nothing does."""
    inner: Any = draft.tables
    for key in keys:
        if not isinstance(inner, Mapping) or key not in inner:
            return None
        inner = inner[key]
    return inner


def set_twin(draft: NetworkDraft, device: str, path: Path | None) -> NetworkDraft:
    """The file of a device's twin; None: none."""
    twins = {name: one for name, one in draft.twins.items() if name != device}
    return replace(draft, twins=twins if path is None else {**twins, device: path})


def move(draft: NetworkDraft, places: Mapping[str, Position]) -> NetworkDraft:
    """Put layers elsewhere in the drawing."""
    return replace(draft, positions={**draft.positions, **places})


# ---- checks ------------------------------------------------------------------------------------------------------------


def _layer(draft: NetworkDraft, name: str) -> Mapping[str, Any]:
    layers = draft.tables.get("layers", {})
    if name not in layers:
        raise NetworkFileError(f"there is no layer {name!r}; there are {_listed(layers)}")
    table: Mapping[str, Any] = layers[name]
    return table


def _known(draft: NetworkDraft, source: str, *, also: Iterable[str] = ()) -> None:
    known = (INPUT, *draft.layers, *also)
    if source not in known:
        raise NetworkFileError(f"there is no layer {source!r}; a layer can hear {', '.join(known)}")


def _free(draft: NetworkDraft, name: str) -> None:
    try:
        _NAME.validate_python(name)
    except ValidationError as error:
        raise NetworkFileError(f"{name!r} can be no layer's name: {error.errors()[0]['msg']}") from error
    if name in (INPUT, OUTPUT):
        raise NetworkFileError(f"{name!r} is the task's {name} and can be no layer's name; call it otherwise")
    if name in draft.layers:
        raise NetworkFileError(f"there is a layer {name!r} already; call this one otherwise")


def _counted(nodes: Nodes) -> dict[str, int]:
    counted = {device: count for device, count in nodes.items() if count != 0}
    bad = {device: count for device, count in counted.items() if count < 0}
    if bad or not counted:
        raise NetworkFileError(f"a layer needs at least one node on a device, not {dict(nodes)}")
    return counted


def _explicit(draft: NetworkDraft) -> dict[str, Any]:
    """Own tables, in which every layer says what it listens to: what is left out depends on the order of layers."""
    tables = deepcopy(dict(draft.tables))
    for name, table in tables.setdefault("layers", {}).items():
        table["listens_to"] = list(heard_by_layer(draft, name))
    return tables


def _forget_unheard(table: dict[str, Any]) -> None:
    """Delays and densities of what a layer does not hear any more are errors in a file."""
    hears = table["listens_to"]
    for key, heard in (("input", INPUT in hears), ("coupling", any(one != INPUT for one in hears))):
        if not heard:
            for what in ("input_taps" if key == "input" else "coupling_delays", f"{key}_density"):
                table.pop(what, None)


def _without_idle_devices(draft: NetworkDraft) -> NetworkDraft:
    known = set(draft.devices)
    devices = {name: one for name, one in draft.tables.get("devices", {}).items() if name in known}
    tables = {key: value for key, value in draft.tables.items() if key != "devices"}
    if devices:
        tables["devices"] = devices
    twins = {name: path for name, path in draft.twins.items() if name in known}
    return replace(draft, tables=tables, twins=twins)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
