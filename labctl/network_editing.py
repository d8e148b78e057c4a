"""Editing a network: every operation takes a draft and returns another one, so that whoever keeps the old one can undo.

    draft = load_draft(Path("network.toml"))
    draft = add_layer(draft, "third", {"leaky": 4}, listens_to=("input", "second"))
    save_draft(draft, Path("network.toml"))

A draft may be unfinished (a layer that hears nothing yet); `checked` says all that is wrong with it, and only what is
whole is saved. Importing this loads no torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from labctl.errors import NetworkFileError
from labctl.network_connections import (
    Connection,
    connect,
    connections,
    deaf_layers,
    delays_key,
    density_key,
    disconnect,
    forget_unheard,
)
from labctl.network_draft import (
    OUTPUT,
    NetworkDraft,
    Position,
    check_known,
    checked,
    explicit_tables,
    has_comments,
    heard_by_layer,
    layer_of,
    load_draft,
    nodes_of,
    save_draft,
    text_of,
    value_at,
)
from labctl.network_schema import INPUT
from labctl.own_task import is_own_task
from labctl.station_schema import Name

__all__ = [
    "OUTPUT",
    "Connection",
    "NetworkDraft",
    "Nodes",
    "Position",
    "add_layer",
    "checked",
    "connect",
    "connections",
    "deaf_layers",
    "delays_key",
    "density_key",
    "disconnect",
    "has_comments",
    "heard_by_layer",
    "load_draft",
    "move",
    "new_draft",
    "nodes_of",
    "remove_layer",
    "rename_layer",
    "save_draft",
    "set_nodes",
    "set_task",
    "set_twin",
    "set_value",
    "standing_alone",
    "take_layers",
    "text_of",
    "value_at",
]

Nodes = Mapping[str, int]
"""How many nodes of a layer are on each device."""
_NAME: TypeAdapter[str] = TypeAdapter(Name)


def new_draft(task: str, layers: Mapping[str, Nodes] | None = None) -> NetworkDraft:
    """A network for `task`: `layers` in playing order, each hearing the input and the layer before."""
    draft = NetworkDraft({"task": task, "layers": {}})
    before: tuple[str, ...] = ()
    for name, nodes in (layers or {}).items():
        draft = add_layer(draft, name, nodes, listens_to=(INPUT, *before))
        before = (name,)
    return draft


def add_layer(
    draft: NetworkDraft, name: str, nodes: Nodes, *, listens_to: Sequence[str] = (), position: Position | None = None
) -> NetworkDraft:
    """One more layer, played last. Raises NetworkFileError for a name that is taken or no name, or for no nodes."""
    _free(draft, name)
    tables = explicit_tables(draft)
    tables["layers"][name] = {"nodes": _counted(nodes), "listens_to": list(listens_to)}
    for source in listens_to:
        check_known(draft, source, also=(name,))
    places = {**draft.positions, **({} if position is None else {name: position})}
    return replace(draft, tables=tables, positions=places)


def remove_layer(draft: NetworkDraft, name: str) -> NetworkDraft:
    """Without this layer, and without what was connected to it; devices that no node is left on lose their table."""
    layer_of(draft, name)
    tables = explicit_tables(draft)
    del tables["layers"][name]
    for table in tables["layers"].values():
        table["listens_to"] = [one for one in table["listens_to"] if one != name]
        forget_unheard(table)
    places = {one: place for one, place in draft.positions.items() if one != name}
    return _without_idle_devices(replace(draft, tables=tables, positions=places))


def rename_layer(draft: NetworkDraft, name: str, to: str) -> NetworkDraft:
    """The same layer under another name."""
    layer_of(draft, name)
    if name == to:
        return draft
    _free(draft, to)
    tables = explicit_tables(draft)
    tables["layers"] = {to if one == name else one: table for one, table in tables["layers"].items()}
    for table in tables["layers"].values():
        table["listens_to"] = [to if one == name else one for one in table["listens_to"]]
    places = {to if one == name else one: place for one, place in draft.positions.items()}
    return replace(draft, tables=tables, positions=places)


def set_nodes(draft: NetworkDraft, layer: str, nodes: Nodes) -> NetworkDraft:
    """Other nodes on a layer: device -> how many."""
    return _without_idle_devices(set_value(draft, ("layers", layer, "nodes"), _counted(nodes)))


def set_value(draft: NetworkDraft, keys: Sequence[str], value: Any) -> NetworkDraft:
    """Set what stands at ("optimiser", "n_iterations") or any other place of the file; None: leave it out, for the default.

    Whether the value is allowed is told by `checked`. Raises NetworkFileError where a layer of that name is not there.
    """
    if not keys:
        raise NetworkFileError("which key is to be set? For example sizes.n_steps")
    tables = explicit_tables(draft) if keys[0] == "layers" else deepcopy(dict(draft.tables))
    if keys[0] == "layers" and len(keys) > 1:
        layer_of(draft, keys[1])
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


def set_task(draft: NetworkDraft, task: str) -> NetworkDraft:
    """For another task; options of the task before are left out."""
    return set_value(set_value(draft, ("task",), task), ("task_options",), None)


def take_layers(draft: NetworkDraft, other: NetworkDraft) -> NetworkDraft:
    """Task and layers of another network, which fall into place anew; all else stays."""
    tables = {**draft.tables, "task": other.task, "layers": deepcopy(dict(other.tables["layers"]))}
    return replace(draft, tables=tables, positions={})


def standing_alone(draft: NetworkDraft, path: Path | None) -> NetworkDraft:
    """The same network without its file `path`: a task of one's own that it names relative to the file is named in full."""
    if path is None or not is_own_task(draft.task):
        return draft
    file, _, class_name = draft.task.rpartition(":")
    if Path(file).is_absolute():
        return draft
    return set_value(draft, ("task",), f"{path.absolute().parent / file}:{class_name}")


def set_twin(draft: NetworkDraft, device: str, path: Path | None) -> NetworkDraft:
    """The file of a device's twin; None: none."""
    twins = {name: one for name, one in draft.twins.items() if name != device}
    return replace(draft, twins=twins if path is None else {**twins, device: path})


def move(draft: NetworkDraft, places: Mapping[str, Position]) -> NetworkDraft:
    """Put layers elsewhere in the drawing."""
    return replace(draft, positions={**draft.positions, **places})


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


def _without_idle_devices(draft: NetworkDraft) -> NetworkDraft:
    known = set(draft.devices)
    devices = {name: one for name, one in draft.tables.get("devices", {}).items() if name in known}
    tables = {key: value for key, value in draft.tables.items() if key != "devices"}
    if devices:
        tables["devices"] = devices
    twins = {name: path for name, path in draft.twins.items() if name in known}
    return replace(draft, tables=tables, twins=twins)
