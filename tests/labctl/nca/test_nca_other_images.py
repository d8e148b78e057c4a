"""An automaton and images of another kind than its own: used where that makes sense, refused with words where it does not."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from labctl.cli import main
from labctl.images import read_images
from labctl.nca_model import outside_range, save_model
from twins.nca import Automaton, Frames, NcaModel, NcaSpec, Scaling


@pytest.fixture
def saved(tmp_path: Path) -> str:
    """Of one channel, trained on 0.1 to 0.9, on a file that had to be told its axes and its times."""
    automaton = Automaton(NcaSpec(n_channels=2, n_observed=1), generator=torch.Generator().manual_seed(0))
    model = NcaModel(automaton, Scaling((0.1,), (0.9,)), 2, 2.0, ("intensity",), ("",))
    about = {"nca": {"reading": {"axes": "nyxt", "dataset": "film", "dt": 2.0, "pixel": 0.5}}}
    return str(save_model(model, tmp_path / "nca", about).path)


def ran(saved: str, path: Path, *words: str) -> tuple[int, Path]:
    out = path.parent / f"{path.stem}-ran.npz"
    return main(["nca", "run", saved, str(path), "--n-frames", "2", "--out", str(out), *words]), out


def test_a_start_far_outside_the_trained_range_is_refused_unless_that_is_wanted(
    tmp_path: Path, saved: str, capsys: pytest.CaptureFixture[str]
) -> None:
    film = np.random.default_rng(0).random((3, 12, 13))
    np.save(tmp_path / "counts.npy", film * 65535)
    counts = tmp_path / "counts.npy"
    code, out = ran(saved, counts, "--axes", "tyx")
    told = capsys.readouterr().err
    assert code == 1 and "trained were 0.1 to 0.9" in told and "--any-range" in told and not out.exists()
    code, out = ran(saved, counts, "--axes", "tyx", "--any-range")
    assert code == 0 and out.exists() and "far outside" in capsys.readouterr().err
    assert main(["nca", "evaluate", saved, str(counts), "--axes", "tyx", "--damage", "none", "--no-readable"]) in (0, 3)
    assert "trained were 0.1 to 0.9" in capsys.readouterr().err
    film[0, 0, 0] = 4000.0  # one hot pixel
    np.save(tmp_path / "film.npy", film)
    assert ran(saved, tmp_path / "film.npy", "--axes", "tyx", "--begin", "first")[0] == 0


def pictures(folder: Path, values: np.ndarray) -> Path:
    """values: (time, y, x) or (time, y, x, colour)."""
    folder.mkdir()
    for number, one in enumerate(values):
        Image.fromarray(one.astype(np.uint8)).save(folder / f"frame{number}.png")
    return folder


def test_what_belongs_to_a_file_is_not_taken_over_from_the_automatons_own(
    tmp_path: Path, saved: str, capsys: pytest.CaptureFixture[str]
) -> None:
    values = np.random.default_rng(0).random((4, 7, 8))
    colours = pictures(tmp_path / "colours", np.repeat(values[..., None] * 255, 3, axis=-1))
    assert ran(saved, colours)[0] == 1
    told = capsys.readouterr().err
    assert "('red', 'green', 'blue')" in told and "not read as the images of nca were, with dataset film" in told
    assert "axes nyxt: colours says its own" in told
    np.save(tmp_path / "a.npy", values)
    code, out = ran(saved, tmp_path / "a.npy")
    assert code == 0
    assert read_images(out).values.shape == (1, 3, 7, 8, 1)
    assert "axes nyxt: a.npy has 3" in capsys.readouterr().err
    np.save(tmp_path / "b.npy", values[None])  # as many axes as the automaton's own, in another order
    assert ran(saved, tmp_path / "b.npy")[0] == 0
    assert "read as the images of nca were: axes nyxt" in capsys.readouterr().err
    values[0, 0, 0] = np.nan
    np.save(tmp_path / "c.npy", values[None])
    assert ran(saved, tmp_path / "c.npy")[0] == 1
    assert "so were the images read that nca was fitted to" in capsys.readouterr().err


def test_one_picture_is_a_start(tmp_path: Path, saved: str, capsys: pytest.CaptureFixture[str]) -> None:
    values = np.random.default_rng(0).random((7, 8))
    np.save(tmp_path / "one.npy", values)
    np.savez(tmp_path / "one.npz", values, np.arange(3))
    Image.fromarray((values * 255).astype(np.uint8)).save(tmp_path / "one.png")
    tifffile.imwrite(tmp_path / "one.tif", values.astype(np.float32))
    for name in ("one.npy", "one.npz", "one.png", "one.tif"):
        code, out = ran(saved, tmp_path / name, "--any-range", "--force")
        assert code == 0, capsys.readouterr().err
        assert read_images(out).values.shape == (1, 3, 7, 8, 1), name
    capsys.readouterr()
    assert main(["nca", "fit", str(tmp_path / "one.png"), "--out", str(tmp_path / "fitted")]) == 1
    assert "one frame" in capsys.readouterr().err
    assert read_images(tmp_path / "one.npy", axes="yx").n_frames == 1


def test_a_file_that_is_no_automaton_is_told_in_one_line(
    tmp_path: Path, saved: str, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "one.npy", np.zeros((7, 8)))
    (tmp_path / "summary.json").write_text('{"best": "a", "automata": []}')
    (tmp_path / "half.json").write_text('{"format": ')
    (tmp_path / "list.json").write_text("[1, 2]")
    for name, words in (
        ("one.npy", "one.npy is no automaton; give its .json"), ("nothing", "no automaton of this name"),
        (".", "is a folder; give the automaton in it"), ("summary.json", "it says of no format labctl.nca"),
        ("half.json", "is not valid JSON"), ("list.json", "it says of no format labctl.nca"),
    ):  # fmt: skip
        assert ran(str(tmp_path / name), tmp_path / "one.npy")[0] == 1
        told = capsys.readouterr().err
        assert words in told and told.count("\n") == 1 and "pydantic" not in told
    assert ran(saved.replace(".json", ".safetensors"), tmp_path / "one.npy")[0] == 0


def test_conditions_far_outside_the_trained_ones_are_told() -> None:
    automaton = Automaton(
        NcaSpec(n_channels=2, n_observed=1, n_conditions=1), generator=torch.Generator().manual_seed(0)
    )
    model = NcaModel(
        automaton, Scaling((0.0,), (1.0,)), 2, 2.0, ("u",), ("",), condition_names=("feed",),
        condition_scaling=Scaling((0.03,), (0.05,)),
    )  # fmt: skip
    for feed, count in ((0.025, 0), (0.1, 1)):
        conditions = np.array([[feed]])
        frames = Frames(np.ones((1, 2, 4, 4, 1)), 2.0, ("u",), ("",), condition_names=("feed",), conditions=conditions)
        assert len(outside_range(model, frames)) == count
