"""`labctl network new` and `edit`: make and change network files without an editor, each change checked before it is kept."""

from __future__ import annotations

import argparse
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.errors import UsageError

if TYPE_CHECKING:
    from labctl.network_editing import NetworkDraft

_FILE = "the file that describes the network"


def add_actions(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the actions to `labctl network`."""
    new = actions.add_parser("new", help="write the usual network for a task as a file, to be changed or optimised")
    new.add_argument("network", type=Path, metavar="NETWORK.toml", help="the file to write; must not be there yet")
    new.add_argument("--task", required=True, metavar="NAME", help="a task by name, or FILE.py:ClassName, which is run")
    new.add_argument(
        "--device",
        action="append",
        required=True,
        metavar="DEVICE",
        help="whose nodes; repeatable, the first plays most",
    )
    new.set_defaults(run=run_new)
    edit = actions.add_parser("edit", help="change a network file: layers, who hears whom, any value")
    edit.add_argument("network", type=Path, metavar="NETWORK.toml", help=_FILE)
    changes = edit.add_subparsers(title="changes", metavar="CHANGE", required=True, dest="change")
    add = changes.add_parser("add-layer", help="one more layer, played last")
    add.add_argument("layer")
    add.add_argument("nodes", nargs="+", metavar="DEVICE=COUNT", help="how many nodes on which device")
    add.add_argument("--hears", action="append", default=[], metavar="NAME", help='"input" or a layer; repeatable')
    nodes = changes.add_parser("nodes", help="other nodes on a layer")
    nodes.add_argument("layer")
    nodes.add_argument("nodes", nargs="+", metavar="DEVICE=COUNT", help="how many nodes on which device")
    remove = changes.add_parser("remove-layer", help="without this layer and its connections")
    remove.add_argument("layer")
    rename = changes.add_parser("rename-layer", help="the same layer under another name")
    rename.add_argument("layer")
    rename.add_argument("to")
    for name, told in (("connect", "let TARGET hear SOURCE"), ("disconnect", "let TARGET no longer hear SOURCE")):
        change = changes.add_parser(name, help=told)
        change.add_argument("source", metavar="SOURCE", help='"input" or a layer')
        change.add_argument("target", metavar="TARGET")
    put = changes.add_parser(
        "set", help="set a value, for example sizes.n_steps 200 or layers.first.coupling_delays [0, 2]"
    )
    put.add_argument("key", metavar="KEY", help="its place in the file, parts joined by dots")
    put.add_argument("value", metavar="VALUE", help='as in the file: 200, 0.5, true, [1, 2], "text"')
    unset = changes.add_parser("unset", help="leave a value out, so that the task's own plan says it")
    unset.add_argument("key", metavar="KEY")
    edit.set_defaults(run=run_edit)


def run_new(options: argparse.Namespace) -> int:
    """Write the file; raises CampaignError for an unknown task."""
    from labctl.campaigns.usual_network import usual_network
    from labctl.commands.arguments import check_new
    from labctl.network_editing import save_draft

    check_new([options.network])
    draft = usual_network(options.task, options.device)
    save_draft(draft, options.network)
    sys.stdout.write(f"{options.network}\n")
    return 0


def run_edit(options: argparse.Namespace) -> int:
    """Change the file; raises NetworkFileError, and leaves the file as it is, for a change that leaves it wrong."""
    from labctl.network_editing import has_comments, load_draft, save_draft

    draft = _changed(load_draft(options.network), options)
    commented = has_comments(options.network)
    save_draft(draft, options.network)
    if commented:
        sys.stderr.write(f"WARNING the comments of {options.network} are not kept by an edit\n")
    return 0


def _changed(draft: NetworkDraft, options: argparse.Namespace) -> NetworkDraft:  # noqa: PLR0911 - one return a change
    from labctl import network_editing as editing

    match options.change:
        case "add-layer":
            return editing.add_layer(draft, options.layer, counted(options.nodes), listens_to=options.hears)
        case "nodes":
            return editing.set_nodes(draft, options.layer, counted(options.nodes))
        case "remove-layer":
            return editing.remove_layer(draft, options.layer)
        case "rename-layer":
            return editing.rename_layer(draft, options.layer, options.to)
        case "connect":
            return editing.connect(draft, options.source, options.target)
        case "disconnect":
            return editing.disconnect(draft, options.source, options.target)
        case "set":
            return editing.set_value(draft, options.key.split("."), toml_value(options.value))
        case _:
            return editing.set_value(draft, options.key.split("."), None)


def counted(arguments: Sequence[str]) -> dict[str, int]:
    """DEVICE=COUNT arguments; raises UsageError for anything else."""
    nodes: dict[str, int] = {}
    for argument in arguments:
        device, separator, count = argument.partition("=")
        if not separator or not device or not count.isdecimal():
            raise UsageError(f"{argument!r}: expected DEVICE=COUNT, for example leaky=4")
        nodes[device] = int(count)
    return nodes


def toml_value(text: str) -> Any:
    """A value as it stands in a file; a bare word is a text. Raises UsageError for what is neither."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError as error:
        if text.replace("_", "").replace("-", "").isalnum():
            return text
        raise UsageError(f"{text!r} is no value of a TOML file: {error}") from error
