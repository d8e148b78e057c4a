"""Twins on disk: weights as safetensors, everything else as JSON beside them. Nothing is unpickled, nothing trusted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from twins.device.spec import DeviceTwinSpec
from twins.device.twin import DeviceTwin
from twins.errors import CheckpointInvalid, TracesInvalid, TwinNotFitted
from twins.weights_file import FileKind, paths

FORMAT = "labctl.device_twin"
FORMAT_VERSION = 3
_BANKS = ("bank_response", "bank_drive", "bank_conditions")


class _SpecModel(BaseModel):
    """DeviceTwinSpec as it stands in the file."""

    model_config = ConfigDict(extra="forbid", strict=True)
    dt_s: float = Field(gt=0, allow_inf_nan=False)
    drive_names: list[str]
    drive_units: list[str]
    response_names: list[str]
    response_units: list[str]
    response_delays: int
    drive_delays: int
    hidden: list[int]
    activation: str
    noise_floor: float
    condition_names: list[str]
    diffusion_hidden: list[int] | None
    backbone_order: int
    scheme: str
    noise_diagonal: bool
    noise_columns: int
    noise_mask: list[bool]
    auxiliaries: int
    observation: bool
    observation_columns: int
    trial_drift: bool
    warm_up: int


class _FileModel(BaseModel):
    """The JSON file."""

    model_config = ConfigDict(extra="forbid", strict=True)
    format: str
    format_version: int
    weights_file: str
    weights_sha256: str
    versions: dict[str, str]
    spec: _SpecModel
    provenance: dict[str, Any]


_KIND = FileKind(FORMAT, FORMAT_VERSION, _FileModel, "a twin", 1 << 20, "; fit the twin again")


def save_twin(twin: DeviceTwin, path: str | Path, *, provenance: Mapping[str, Any]) -> Path:
    """Write NAME.safetensors and NAME.json, where `path` is either of them or the name without ending.

    provenance: plain JSON data (seed, recordings, versions, calibration …). Each file appears whole or not at all, the
    JSON last. Returns the JSON's path. Raises TwinNotFitted, CheckpointInvalid (provenance that is not plain data).
    """
    if not bool(twin.fitted):
        raise TwinNotFitted("a twin that has not been fitted is not worth saving")
    return _KIND.write_weights(path, twin.state_dict(), {"spec": asdict(twin.spec)}, provenance)


def load_twin(path: str | Path) -> DeviceTwin:
    """The twin saved under this name. Raises CheckpointInvalid for anything damaged, foreign or of another version."""
    weights_path, json_path = paths(path)
    try:
        document, tensors = _KIND.read_weights(path)
    except CheckpointInvalid as error:
        if isinstance(error.__cause__, ValidationError):
            _check_single(json_path)
        raise
    try:
        spec = DeviceTwinSpec(**_with_tuples(document.spec.model_dump()))
    except TracesInvalid as error:
        raise CheckpointInvalid(f"{json_path}: {error}") from error
    twin = DeviceTwin(spec)
    _check_tensors(twin, tensors, weights_path)
    for bank in _BANKS:
        setattr(twin, bank, torch.zeros_like(tensors[bank]))
    twin.load_state_dict(tensors)
    return twin


def read_provenance(path: str | Path) -> dict[str, Any]:
    """The provenance saved with a twin, or with an ensemble."""
    from twins.ensemble_file import is_ensemble, read_ensemble_provenance  # they need this module

    return read_ensemble_provenance(path) if is_ensemble(path) else _KIND.read(paths(path)[1]).provenance


def _check_single(json_path: Path) -> None:
    from twins.ensemble_file import is_ensemble  # it needs this module

    if is_ensemble(json_path):
        raise CheckpointInvalid(f"{json_path} lists an ensemble; name one of its members beside it")


def _check_tensors(twin: DeviceTwin, tensors: dict[str, torch.Tensor], path: Path) -> None:
    expected = twin.state_dict()
    if set(tensors) != set(expected):
        odd = sorted(set(tensors) ^ set(expected))
        raise CheckpointInvalid(f"{path} does not hold this twin's tensors; missing or unknown: {', '.join(odd[:5])}")
    for name, value in tensors.items():
        wanted, skip = expected[name].shape, 1 if name in _BANKS else 0  # banks may have any number of entries
        if value.shape[skip:] != wanted[skip:] or value.ndim != len(wanted) or value.dtype != expected[name].dtype:
            raise CheckpointInvalid(f"{path}: {name} is {value.dtype} {tuple(value.shape)}, not as the spec says")
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise CheckpointInvalid(f"{path}: {name} holds values that are not finite")
    scales = ("drive_scale", "response_scale", "condition_scale", "increment_scale")
    if len({len(tensors[bank]) for bank in _BANKS}) != 1 or not all((tensors[s] > 0).all() for s in scales):
        raise CheckpointInvalid(f"{path}: scales must be positive and all banks of one length")


def _with_tuples(values: dict[str, Any]) -> dict[str, Any]:
    assert set(values) == {f.name for f in fields(DeviceTwinSpec)} and math.isfinite(values["dt_s"])  # by _SpecModel
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
