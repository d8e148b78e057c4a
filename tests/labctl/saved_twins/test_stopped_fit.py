"""A fit that is stopped keeps the best twin so far, which is judged afterwards."""

import math
from pathlib import Path

import pytest

from labctl.campaign import run
from labctl.campaigns.check_twin import check_twin
from labctl.campaigns.fit_settings import FitSettings
from labctl.campaigns.fit_twin import fit_twin
from labctl.events import Figures
from labctl.store import open_recording
from labctl.twin_cards import twins_below
from twins import load_twin, read_provenance


def begin(shelf, folder: Path, *, n_scores: int) -> list[float]:
    """Fit, and stop after so many learning figures; returns the best score after each."""
    settings = FitSettings(choice="plain", response_delays=0, drive_delays=0, hidden=(4,), max_seconds=30.0)
    campaign = fit_twin(
        "box", [open_recording(shelf.training)], open_recording(shelf.heldout), seed=1, settings=settings, folder=folder
    )
    best: list[float] = []
    for event in campaign:
        if isinstance(event, Figures):
            best.append(event.values.get("best_score", math.inf))
            if len(best) == n_scores:
                break
    campaign.close()
    return best


def test_the_best_checkpoint_is_saved_and_can_be_judged(shelf, tmp_path: Path) -> None:
    best = begin(shelf, tmp_path, n_scores=8)
    [card] = twins_below(tmp_path)
    assert card.verdict == "not judged"
    assert not card.problem
    training = read_provenance(card.path)["extra"]["training"]
    assert training["stopped"] is True
    assert training["free_run_score"] == pytest.approx(best[-1])
    assert load_twin(card.path).spec.drive_names == ("u",)
    checked = run(check_twin(card.path, {"held out": [open_recording(shelf.heldout)]}, store=True))
    [judged] = twins_below(tmp_path)
    assert judged.verdict == ("passed" if checked.passed else "failed")


def test_a_stop_at_once_saves_nothing_and_a_twin_that_is_there_stays(shelf, tmp_path: Path) -> None:
    campaign = fit_twin("box", [open_recording(shelf.training)], None, seed=1, folder=tmp_path / "none")
    next(campaign)
    campaign.close()
    assert not (tmp_path / "none" / "box.json").exists()
    begin(shelf, tmp_path, n_scores=3)
    before = (tmp_path / "box.json").read_bytes()
    begin(shelf, tmp_path, n_scores=5)
    assert (tmp_path / "box.json").read_bytes() == before
