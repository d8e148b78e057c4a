"""Ensembles on disk: NAME.json lists the members, NAME.member0.json, … , each a twin's own checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from twins.checkpoint import load_twin, save_twin
from twins.ensemble import AnyTwin, TwinEnsemble
from twins.errors import CheckpointInvalid, TracesMismatch
from twins.weights_file import FileKind, Member, members_of, paths

FORMAT = "labctl.twin_ensemble"
FORMAT_VERSION = 1
_LARGEST_JSON = 1 << 20


class _FileModel(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    format: str
    format_version: int
    members: list[Member] = Field(min_length=1, max_length=16)
    versions: dict[str, str]
    provenance: dict[str, Any]


_KIND = FileKind(FORMAT, FORMAT_VERSION, _FileModel, "an ensemble", _LARGEST_JSON)


def save_ensemble(ensemble: TwinEnsemble, path: str | Path, *, provenance: Mapping[str, Any]) -> Path:
    """Write NAME.json and the members beside it, where `path` is NAME or NAME.json; the list is written last.

    Raises as save_twin does.
    """
    json_path = paths(path)[1]
    members = []
    for number, twin in enumerate(ensemble.members):
        name = f"{json_path.stem}.member{number}.json"
        members.append(save_twin(twin, json_path.with_name(name), provenance={**provenance, "ensemble_member": number}))
    return _KIND.write_list(path, members, provenance)


def load_ensemble(path: str | Path) -> TwinEnsemble:
    """The ensemble saved under this name. Raises CheckpointInvalid, as load_twin does, also if a member was changed."""
    json_path = paths(path)[1]
    listed = members_of(json_path, _KIND.read(json_path).members, _LARGEST_JSON)
    members = [load_twin(member) for member in listed]
    try:
        return TwinEnsemble(members)
    except TracesMismatch as error:
        raise CheckpointInvalid(f"{json_path}: {error}") from error


def load_any_twin(path: str | Path) -> AnyTwin:
    """A twin or an ensemble, whichever was saved under this name. Raises CheckpointInvalid."""
    return load_ensemble(path) if is_ensemble(path) else load_twin(path)


def is_ensemble(path: str | Path) -> bool:
    """Whether the JSON of this name says that it lists an ensemble. Raises CheckpointInvalid if it is no JSON."""
    return _KIND.is_format_of(paths(path)[1])


def read_ensemble_provenance(path: str | Path) -> dict[str, Any]:
    """The provenance saved with an ensemble."""
    return _KIND.read(paths(path)[1]).provenance
