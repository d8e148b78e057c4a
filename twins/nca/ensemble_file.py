"""Ensembles of automata on disk: NAME.json lists the members, NAME.member0.json, … , each an automaton's own file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from twins.errors import CheckpointInvalid, FramesInvalid
from twins.nca.ensemble import MOST_MEMBERS, NcaEnsemble
from twins.nca.model import NcaModel
from twins.nca.nca_file import load_nca, save_nca
from twins.weights_file import FileKind, Member, members_of, paths

FORMAT = "labctl.nca_ensemble"
FORMAT_VERSION = 1
_LARGEST_JSON = 1 << 21


class _FileModel(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    format: str
    format_version: int
    members: list[Member] = Field(min_length=1, max_length=MOST_MEMBERS)
    versions: dict[str, str]
    provenance: dict[str, Any]


_KIND = FileKind(FORMAT, FORMAT_VERSION, _FileModel, "an ensemble of automata", _LARGEST_JSON, sealed=True)


def save_nca_ensemble(ensemble: NcaEnsemble, path: str | Path, *, provenance: Mapping[str, Any]) -> Path:
    """Write NAME.json and the members beside it, where `path` is NAME or NAME.json; the list is written last.

    Raises as ``save_nca`` does.
    """
    json_path = paths(path)[1]
    members = []
    for number, model in enumerate(ensemble.members):
        name = f"{json_path.stem}.member{number}.json"
        members.append(save_nca(model, json_path.with_name(name), provenance={**provenance, "ensemble_member": number}))
    return _KIND.write_list(path, members, provenance)


def load_nca_ensemble(path: str | Path) -> NcaEnsemble:
    """The ensemble saved under this name. Raises CheckpointInvalid, as ``load_nca`` does, also if a member was changed."""
    json_path = paths(path)[1]
    listed = members_of(json_path, _KIND.read(json_path).members, _LARGEST_JSON)
    members = [load_nca(member) for member in listed]
    try:
        return NcaEnsemble(members)
    except FramesInvalid as error:
        raise CheckpointInvalid(f"{json_path}: {error}") from error


def load_any_nca(path: str | Path) -> NcaModel | NcaEnsemble:
    """A model or an ensemble, whichever was saved under this name. Raises CheckpointInvalid."""
    return load_nca_ensemble(path) if is_nca_ensemble(path) else load_nca(path)


def is_nca_ensemble(path: str | Path) -> bool:
    """Whether the JSON of this name says that it lists an ensemble of automata. Raises CheckpointInvalid if it is no JSON."""
    return _KIND.is_format_of(paths(path)[1])


def read_nca_ensemble_provenance(path: str | Path) -> dict[str, Any]:
    """The provenance saved with an ensemble."""
    return _KIND.read(paths(path)[1]).provenance
