"""Which twins a network takes by itself, and what is kept of one that is being edited."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from labctl.chosen_twins import best_twins, device_of_twin, doubts
from labctl.errors import NetworkFileError
from labctl.kept_draft import draft_from_json, draft_to_json
from labctl.network_editing import (
    add_layer,
    deaf_layers,
    move,
    new_draft,
    set_task,
    set_twin,
    set_value,
    standing_alone,
    take_layers,
)
from labctl.twin_cards import TwinCard

PASSED = {"passed": True, "gates": [{"name": "coverage_90", "value": 0.9, "lower": 0.8, "upper": 1.0, "passed": True}]}
FAILED = {
    "passed": False,
    "gates": [{"name": "coverage_90", "value": 0.5, "lower": 0.8, "upper": 1.0, "passed": False}],
}


def card(name: str, device: str, gates: dict[str, object] | None = None, *, problem: str = "") -> TwinCard:
    return TwinCard(Path(f"/twins/{name}.json"), 0, device, (f"{device}_drive",), gates=gates or {}, problem=problem)


def test_a_failed_twin_comes_into_no_network_beside_good_ones_unless_a_person_wants_it() -> None:
    cards = [card("new", "leaky", FAILED), card("old", "leaky", PASSED), card("poor", "duffing", FAILED)]
    assert {name: one.name for name, one in best_twins(cards).items()} == {"leaky": "old"}
    asked = best_twins(cards, asked=[cards[2].path])
    assert {name: one.name for name, one in asked.items()} == {"leaky": "old", "duffing": "poor"}
    (told,) = doubts(("leaky", "duffing"), asked)
    assert told.startswith("the twin of duffing failed its gates")


def test_where_no_twin_passed_the_newest_of_each_device_is_taken_and_a_damaged_one_never() -> None:
    cards = [card("broken", "leaky", problem="no weights"), card("a", "leaky"), card("b", "duffing", FAILED)]
    assert {name: one.name for name, one in best_twins(cards).items()} == {"leaky": "a", "duffing": "b"}
    assert device_of_twin(cards[0]) == ""
    assert doubts(("leaky",), best_twins(cards)) == [
        "the twin of leaky was never judged: record more or fit longer, or take its nodes out"
    ]


def test_an_unfinished_draft_is_kept_whole_but_for_twins_that_are_gone(tmp_path: Path) -> None:
    (tmp_path / "leaky.json").write_text("{}")
    draft = add_layer(new_draft("narma10", {"first": {"leaky": 2}}), "deaf", {"leaky": 1})
    draft = move(set_twin(draft, "leaky", tmp_path / "leaky"), {"first": (1.0, 2.0)})
    kept = draft_to_json(set_twin(draft, "gone", tmp_path / "gone"), tmp_path / "net.toml")
    assert draft_from_json(kept) == (draft, tmp_path / "net.toml")
    assert deaf_layers(draft) == ("deaf",)


@pytest.mark.parametrize("spoilt", ["no json", "3", '{"format": "other"}', '{"format": "labctl-network-draft-1"}'])
def test_what_is_no_kept_draft_is_refused(spoilt: str) -> None:
    with pytest.raises(NetworkFileError, match="kept draft"):
        draft_from_json(spoilt)
    layers = {**json.loads(draft_to_json(new_draft("narma10"))), "tables": {"task": "narma10", "layers": {"a": 3}}}
    with pytest.raises(NetworkFileError, match="kept draft"):
        draft_from_json(json.dumps(layers))


def test_a_task_beside_the_file_is_named_in_full_where_only_the_text_goes_on(tmp_path: Path) -> None:
    draft = new_draft("mine.py:Product", {"first": {"leaky": 1}})
    assert standing_alone(draft, tmp_path / "net.toml").task == f"{tmp_path / 'mine.py'}:Product"
    for one in (new_draft("narma10"), new_draft("/there/mine.py:Product")):
        assert standing_alone(one, tmp_path / "net.toml") is one
    assert standing_alone(draft, None) is draft


def test_another_task_and_its_layers_are_taken_over_and_all_else_stays() -> None:
    draft = set_value(new_draft("narma10", {"mine": {"leaky": 2}}), ("sizes", "n_steps"), 50)
    draft = set_value(draft, ("task_options", "washout"), 5)
    assert "task_options" not in set_task(draft, "lorenz").tables
    taken = take_layers(draft, new_draft("lorenz", {"first": {"leaky": 6}}))
    assert (taken.task, taken.layers) == ("lorenz", ("first",))
    assert taken.tables["sizes"] == {"n_steps": 50}
