"""What a drawing of a network keeps beside its file: where layers stand, and which twins were chosen.

network.toml -> network.view.json. Nothing of the network itself is in it; without it the layers are drawn in their order.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from labctl.errors import NetworkFileError
from labctl.file_problems import read_text
from labctl.json_file import write_json

FORMAT = "labctl-network-view-1"
_Word = Annotated[str, Field(max_length=4_000)]


class _View(BaseModel):
    model_config = ConfigDict(extra="forbid")

    format: Literal["labctl-network-view-1"]
    positions: Annotated[dict[_Word, tuple[FiniteFloat, FiniteFloat]], Field(max_length=1_000)] = {}
    twins: Annotated[dict[_Word, _Word], Field(max_length=1_000)] = {}


@dataclass(frozen=True, slots=True)
class View:
    """positions: of layers, "input" and "output", in points. twins: the file of each device's twin."""

    positions: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    twins: Mapping[str, Path] = field(default_factory=dict)


def view_path(network: Path) -> Path:
    """The file beside network.toml."""
    return network.with_suffix(".view.json")


def load_view(network: Path) -> View:
    """The view of a network file; an empty one if there is none. Raises NetworkFileError for a damaged file."""
    path = view_path(network)
    if not path.is_file():
        return View()
    try:
        model = _View.model_validate_json(read_text(path, error=NetworkFileError))
    except (ValidationError, json.JSONDecodeError) as error:
        raise NetworkFileError(
            f"{path}: is damaged; it only holds where layers are drawn and which twins were chosen, and may be removed: "
            f"{error}"
        ) from error
    return View(model.positions, {device: network.parent / file for device, file in model.twins.items()})


def save_view(network: Path, view: View) -> None:
    """Write it beside the network file; twins below the file's folder are named from there, so that it can be moved."""
    folder = network.parent.resolve()
    twins = {}
    for device, file in view.twins.items():
        whole = file.resolve()
        twins[device] = str(whole.relative_to(folder) if whole.is_relative_to(folder) else whole)
    positions = {name: list(place) for name, place in view.positions.items()}
    write_json(view_path(network), {"format": FORMAT, "positions": positions, "twins": twins})
