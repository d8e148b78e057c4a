"""What all models on disk share: weights as safetensors, everything else as JSON beside them, which holds their sha256.

Nothing is unpickled, nothing trusted. Each file appears whole or not at all, the JSON last. An ensemble is a JSON that lists
the JSONs of its members.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from twins.errors import CheckpointInvalid
from twins.files import labctl_version, read_whole, write_whole

_LARGEST_WEIGHTS = 1 << 30
_SEAL = "content_sha256"
_LISTED = 3  # of what is wrong
_SHOWN = 60  # letters of a value


class _Described(Protocol):
    """What every JSON says."""

    format: str
    format_version: int


Document = TypeVar("Document", bound=_Described)


class Member(BaseModel):
    """An entry of an ensemble's list."""

    model_config = ConfigDict(extra="forbid", strict=True)
    file: str = Field(pattern=r"^[^/\\]+\.json$")
    sha256: str


@dataclass(frozen=True, slots=True)
class FileKind(Generic[Document]):
    """One kind of file. document: the JSON's pydantic model. what: it describes, for messages. advice: what to do about
    another version. largest_json: bytes. weights: begins the names of the two fields that tell of the weights. sealed: the
    JSON holds the sha256 of all else in it, so that what was changed by mistake is noticed; it is no signature, and files
    without it are read."""

    format: str
    version: int
    document: type[Document]
    what: str
    largest_json: int
    advice: str = ""
    weights: str = "weights"
    sealed: bool = False

    def read(self, json_path: Path) -> Document:
        """The JSON. Raises CheckpointInvalid for anything damaged, foreign or of another version."""
        found = self._parsed(json_path)
        if not isinstance(found, dict) or not isinstance(found.get("format"), str):
            raise CheckpointInvalid(f"{json_path} does not describe {self.what}: it says of no format {self.format}")
        if found["format"] != self.format or found.get("format_version") != self.version:
            raise CheckpointInvalid(
                f"{json_path} is {found['format'][:80]} version {str(found.get('format_version'))[:80]}; "
                f"this labctl reads {self.format} version {self.version}{self.advice}"
            )
        seal = found.pop(_SEAL, None) if self.sealed else None
        try:
            document: Document = self.document.model_validate_json(json.dumps(found))  # type: ignore[attr-defined]
        except ValidationError as error:
            raise CheckpointInvalid(f"{json_path} does not describe {self.what}: {in_words(error)}") from error
        except RecursionError as error:
            raise CheckpointInvalid(f"{json_path} does not describe {self.what}: it is nested too deep") from error
        if seal is not None and seal != _sha256_of(found):
            raise CheckpointInvalid(
                f"{json_path} was changed after it was written (its {_SEAL} differs): take the file as it was; if the change is "
                f"meant, delete the entry {_SEAL}"
            )
        return document

    def is_format_of(self, json_path: Path) -> bool:
        """Whether the JSON says that it is of this format. Raises CheckpointInvalid if it is no JSON."""
        document = self._parsed(json_path)
        return isinstance(document, dict) and document.get("format") == self.format

    def _parsed(self, json_path: Path) -> Any:
        payload = read_whole(json_path, self.largest_json)
        try:
            return json.loads(payload)
        except (ValueError, RecursionError) as error:
            raise CheckpointInvalid(f"{json_path} is not valid JSON: {error}") from error

    def text(self, content: Mapping[str, Any], provenance: Mapping[str, Any]) -> bytes:
        """Of the JSON. Raises CheckpointInvalid for provenance that is not plain data."""
        document = {"format": self.format, "format_version": self.version, **content, "provenance": dict(provenance)}
        try:
            text = json.dumps(document, indent=2, allow_nan=False)
            if self.sealed:
                plain = json.loads(text)
                text = json.dumps({**plain, _SEAL: _sha256_of(plain)}, indent=2, allow_nan=False)
            return text.encode()
        except (TypeError, ValueError) as error:
            raise CheckpointInvalid(f"provenance must be plain JSON data without NaN: {error}") from error

    def write_weights(
        self, path: str | Path, tensors: Mapping[str, Tensor], content: Mapping[str, Any], provenance: Mapping[str, Any]
    ) -> Path:
        """Write NAME.safetensors and NAME.json; returns the JSON's path. Raises CheckpointInvalid as `text` does."""
        weights_path, json_path = paths(path)
        payload = save({name: value.detach().cpu().contiguous() for name, value in tensors.items()})
        about = {
            f"{self.weights}_file": weights_path.name,
            f"{self.weights}_sha256": hashlib.sha256(payload).hexdigest(),
            "versions": {"labctl": labctl_version(), "torch": str(torch.__version__)},
        }
        text = self.text({**about, **content}, provenance)
        json_path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(weights_path, payload)
        write_whole(json_path, text)
        return json_path

    def read_weights(self, path: str | Path) -> tuple[Document, dict[str, Tensor]]:
        """The JSON and the tensors it belongs to. Raises CheckpointInvalid as `read` does, and for other weights."""
        weights_path, json_path = paths(path)
        document = self.read(json_path)
        payload = read_whole(weights_path, _LARGEST_WEIGHTS)
        if hashlib.sha256(payload).hexdigest() != getattr(document, f"{self.weights}_sha256"):
            raise CheckpointInvalid(
                f"{weights_path} is not the file that {json_path.name} describes (its sha256 differs)"
            )
        try:
            return document, load(payload)
        except SafetensorError as error:
            raise CheckpointInvalid(f"{json_path}: {error}") from error

    def write_list(self, path: str | Path, members: list[Path], provenance: Mapping[str, Any]) -> Path:
        """Write NAME.json, which lists the JSONs of members in its folder; returns its path."""
        json_path = paths(path)[1]
        listed = [
            {"file": member.name, "sha256": hashlib.sha256(member.read_bytes()).hexdigest()} for member in members
        ]
        content = {"members": listed, "versions": {"labctl": labctl_version()}}
        write_whole(json_path, self.text(content, provenance))
        return json_path


def in_words(error: ValidationError) -> str:
    """What is wrong with the fields of a document, in one line."""
    told = []
    for one in error.errors(include_url=False, include_context=False)[:_LISTED]:
        name = ".".join(map(str, one["loc"])) or "the document"
        shown = repr(one["input"])
        words = {"missing": "is missing", "extra_forbidden": "is unknown"}.get(
            one["type"],
            f"{one['msg'][:1].lower()}{one['msg'][1:]}, not {shown if len(shown) <= _SHOWN else shown[:_SHOWN] + ' …'}",
        )
        told.append(f"{name} {words}" if one["type"] in ("missing", "extra_forbidden") else f"{name}: {words}")
    more = error.error_count() - len(told)
    return "; ".join(told) + (f"; and {more} more" if more else "")


def _sha256_of(content: Mapping[str, Any]) -> str:
    """Of plain data, however it is laid out."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def members_of(json_path: Path, listed: list[Member], largest_json: int) -> list[Path]:
    """The JSONs that an ensemble's JSON lists. Raises CheckpointInvalid if one was changed."""
    found = []
    for entry in listed:
        member = json_path.with_name(entry.file)
        if hashlib.sha256(read_whole(member, largest_json)).hexdigest() != entry.sha256:
            raise CheckpointInvalid(f"{member} is not the member that {json_path.name} lists (its sha256 differs)")
        found.append(member)
    return found


def paths(path: str | Path) -> tuple[Path, Path]:
    """NAME.safetensors and NAME.json of either of them, or of the name without ending."""
    path = Path(path)
    stem = path.with_suffix("") if path.suffix in (".safetensors", ".json") else path
    return stem.with_name(stem.name + ".safetensors"), stem.with_name(stem.name + ".json")
