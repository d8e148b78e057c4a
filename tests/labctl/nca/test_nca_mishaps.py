"""What goes wrong is told: automata that run away, results in the way of others, files that were tampered with."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from labctl.cli import main, parser
from labctl.commands.nca_options import BUDGET_S, training_of
from labctl.errors import CampaignError
from labctl.frame_recording import FrameBlock, FrameHeader
from labctl.frame_store import FrameWriter
from labctl.images import open_images, read_images, write_frames
from labctl.nca_model import SavedNca, save_model
from twins.errors import AutomatonDiverged, CheckpointInvalid
from twins.nca import Automaton, Frames, NcaModel, NcaSpec, Scaling


def frames(n_trials: int = 2) -> Frames:
    values = np.random.default_rng(0).random((n_trials, 4, 8, 8, 1)).astype(np.float32)
    return Frames(values, 2.0, ("u",), ("",), simulated=True)


def model(size: float = 0.0) -> NcaModel:
    automaton = Automaton(NcaSpec(n_channels=2, n_observed=1), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for one in automaton.parameters():
            one.add_(size)
    return NcaModel(automaton, Scaling((0.0,), (1.0,)), 2, 2.0, ("u",), ("",))


@pytest.mark.parametrize("size", [30.0, 1e4])
def test_an_automaton_that_runs_away_is_judged_and_its_page_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], size: float
) -> None:
    saved = save_model(model(size), tmp_path / "wild", {"simulated": True})
    write_frames(tmp_path / "film.npz", frames())
    words = [str(saved.path), str(tmp_path / "film.npz"), "--out", str(tmp_path / "wild.html")]
    assert main(["nca", "evaluate", *words]) == 3
    figures = json.loads(capsys.readouterr().out)
    assert not figures["finite"]
    assert figures["free_run_error"] is None
    assert all(value > 0 for value in figures["no_change_error_by_frame"])
    assert "NOT STABLE" in (tmp_path / "wild.html").read_text(encoding="utf-8")


def test_results_do_not_take_the_place_of_others_unless_that_is_wanted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film = tmp_path / "film.npz"
    write_frames(film, frames())
    before = film.read_bytes()
    heat = ["nca", "simulate", "heat", "--size", "8", "--n-frames", "3", "--n-trials", "1", "--out", str(film)]
    assert main(heat) == 1
    assert "--force" in capsys.readouterr().err
    assert film.read_bytes() == before
    saved = save_model(model(), tmp_path / "nca", {})
    for action in (
        ["fit", str(film), "--epochs", "1", "--out", str(tmp_path)],
        ["run", str(saved.path), str(film), "--n-frames", "1", "--out", str(film)],
        ["evaluate", str(saved.path), str(film), "--out", str(saved.path)],
    ):
        assert main(["nca", *action]) == 1
        assert "exists already" in capsys.readouterr().err, action
    assert main([*heat, "--force"]) == 0
    assert film.read_bytes() != before


def test_a_folder_in_the_way_is_told_before_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_frames(tmp_path / "film.npz", frames(1))
    saved = save_model(model(), tmp_path / "nca", {})
    (tmp_path / "ahead").mkdir()
    (tmp_path / "ahead" / "note.txt").write_text("mine")
    words = [str(tmp_path / "film.npz"), "--n-frames", "1", "--out", str(tmp_path / "ahead.png")]
    assert main(["nca", "run", str(saved.path), *words]) == 1
    told = capsys.readouterr().err
    assert "not empty" in told
    assert "Run nca" not in told


def test_pictures_that_labctl_wrote_say_that_they_are_simulated_and_how_far_apart(tmp_path: Path) -> None:
    write_frames(tmp_path / "film.png", frames(1))
    again = read_images(tmp_path / "film")
    assert again.simulated
    assert again.dt_s == 2.0


def test_how_images_were_read_is_checked_when_it_is_read_back(tmp_path: Path) -> None:
    for reading in ({"every": "often"}, {"no_such": 1}, {"crop": [1]}, ["every"], {"every": 0}):
        saved = SavedNca(tmp_path / "a.json", model(), {"nca": {"reading": reading}})
        with pytest.raises(CheckpointInvalid, match="damaged"):
            saved.reading()
    kept = SavedNca(tmp_path / "a.json", model(), {"nca": {"reading": {"crop": [0, 4, 0, 4], "dark": "dark.tif"}}})
    assert kept.reading().crop == (0, 4, 0, 4)
    assert kept.reading().dark == Path("dark.tif")


def test_a_picture_of_another_kind_than_its_name_says_is_not_tried(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    for number in range(2):
        (tmp_path / "pictures" / f"f{number}.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n")
    with pytest.raises(Exception, match="cannot be read as a picture"):
        read_images(tmp_path / "pictures")


def test_a_seed_that_diverges_leaves_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from labctl.campaign import run
    from labctl.campaigns import fit_nca as campaign
    from labctl.campaigns.nca_settings import NcaTraining

    def one(job, evaluation):
        del evaluation
        if job.seed != 1:
            raise AutomatonDiverged(f"seed {job.seed}")
        raise CampaignError("reached")
        yield

    monkeypatch.setattr(campaign, "_one", one)
    write_frames(tmp_path / "film.npz", frames())
    images = open_images([tmp_path / "film.npz"])
    training = NcaTraining(preset="pde", fit={"steps_per_frame": 2}, n_seeds=2)
    with pytest.raises(CampaignError, match="reached"):
        run(campaign.fit_nca("u", images, seed=0, training=training, folder=tmp_path))
    with pytest.raises(AutomatonDiverged):  # none is left
        run(campaign.fit_nca("u", images, seed=2, training=training, folder=tmp_path))


def test_conditions_are_those_that_vary_over_all_files_or_those_that_are_asked_for(tmp_path: Path) -> None:
    for name, feed in (("a", 0.03), ("b", 0.04)):
        values = np.full((1, 3, 4, 6, 1), 100, dtype=np.uint16)
        shape, fixed = (1, 3, 4, 6), np.array([[feed, 0.06]])
        header = FrameHeader(
            shape=shape, interval_s=1.0, names=("u",), full_scale=4095, black_level=95.0, condition_names=("feed", "kill"),
            condition_units=("", ""), conditions=fixed, start="", seeds=np.zeros(1, dtype=np.int64), light=True, simulated=True,
        )  # fmt: skip
        with FrameWriter(tmp_path / f"{name}.h5", header) as writer:
            writer.begin_trial(0, fixed[0] + 0.001)  # as read back
            for index in range(3):
                writer.append(FrameBlock(0, index, values[0, index], float(index), 0, 1.0))
    both = open_images([tmp_path / "a.h5", tmp_path / "b.h5"])
    assert both.frames.condition_names == ("feed",)
    np.testing.assert_allclose(both.frames.condition_values[:, 0], [0.031, 0.041])
    assert any("kill was held at 0.061" in words for words in both.told)
    assert open_images([tmp_path / "b.h5"]).frames.condition_names == ()
    judging = open_images([tmp_path / "b.h5"], conditions=both.frames.condition_names).frames
    assert judging.condition_names == ("feed",)
    np.testing.assert_allclose(judging.condition_values, [[0.041]])


def test_a_first_training_of_an_equation_ends_in_time_unless_asked_otherwise() -> None:
    def seconds(*words: str) -> float | None:
        options = parser().parse_args(["nca", "fit", "--pde", "heat", "--out", "x", *words])
        return training_of(options, preset="pde").settings().max_seconds

    assert seconds() == BUDGET_S
    assert seconds("--epochs", "500") is None
    assert seconds("--stage", "5:2") is None
    assert seconds("--max-seconds", "7") == 7.0
    assert seconds("--preset", "as-published") is None
