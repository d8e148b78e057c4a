"""Automata on disk: weights as safetensors, everything else as JSON beside them. Nothing is unpickled or trusted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_type_hints

import torch
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, create_model
from torch import Tensor

from twins.errors import AutomatonInvalid, CheckpointInvalid, FramesInvalid
from twins.nca.automaton import Automaton
from twins.nca.model import NcaModel
from twins.nca.scaling import Scaling
from twins.nca.spec import NcaSpec
from twins.nca.symmetry import plain_automaton
from twins.weights_file import FileKind, in_words, paths

FORMAT = "labctl.nca"
FORMAT_VERSION = 1
_STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
_SpecModel: Any = create_model(
    "_SpecModel", __config__=_STRICT, **{name: (kind, ...) for name, kind in get_type_hints(NcaSpec).items()}
)  # type: ignore[call-overload]


class _ScalingModel(BaseModel):
    model_config = _STRICT
    lows: list[float] = Field(max_length=256)
    highs: list[float] = Field(max_length=256)


class _FileModel(BaseModel):
    """The JSON file."""

    model_config = _STRICT
    format: str
    format_version: int
    weights_file: str
    weights_sha256: str
    versions: dict[str, str]
    spec: dict[str, Any]
    scaling: _ScalingModel
    steps_per_frame: int = Field(ge=1, le=1_000_000)
    dt: float = Field(gt=0, validation_alias=AliasChoices("dt", "dt_s"))  # in time_unit; files of before call it dt_s
    time_unit: str
    names: list[str] = Field(max_length=256)
    units: list[str] = Field(max_length=256)
    condition_names: list[str] = Field(max_length=64)
    condition_scaling: _ScalingModel
    provenance: dict[str, Any]


_KIND = FileKind(FORMAT, FORMAT_VERSION, _FileModel, "an automaton", 1 << 21, "; train it again", sealed=True)


def save_nca(model: NcaModel, path: str | Path, *, provenance: Mapping[str, Any]) -> Path:
    """Write NAME.safetensors and NAME.json, where `path` is either of them or the name without ending.

    provenance: plain JSON data (seed, recordings, settings, whether the data were simulated …). Each file appears whole or
    not at all, the JSON last. Returns the JSON's path. Raises CheckpointInvalid for what is not plain data, and for weights
    that are not finite.
    """
    weights = plain_automaton(model.automaton).state_dict()  # what is tied by symmetry is written out
    tensors = {name: value.detach().float() for name, value in weights.items()}
    for name, value in tensors.items():
        if not bool(torch.isfinite(value).all()):
            raise CheckpointInvalid(f"{name} holds values that are not finite: such an automaton is not worth saving")
    content = {
        "spec": asdict(model.automaton.spec),
        "scaling": asdict(model.scaling),
        "steps_per_frame": model.steps_per_frame,
        "dt": model.dt_s,
        "time_unit": model.time_unit,
        "names": list(model.names),
        "units": list(model.units),
        "condition_names": list(model.condition_names),
        "condition_scaling": asdict(model.condition_scaling),
    }
    return _KIND.write_weights(path, tensors, content, provenance)


def load_nca(path: str | Path) -> NcaModel:
    """The model saved under this name.

    Raises CheckpointInvalid for anything damaged, foreign or of another version.
    """
    weights_path, json_path = paths(path)
    document, tensors = _KIND.read_weights(path)
    try:
        spec = NcaSpec(**_SpecModel.model_validate_json(json.dumps(document.spec)).model_dump())
        _check_tensors(spec, tensors, weights_path)
        automaton = Automaton(spec, generator=torch.Generator().manual_seed(0))  # weights are overwritten at once
        automaton.load_state_dict(tensors)
        scalings = [
            Scaling(tuple(given.lows), tuple(given.highs)) for given in (document.scaling, document.condition_scaling)
        ]
        return NcaModel(
            automaton, scalings[0], document.steps_per_frame, document.dt, tuple(document.names), tuple(document.units),
            document.time_unit, tuple(document.condition_names), scalings[1],
        )  # fmt: skip
    except ValidationError as error:
        raise CheckpointInvalid(f"{json_path}: spec: {in_words(error)}") from error
    except (AutomatonInvalid, FramesInvalid) as error:
        raise CheckpointInvalid(f"{json_path}: {error}") from error


def read_nca_provenance(path: str | Path) -> dict[str, Any]:
    """The provenance saved with a model."""
    return _KIND.read(paths(path)[1]).provenance


def _check_tensors(spec: NcaSpec, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Before anything of a size that only the JSON claims is made: all tensors as this spec's automaton has them."""
    with torch.device("meta"):  # shapes without memory
        expected = Automaton(spec, generator=torch.Generator(device="cpu")).state_dict()
    if set(tensors) != set(expected):
        odd = sorted(set(tensors) ^ set(expected))
        raise CheckpointInvalid(
            f"{path} does not hold this automaton's tensors; missing or unknown: {', '.join(odd[:5])}"
        )
    for name, value in tensors.items():
        if value.shape != expected[name].shape or value.dtype != torch.float32:
            raise CheckpointInvalid(f"{path}: {name} is {value.dtype} {tuple(value.shape)}, not as the spec says")
        if not bool(torch.isfinite(value).all()):
            raise CheckpointInvalid(f"{path}: {name} holds values that are not finite")
