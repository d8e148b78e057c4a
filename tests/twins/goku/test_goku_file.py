"""Networks on disk: back as they were, and nothing foreign let in."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from twins.errors import CheckpointInvalid, TwinNotFitted
from twins.goku.network.goku_file import load_goku, read_goku_provenance, save_goku
from twins.goku.network.model import GokuNet
from twins.goku.observation import KnownObservation
from twins.goku.series import Series
from twins.goku.systems import system_named
from twins.goku.written.equation_file import equation_from

EQUATION = {
    "name": "fall", "states": {"x": {"unit": "m", "range": [-1.0, 1.0]}},
    "parameters": {"rate": {"unit": "1/s", "range": [0.1, 2.0]}}, "drift": {"x": "-rate * x"},
}  # fmt: skip


def net_of(examples, system, **changes) -> GokuNet:
    n_channels, observation = 2, None
    if changes.get("observation") == "known":
        observation = KnownObservation(
            torch.arange(2.0 * system.n_outputs).reshape(2, -1), torch.tensor([0.5, -1.0], dtype=torch.float64)
        )
    net = GokuNet(
        system, examples.small(**changes), n_channels=n_channels, observation=observation,
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    net.adopt(series_of())
    return net


def series_of() -> Series:
    values = np.random.default_rng(0).normal(1.0, 2.0, (5, 12, 2))
    return Series(values, 0.1 * np.arange(12), ("left", "right"), ("V", "mV"))


def answers(net):
    return net.reconstruct(series_of()), net.noise_sd.detach().numpy()


@pytest.fixture
def saved(examples, tmp_path):
    return save_goku(net_of(examples, system_named("pendulum")), tmp_path / "swing.v1", provenance={"seed": 3})


def rewritten(path, **change):
    path.write_text(json.dumps(json.loads(path.read_text()) | change))


@pytest.mark.parametrize(
    "system",
    [
        system_named("pendulum").with_ranges({"length": (0.7, 0.9)}),
        system_named("stuart_landau_network"),
        equation_from(EQUATION),
    ],
)
@pytest.mark.parametrize("changes", [{}, {"observation": "known", "posterior": "physical", "loss": "likelihood"}])
def test_a_network_comes_back_as_it_was_with_its_equation(examples, tmp_path, system, changes):
    net = net_of(examples, system, normalisation="standardise", **changes)
    back = load_goku(save_goku(net, tmp_path / "a", provenance={"recordings": ["x.h5"]}))
    for ours, theirs in zip(answers(net), answers(back), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert (back.spec, back.names, back.units) == (net.spec, net.names, net.units)
    assert back.system.parameters == system.parameters and back.system.name == system.name
    assert read_goku_provenance(tmp_path / "a.json") == {"recordings": ["x.h5"]}


def test_a_users_own_class_is_handed_over_again_and_compared(examples, tmp_path):
    net = net_of(examples, examples.Swing().with_ranges({"length": (1.0, 2.0)}))
    path = save_goku(net, tmp_path / "own", provenance={})
    with pytest.raises(CheckpointInvalid, match="hand it over again"):
        load_goku(path)
    with pytest.raises(CheckpointInvalid, match=r"length \(m\) 1\.0\.\.2\.0"):
        load_goku(path, examples.Swing())
    with pytest.raises(CheckpointInvalid, match="states"):
        load_goku(path, examples.Relaxer())
    back = load_goku(path, system=examples.Swing().with_ranges({"length": (1.0, 2.0)}))
    np.testing.assert_array_equal(answers(back)[0], answers(net)[0])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": "something.else"}, "this labctl reads"),
        ({"format_version": 99}, "version 99"),
        ({"spec": {}}, "Field required"),
        ({"surprise": 1}, "does not describe"),
        ({"weights_sha256": "0" * 64}, "sha256 differs"),
        ({"n_channels": 10**9}, "sizes"),
        ({"names": ["left"]}, "as many names"),
    ],
)
def test_a_changed_description_is_refused(saved, change, words):
    rewritten(saved, **change)
    with pytest.raises(CheckpointInvalid, match=words):
        load_goku(saved)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("feature_widths", [10**9, 8]), ("state_hidden", 10**9), ("state_layers", 10**6), ("activation", "exec"),
        ("posterior", "physical"), ("observation", "known"), ("window_samples", 1), ("substeps", "1"), ("more", 1),
    ],
)  # fmt: skip
def test_a_spec_that_the_weights_contradict_is_refused(saved, field, value):
    rewritten(saved, spec=json.loads(saved.read_text())["spec"] | {field: value})
    with pytest.raises(CheckpointInvalid):
        load_goku(saved)


@pytest.mark.parametrize("where", ["name", "options", "states"])
def test_a_foreign_equation_is_refused(saved, where):
    value = {"name": "os.system", "options": {"n": 10**9}, "states": []}[where]
    rewritten(saved, system=json.loads(saved.read_text())["system"] | {where: value})
    with pytest.raises(CheckpointInvalid):
        load_goku(saved)


@pytest.mark.parametrize("damage", ["nan", "scale", "missing", "bytes"])
def test_damaged_weights_are_refused(saved, damage):
    import hashlib

    weights = saved.with_suffix(".safetensors")
    tensors = load_file(weights)
    if damage == "nan":
        tensors["latents.state_out.bias"][0] = float("nan")
    elif damage == "scale":
        tensors["normalisation.scale"][0] = 0.0
    elif damage == "missing":
        del tensors["latents.state_out.bias"]
    save_file(tensors, weights)
    if damage == "bytes":
        weights.write_bytes(weights.read_bytes()[:-100])
    rewritten(saved, weights_sha256=hashlib.sha256(weights.read_bytes()).hexdigest())
    with pytest.raises(CheckpointInvalid):
        load_goku(saved)


def test_what_is_not_worth_saving_is_not_saved(examples, tmp_path):
    net = GokuNet(examples.Swing(), examples.small(), n_channels=1, generator=torch.Generator())
    with pytest.raises(TwinNotFitted):
        save_goku(net, tmp_path / "a", provenance={})
    with pytest.raises(CheckpointInvalid, match="plain JSON"):
        save_goku(net_of(examples, examples.Swing()), tmp_path / "a", provenance={"x": float("nan")})
    assert not list(tmp_path.iterdir())
