"""Automata by their files: train, run, judge, search and export, each from plain data alone and with plain data as its result.

So can a window, a queue or another process ask for it: nothing that comes back needs torch to be understood.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.background import in_background
from labctl.campaign import Campaign, Step
from labctl.campaigns.evaluate_nca import EvaluationSettings, evaluate_nca
from labctl.campaigns.export_nca import export_nca
from labctl.campaigns.fit_nca import fit_nca
from labctl.campaigns.nca_settings import PRESETS, NcaTraining
from labctl.campaigns.run_nca import RunSettings, run_nca
from labctl.campaigns.seek_nca import SeekSettings, seek_nca
from labctl.campaigns.simulate_nca import simulate_images
from labctl.events import Reported
from labctl.nca_data import NcaData
from labctl.nca_model import load_members, load_model, origin

if TYPE_CHECKING:
    from labctl.images import Images

JUDGING_TRIALS = 2
"""Of an equation: initial conditions that no training sees, run to twice its length."""


def train_nca(
    name: str,
    data: NcaData,
    *,
    seed: int,
    training: NcaTraining | None = None,
    folder: Path,
    evaluation: EvaluationSettings | None = None,
) -> Campaign[dict[str, Any]]:
    """``fit_nca`` of files, or of an equation: then it is judged on starts that it never saw, and has its padding.

    The best so far is in `folder` as NAME.json while the training goes on. Returns what FittedAutomata.as_dict says.
    """
    validation = None
    training = training or NcaTraining(preset="images" if data.pde is None else "pde")
    images = yield from _read(data, f"nca/fit/{name}")
    if data.pde is not None:
        unseen = data.pde.unseen(JUDGING_TRIALS, n_frames=2 * data.pde.n_frames - 1)
        validation = yield from simulate_images(unseen, what="other initial conditions, which judge")
        training = _padded(training, data.pde.equation().padding)
    fitted = yield from fit_nca(
        name, images, validation, seed=seed, training=training, folder=folder, evaluation=evaluation
    )
    return fitted.as_dict()


def evaluate_nca_file(
    model: Path, data: NcaData, *, seed: int, folder: Path, settings: EvaluationSettings | None = None
) -> Campaign[dict[str, Any]]:
    """``evaluate_nca``; the page and the figures go to `folder` as NAME.html and NAME.json. Returns the figures."""
    saved = load_model(model)
    images = yield from in_background(lambda: data.read_for(saved), key=f"nca/evaluate/{saved.name}")
    report, figures = folder / f"{saved.name}.html", folder / f"{saved.name}.json"
    evaluated = yield from evaluate_nca(saved, images, seed=seed, settings=settings, report=report, data=figures)
    return {**evaluated.figures, "remarks": list(evaluated.remarks)}


def run_nca_file(
    model: Path,
    data: NcaData,
    *,
    seed: int,
    settings: RunSettings,
    folder: Path,
    endings: Sequence[str] = (".npz", ".gif"),
) -> Campaign[dict[str, Any]]:
    """``run_nca`` of an automaton, or of an ensemble; the film goes to `folder`, once for each ending."""
    saved, *others = load_members(model)
    images = yield from in_background(lambda: data.read_for(saved), key=f"nca/run/{saved.name}")
    files = [folder / f"{saved.name}-run{ending}" for ending in endings]
    folder.mkdir(parents=True, exist_ok=True)
    ran = yield from run_nca(saved, images, seed=seed, settings=settings, files=files, others=others)
    return {"frames": ran.frames.n_frames - 1, "finite": ran.finite, "files": [str(one) for one in ran.files]}


def seek_nca_file(
    model: Path, data: NcaData, *, seed: int, settings: SeekSettings, folder: Path
) -> Campaign[dict[str, Any]]:
    """``seek_nca``: the change of the start that its run feels most. A picture, the starts and the figures go to `folder`."""
    saved = load_model(model)
    images = yield from in_background(lambda: data.read_for(saved), key=f"nca/seek/{saved.name}")
    files = [folder / f"{saved.name}-sensitive{ending}" for ending in (".png", ".npz", ".json")]
    sought = yield from seek_nca(saved, images, seed=seed, settings=settings, files=files)
    return dict(sought.figures)


def export_nca_file(model: Path, *, folder: Path, kind: str = "numpy") -> Campaign[dict[str, Any]]:
    """``export_nca``: into `folder`; a folder that NumPy alone runs, or NAME.onnx."""
    saved = load_model(model)
    path = folder / (f"{saved.name}-numpy" if kind == "numpy" else f"{saved.name}.onnx")
    folder.mkdir(parents=True, exist_ok=True)
    written = yield from export_nca(saved, path, kind=kind)
    return {"kind": kind, "written": str(written)}


def simulate_film(data: NcaData, *, folder: Path, endings: Sequence[str] = (".npz",)) -> Campaign[dict[str, Any]]:
    """Sequences of an equation as a film, to be looked at; in `folder`, named by the equation. Raises CampaignError."""
    from labctl.errors import CampaignError
    from labctl.images.writing import write_frames

    if data.pde is None:
        raise CampaignError("a film is simulated of an equation: give one (NcaData(pde=PdeSource(...)))")
    images = yield from simulate_images(data.pde)
    about = origin([images], seed=data.pde.seed, simulated=True, told={})
    folder.mkdir(parents=True, exist_ok=True)
    name = Path(data.pde.pde).stem
    files = [
        str(written)
        for one in endings
        for written in write_frames(folder / f"{name}{one}", images.frames, provenance=about)
    ]
    yield Reported(f"nca/simulate/{data.pde.pde}", {"simulated": True}, tuple(files))
    return {"files": files}


def _read(data: NcaData, key: str) -> Campaign[Images]:
    if data.pde is not None:
        return (yield from simulate_images(data.pde))
    step = Step(key, f"Read {', '.join(one.name for one in data.images)}")
    yield step.started()
    images = yield from in_background(data.read, key=key)
    yield step.finished(f"{images.frames.n_trials} sequences of {images.frames.n_frames} frames")
    return images


def _padded(training: NcaTraining, padding: str) -> NcaTraining:
    """With the equation's padding, where none was asked for."""
    own: Mapping[str, Any] = PRESETS[training.preset][0]
    if "padding" in training.spec or own["padding"] == padding:
        return training
    return replace(training, spec={**training.spec, "padding": padding})
