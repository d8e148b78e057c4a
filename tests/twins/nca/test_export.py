"""An exported automaton runs as in torch: with NumPy alone, and as ONNX."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from twins.errors import AutomatonInvalid, CheckpointInvalid, ExporterMissing
from twins.nca import Automaton, Frames, NcaModel, NcaSpec, Scaling, symmetrised
from twins.nca.export import export_nca
from twins.nca.export.run_automaton import Automaton as PlainAutomaton
from twins.nca.export.run_automaton import CannotRun, main

STRUCTURES: dict[str, dict[str, Any]] = {
    "default": {},
    "zero": {"padding": "zero", "kernels": "ID_DIFF_LAP", "activation": "tanh"},
    "symmetric": {"padding": "symmetric", "kernels": "GOL", "activation": "linear"},
    "norm": {"kernels": "ID_NORM_LAP", "layers": 3, "activation": "swish"},
    "norm alone": {"kernels": "NORM"},
    "both slopes": {"kernels": "NORM_DIFF_AV", "bounds": "clip"},
    "conditions": {"n_conditions": 2, "gated": True},
    "everything": {
        "n_channels": 5, "n_environment": 1, "order": 2, "gated": True, "bounds": "clip", "layers": 3,
        "fire_rate": 0.5, "n_conditions": 1, "kernels": "ID_DIFF_NORM_LAP_AV", "padding": "symmetric",
    },
}  # fmt: skip


def model(*, scale: float = 0.1, seed: int = 0, **choices: Any) -> NcaModel:
    """One of random weights, nothing of it zero."""
    spec = NcaSpec(**{"n_channels": 4, "n_observed": 2, **choices})
    generator = torch.Generator().manual_seed(seed)
    made = Automaton(spec, generator=generator)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(scale * torch.randn(parameter.shape, generator=generator))
    n = spec.n_conditions
    return NcaModel(
        made, Scaling((-1.0, 0.0), (2.0, 5.0)), 3, 0.5, ("a", "b"), ("V", "mM"),
        condition_names=("feed", "kill")[:n], condition_scaling=Scaling((0.0,) * n, (0.1,) * n),
    )  # fmt: skip


def frames(model: NcaModel, *, trials: int = 2) -> Frames:
    rng = np.random.default_rng(1)
    spec, values = model.automaton.spec, rng.random((trials, 2, 7, 6, 2))
    n = spec.n_conditions
    environment = rng.random((trials, 7, 6, 1)) if spec.n_environment else None
    return Frames(
        values, 0.5, ("a", "b"), ("V", "mM"), condition_names=("feed", "kill")[:n],
        conditions=0.1 * rng.random((trials, n)), environment=environment,
    )  # fmt: skip


def masks(spec: NcaSpec, n_steps: int) -> list[np.ndarray | None]:
    if spec.fire_rate == 1.0:
        return [None] * n_steps
    return [np.random.default_rng(step).random((2, 1, 7, 6)) < spec.fire_rate for step in range(n_steps)]


def torch_states(made: NcaModel, given: Frames, fired: list[np.ndarray | None]) -> torch.Tensor:
    state = made.start(given)
    with torch.no_grad():
        for mask in fired:
            mask_tensor = None if mask is None else torch.from_numpy(mask)
            state = made.automaton.step(state, mask_tensor, made.conditions(given))
    return state


@pytest.mark.parametrize("structure", STRUCTURES)
def test_numpy_alone_takes_the_same_steps(structure: str, tmp_path: Path) -> None:
    made = model(scale=0.03, **STRUCTURES[structure])
    given, fired = frames(made), masks(made.automaton.spec, 30)
    plain = PlainAutomaton.load(export_nca(made, tmp_path / "out", provenance={"seed": 1}))
    state = plain.start(given.values[:, 0], given.environment)
    conditions = made.conditions(given)
    for mask in fired:
        state = plain.step(state, mask, None if conditions is None else conditions.numpy())
    expected = torch_states(made, given, fired).numpy()
    assert not np.allclose(expected, made.start(given).numpy(), atol=1e-2)
    np.testing.assert_allclose(state, expected, atol=1e-5 * max(1.0, np.abs(expected).max()))


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("whole_frames", [False, True])
def test_onnx_takes_the_same_steps(structure: str, whole_frames: bool, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    made = model(scale=0.03, **STRUCTURES[structure])
    given, fired = frames(made), masks(made.automaton.spec, 18)
    path = export_nca(made, tmp_path / "rule", kind="onnx", whole_frames=whole_frames)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    feeds, conditions = {"state": made.start(given).numpy()}, made.conditions(given)
    if conditions is not None:
        feeds["conditions"] = conditions.numpy()
    steps = made.steps_per_frame if whole_frames else 1
    for first in range(0, len(fired), steps):
        if fired[0] is not None:
            together = np.stack([mask for mask in fired[first : first + steps] if mask is not None]).astype(np.float32)
            feeds["fired"] = together if whole_frames else together[0]
        (feeds["state"],) = session.run(None, feeds)
    expected = torch_states(made, given, fired).numpy()
    np.testing.assert_allclose(feeds["state"], expected, atol=1e-5 * max(1.0, np.abs(expected).max()))
    assert json.loads(session.get_modelmeta().custom_metadata_map["labctl"])["names"] == ["a", "b"]


def test_an_onnx_model_takes_any_size(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    made = model()
    session = onnxruntime.InferenceSession(export_nca(made, tmp_path / "r.onnx", kind="onnx"))
    for shape in ((1, 4, 3, 3), (3, 4, 17, 5)):
        state = torch.rand(shape, generator=torch.Generator().manual_seed(1))
        (after,) = session.run(None, {"state": state.numpy()})
        np.testing.assert_allclose(after, made.automaton.step(state).detach(), atol=1e-5)


def test_a_run_is_the_models_run_in_the_images_units(tmp_path: Path) -> None:
    made = model(scale=0.03, n_conditions=2)
    given = frames(made)
    plain = PlainAutomaton.load(export_nca(made, tmp_path))
    run = plain.run(given.values[:, 0], 5, conditions=given.conditions)
    np.testing.assert_allclose(run, made.run(given, 5).values, atol=1e-4)
    assert run.shape == (2, 6, 7, 6, 2)


def test_a_symmetrised_automaton_is_exported_as_the_ordinary_one(tmp_path: Path) -> None:
    free = model(scale=0.03, kernels="ID_DIFF").automaton
    made = NcaModel(symmetrised(free), Scaling((0.0, 0.0), (1.0, 1.0)), 2, 0.5, ("a", "b"), ("V", "mM"))
    given = frames(made)
    run = PlainAutomaton.load(export_nca(made, tmp_path)).run(given.values[:, 0], 4)
    np.testing.assert_allclose(run, made.run(given, 4).values, atol=1e-5)


def test_the_folder_runs_by_itself_in_another_python(tmp_path: Path) -> None:
    made = model(fire_rate=0.5)
    folder = export_nca(made, tmp_path / "out")
    np.save(tmp_path / "start.npy", frames(made).values[0, 0])
    hidden = (
        "import sys; sys.modules.update(torch=None, twins=None, labctl=None); import runpy; sys.argv=sys.argv[1:]; "
    )
    words = [folder / "run_automaton.py", tmp_path / "start.npy", "--frames", "4", "--out", tmp_path / "run.npy"]
    ran = subprocess.run(
        [sys.executable, "-c", hidden + "runpy.run_path(sys.argv[0], run_name='__main__')", *map(str, words)],
        capture_output=True, text=True, check=False, timeout=60, cwd=tmp_path,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert "SIMULATED" in ran.stdout
    run = np.load(tmp_path / "run.npy")
    assert run.shape == (1, 5, 7, 6, 2) and np.ptp(run, axis=1).max() > 0.0


def test_what_cannot_be_run_is_refused_in_a_sentence(tmp_path: Path, capsys: Any) -> None:
    made = model()
    plain = PlainAutomaton.load(export_nca(made, tmp_path))
    images = frames(made).values[:, 0]
    for wrong in (images[..., :1], images[0], images * np.nan, np.full((1, 3, 3, 2), "x")):
        with pytest.raises(CannotRun, match="must be"):
            plain.run(wrong, 1)
    with pytest.raises(CannotRun, match="conditions"):
        plain.run(images, 1, conditions=np.ones(1))
    with pytest.raises(CannotRun, match="pass rng"):
        PlainAutomaton.load(export_nca(model(fire_rate=0.5), tmp_path / "fire")).run(images, 1)
    assert main([str(tmp_path / "none.npy"), "--folder", str(tmp_path)]) == 2
    assert "none.npy" in capsys.readouterr().err


def test_damaged_and_hostile_folders_are_refused(tmp_path: Path) -> None:
    export_nca(model(), tmp_path)
    document = json.loads((tmp_path / "automaton.json").read_text())
    payload = (tmp_path / "automaton.npz").read_bytes()

    def loaded(changed: dict[str, Any]) -> PlainAutomaton:
        (tmp_path / "automaton.json").write_text(json.dumps({**document, **changed}))
        return PlainAutomaton.load(tmp_path)

    spec = document["spec"]
    for changed, said in (
        ({"format": "other"}, "format"), ({"format_version": 9}, "version"), ({"spec": 3}, "no spec"),
        ({"spec": {**spec, "n_channels": 5}}, "shape"), ({"spec": {**spec, "n_channels": -1}}, "n_channels"),
        ({"spec": {**spec, "padding": "wrap"}}, "padding"), ({"spec": {**spec, "features": ["DX"]}}, "no kernels"),
        ({"steps_per_frame": 0}, "steps_per_frame"), ({"names": "ab"}, "names"), ({"arrays_sha256": ""}, "sha256"),
    ):  # fmt: skip
        with pytest.raises(CannotRun, match=said):
            loaded(changed)
    pickled = tmp_path / "pickled.npz"
    np.savez(pickled, out_weight=np.array([{}], dtype=object))
    for bad in (pickled.read_bytes(), payload[:50], b""):
        (tmp_path / "automaton.npz").write_bytes(bad)
        import hashlib

        with pytest.raises(CannotRun, match="cannot be read"):
            loaded({"arrays_sha256": hashlib.sha256(bad).hexdigest()})


def test_unknown_kinds_missing_packages_and_odd_provenance_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(AutomatonInvalid, match="numpy, onnx"):
        export_nca(model(), tmp_path, kind="tflite")  # type: ignore[arg-type]
    with pytest.raises(CheckpointInvalid, match="provenance"):
        export_nca(model(), tmp_path, provenance={"x": object()})
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ExporterMissing, match="pip install"):
        export_nca(model(), tmp_path / "r", kind="onnx")
