"""Ensembles of automata on disk: NAME.json lists the members, NAME.member0.json, … , each an automaton's own file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from twins.errors import CheckpointInvalid, FramesInvalid
from twins.files import labctl_version, read_whole, write_whole
from twins.nca.ensemble import MOST_MEMBERS, NcaEnsemble
from twins.nca.model import NcaModel
from twins.nca.nca_file import load_nca, save_nca

FORMAT = "labctl.nca_ensemble"
FORMAT_VERSION = 1
_LARGEST_JSON = 1 << 21


class _MemberModel(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    file: str = Field(pattern=r"^[^/\\]+\.json$")
    sha256: str


class _FileModel(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    format: str
    format_version: int
    members: list[_MemberModel] = Field(min_length=1, max_length=MOST_MEMBERS)
    versions: dict[str, str]
    provenance: dict[str, Any]


def save_nca_ensemble(ensemble: NcaEnsemble, path: str | Path, *, provenance: Mapping[str, Any]) -> Path:
    """Write NAME.json and the members beside it, where `path` is NAME or NAME.json; the list is written last.

    Raises as ``save_nca`` does.
    """
    json_path = _json_path(path)
    members = []
    for number, model in enumerate(ensemble.members):
        name = f"{json_path.stem}.member{number}.json"
        written = save_nca(model, json_path.with_name(name), provenance={**provenance, "ensemble_member": number})
        members.append({"file": written.name, "sha256": hashlib.sha256(written.read_bytes()).hexdigest()})
    document = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "members": members,
        "versions": {"labctl": labctl_version()},
        "provenance": dict(provenance),
    }
    write_whole(json_path, json.dumps(document, indent=2, allow_nan=False).encode())
    return json_path


def load_nca_ensemble(path: str | Path) -> NcaEnsemble:
    """The ensemble saved under this name. Raises CheckpointInvalid, as ``load_nca`` does, also if a member was changed."""
    json_path = _json_path(path)
    members = []
    for entry in _document(json_path).members:
        member = json_path.with_name(entry.file)
        if hashlib.sha256(read_whole(member, _LARGEST_JSON)).hexdigest() != entry.sha256:
            raise CheckpointInvalid(f"{member} is not the member that {json_path.name} lists (its sha256 differs)")
        members.append(load_nca(member))
    try:
        return NcaEnsemble(members)
    except FramesInvalid as error:
        raise CheckpointInvalid(f"{json_path}: {error}") from error


def load_any_nca(path: str | Path) -> NcaModel | NcaEnsemble:
    """A model or an ensemble, whichever was saved under this name. Raises CheckpointInvalid."""
    return load_nca_ensemble(path) if is_nca_ensemble(path) else load_nca(path)


def is_nca_ensemble(path: str | Path) -> bool:
    """Whether the JSON of this name says that it lists an ensemble of automata. Raises CheckpointInvalid if it is no JSON."""
    json_path = _json_path(path)
    try:
        document = json.loads(read_whole(json_path, _LARGEST_JSON))
    except (ValueError, RecursionError) as error:
        raise CheckpointInvalid(f"{json_path} is not valid JSON: {error}") from error
    return isinstance(document, dict) and document.get("format") == FORMAT


def read_nca_ensemble_provenance(path: str | Path) -> dict[str, Any]:
    """The provenance saved with an ensemble."""
    return _document(_json_path(path)).provenance


def _json_path(path: str | Path) -> Path:
    path = Path(path)
    stem = path.with_suffix("") if path.suffix in (".json", ".safetensors") else path
    return stem.with_name(stem.name + ".json")


def _document(json_path: Path) -> _FileModel:
    try:
        document = _FileModel.model_validate_json(read_whole(json_path, _LARGEST_JSON))
    except ValidationError as error:
        raise CheckpointInvalid(f"{json_path} does not describe an ensemble of automata: {error}") from error
    if document.format != FORMAT or document.format_version != FORMAT_VERSION:
        raise CheckpointInvalid(
            f"{json_path} is {document.format} version {document.format_version}; "
            f"this labctl reads {FORMAT} version {FORMAT_VERSION}"
        )
    return document
