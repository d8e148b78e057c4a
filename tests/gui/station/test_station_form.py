"""Editing the station file in the window, from clicks and keys alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import QSettings, Qt
from PySide6.QtWidgets import QComboBox, QLineEdit, QPlainTextEdit
from pytestqt.qtbot import QtBot

from gui.controller import State
from gui.main_window import MainWindow
from gui.panels.station.edit_page import UNSAVED, EditPage
from gui.panels.station.panel import StationPanel
from gui.widgets.script_window import ScriptWindow
from labctl.calls import BENCH, FOLDER, call
from labctl.job import Job
from labctl.simulation import bundled_station
from labctl.station import load_station

WAIT_MS = 60_000
LEFT = Qt.MouseButton.LeftButton
Opened = Callable[..., MainWindow]


def page_of(qtbot: QtBot, window: MainWindow) -> EditPage:
    panel = window.show_panel("station")
    assert isinstance(panel, StationPanel)
    bar = panel.pages.tabBar()
    qtbot.mouseClick(bar, LEFT, pos=bar.tabRect(1).center())
    if window.controller.bench is not None:
        qtbot.waitUntil(lambda: panel.edit.editor.there, timeout=WAIT_MS)
    return panel.edit


def go_to(qtbot: QtBot, page: EditPage, *where: str) -> None:
    page.tree.scrollTo(page.tree._index(where))
    qtbot.mouseClick(page.tree.viewport(), LEFT, pos=page.tree.visualRect(page.tree._index(where)).center())
    assert page.tree.where == where


def line(page: EditPage, key: str, number: int = 0) -> QLineEdit:
    field = page.form.editors[key].inputs[number]
    found = field.lineEdit() if isinstance(field, QComboBox) else field
    assert isinstance(found, QLineEdit)
    return found


def type_into(qtbot: QtBot, edit: QLineEdit, text: str) -> None:
    edit.setFocus()
    edit.selectAll()
    qtbot.keyClicks(edit, text)
    if not text:
        qtbot.keyClick(edit, Qt.Key.Key_Delete)


def test_errors_stand_at_the_field_as_one_types_and_nothing_wrong_is_saved(
    qtbot: QtBot, opened: Opened, station: Path
) -> None:
    page = page_of(qtbot, opened())
    before = station.read_text()
    go_to(qtbot, page, "channels", "duffing_bias")
    type_into(qtbot, line(page, "limits"), "0.9")
    assert "lower limit must be below the upper one" in page.form.editors["limits"].trouble.text()
    assert page.form.editors["limits"].trouble.isVisible()
    assert not page.save_button.isEnabled()
    assert "1 problem first" in page.save_button.toolTip()
    assert "+limits = [0.9, 0.2]" in page.difference.toPlainText()
    type_into(qtbot, line(page, "limits"), "abc")
    assert "valid number" in page.form.editors["limits"].trouble.text()
    type_into(qtbot, line(page, "ramp_per_s"), "")
    type_into(qtbot, line(page, "limits"), "-0.1")
    assert "must have ramp_per_s" in page.form.editors["ramp_per_s"].trouble.text()
    go_to(qtbot, page, "station")
    qtbot.mouseClick(page.first_button, LEFT)
    assert page.tree.where == ("channels", "duffing_bias")
    assert station.read_text() == before


def test_letters_of_one_field_are_undone_together_and_redone(qtbot: QtBot, opened: Opened) -> None:
    window = opened()
    page = page_of(qtbot, window)
    go_to(qtbot, page, "channels", "duffing_bias")
    type_into(qtbot, line(page, "ramp_per_s"), "0.25")
    type_into(qtbot, line(page, "terminal"), "x")
    assert page.editor.draft.value("channels.duffing_bias.ramp_per_s") == 0.25
    window.activateWindow()
    edit = line(page, "ramp_per_s")
    edit.setFocus()
    qtbot.keyClick(edit, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert edit.text() == "0.25"
    qtbot.keyClick(edit, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert line(page, "ramp_per_s").text() == "1"
    assert not page.editor.dirty
    qtbot.keyClick(edit, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
    assert line(page, "ramp_per_s").text() == "0.25"


def test_a_changed_station_is_saved_with_its_comments_and_opened_anew(
    qtbot: QtBot, opened: Opened, station: Path
) -> None:
    window = opened()
    page = page_of(qtbot, window)
    before = station.read_text()
    go_to(qtbot, page, "channels", "duffing_bias")
    type_into(qtbot, line(page, "limits"), "-0.1")
    assert not page.reopen_button.isEnabled()
    qtbot.mouseClick(page.save_button, LEFT)
    qtbot.waitUntil(lambda: not page.editor.dirty, timeout=WAIT_MS)
    assert station.read_text() == before.replace("limits = [-0.2, 0.2]", "limits = [-0.1, 0.2]")
    assert station.with_name(station.name + ".bak").read_text() == before
    qtbot.mouseClick(page.reopen_button, LEFT)
    assert window.controller.state is State.REOPENING
    qtbot.waitUntil(lambda: window.controller.state is State.READY, timeout=WAIT_MS)
    bench = window.controller.bench
    assert bench is not None
    assert bench.station.channels["duffing_bias"].limits == (-0.1, 0.2)
    window.desk.undo.undo()
    assert page.editor.dirty
    qtbot.mouseClick(page.save_button, LEFT)
    qtbot.waitUntil(lambda: not page.editor.dirty, timeout=WAIT_MS)
    assert station.read_text() == before


def test_entries_are_added_duplicated_renamed_and_removed(qtbot: QtBot, opened: Opened) -> None:
    page = page_of(qtbot, opened())
    page.add_actions["input"].trigger()
    assert page.tree.where == ("channels", "input")
    assert page.editor.problems == ()
    qtbot.mouseClick(page.copy_button, LEFT)
    assert page.tree.where == ("channels", "input_2")
    type_into(qtbot, page.form.name_edit, "thermometer")
    qtbot.keyClick(page.form.name_edit, Qt.Key.Key_Return)
    assert page.tree.where == ("channels", "thermometer")
    qtbot.mouseClick(page.remove_button, LEFT)
    assert page.editor.draft.value("channels.thermometer") is None
    go_to(qtbot, page, "instruments", "awg")
    type_into(qtbot, page.form.name_edit, "generator")
    qtbot.keyClick(page.form.name_edit, Qt.Key.Key_Return)
    assert page.editor.draft.value("channels.leaky_drive.instrument") == "generator"
    qtbot.mouseClick(page.revert_button, LEFT)
    assert not page.editor.dirty


def test_a_kind_that_is_chosen_brings_its_fields_and_says_what_is_left_over(qtbot: QtBot, opened: Opened) -> None:
    page = page_of(qtbot, opened())
    go_to(qtbot, page, "channels", "duffing_bias")
    kind = page.form.editors["kind"].inputs[0]
    assert isinstance(kind, QComboBox)
    kind.setFocus()
    qtbot.keyClicks(kind, "sen")
    assert page.editor.draft.value("channels.duffing_bias.kind") == "sense"
    assert "range" in page.form.editors
    assert "has no limits" in page.form.editors["limits"].trouble.text()


def test_a_table_is_edited_as_lines_and_keeps_its_layout(qtbot: QtBot, show: Opened, tmp_path: Path) -> None:
    path = tmp_path / "cell.toml"
    path.write_text(bundled_station("reaction_cell"), encoding="utf-8")
    window = show()
    panel = window.show_panel("station")
    assert isinstance(panel, StationPanel)
    panel.edit.open_file(path)
    page = page_of(qtbot, window)
    qtbot.waitUntil(lambda: page.editor.there, timeout=WAIT_MS)
    go_to(qtbot, page, "instruments", "pump")
    lines = page.form.editors["scpi"].inputs[0]
    assert isinstance(lines, QPlainTextEdit)
    assert lines.toPlainText().splitlines()[0] == 'describe.feed_rate = "PUMP1:RATE?"'
    lines.setFocus()
    qtbot.keyClick(lines, Qt.Key.Key_End, Qt.KeyboardModifier.ControlModifier)
    qtbot.keyClick(lines, Qt.Key.Key_Return)
    qtbot.keyClicks(lines, "error = ")
    assert "not taken yet" in page.form.editors["scpi"].trouble.text()
    assert "cannot be taken yet" in page.save_button.toolTip()
    qtbot.keyClicks(lines, '"SYST:ERR?"')
    assert not page.form.editors["scpi"].trouble.isVisible()
    changed = [
        line for line in page.difference.toPlainText().splitlines() if line[:1] in "+-" and line[1:2] not in "+-"
    ]
    assert changed == ['+error = "SYST:ERR?"']
    window.activateWindow()
    for _ in range(30):
        qtbot.keyClick(lines, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert not page.editor.dirty
    assert "error" not in lines.toPlainText()


def test_the_changes_can_be_shown_as_a_script(qtbot: QtBot, opened: Opened) -> None:
    window = opened()
    page = page_of(qtbot, window)
    go_to(qtbot, page, "channels", "duffing_bias")
    type_into(qtbot, line(page, "ramp_per_s"), "0.5")
    qtbot.mouseClick(page.script_button, LEFT)
    [script] = [one for one in window.findChildren(ScriptWindow) if one.isVisible()]
    assert "edit_station(" in script.text.toPlainText()
    assert '"channels.duffing_bias.ramp_per_s": 0.5' in script.text.toPlainText()
    script.close()


def test_a_new_station_is_written_where_one_says(
    qtbot: QtBot, show: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = show()
    panel = window.show_panel("station")
    assert isinstance(panel, StationPanel)
    qtbot.mouseClick(panel.new_button, LEFT)
    page = panel.edit
    go_to(qtbot, page, "station")
    type_into(qtbot, line(page, "name"), "lab 3")
    asked = "gui.panels.station.edit_page.ask_where_to_save"
    monkeypatch.setattr(asked, lambda *given: given[-1](tmp_path / "new.toml"))
    qtbot.mouseClick(page.save_button, LEFT)
    qtbot.waitUntil(lambda: page.editor.path is not None, timeout=WAIT_MS)
    assert load_station(tmp_path / "new.toml").name == "lab 3"
    assert page.reopen_button.isEnabled()


def test_what_was_not_saved_is_there_after_the_next_start(
    qtbot: QtBot, show: Opened, station: Path, tmp_path: Path
) -> None:
    settings = QSettings(str(tmp_path / "kept.ini"), QSettings.Format.IniFormat)
    window = show(settings=settings)
    panel = window.show_panel("station")
    assert isinstance(panel, StationPanel)
    panel.edit.open_file(station)
    page = page_of(qtbot, window)
    qtbot.waitUntil(lambda: page.editor.there, timeout=WAIT_MS)
    go_to(qtbot, page, "station")
    type_into(qtbot, line(page, "name"), "lab 3")
    again = page_of(qtbot, show(settings=settings))
    assert again.editor.dirty
    assert again.editor.path == station
    assert again.editor.draft.value("station.name") == "lab 3"
    qtbot.mouseClick(again.revert_button, LEFT)
    assert not page_of(qtbot, show(settings=settings)).editor.there


def test_kept_text_that_is_no_change_of_a_station_is_told_and_the_panel_loads(
    qtbot: QtBot, show: Opened, tmp_path: Path
) -> None:
    settings = QSettings(str(tmp_path / "kept.ini"), QSettings.Format.IniFormat)
    for text in ("5", '["a", "b"]', '{"a": 1}', "[1, 2, 3]", "null", "no JSON"):
        settings.setValue(UNSAVED, text)
        panel = show(settings=settings).show_panel("station")
        assert isinstance(panel, StationPanel), text
        assert not panel.edit.editor.dirty


def test_while_a_campaign_runs_nothing_is_set_or_edited_and_it_says_why(
    qtbot: QtBot, opened: Opened, tmp_path: Path
) -> None:
    window = opened()
    page = page_of(qtbot, window)
    go_to(qtbot, page, "channels", "duffing_bias")
    rng = call("numpy.random:default_rng", 1)
    wanted = call("labctl.campaigns.characterise:characterise", BENCH, "leaky", folder=FOLDER, rng=rng, seed=1)
    work = window.desk.start(Job("characterise", wanted, tmp_path / "run"))
    qtbot.waitUntil(lambda: window.controller.state is State.RUNNING, timeout=WAIT_MS)
    assert not line(page, "ramp_per_s").isEnabled()
    panel = window.show_panel("station")
    assert isinstance(panel, StationPanel)
    set_button = panel.live.set_box.set_button
    for told in (page.told.text(), page.save_button.toolTip(), set_button.toolTip()):
        assert "A campaign is running" in told
    assert not set_button.isEnabled()
    work.stop()
    qtbot.waitUntil(lambda: work.over and window.controller.state is State.READY, timeout=WAIT_MS)
    assert line(page, "ramp_per_s").isEnabled()
