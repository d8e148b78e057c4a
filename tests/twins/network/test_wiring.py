"""Wirings: what the bench plays, and what a wiring refuses."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from twins.network import (
    DevicePort,
    Layer,
    Readout,
    Wiring,
    WiringError,
    flat_features,
    load_wiring,
    save_wiring,
)


def test_the_drive_of_a_node_is_its_equation(wiring: Wiring) -> None:
    rng = np.random.default_rng(0)
    inputs = rng.uniform(-1, 1, size=(2, 6, 2))
    before = rng.normal(size=(2, 6, 3, 2))
    layer = wiring.layers[1]
    drive = wiring.drive_for(1, 1, inputs, [before])[..., 0]
    for trial in range(2):
        for step in range(6):
            total = 0.0
            for d, tap in enumerate(layer.input_taps):
                if step >= tap:
                    total += layer.W_in[1, d] @ inputs[trial, step - tap]
            for d, delay in enumerate(layer.coupling_delays):
                if step >= delay:
                    total += np.sum(layer.W[1, d] * before[trial, step - delay])
            expected = 1.999 * np.tanh(layer.gain[1] * total + layer.bias[1])
            np.testing.assert_allclose(drive[trial, 3 * step : 3 * step + 3], expected, rtol=1e-12)


def test_features_are_the_normalised_samples_at_the_offsets(wiring: Wiring) -> None:
    response = np.arange(12.0).reshape(1, 12, 1)
    features = wiring.features_of(0, 1, response)
    np.testing.assert_allclose(features[0, :, 0], (np.array([[0, 2], [3, 5], [6, 8], [9, 11]]) - 0.88) / 0.38)


@pytest.mark.parametrize("weight", [1e3, -1e12, 1e300])
def test_no_weight_can_drive_a_device_out_of_its_range(wiring: Wiring, weight: float) -> None:
    first = replace(wiring.layers[0], W_in=np.full_like(wiring.layers[0].W_in, weight))
    wild = replace(wiring, layers=(first, wiring.layers[1]))
    inputs = np.random.default_rng(1).uniform(-1, 1, size=(4, 20, 2))
    for node, device in enumerate(first.devices):
        low, high = wild.port(device).drive_ranges[0]
        drive = wild.drive_for(0, node, inputs)
        assert low <= drive.min() and drive.max() <= high


def test_a_second_layer_wants_the_first_ones_features(wiring: Wiring) -> None:
    with pytest.raises(WiringError, match="record that layer first"):
        wiring.drive_for(1, 0, np.zeros((1, 4, 2)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda w: w.drive_for(0, 0, np.zeros((1, 4))), "inputs has shape"),
        (lambda w: w.drive_for(0, 0, np.full((1, 4, 2), np.nan)), "NaN"),
        (lambda w: w.drive_for(0, 3, np.zeros((1, 4, 2))), "nodes 0..2"),
        (lambda w: w.drive_for(2, 0, np.zeros((1, 4, 2))), "layers 0..1"),
        (lambda w: w.drive_for(1, 0, np.zeros((1, 4, 2)), [np.zeros((1, 4, 2, 2))]), "features of layer 0 has shape"),
        (lambda w: w.features_of(0, 0, np.zeros((1, 4, 1))), "whole number of steps"),
        (lambda w: w.outputs([np.zeros((1, 4, 3, 2))]), "no read-out"),
        (lambda w: w.port("magnet"), "'leaky', 'duffing'"),
    ],
)
def test_wrong_questions_get_a_clear_answer(wiring: Wiring, call: Any, message: str) -> None:
    with pytest.raises(WiringError, match=message):
        call(wiring)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sample_offsets": (0, 3)}, "sample_offsets"),
        ({"sample_offsets": (2, 0)}, "sample_offsets"),
        ({"sample_offsets": ()}, "sample_offsets"),
        ({"dt_s": 0.0}, "dt_s"),
        ({"n_inputs": 3}, "W_in must be"),
        ({"ports": ()}, "has no device"),
        ({"layers": ()}, "at least one layer"),
        ({"washout": -1}, "washout"),
        ({"readout": Readout("linear", np.zeros((1, 4)), np.zeros(1))}, "expects 4 features"),
    ],
)
def test_a_wiring_that_contradicts_itself_is_not_made(wiring: Wiring, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(WiringError, match=message):
        replace(wiring, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gain": np.ones(2)}, "gain must be"),
        ({"bias": np.array([0.0, np.nan, 0.0])}, "NaN"),
        ({"bias": np.zeros(3, dtype=np.float32)}, "float64"),
        ({"input_taps": (0, 0)}, "distinct"),
        ({"coupling_delays": (0,)}, "no layer before it"),
        ({"devices": ("leaky", "magnet", "leaky")}, "magnet"),
    ],
)
def test_a_layer_that_does_not_fit_is_refused(wiring: Wiring, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(WiringError, match=message):
        replace(wiring, layers=(replace(wiring.layers[0], **changes), wiring.layers[1]))


def test_a_node_that_listens_to_nothing_is_refused(wiring: Wiring) -> None:
    deaf = Layer(("leaky",), (), (), np.zeros((1, 0, 2)), np.zeros((1, 0, 0, 2)), np.ones(1), np.zeros(1))
    with pytest.raises(WiringError, match="listens to nothing"):
        replace(wiring, layers=(deaf,))


@pytest.mark.parametrize(("low", "high"), [(1.0, 1.0), (2.0, -2.0), (float("nan"), 1.0), (0.0, float("inf"))])
def test_an_empty_or_endless_range_is_refused(low: float, high: float) -> None:
    with pytest.raises(WiringError):
        DevicePort.from_range("leaky", low, high)


def test_a_wiring_survives_the_disk_to_the_last_bit(wiring: Wiring, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    whole = wiring.with_readout(Readout("softmax", rng.normal(size=(2, 10)), rng.normal(size=2), 1e-3))
    save_wiring(whole, tmp_path / "runs" / "best.json")
    again = load_wiring(tmp_path / "runs" / "best")
    assert again.ports == whole.ports and again.sample_offsets == whole.sample_offsets
    features = [rng.normal(size=(1, 5, 3, 2)), rng.normal(size=(1, 5, 2, 2))]
    np.testing.assert_array_equal(again.outputs(features), whole.outputs(features))
    inputs = rng.uniform(-1, 1, size=(1, 5, 2))
    np.testing.assert_array_equal(again.drive_for(1, 0, inputs, features), whole.drive_for(1, 0, inputs, features))
    assert flat_features(features).shape == (1, 5, whole.n_features)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda spec: spec.update(version=3),
        lambda spec: spec.update(extra=1),
        lambda spec: spec.update(samples_per_step="3"),
        lambda spec: spec.update(dt_s=None),
        lambda spec: spec["layers"].pop(),
        lambda spec: spec["layers"][0]["input_taps"].append(-1),
        lambda spec: spec["layers"][0]["input_taps"].append(7),
        lambda spec: spec["ports"][0]["drives"][0].update(half=-1.0),
        lambda spec: spec.update(readout={"kind": "linear", "regularisation": 0.1}),
    ],
)
def test_a_foreign_or_inconsistent_file_is_refused(wiring: Wiring, tmp_path: Path, spoil: Any) -> None:
    path = save_wiring(wiring, tmp_path / "w")
    spec = json.loads(path.read_text())
    spoil(spec)
    path.write_text(json.dumps(spec))
    with pytest.raises(WiringError, match=r"w\.json"):
        load_wiring(path)


def test_a_file_of_version_1_is_read_with_its_units(wiring: Wiring, tmp_path: Path) -> None:
    path = save_wiring(wiring, tmp_path / "old")
    spec = json.loads(path.read_text())
    spec.pop("conditions")
    spec["version"] = 1
    spec["ports"] = [
        {
            "name": port.name,
            "drive_mid": port.drives[0].mid,
            "drive_half": port.drives[0].half,
            "response_centre": port.senses[0].centre,
            "response_scale": port.senses[0].scale,
            "drive_unit": "V",
            "response_unit": "mV",
        }
        for port in wiring.ports
    ]
    path.write_text(json.dumps(spec))
    again = load_wiring(path)
    assert [(port.drives[0].unit, port.senses[0].unit) for port in again.ports] == [("V", "mV")] * len(wiring.ports)
    assert again.ports[0].drives[0].half == wiring.ports[0].drives[0].half


def _forget_checksum(path: Path) -> None:
    """As an older version wrote it."""
    spec = json.loads(path.read_text())
    del spec["arrays_sha256"]
    path.write_text(json.dumps(spec))


def _moved(wiring: Wiring) -> Wiring:
    """Other weights and other conditions, of the same shapes."""
    first = replace(wiring.layers[0], W_in=wiring.layers[0].W_in + 1.0)
    return replace(wiring, layers=(first, *wiring.layers[1:]), conditions={"temperature": 300.0})


def test_weights_of_one_moment_are_not_read_with_conditions_of_another(wiring: Wiring, tmp_path: Path) -> None:
    save_wiring(wiring, tmp_path / "best")
    save_wiring(_moved(wiring), tmp_path / "later")
    # what a kill between the writes of the two files leaves
    (tmp_path / "later.safetensors").replace(tmp_path / "best.safetensors")
    with pytest.raises(WiringError, match=r"best\.safetensors: is not what best\.json was written with"):
        load_wiring(tmp_path / "best")


def test_a_save_that_fails_leaves_the_wiring_that_was_there(
    wiring: Wiring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_wiring(wiring, tmp_path / "best")

    def full(_: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        save_wiring(_moved(wiring), tmp_path / "best")
    np.testing.assert_array_equal(load_wiring(tmp_path / "best").layers[0].W_in, wiring.layers[0].W_in)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.json", "best.safetensors"]


def test_a_file_without_checksum_is_read(wiring: Wiring, tmp_path: Path) -> None:
    path = save_wiring(wiring, tmp_path / "old")
    _forget_checksum(path)
    np.testing.assert_array_equal(load_wiring(path).layers[0].W_in, wiring.layers[0].W_in)


def test_a_truncated_array_file_is_refused(wiring: Wiring, tmp_path: Path) -> None:
    spec = save_wiring(wiring, tmp_path / "w")
    path = spec.with_suffix(".safetensors")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(WiringError, match="is damaged"):
        load_wiring(path)
    _forget_checksum(spec)
    with pytest.raises(WiringError, match="not a readable safetensors file"):
        load_wiring(path)


def test_arrays_with_nan_or_other_types_are_refused(wiring: Wiring, tmp_path: Path) -> None:
    spec = save_wiring(wiring, tmp_path / "w")
    _forget_checksum(spec)
    path = spec.with_suffix(".safetensors")
    arrays = load_file(path)
    save_file({**arrays, "layer0.bias": np.full(3, np.nan)}, path)
    with pytest.raises(WiringError, match="NaN"):
        load_wiring(path)
    save_file({**arrays, "layer0.bias": np.zeros(3, dtype=np.float16)}, path)
    with pytest.raises(WiringError, match="float64"):
        load_wiring(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WiringError, match=r"nowhere\.json: no such file"):
        load_wiring(tmp_path / "nowhere")
