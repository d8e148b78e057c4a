"""Checkpoints: back as they were, and nothing foreign let in."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

import twins


@pytest.fixture
def saved(leaky_twin, tmp_path):
    return twins.save_twin(leaky_twin, tmp_path / "leaky.twin", provenance={"seed": 0, "recordings": ["a.h5"]})


def rewritten(path, **change):
    path.write_text(json.dumps(json.loads(path.read_text()) | change))


def test_a_twin_comes_back_as_it_was(leaky_twin, saved):
    back = twins.load_twin(saved)
    drive = torch.rand(3, 30, 1)
    first, second = (twin.respond(drive, generator=torch.Generator().manual_seed(1)) for twin in (leaky_twin, back))
    assert torch.equal(first, second) and back.spec == leaky_twin.spec
    assert twins.read_provenance(saved) == {"seed": 0, "recordings": ["a.h5"]}
    assert sorted(path.name for path in saved.parent.iterdir()) == ["leaky.twin.json", "leaky.twin.safetensors"]


def test_saving_over_a_twin_replaces_it(leaky_twin, saved):
    twins.save_twin(leaky_twin, saved, provenance={"seed": 1})
    twins.load_twin(saved.with_suffix(".safetensors"))
    assert twins.read_provenance(saved)["seed"] == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": "something.else"}, "this labctl reads"),
        ({"format_version": 99}, "version 99"),
        ({"spec": {}}, "does not describe a twin"),
        ({"surprise": 1}, "does not describe a twin"),
        ({"weights_sha256": "0" * 64}, "sha256 differs"),
    ],
)
def test_a_changed_description_is_refused(saved, change, words):
    rewritten(saved, **change)
    with pytest.raises(twins.CheckpointInvalid, match=words):
        twins.load_twin(saved)


@pytest.mark.parametrize(
    ("field", "value"), [("hidden", [10**9]), ("response_delays", 5), ("dt_s", -1.0), ("activation", "exec")]
)
def test_a_description_that_the_weights_contradict_is_refused(saved, field, value):
    rewritten(saved, spec=json.loads(saved.read_text())["spec"] | {field: value})
    with pytest.raises(twins.CheckpointInvalid):
        twins.load_twin(saved)


def test_damaged_weights_are_refused_even_with_a_matching_sum(saved):
    import hashlib

    weights = saved.with_suffix(".safetensors")
    tensors = load_file(weights)
    tensors["linear_weight"][0, 0] = float("nan")
    save_file(tensors, weights)
    rewritten(saved, weights_sha256=hashlib.sha256(weights.read_bytes()).hexdigest())
    with pytest.raises(twins.CheckpointInvalid, match="not finite"):
        twins.load_twin(saved)
    weights.write_bytes(b"not safetensors at all")
    rewritten(saved, weights_sha256=hashlib.sha256(weights.read_bytes()).hexdigest())
    with pytest.raises(twins.CheckpointInvalid):
        twins.load_twin(saved)


def test_a_missing_file_and_unsavable_provenance_are_named(leaky_twin, saved, tmp_path):
    saved.with_suffix(".safetensors").unlink()
    with pytest.raises(twins.CheckpointInvalid, match="No such file"):
        twins.load_twin(saved)
    with pytest.raises(twins.CheckpointInvalid, match="plain JSON"):
        twins.save_twin(leaky_twin, tmp_path / "x", provenance={"score": float("nan")})
    with pytest.raises(twins.TwinNotFitted):
        twins.save_twin(twins.DeviceTwin(leaky_twin.spec), tmp_path / "x", provenance={})
