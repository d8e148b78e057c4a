"""labctl nca: options hold together with the classes they stand for; stops keep the best; mistakes say what to do."""

import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from labctl.campaigns.nca_settings import PRESETS, NcaTraining
from labctl.cli import main
from labctl.commands.nca_options import AUGMENTATION, FIT, SPEC
from labctl.commands.nca_options import PRESETS as NAMES
from labctl.errors import CampaignError
from labctl.images import open_images, read_images
from labctl.nca_model import load_model
from twins.nca import Augmentation, Frames, NcaFitSettings, NcaSpec

FIT_WORDS = ["--preset", "pde", "--steps-per-frame", "2", "--epochs", "4", "--validate-every", "2"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a film and an automaton of it."""
    folder = tmp_path_factory.mktemp("nca")
    words = ["heat", "--initial", "noise", "--size", "8", "--n-frames", "5", "--pde-steps", "2", "--n-trials", "2"]
    assert main(["nca", "simulate", *words, "--out", str(folder / "film.npz")]) == 0
    assert main(["nca", "fit", str(folder / "film.npz"), *FIT_WORDS, "--out", str(folder / "fitted")]) in (0, 3)
    return folder


def test_every_option_of_automaton_and_training_is_there_by_its_name() -> None:
    said_by_frames = {"n_observed", "n_environment", "n_conditions"}
    elsewhere = {"stages", "loss_options", "augmentation", "damage", "pool"}
    assert set(SPEC) == {one.name for one in fields(NcaSpec)} - said_by_frames
    assert set(FIT) == {one.name for one in fields(NcaFitSettings)} - elsewhere
    assert set(AUGMENTATION) == {one.name for one in fields(Augmentation)}
    assert tuple(PRESETS) == NAMES


def test_every_preset_makes_an_automaton_and_settings() -> None:
    frames = Frames(np.random.default_rng(0).random((1, 3, 8, 8, 2)), 1.0, ("a", "b"), ("", ""))
    for preset in PRESETS:
        training = NcaTraining(preset=preset)
        assert training.spec_for(frames).n_observed == 2
        assert training.settings().steps_per_frame >= 1
    assert NcaTraining(preset="as-published").settings().epochs == 4000
    with pytest.raises(CampaignError, match="no such option"):
        NcaTraining(fit={"epoch": 3}).settings()


def test_the_command_line_loads_neither_torch_nor_twins_arrays() -> None:
    code = "import sys, labctl.cli as c; c.parser(); print({'torch', 'tifffile', 'zarr', 'PySide6'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_an_automaton_says_where_it_came_from(place: Path) -> None:
    saved = load_model(place / "fitted" / "nca.json")
    assert saved.simulated
    assert saved.about["extra"]["data"][0]["path"].endswith("film.npz")
    assert len(saved.about["extra"]["data"][0]["sha256"]) == 64
    figures = json.loads((place / "fitted" / "nca.evaluation.json").read_text())
    assert figures["simulated"]
    assert figures["transition_ratio_to_no_change"] > 0


def test_a_run_goes_on_from_the_last_frame_and_is_never_called_measured(place: Path) -> None:
    out = place / "ahead.npz"
    assert (
        main(
            [
                "nca",
                "run",
                str(place / "fitted/nca.json"),
                str(place / "film.npz"),
                "--n-frames",
                "3",
                "--out",
                str(out),
            ]
        )
        == 0
    )
    film, ahead = read_images(place / "film.npz"), read_images(out)
    assert ahead.values.shape == (2, 4, 8, 8, 1)
    np.testing.assert_allclose(ahead.values[:, 0], film.values[:, -1], atol=1e-5)
    assert ahead.simulated


def test_turning_first_is_turning_afterwards_for_isotropic_kernels(place: Path) -> None:
    runs = []
    for turn in ("0", "90"):
        out = place / f"turned{turn}.npz"
        words = ["--begin", "first", "--n-frames", "3", "--turn", turn, "--out", str(out)]
        assert main(["nca", "run", str(place / "fitted/nca.json"), str(place / "film.npz"), *words]) == 0
        runs.append(read_images(out).values)
    np.testing.assert_allclose(np.rot90(runs[0], axes=(2, 3)), runs[1], atol=1e-4)


def test_an_ensemble_of_one_twice_agrees_with_itself(place: Path) -> None:
    model, out = str(place / "fitted/nca.json"), place / "both.npz"
    words = ["--ensemble", model, "--n-frames", "2", "--out", str(out)]
    assert main(["nca", "run", model, str(place / "film.npz"), *words]) == 0
    with np.load(out) as file:
        np.testing.assert_allclose(file["sd"], 0.0, atol=1e-5)


def test_a_stopped_training_leaves_the_best_so_far(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from labctl import console
    from labctl.events import Figures

    class Impatient:
        def __call__(self, event: object) -> None:
            if isinstance(event, Figures) and event.step == 3:
                raise KeyboardInterrupt

    monkeypatch.setattr(console, "Console", Impatient)
    words = ["--name", "stopped", "--out", str(place / "stopped")]
    assert main(["nca", "fit", str(place / "film.npz"), *FIT_WORDS, *words]) == 130
    assert "not evaluated" in capsys.readouterr().err
    saved = load_model(place / "stopped" / "stopped.json")
    assert saved.about["nca"]["fit"] == {**saved.about["nca"]["fit"], "interrupted": True, "best_epoch": 2}


def test_kernels_that_there_are_none_of_are_told_before_anything_is_written(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["nca", "fit", str(place / "film.npz"), *FIT_WORDS, "--kernels", "NONE", "--out", str(place / "none")])
    assert code == 1
    assert "kernels" in capsys.readouterr().err
    assert not (place / "none").exists()


def test_mistakes_say_what_to_do(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, film = str(place / "fitted/nca.json"), str(place / "film.npz")
    np.save(place / "two.npy", np.random.default_rng(0).random((3, 8, 8, 2)))
    for words, told in (
        (["fit", "--out", str(place / "x")], "--pde"),
        (["fit", film, "--pde", "heat", "--out", str(place / "x")], "one of both"),
        (["fit", "--pde", "maze", "--out", str(place / "x")], "there are gray_scott"),
        (["run", model, film, "--n-frames", "2", "--out", str(place / "x.mp4")], ".gif"),
        (["run", model, str(place / "two.npy"), "--n-frames", "2", "--out", str(place / "x.npz")], "--channels"),
        (["export", model, "--kind", "onnx", "--out", str(place / "x")], "FILE.onnx"),
    ):
        assert main(["nca", *words]) == 1
        assert told in capsys.readouterr().err, words


def test_images_without_names_are_taken_for_the_automatons_and_that_is_said(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(place / "plain.npy", read_images(place / "film.npz").values[0, ..., 0])
    words = [str(place / "plain.npy"), "--n-frames", "1", "--out", str(place / "p.npz")]
    assert main(["nca", "run", str(place / "fitted/nca.json"), *words]) == 0
    assert "taken for the automaton's" in capsys.readouterr().err
    assert read_images(place / "p.npz").names == ("u",)


def test_how_images_were_read_is_kept_for_others(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.random.default_rng(0).random((4, 8, 8, 2)))
    words = ["--axes", "tyxc", "--channels", "1", "--downsample", "2", "--out", str(tmp_path / "fitted")]
    assert main(["nca", "fit", str(tmp_path / "a.npy"), *FIT_WORDS, *words]) in (0, 3)
    reading = load_model(tmp_path / "fitted" / "nca.json").reading()
    assert (reading.axes, reading.channels, reading.downsample) == ("tyxc", ("1",), 2)
    assert open_images([tmp_path / "a.npy"], reading).frames.values.shape == (1, 4, 4, 4, 1)
