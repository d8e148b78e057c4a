"""Editing a station file: what is not changed stays as it was written, and nothing broken is ever saved."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from labctl.cli import main
from labctl.errors import StationError, UsageError
from labctl.simulation import BUNDLED, bundled_station
from labctl.station import load_station
from labctl.station_editing import StationDraft, edit_station, fresh_name
from labctl.toml_editing import NotEditable, renamed, with_value, without
from labctl.toml_statements import statements


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "bench.toml"
    path.write_text(bundled_station("demo"), encoding="utf-8")
    return path


def changed_lines(draft: StationDraft) -> list[str]:
    return [line for line in draft.difference().splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]


@pytest.mark.parametrize("name", BUNDLED)
def test_setting_every_value_to_itself_changes_no_line_but_how_numbers_are_written(name: str) -> None:
    text = bundled_station(name)
    for one in statements(text):
        if one.kind == "value":
            value = tomllib.loads(text)
            for key in one.path:
                value = value[key]
            edited = with_value(text, one.path, value)
            assert tomllib.loads(edited) == tomllib.loads(text)
            before, after = text.splitlines(), edited.splitlines()
            assert len(before) == len(after)
            number = text[: one.start].count("\n")
            assert before[:number] == after[:number]
            assert before[number + 1 :] == after[number + 1 :]
            assert before[number].partition("#")[2] == after[number].partition("#")[2]


def test_one_value_changes_one_line_and_keeps_its_comment_in_its_column(file: Path) -> None:
    before = next(line for line in file.read_text().splitlines() if line.startswith("slew_per_s"))
    draft = StationDraft.read(file).with_value("channels.leaky_drive.slew_per_s", 30000.0)
    assert changed_lines(draft)[0] == f"-{before}"
    assert len(changed_lines(draft)) == 2
    assert changed_lines(draft)[1].index("#") == f"+{before}".index("#")


def test_a_field_of_an_inline_table_is_set_in_its_place(file: Path) -> None:
    draft = StationDraft.read(file).with_value("channels.leaky_drive.safe.value", 0.5)
    assert changed_lines(draft) == [
        '-safe = { value = 0.0, how = "ramp", output = "off" }',
        '+safe = { value = 0.5, how = "ramp", output = "off" }',
    ]


@pytest.mark.parametrize(
    ("text", "key", "value", "expected"),
    [
        ("a.b = 1 # one\n", ("a", "c"), 2, "a.b = 1 # one\na.c = 2\n"),
        ("[t]\nx = 1", ("t", "y"), "z", '[t]\nx = 1\ny = "z"\n'),
        ("[t.u]\nx = 1\n", ("t", "y"), 2, "[t]\ny = 2\n\n[t.u]\nx = 1\n"),
        ("# head\n[t]\n", ("name",), True, "# head\nname = true\n[t]\n"),
        ('[t]\n"a b" = [1, # one\n  2]\n', ("t", "a b"), [3], '[t]\n"a b" = [3]\n'),
        ("[s.one]\nx = 1\n\n# about two\n[s.two]\nx = 2\n", ("s", "three"), {"x": 3}, None),
        ('[t]\nx = """a\n[no]\n"""\ny = 1\n', ("t", "y"), 2, '[t]\nx = """a\n[no]\n"""\ny = 2\n'),
        ("[t]\nx.y = {z = 1}\n", ("t", "x", "y", "z"), 2, "[t]\nx.y = { z = 2 }\n"),
        ("t = {}\n", ("t", "x"), 1, "t = { x = 1 }\n"),
        ("", ("s", "one"), {"x": 1}, "[s.one]\nx = 1\n"),
    ],
)
def test_all_ways_of_writing_a_table_can_be_edited(
    text: str, key: tuple[str, ...], value: object, expected: str | None
) -> None:
    edited = with_value(text, key, value)
    if expected is not None:
        assert edited == expected
    inner = tomllib.loads(edited)
    for part in key:
        inner = inner[part]
    assert inner == value
    assert tomllib.loads(without(edited, key)) is not None


def test_what_cannot_be_edited_is_refused_and_not_broken() -> None:
    with pytest.raises(NotEditable, match="by hand"):
        with_value("[[a]]\nx = 1\n", ("a",), {"y": 2})
    with pytest.raises(UsageError, match="is a value"):
        with_value("a = 1\n", ("a", "y"), 2)
    with pytest.raises(TypeError, match="TOML has no object"):
        with_value("a = 1\n", ("a",), object())


def test_removing_a_table_takes_its_comments_and_leaves_those_of_its_neighbours() -> None:
    text = "[s.a]\nx = 1\n\n# of b\n[s.b]\n# inside\nx = 2\n\n# of c\n[s.c]\nx = 3\n"
    assert without(text, ("s", "b")) == "[s.a]\nx = 1\n\n# of c\n[s.c]\nx = 3\n"
    with pytest.raises(UsageError, match="there is no 'd'; there are a, b, c"):
        without(text, ("s", "d"))


def test_a_channel_that_is_renamed_is_renamed_wherever_it_is_named(file: Path) -> None:
    draft = (
        StationDraft.read(file).renamed("channels", "duffing_drive", "force").renamed("instruments", "awg", "source")
    )
    assert draft.problems() == ()
    assert draft.value("devices.duffing.drive") == ["force"]
    assert draft.value("devices.duffing.preparation.pulse") == {"force": 0.7}
    assert draft.value("channels.force.instrument") == "source"
    assert "# 0.7 V for 8 ms" in draft.text
    with pytest.raises(UsageError, match="there is one already"):
        draft.renamed("channels", "force", "leaky_drive")


def test_a_quoted_key_stays_quoted_when_the_table_around_it_is_renamed() -> None:
    assert renamed('[a.b."1"] # x\ny = 1\n', ("a", "b"), "c") == '[a.c."1"] # x\ny = 1\n'


def test_problems_stand_at_their_field(file: Path) -> None:
    draft = StationDraft.read(file).with_value("channels.leaky_drive.limits", [2.0, -2.0])
    [problem] = draft.problems()
    assert problem.where == ("channels", "leaky_drive", "limits")
    assert "lower limit must be below" in problem.message
    [missing] = StationDraft.read(file).without("channels.duffing_bias.ramp_per_s").problems()[:1]
    assert missing.where == ("channels", "duffing_bias", "ramp_per_s")


def test_a_copy_is_told_what_it_may_not_share(file: Path) -> None:
    draft = StationDraft.read(file).with_copy("channels", "leaky_drive", fresh_name(["leaky_drive"], "leaky_drive"))
    [problem] = draft.problems()
    assert problem.where == ("channels", "leaky_drive_2", "terminal")


def test_saving_keeps_the_file_of_before_and_writes_nothing_broken(file: Path) -> None:
    before = file.read_text()
    draft = StationDraft.read(file).with_value("channels.duffing_bias.limits", [-0.1, 0.1])
    with pytest.raises(StationError, match=r"bench\.toml:\d+: channels\.duffing_bias\.unit"):
        draft.with_value("channels.duffing_bias.unit", "volts").save()
    assert file.read_text() == before
    saved = draft.save()
    assert not saved.changed
    assert load_station(file).channels["duffing_bias"].limits == (-0.1, 0.1)
    assert file.with_name("bench.toml.bak").read_text() == before


def test_a_file_that_somebody_else_changed_meanwhile_is_not_overwritten(file: Path) -> None:
    draft = StationDraft.read(file).with_value("station.name", "mine")
    file.write_text(file.read_text().replace("demo bench", "theirs"))
    with pytest.raises(StationError, match="another program has changed"):
        draft.save()
    assert load_station(file).name == "theirs"
    assert load_station(draft.save(file.with_name("other.toml")).path or "").name == "mine"


def test_line_ends_of_windows_stay(file: Path) -> None:
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    edit_station(file, change={"station.name": "lab 3"})
    content = file.read_bytes()
    assert content.count(b"\n") == content.count(b"\r\n")
    assert b'name = "lab 3"\r\n' in content


def test_the_commands_do_the_same(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["station", "set", str(file), "channels.duffing_bias.limits", "[-0.1, 0.1]", "station.name", "lab 3"]) == 0
    )
    said = capsys.readouterr().out
    assert '+name = "lab 3"' in said
    assert load_station(file).channels["duffing_bias"].limits == (-0.1, 0.1)
    assert main(["station", "set", str(file), "channels.duffing_bias.limits", "[1, -1]"]) == 1
    assert "channels.duffing_bias.limits: the lower limit must be below" in capsys.readouterr().err
    assert main(["station", "set", str(file), "station.name"]) == 1
    assert "has no value" in capsys.readouterr().err
    assert main(["station", "remove", str(file), "devices.leaky"]) == 0
    assert "leaky" not in load_station(file).devices
    assert main(["station", "rename", str(file), "channels.duffing_bias", "bias"]) == 0
    assert load_station(file).devices["duffing"].conditions == ("bias",)


def test_a_new_station_is_valid_and_overwrites_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "new.toml"
    address = "TCPIP::10.0.0.9::5025::SOCKET"
    assert main(["station", "new", str(path), "--name", "lab 3", "--address", address]) == 0
    station = load_station(path)
    assert station.name == "lab 3"
    assert [table.address for table in station.instruments.values()] == [address]
    assert main(["station", "new", str(path)]) == 1
    assert "exists already" in capsys.readouterr().err


def test_the_instruments_there_are_drivers_for_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["station", "instruments"]) == 0
    said = capsys.readouterr().out
    assert "keithley_2400" in said
    assert "Keithley 2400 source-measure unit" in said
