"""Weights beside JSON: what is written is read, and what does not belong together is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import BaseModel, ConfigDict
from safetensors.torch import save_file

from twins.errors import CheckpointInvalid
from twins.weights_file import FileKind, Member, members_of, paths


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    format: str
    format_version: int
    things_file: str
    things_sha256: str
    versions: dict[str, str]
    size: int
    provenance: dict[str, Any]


class _List(BaseModel):
    format: str
    format_version: int
    members: list[Member]
    provenance: dict[str, Any]


KIND = FileKind("labctl.thing", 2, _Document, "a thing", 1 << 16, "; make it again", weights="things")
LIST = FileKind("labctl.things", 1, _List, "things", 1 << 16)


def written(path: Path) -> Path:
    return KIND.write_weights(path, {"weight": torch.arange(6.0).reshape(2, 3).T}, {"size": 6}, {"seed": 1})


def test_what_is_written_is_read_by_any_of_its_names(tmp_path: Path) -> None:
    json_path = written(tmp_path / "inside" / "one")
    for name in (json_path, json_path.with_suffix(".safetensors"), json_path.with_suffix("")):
        document, tensors = KIND.read_weights(name)
        assert document.size == 6 and document.provenance == {"seed": 1}
        assert torch.equal(tensors["weight"], torch.arange(6.0).reshape(2, 3).T)
    assert paths(tmp_path / "one.v2")[1].name == "one.v2.json"


def test_what_does_not_belong_together_is_refused(tmp_path: Path) -> None:
    json_path = written(tmp_path / "one")
    save_file({"weight": torch.ones(2)}, json_path.with_suffix(".safetensors"))
    with pytest.raises(CheckpointInvalid, match="sha256"):
        KIND.read_weights(json_path)
    document = json.loads(json_path.read_text())
    for change, told in (({"format_version": 3}, "version 3.*; make it again"), ({"size": "6"}, "describe a thing")):
        json_path.write_text(json.dumps({**document, **change}))
        with pytest.raises(CheckpointInvalid, match=told):
            KIND.read(json_path)
    assert KIND.is_format_of(json_path) and not LIST.is_format_of(json_path)
    json_path.write_text("[" * 100_000)
    with pytest.raises(CheckpointInvalid, match="larger"):
        KIND.read(json_path)
    json_path.write_text("{")
    with pytest.raises(CheckpointInvalid, match="not valid JSON"):
        KIND.is_format_of(json_path)


def test_what_is_not_plain_data_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(CheckpointInvalid, match="plain JSON"):
        KIND.write_weights(tmp_path / "one", {}, {"size": 0}, {"loss": float("nan")})
    assert not list(tmp_path.iterdir())


def test_members_that_were_changed_are_refused(tmp_path: Path) -> None:
    one = written(tmp_path / "one")
    listed = LIST.write_list(tmp_path / "all", [one], {})
    assert members_of(listed, LIST.read(listed).members, 1 << 16) == [one]
    one.write_text(one.read_text().replace('"seed": 1', '"seed": 2'))
    with pytest.raises(CheckpointInvalid, match=r"is not the member that all\.json lists"):
        members_of(listed, LIST.read(listed).members, 1 << 16)
