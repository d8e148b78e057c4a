"""Recordings and twins of a folder as cards: what can be chosen, what belongs together, what a twin is worth."""

import json
import shutil
from pathlib import Path

import pytest

from labctl.campaigns.fit_settings import PRESETS
from labctl.cli import main
from labctl.gate_rows import MEANINGS, gate_rows
from labctl.recording_cards import heldout_for, newest_training, recordings_below
from labctl.twin_cards import twins_below
from twins.presets import PRESETS as PUBLISHED


def test_a_card_says_what_was_recorded_of_which_device(shelf) -> None:
    newest, oldest = recordings_below(shelf.folder)
    assert (newest.path, oldest.path) == (shelf.heldout, shelf.training)
    assert (newest.device, newest.drives, newest.responses) == ("box", ("u",), ("x",))
    assert (newest.n_trials, newest.n_inputs, newest.n_samples, newest.dt_s) == (60, 6, 64, 1e-3)
    assert newest.repeated
    assert newest.for_judging
    assert not oldest.repeated
    assert newest.simulated
    assert newest.problem == ""


def test_the_newest_recording_to_learn_from_has_its_counterpart_to_judge_on(shelf, recorded, tmp_path: Path) -> None:
    for path in (shelf.training, shelf.heldout):
        shutil.copy(path, tmp_path)
    recorded(tmp_path / "other-heldout.h5", n_inputs=3, n_repeats=3, seed=9, response="y")
    cards = recordings_below(tmp_path)
    [training] = newest_training(cards)
    assert training.path.name == "box-training.h5"
    [judged] = heldout_for([training], cards)
    assert judged.path.name == "box-heldout.h5"  # the newer one is of another device
    assert heldout_for([training], [training]) == []
    assert heldout_for([], cards) == []


def test_what_was_recorded_in_rounds_belongs_together(recorded, tmp_path: Path) -> None:
    for number in range(3):
        recorded(tmp_path / "s" / f"box-training-{number:02d}.h5", n_inputs=3, seed=2 * number)
        recorded(tmp_path / "s" / f"box-heldout-{number:02d}.h5", n_inputs=3, seed=2 * number + 1)
    cards = recordings_below(tmp_path)
    training = newest_training(cards)
    assert [card.path.stem for card in training] == ["box-training-02", "box-training-01", "box-training-00"]
    assert [card.path.stem for card in heldout_for(training, cards)] == [
        "box-heldout-02", "box-heldout-01", "box-heldout-00",
    ]  # fmt: skip


def test_plays_of_a_network_are_not_learned_from_by_themselves(shelf, recorded, tmp_path: Path) -> None:
    shutil.copy(shelf.training, tmp_path)
    for number in range(2):
        recorded(tmp_path / "deploy" / f"layer0-play{number}.h5", n_inputs=3, seed=number)
    cards = recordings_below(tmp_path)
    assert [card.path.stem for card in cards if card.of_a_network] == ["layer0-play1", "layer0-play0"]
    assert [card.path.name for card in newest_training(cards)] == ["box-training.h5"]
    assert newest_training([card for card in cards if card.of_a_network]) == []


def test_damaged_and_foreign_files_are_told_apart(shelf, tmp_path: Path) -> None:
    (tmp_path / "cut.h5").write_bytes(shelf.training.read_bytes()[:3000])
    notes = tmp_path / "notes.txt"
    notes.write_text("no recording")
    [cut] = recordings_below(tmp_path)
    assert cut.problem.startswith("damaged")
    cards = recordings_below(tmp_path, extra=[notes, tmp_path / "gone.h5"])
    assert {card.path.name: bool(card.problem) for card in cards} == {
        "cut.h5": True,
        "notes.txt": True,
        "gone.h5": True,
    }
    assert newest_training(cards) == []


def test_cards_of_files_that_did_not_change_are_kept(shelf) -> None:
    cards = recordings_below(shelf.folder)
    again = recordings_below(shelf.folder, known=cards)
    assert all(one is other for one, other in zip(cards, again, strict=True))
    twins = twins_below(shelf.folder)
    assert twins_below(shelf.folder, known=twins)[0] is twins[0]


def test_a_twin_s_card_has_its_verdict_its_figures_and_where_it_comes_from(shelf) -> None:
    [card] = twins_below(shelf.folder)
    assert (card.device, card.drives, card.responses) == ("box", ("u",), ("x",))
    assert card.verdict in ("passed", "failed")
    assert card.passed == (card.verdict == "passed")
    assert card.in_short.startswith(f"box {card.verdict}")
    assert card.judged_on == (shelf.heldout,)
    assert card.fitted_to == (shelf.training,)
    assert card.report is not None
    assert card.report.is_file()
    assert {row.name for row in card.rows} <= set(MEANINGS)
    assert json.loads(json.dumps(card.as_dict()))["figures"]["n_trials"] == 60


def test_a_twin_without_its_weights_or_with_half_a_file_is_damaged(shelf, tmp_path: Path) -> None:
    whole = shelf.twin.with_suffix(".json")
    shutil.copy(whole, tmp_path / "alone.json")
    (tmp_path / "half.json").write_text(whole.read_text()[:5000])
    (tmp_path / "other.json").write_text("{}")
    cards = {card.name: card for card in twins_below(tmp_path)}
    assert set(cards) == {"alone", "half"}
    assert {card.verdict for card in cards.values()} == {"damaged"}
    assert "weights" in cards["alone"].in_words
    [asked_for] = twins_below(tmp_path / "nowhere", extra=[tmp_path / "other.json"])
    assert "does not describe a twin" in asked_for.problem


def test_what_failed_comes_first_with_what_to_do() -> None:
    gates = [
        {"name": "std_ratio (bias 0.1)", "value": 1.0, "lower": 0.9, "upper": 1.1, "passed": True, "judged": True},
        {"name": "coverage_90", "value": 0.5, "lower": 0.88, "upper": 0.92, "passed": False, "judged": True},
        {"name": "mean_bias", "value": None, "lower": None, "upper": 0.1, "passed": False, "judged": False},
    ]
    failed, unknown, passed = gate_rows({"passed": False, "gates": gates})
    assert (failed.title, failed.verdict, failed.value, failed.allowed) == ("Coverage", "failed", "0.5", "0.88 to 0.92")
    assert "train" in failed.remedy.lower()
    assert (unknown.verdict, unknown.value) == ("not judged", "not known")
    assert "ecord" in unknown.remedy
    assert (passed.title, passed.remedy) == ("Spread (bias 0.1)", "")


def test_the_command_lists_twins_and_the_gates_of_one(shelf, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["twin", "list", str(shelf.folder)]) == 0
    assert "SIMULATED" in capsys.readouterr().out
    assert main(["twin", "list", str(shelf.twin), "--json"]) == 0
    [told] = json.loads(capsys.readouterr().out)
    assert {"verdict", "remedy", "title"} <= set(told["gates"][0])
    assert main(["twin", "list", str(shelf.folder / "nowhere")]) == 1


def test_the_presets_that_are_offered_are_those_there_are() -> None:
    assert set(PRESETS) == set(PUBLISHED)
