"""GOKU networks on disk: weights as safetensors, everything else as JSON beside them. Nothing is unpickled or trusted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_type_hints

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from torch import Tensor

from twins.errors import CheckpointInvalid, EquationInvalid, GokuSpecInvalid, TwinNotFitted
from twins.goku.network.model import GokuNet
from twins.goku.network.spec import GokuSpec
from twins.goku.observation import KnownObservation
from twins.goku.system import System
from twins.goku.written.system_file import SystemModel, describe_system, system_from
from twins.weights_file import FileKind, paths

FORMAT = "labctl.goku_net"
FORMAT_VERSION = 1
_MOST_LAYERS = 64
_STRICT = ConfigDict(extra="forbid", strict=True)
_SpecModel: Any = create_model(
    "_SpecModel", __config__=_STRICT, **{name: (kind, ...) for name, kind in get_type_hints(GokuSpec).items()}
)  # type: ignore[call-overload]


class _FileModel(BaseModel):
    """The JSON file."""

    model_config = _STRICT
    format: str
    format_version: int
    weights_file: str
    weights_sha256: str
    versions: dict[str, str]
    system: SystemModel
    spec: dict[str, Any]
    n_channels: int = Field(ge=1)
    names: list[str]
    units: list[str]
    provenance: dict[str, Any]


_KIND = FileKind(FORMAT, FORMAT_VERSION, _FileModel, "a GOKU network", 1 << 21, "; train it again")


def save_goku(net: GokuNet, path: str | Path, *, provenance: Mapping[str, Any]) -> Path:
    """Write NAME.safetensors and NAME.json, where `path` is either of them or the name without ending.

    provenance: plain JSON data (seed, recordings, settings, whether the data were simulated …). Each file appears whole or
    not at all, the JSON last. Returns the JSON's path. Raises TwinNotFitted, CheckpointInvalid (not plain data).
    """
    if not net.fitted:
        raise TwinNotFitted("a network that has seen no data is not worth saving")
    content = {
        "system": describe_system(net.system).model_dump(),
        "spec": asdict(net.spec),
        "n_channels": net.n_channels,
        "names": list(net.names),
        "units": list(net.units),
    }
    return _KIND.write_weights(path, net.state_dict(), content, provenance)


def load_goku(path: str | Path, system: System | None = None) -> GokuNet:
    """The network saved under this name. system: a user's own class, which no file can hold.

    Raises CheckpointInvalid for anything damaged, foreign, of another version or of another equation.
    """
    weights_path, json_path = paths(path)
    document, tensors = _KIND.read_weights(path)
    equation = system_from(document.system, system, where=json_path)
    try:
        spec = GokuSpec(**_SpecModel.model_validate_json(json.dumps(document.spec)).model_dump())
        _check_sizes(spec, document.n_channels, tensors, json_path)
        net = _empty_net(equation, spec, document.n_channels)
    except (ValidationError, GokuSpecInvalid, EquationInvalid) as error:
        raise CheckpointInvalid(f"{json_path}: {error}") from error
    _check_tensors(net, tensors, weights_path)
    net.load_state_dict(tensors)
    net.names, net.units = tuple(document.names), tuple(document.units)
    if len(net.names) != net.n_channels or len(net.units) != net.n_channels:
        raise CheckpointInvalid(f"{json_path}: {net.n_channels} channels need as many names and units")
    return net


def read_goku_provenance(path: str | Path) -> dict[str, Any]:
    """The provenance saved with a network."""
    return _KIND.read(paths(path)[1]).provenance


def _empty_net(system: System, spec: GokuSpec, n_channels: int) -> GokuNet:
    observation = None
    if spec.observation == "known":
        observation = KnownObservation(torch.zeros(n_channels, system.n_outputs))
    generator = torch.Generator().manual_seed(0)  # for weights that are overwritten at once
    return GokuNet(system, spec, n_channels=n_channels, observation=observation, generator=generator)


def _check_sizes(spec: GokuSpec, n_channels: int, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Before anything of a size that only the JSON claims is made: every size must be an axis of some tensor."""
    axes = {length for value in tensors.values() for length in value.shape}
    claimed = {*spec.feature_widths, n_channels, spec.state_hidden, spec.parameter_hidden, spec.latent_state}
    claimed |= {spec.latent_parameter, spec.latent_out_width}
    too_many = max(spec.state_layers, spec.parameter_layers, len(spec.feature_widths)) > _MOST_LAYERS
    if not claimed <= axes or too_many:
        raise CheckpointInvalid(f"{path}: the spec has sizes that the weights do not have")


def _check_tensors(net: GokuNet, tensors: Mapping[str, Tensor], path: Path) -> None:
    expected = net.state_dict()
    if set(tensors) != set(expected):
        odd = sorted(set(tensors) ^ set(expected))
        raise CheckpointInvalid(
            f"{path} does not hold this network's tensors; missing or unknown: {', '.join(odd[:5])}"
        )
    for name, value in tensors.items():
        if value.shape != expected[name].shape or value.dtype != expected[name].dtype:
            raise CheckpointInvalid(f"{path}: {name} is {value.dtype} {tuple(value.shape)}, not as the spec says")
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise CheckpointInvalid(f"{path}: {name} holds values that are not finite")
    for name in ("scale", "drive_scale", "step_s"):
        if not bool((tensors[f"normalisation.{name}"] > 0).all()):
            raise CheckpointInvalid(f"{path}: normalisation.{name} must be positive")
    for name in ("parameter_widening", "state_widening"):
        if not bool((tensors[f"latents.{name}"] > 0).all()):
            raise CheckpointInvalid(f"{path}: latents.{name} must be positive")
    if not bool(tensors["normalisation.adopted"]):
        raise CheckpointInvalid(f"{path}: the network has seen no data")
