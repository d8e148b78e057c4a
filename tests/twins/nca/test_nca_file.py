"""Automata that are saved and loaded are the same, and files that cannot be right are refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from twins.errors import CheckpointInvalid
from twins.nca import Automaton, NcaModel, NcaSpec, Scaling
from twins.nca.nca_file import load_nca, read_nca_provenance, save_nca


def model(**choices: Any) -> NcaModel:
    spec = NcaSpec(**{"n_channels": 5, "n_observed": 2, "n_conditions": 1, "gated": True, "layers": 3, **choices})
    automaton = Automaton(spec, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        automaton.out_weight.normal_(std=0.1, generator=torch.Generator().manual_seed(4))
    scaling, conditions = Scaling((0.0, -1.0), (1.5, 2.0)), Scaling((0.02,), (0.06,))
    return NcaModel(automaton, scaling, 8, 0.5, ("A", "B"), ("mol/l", "mol/l"), "step", ("feed",), conditions)


def changed(path: Path, change: dict[str, Any]) -> None:
    """As one changes it who means it: without the hash of all the rest."""
    document = json.loads(path.read_text())
    document.pop("content_sha256", None)
    for key, value in change.items():
        inside = document
        *folders, last = key.split(".")
        for folder in folders:
            inside = inside[folder]
        inside[last] = value
    path.write_text(json.dumps(document))


def test_what_is_loaded_does_what_was_saved(tmp_path: Path) -> None:
    saved = model()
    path = save_nca(saved, tmp_path / "rule", provenance={"seed": 7, "simulated": True})
    loaded = load_nca(path)
    for name in (
        "scaling",
        "steps_per_frame",
        "dt_s",
        "names",
        "units",
        "time_unit",
        "condition_names",
        "condition_scaling",
    ):
        assert getattr(loaded, name) == getattr(saved, name)
    assert loaded.automaton.spec == saved.automaton.spec
    state = torch.rand(2, 5, 6, 7, generator=torch.Generator().manual_seed(0))
    held = torch.tensor([[0.1], [0.9]])
    assert torch.equal(
        loaded.automaton.unroll(state, 4, conditions=held).state,
        saved.automaton.unroll(state, 4, conditions=held).state,
    )
    assert read_nca_provenance(path.with_suffix(".safetensors")) == {"seed": 7, "simulated": True}


@pytest.mark.parametrize(
    "change",
    [
        {"format_version": 2}, {"format": "labctl.goku_net"}, {"spec.n_channels": 6}, {"spec.hidden_per_channel": 64},
        {"spec.kernels": "ID"}, {"spec.kernels": "SOBEL"}, {"spec.fire_rate": "1"}, {"spec.more": 1}, {"dt": 0.0}, {"dt_s": 1.0},
        {"scaling.lows": [0.0]}, {"scaling.highs": [0.0, 2.0]}, {"names": ["A"]}, {"weights_sha256": "0" * 64},
        {"steps_per_frame": 0}, {"condition_names": []}, {"spec.gated": False}, {"anything": 1},
    ],
)  # fmt: skip
def test_files_that_contradict_themselves_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    path = save_nca(model(), tmp_path / "rule", provenance={})
    changed(path, change)
    with pytest.raises(CheckpointInvalid):
        load_nca(path)


def test_weights_that_are_not_finite_are_neither_saved_nor_loaded(tmp_path: Path) -> None:
    path = save_nca(model(), tmp_path / "rule", provenance={})
    weights = path.with_suffix(".safetensors")
    tensors = load_file(weights)
    tensors["out_bias"][0] = float("nan")
    save_file(tensors, weights)
    with pytest.raises(CheckpointInvalid, match="sha256"):
        load_nca(path)
    changed(path, {"weights_sha256": hashlib.sha256(weights.read_bytes()).hexdigest()})
    with pytest.raises(CheckpointInvalid, match="not finite"):
        load_nca(path)
    broken = model()
    with torch.no_grad():
        broken.automaton.out_bias[0] = float("inf")
    with pytest.raises(CheckpointInvalid, match="not finite"):
        save_nca(broken, tmp_path / "broken", provenance={})
    assert not (tmp_path / "broken.json").exists()


def test_provenance_must_be_plain_data(tmp_path: Path) -> None:
    with pytest.raises(CheckpointInvalid, match="plain"):
        save_nca(model(), tmp_path / "rule", provenance={"loss": float("nan")})
    assert not list(tmp_path.iterdir())


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointInvalid, match=r"nothing\.json"):
        load_nca(tmp_path / "nothing")


def test_a_change_by_mistake_is_noticed_and_files_of_before_are_read(tmp_path: Path) -> None:
    path = save_nca(model(), tmp_path / "rule", provenance={"seed": 7})
    written = path.read_text()
    path.write_text(json.dumps(json.loads(written)))  # laid out otherwise
    load_nca(path)
    for before, after in (('"padding": "periodic"', '"padding": "zero"'), ('"seed": 7', '"seed": 8')):
        assert before in written
        path.write_text(written.replace(before, after))
        with pytest.raises(CheckpointInvalid, match=r"changed after it was written.*delete the entry content_sha256"):
            load_nca(path)
    path.write_text(written)
    changed(path, {"units": ["mV", "mV"]})
    assert load_nca(path).units == ("mV", "mV")


def test_what_is_wrong_is_said_in_one_short_line(tmp_path: Path) -> None:
    path = save_nca(model(), tmp_path / "rule", provenance={})
    for change, words in (
        ({"spec.padding": "none"}, "spec: padding: input should be 'periodic', .*, not 'none'"),
        ({"steps_per_frame": "x" * 500}, "steps_per_frame: input should be a valid integer, not 'xxx.*…"),
        ({"anything": 1}, "anything is unknown"),
    ):
        path = save_nca(model(), tmp_path / "rule", provenance={})
        changed(path, change)
        with pytest.raises(CheckpointInvalid, match=words) as told:
            load_nca(path)
        assert "http" not in str(told.value) and "\n" not in str(told.value) and len(str(told.value)) < 300


def test_the_time_from_frame_to_frame_is_found_under_its_former_name(tmp_path: Path) -> None:
    path = save_nca(model(), tmp_path / "rule", provenance={})
    document = json.loads(path.read_text())
    dt = document.pop("dt")
    del document["content_sha256"]
    path.write_text(json.dumps({**document, "dt_s": dt}))
    assert load_nca(path).dt_s == dt == model().dt_s
