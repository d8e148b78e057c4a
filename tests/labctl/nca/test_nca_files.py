"""Automata by their files: what goes in and what comes back is plain data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from labctl.campaign import run
from labctl.campaigns.evaluate_nca import EvaluationSettings
from labctl.campaigns.nca_files import (
    evaluate_nca_file,
    export_nca_file,
    run_nca_file,
    seek_nca_file,
    simulate_film,
    train_nca,
)
from labctl.campaigns.nca_settings import NcaTraining
from labctl.campaigns.run_nca import RunSettings
from labctl.campaigns.seek_nca import SeekSettings
from labctl.errors import CampaignError
from labctl.images.player import open_player
from labctl.nca_data import NcaData
from labctl.nca_live_frames import LiveSource
from labctl.nca_pde import PdeSource
from labctl.nca_table import evaluation_rows, plain_rows, search_rows


def test_an_automaton_of_an_equation_is_trained_judged_searched_run_and_exported(
    heat_source: LiveSource, tmp_path: Path
) -> None:
    heat, model = heat_source.data, heat_source.model
    small = NcaData(pde=PdeSource(pde="heat", size=(8, 8), n_trials=2, n_frames=4, steps_per_frame=4))
    quick = EvaluationSettings(readable=False, damage="none", n_frames=6)
    training = NcaTraining(fit={"epochs": 2, "steps_per_frame": 4}, spec={"hidden": 1})
    trained = run(train_nca("own", small, seed=1, training=training, folder=tmp_path, evaluation=quick))
    json.dumps(trained)  # plain data
    assert Path(trained["best"]).exists()

    judged = run(evaluate_nca_file(model, heat, seed=0, settings=quick, folder=tmp_path / "judged"))
    json.dumps(judged)
    rows = {row.what: row.value for row in evaluation_rows(judged)}
    assert rows["Stable"].startswith("stable for")
    assert (tmp_path / "judged" / "heat.html").exists()

    sought = run(
        seek_nca_file(
            model, heat, seed=0, settings=SeekSettings(search={"n_updates": 2}, n_frames=2), folder=tmp_path / "sought"
        )
    )
    assert [row.what for row in search_rows(sought)][:2] == ["Sought", "Size of the change"]
    assert (tmp_path / "sought" / "heat-sensitive.png").exists()

    ran = run(run_nca_file(model, heat, seed=0, settings=RunSettings(n_frames=3), folder=tmp_path, endings=(".npz",)))
    assert open_player(Path(ran["files"][0])).n_frames == (4, 4)
    assert {row.what for row in plain_rows(ran)} == {"frames", "finite", "files"}

    exported = run(export_nca_file(model, folder=tmp_path / "exported"))
    assert (Path(exported["written"]) / "run_automaton.py").exists()


def test_a_film_of_an_equation_is_simulated_and_says_so(tmp_path: Path) -> None:
    data = NcaData(pde=PdeSource(pde="heat", size=(6, 7), n_trials=2, n_frames=3, steps_per_frame=1))
    made = run(simulate_film(data, folder=tmp_path))
    film = open_player(Path(made["files"][0]))
    assert (film.n_frames, film.size, film.simulated) == ((3, 3), (6, 7), True)
    with pytest.raises(CampaignError, match="of an equation"):
        run(simulate_film(NcaData(images=[tmp_path]), folder=tmp_path))


def test_images_or_an_equation_but_one_of_both(tmp_path: Path) -> None:
    with pytest.raises(CampaignError, match="one of both"):
        NcaData()
    with pytest.raises(CampaignError, match="one of both"):
        NcaData(images=[tmp_path], pde=PdeSource(pde="heat"))
