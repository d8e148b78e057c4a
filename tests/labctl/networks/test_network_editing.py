"""Drafts of networks: every change gives another one, and only what is whole is saved."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl.cli import main
from labctl.errors import LabctlError, NetworkFileError
from labctl.network_editing import (
    NetworkDraft,
    add_layer,
    checked,
    connect,
    connections,
    disconnect,
    heard_by_layer,
    load_draft,
    move,
    new_draft,
    nodes_of,
    remove_layer,
    rename_layer,
    save_draft,
    set_nodes,
    set_twin,
    set_value,
    text_of,
    value_at,
)
from labctl.network_file import load_network_file
from labctl.network_view import view_path

EXAMPLE = Path(__file__).parents[3] / "examples" / "two_layers.toml"


@pytest.fixture
def two() -> NetworkDraft:
    return new_draft("narma10", {"first": {"leaky": 4, "duffing": 2}, "second": {"leaky": 3}})


def test_a_new_draft_hears_the_input_and_the_layer_before(two: NetworkDraft) -> None:
    assert heard_by_layer(two, "first") == ("input",)
    assert heard_by_layer(two, "second") == ("input", "first")
    assert nodes_of(two, "first") == {"leaky": 4, "duffing": 2}
    assert checked(two).devices == ("leaky", "duffing")


def test_every_change_leaves_the_draft_before_it_as_it_was(two: NetworkDraft) -> None:
    before = text_of(two)
    for after in (
        add_layer(two, "third", {"leaky": 1}, listens_to=("second",)),
        remove_layer(two, "first"),
        rename_layer(two, "first", "one"),
        connect(two, "second", "first"),
        disconnect(two, "input", "second"),
        set_nodes(two, "first", {"leaky": 9}),
        set_value(two, ("sizes", "n_steps"), 90),
    ):
        assert text_of(after) != before
        assert text_of(two) == before


def test_removing_a_layer_removes_its_connections_and_what_was_said_of_them(two: NetworkDraft) -> None:
    draft = set_value(two, ("layers", "second", "coupling_delays"), (1, 2))
    draft = set_value(draft, ("devices", "duffing", "range"), (-0.1, 0.1))
    left = remove_layer(draft, "first")
    assert heard_by_layer(left, "second") == ("input",)
    assert value_at(left, ("layers", "second", "coupling_delays")) is None
    assert value_at(left, ("devices",)) is None
    checked(left)


def test_an_order_of_layers_that_the_file_leaves_unsaid_is_kept_when_one_goes() -> None:
    draft = load_draft(EXAMPLE)
    bare = NetworkDraft({"task": "narma10", "layers": {name: {"nodes": {"leaky": 1}} for name in ("a", "b", "c")}})
    assert heard_by_layer(remove_layer(bare, "b"), "c") == ("input",), "c heard b, and never a"
    assert draft.layers == ("first", "second")


def test_renaming_keeps_who_hears_whom(two: NetworkDraft) -> None:
    renamed = rename_layer(move(two, {"first": (1.0, 2.0)}), "first", "front")
    assert [(one.source, one.target) for one in connections(renamed)] == [
        ("input", "front"),
        ("input", "second"),
        ("front", "second"),
    ]
    assert renamed.positions == {"front": (1.0, 2.0)}
    assert rename_layer(renamed, "front", "first").tables["layers"] == two.tables["layers"]


def test_a_connection_back_is_told_as_a_loop(two: NetworkDraft) -> None:
    loops = {(one.source, one.target): one.loops for one in connections(connect(two, "second", "second"))}
    assert loops[("second", "second")]
    assert not loops[("first", "second")]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda draft: add_layer(draft, "first", {"leaky": 1}), "already"),
        (lambda draft: add_layer(draft, "input", {"leaky": 1}), "can be no layer's name"),
        (lambda draft: add_layer(draft, "a b", {"leaky": 1}), "can be no layer's name"),
        (lambda draft: add_layer(draft, "third", {"leaky": 0}), "at least one node"),
        (lambda draft: add_layer(draft, "third", {"leaky": 1}, listens_to=("fourth",)), "there is no layer 'fourth'"),
        (lambda draft: connect(draft, "first", "second"), "hears first already"),
        (lambda draft: connect(draft, "nobody", "second"), "there is no layer 'nobody'"),
        (lambda draft: connect(draft, "first", "nobody"), "there is no layer 'nobody'"),
        (lambda draft: disconnect(draft, "second", "first"), "does not hear second"),
        (lambda draft: set_value(draft, ("layers", "nobody", "nodes"), {"leaky": 1}), "there is no layer 'nobody'"),
        (lambda draft: set_value(draft, ("task", "x"), 1), "is a value"),
    ],
)
def test_what_cannot_be_done_is_said(two: NetworkDraft, change: object, told: str) -> None:
    with pytest.raises(NetworkFileError, match=told):
        change(two)  # type: ignore[operator]


def test_a_saved_draft_comes_back_with_its_places_and_twins(two: NetworkDraft, tmp_path: Path) -> None:
    path = tmp_path / "net.toml"
    draft = set_twin(move(two, {"first": (10.0, -4.5)}), "leaky", tmp_path / "twins" / "leaky")
    save_draft(draft, path)
    assert load_network_file(path).file.task == "narma10"
    again = load_draft(path)
    assert again.tables == draft.tables
    assert again.positions == {"first": (10.0, -4.5)}
    assert again.twins == {"leaky": tmp_path / "twins" / "leaky"}
    assert '"twins/leaky"' in view_path(path).read_text(), "named from the file, so that the folder can be moved"


def test_an_unfinished_draft_is_not_saved_over_a_file(two: NetworkDraft, tmp_path: Path) -> None:
    path = tmp_path / "net.toml"
    save_draft(two, path)
    before = path.read_text()
    deaf = disconnect(two, "input", "first")
    with pytest.raises(NetworkFileError, match="listens_to"):
        save_draft(deaf, path)
    assert path.read_text() == before


def test_a_damaged_view_is_told_by_its_name(two: NetworkDraft, tmp_path: Path) -> None:
    save_draft(two, tmp_path / "net.toml")
    view_path(tmp_path / "net.toml").write_text('{"format": "labctl-network-view-1", "positions": {"a": [1]}}')
    with pytest.raises(NetworkFileError, match=r"net\.view\.json: is damaged"):
        load_draft(tmp_path / "net.toml")


def test_the_example_survives_a_change_of_one_value() -> None:
    draft = set_value(load_draft(EXAMPLE), ("optimiser", "n_iterations"), 20)
    plain = load_network_file(EXAMPLE).file
    changed = checked(draft).file
    assert changed.optimiser == {"n_iterations": 20}
    assert changed.layers["second"].gain_levels == plain.layers["second"].gain_levels
    assert changed.conditions == plain.conditions


def test_the_command_makes_the_usual_network_and_changes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "net.toml")
    assert main(["network", "new", path, "--task", "narma10", "--device", "leaky", "--device", "duffing"]) == 0
    assert nodes_of(load_draft(Path(path)), "first") == {"leaky": 4, "duffing": 2}
    for change in (
        ["rename-layer", "second", "back"],
        ["add-layer", "third", "leaky=2", "--hears", "back"],
        ["connect", "input", "third"],
        ["disconnect", "first", "back"],
        ["nodes", "first", "leaky=3"],
        ["set", "layers.third.coupling_delays", "[0, 2]"],
        ["set", "sizes.n_steps", "80"],
        ["set", "name", "mine"],
        ["unset", "sizes.n_steps"],
    ):
        assert main(["network", "edit", path, *change]) == 0, change
    draft = load_draft(Path(path))
    assert draft.layers == ("first", "back", "third")
    assert nodes_of(draft, "first") == {"leaky": 3}
    assert heard_by_layer(draft, "third") == ("back", "input")
    assert value_at(draft, ("layers", "third", "coupling_delays")) == [0, 2]
    assert value_at(draft, ("sizes",)) is None
    assert draft.tables["name"] == "mine"
    capsys.readouterr()
    before = Path(path).read_text()
    assert main(["network", "edit", path, "set", "sizes.n_stepps", "80"]) == 1
    assert "unknown key 'n_stepps'" in capsys.readouterr().err
    assert Path(path).read_text() == before


def test_comments_that_an_edit_loses_are_told_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "net.toml"
    path.write_text(EXAMPLE.read_text())
    assert main(["network", "edit", str(path), "set", "seed", "4"]) == 0
    assert "comments" in capsys.readouterr().err


def test_no_value_of_a_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "net.toml"
    path.write_text(EXAMPLE.read_text())
    assert main(["network", "edit", str(path), "set", "seed", "[1,"]) == 1
    assert "is no value of a TOML file" in capsys.readouterr().err
    assert issubclass(NetworkFileError, LabctlError)
