"""Automata of several seeds: an ensemble's file, which runs and is judged like an automaton, with its spread."""

import json
from pathlib import Path

import numpy as np
import pytest

from labctl.cli import main
from labctl.images import read_images
from labctl.nca_model import load_members, load_model
from twins.nca.ensemble_file import load_any_nca

WORDS = ["--preset", "pde", "--steps-per-frame", "2", "--epochs", "4", "--validate-every", "2"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("together")
    words = ["heat", "--initial", "noise", "--size", "8", "--n-frames", "4", "--pde-steps", "2", "--n-trials", "3"]
    assert main(["nca", "simulate", *words, "--out", str(folder / "film.npz")]) == 0
    fit = ["nca", "fit", str(folder / "film.npz"), *WORDS, "--seeds", "2", "--name", "u", "--out", str(folder)]
    assert main(fit) in (0, 3)
    return folder


def test_several_seeds_leave_automata_and_an_ensemble_that_twins_can_load(place: Path) -> None:
    ensemble = load_any_nca(place / "u-ensemble.json")
    assert len(ensemble) == 2
    for number, member in enumerate(ensemble.members, start=1):
        alone = load_model(place / f"u-{number}.json").model.automaton.state_dict()
        for name, value in member.automaton.state_dict().items():
            np.testing.assert_array_equal(value.numpy(), alone[name].numpy())
    [first, second] = load_members(place / "u-ensemble.json")
    assert first.simulated
    assert second.path.name == "u-ensemble.member1.json"


def test_all_seeds_are_judged_on_sequences_that_none_has_seen(place: Path) -> None:
    figures = [json.loads((place / f"u-{number}.evaluation.json").read_text()) for number in (1, 2)]
    assert [one["sequences"] for one in figures] == [1, 1]
    assert [one["judged_on"] for one in figures] == ["validation frames"] * 2
    starts = [one["no_change_error_by_frame"] for one in figures]
    assert starts[0] == pytest.approx(starts[1], rel=1e-5)  # the same sequence


def test_an_ensembles_page_and_figures_tell_whether_it_knows_how_wrong_it_is(place: Path) -> None:
    figures = json.loads((place / "u-ensemble.evaluation.json").read_text())
    assert figures["simulated"]
    assert len(figures["error_of_members"]) == 2
    assert np.shape(figures["coverage"]) == (4, 3)
    assert figures["error"] <= max(figures["error_of_members"])
    page = (place / "u-ensemble.report.html").read_text(encoding="utf-8")
    for words in ("SIMULATED", "Bands", "knows how wrong"):
        assert words in page


def test_run_and_evaluate_take_an_ensemble(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    film, both = str(place / "film.npz"), str(place / "u-ensemble.json")
    assert main(["nca", "run", both, film, "--n-frames", "2", "--out", str(place / "ahead.npz")]) == 0
    assert read_images(place / "ahead.npz").values.shape == (3, 3, 8, 8, 1)
    with np.load(place / "ahead.npz") as file:
        assert file["sd"][:, 0].max() < 1e-6 < file["sd"][:, -1].max()
    capsys.readouterr()
    assert main(["nca", "evaluate", both, film, "--out", str(place / "again.json")]) == 0
    assert json.loads(capsys.readouterr().out)["frames_compared"] == 3
    assert main(["nca", "export", both, "--out", str(place / "exported")]) == 1
    assert "u-ensemble.member0.json" in capsys.readouterr().err
