"""The Station panel from clicks alone, on simulated instruments in processes of their own."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QAbstractButton, QComboBox, QLineEdit, QTableView
from pytestqt.qtbot import QtBot

from gui.controller import State
from gui.main_window import MainWindow
from gui.panels.station.panel import StationPanel
from gui.widgets.script_window import ScriptWindow
from labctl.bench import Bench
from labctl.simulation import SimulatedBench
from labctl.station import load_station
from labctl.station_editing import edit_station

WAIT_MS = 60_000
LEFT = Qt.MouseButton.LeftButton
Opened = Callable[..., MainWindow]


def panel_of(window: MainWindow) -> StationPanel:
    panel = window.show_panel("station")
    assert isinstance(panel, StationPanel)
    return panel


def until(qtbot: QtBot, condition: Callable[[], bool]) -> None:
    qtbot.waitUntil(condition, timeout=WAIT_MS)


def type_into(qtbot: QtBot, edit: QLineEdit, text: str) -> None:
    edit.setFocus()
    edit.selectAll()
    qtbot.keyClicks(edit, text)


def click_row(qtbot: QtBot, view: QTableView, row: int, column: int = 1) -> None:
    at = view.visualRect(view.model().index(row, column)).center()
    qtbot.mouseClick(view.viewport(), LEFT, pos=at)


def choose_output(qtbot: QtBot, panel: StationPanel, name: str) -> None:
    row = next(number for number, one in enumerate(panel.live.channels.rows) if one.channel.name == name)
    click_row(qtbot, panel.live.view, row)
    assert panel.live.set_box.channel_box.currentData() == name


def test_an_opened_station_shows_identities_values_limits_and_that_it_is_simulated(
    qtbot: QtBot, opened: Opened
) -> None:
    panel = panel_of(opened())
    rows = {row.name: row for row in panel.live.instruments.model.rows}
    assert "SIM-33522B-001" in rows["awg"].who
    assert {row.state_text for row in rows.values()} == {"◆ SIMULATED"}
    bias = panel.live.channels.row_of("duffing_bias")
    assert bias is not None
    until(qtbot, lambda: bias.value is not None)
    assert bias.limits_text == "-0.2 … 0.2 V"
    assert bias.ramp_text == "1 V/s"
    qtbot.mouseClick(panel.live.instruments.identify_button, LEFT)
    until(qtbot, lambda: not panel.live.instruments._asked)
    assert panel.live.instruments.advice.isHidden()


def test_a_value_is_set_by_enter_and_marked_near_its_limit(qtbot: QtBot, opened: Opened) -> None:
    window = opened()
    panel = panel_of(window)
    choose_output(qtbot, panel, "duffing_bias")
    box = panel.live.set_box
    until(qtbot, lambda: "duffing_bias" in box._levels)
    type_into(qtbot, box.field.edit, "0.195")
    assert "from 0 to 0.195 V in 0.2 s" in box.told.text()
    qtbot.keyClick(box.field.edit, Qt.Key.Key_Return)
    row = panel.live.channels.row_of("duffing_bias")
    assert row is not None
    until(qtbot, lambda: row.value == pytest.approx(0.195, abs=1e-6))
    assert row.value_text == "▲ +0.1950 V"
    assert row.target_text == "+0.195 V"
    assert "duffing_bias 0.195 V" in window.top_bar.state.whole()
    qtbot.mouseClick(box.safe_button, LEFT)
    until(qtbot, lambda: row.value == pytest.approx(0.0, abs=1e-6))
    until(qtbot, lambda: not box._running)


def test_a_value_outside_the_limits_is_told_at_the_field_and_nothing_is_sent(qtbot: QtBot, opened: Opened) -> None:
    window = opened()
    panel = panel_of(window)
    choose_output(qtbot, panel, "leaky_drive")
    box = panel.live.set_box
    for text, told in (
        ("2.5", "2.5 V outside -2 … 2 V. Nothing is sent"),
        ("x", "'x' is no number"),
        ("", "is missing"),
    ):
        box.field.edit.clear()
        type_into(qtbot, box.field.edit, text)
        assert told in box.told.text()
        assert not box.set_button.isEnabled()
        assert told.partition(". ")[0] in box.set_button.toolTip()
        qtbot.keyClick(box.field.edit, Qt.Key.Key_Return)
    bench = window.controller.bench
    assert bench is not None
    assert not bench.safe_states.armed


def test_a_ramp_shows_its_progress_and_stops_where_it_is(qtbot: QtBot, opened: Opened, station: Path) -> None:
    edit_station(station, change={"channels.duffing_bias.ramp_per_s": 0.02})
    window = opened(station)
    panel = panel_of(window)
    choose_output(qtbot, panel, "duffing_bias")
    box = panel.live.set_box
    until(qtbot, lambda: "duffing_bias" in box._levels)
    type_into(qtbot, box.field.edit, "0.1")
    assert "in 5 s" in box.told.text()
    qtbot.mouseClick(box.set_button, LEFT)
    until(qtbot, lambda: box.progress.isVisible() and "s left" in box.progress.text())
    assert not box.set_button.isEnabled()
    assert "stop its ramp first" in box.set_button.toolTip()
    qtbot.mouseClick(box.stop_button, LEFT)
    until(qtbot, lambda: not box._running)
    assert "on its way to 0.1 V" in box.told.text()
    bench = window.controller.bench
    assert bench is not None
    assert 0.0 < bench.get("duffing_bias") < 0.1


def test_all_outputs_safe_ends_a_ramp(qtbot: QtBot, opened: Opened, station: Path) -> None:
    edit_station(station, change={"channels.duffing_bias.ramp_per_s": 0.02})
    window = opened(station)
    box = panel_of(window).live.set_box
    box.choose("duffing_bias")
    type_into(qtbot, box.field.edit, "0.1")
    qtbot.mouseClick(box.set_button, LEFT)
    until(qtbot, lambda: box.progress.isVisible() and "s left" in box.progress.text())
    qtbot.mouseClick(window.safe_button, LEFT)
    until(qtbot, lambda: not box._running and window.controller.state is State.READY)
    bench = window.controller.bench
    assert bench is not None
    assert bench.get("duffing_bias") == pytest.approx(0.0, abs=1e-6)


def test_setting_can_be_shown_as_a_script(qtbot: QtBot, opened: Opened) -> None:
    window = opened()
    box = panel_of(window).live.set_box
    box.choose("duffing_bias")
    type_into(qtbot, box.field.edit, "0.05")
    qtbot.mouseClick(box.script_button, LEFT)
    [script] = [one for one in window.findChildren(ScriptWindow) if one.isVisible()]
    assert "hold_outputs" in script.text.toPlainText()
    assert '{"duffing_bias": 0.05}' in script.text.toPlainText()
    script.close()


def test_ticked_channels_are_drawn(qtbot: QtBot, opened: Opened) -> None:
    panel = panel_of(opened())
    assert panel.live.channels.plotted[0].name == "leaky_drive"
    view = panel.live.view
    rect = view.visualRect(view.model().index(0, 0))
    qtbot.mouseClick(view.viewport(), LEFT, pos=QPoint(rect.left() + 15, rect.center().y()))
    assert "leaky_drive" not in [one.name for one in panel.live.channels.plotted]
    assert len(panel.live.chart._curves) == len(panel.live.channels.plotted) == 3


def test_an_instrument_that_is_unplugged_is_told_and_the_others_go_on(
    qtbot: QtBot, opened: Opened, own_simulation: SimulatedBench, own_station: Path, simulation: SimulatedBench
) -> None:
    edit_station(own_station, change={"instruments.smu.address": simulation.addresses["smu"]})
    window = opened(own_station)
    panel = panel_of(window)
    rows = {row.name: row for row in panel.live.instruments.model.rows}
    bias = panel.live.channels.row_of("duffing_bias")
    assert bias is not None
    os.kill(own_simulation.pid, signal.SIGSTOP)
    until(qtbot, lambda: rows["awg"].state_text == "✖ unreachable")
    os.kill(own_simulation.pid, signal.SIGCONT)
    click_row(qtbot, panel.live.instruments.view, 0)
    qtbot.mouseClick(panel.live.instruments.reconnect_button, LEFT)
    until(qtbot, lambda: rows["awg"].state == "SIMULATED")
    assert panel.live.instruments.advice.isHidden() or "awg" not in panel.live.instruments.advice.text()
    os.kill(own_simulation.pid, signal.SIGKILL)
    until(qtbot, lambda: rows["awg"].state_text == "✖ unreachable" and bool(rows["awg"].advice))
    assert "Reconnect" in panel.live.instruments.advice.text()
    assert "awg" in panel.live.instruments.advice.text()
    assert rows["smu"].state == "SIMULATED"
    bias.value = None
    until(qtbot, lambda: bias.value is not None)
    click_row(qtbot, panel.live.instruments.view, 0)
    qtbot.mouseClick(panel.live.instruments.reconnect_button, LEFT)
    until(qtbot, lambda: not panel.live.instruments._asked)
    assert rows["awg"].state == "unreachable"
    box = panel.live.set_box
    box.choose("duffing_bias")
    type_into(qtbot, box.field.edit, "0.01")
    qtbot.keyClick(box.field.edit, Qt.Key.Key_Return)
    until(qtbot, lambda: bias.value == pytest.approx(0.01, abs=1e-6))


def test_a_wrong_address_is_told_corrected_and_opened_anew(qtbot: QtBot, opened: Opened, station: Path) -> None:
    right = load_station(station).instruments["digitiser"].address
    edit_station(station, change={"instruments.digitiser.address": "TCPIP::127.0.0.1::1::SOCKET"})
    window = opened(station)
    panel = panel_of(window)
    row = panel.live.instruments.model.row_of("digitiser")
    assert row is not None
    until(qtbot, lambda: row.state_text == "✖ unreachable" and bool(row.advice))
    assert "refused" in row.trouble
    bias = panel.live.channels.row_of("duffing_bias")
    assert bias is not None
    until(qtbot, lambda: bias.value is not None)
    panel.pages.setCurrentWidget(panel.edit)
    until(qtbot, lambda: panel.edit.editor.there)
    panel.edit.tree.choose(("instruments", "digitiser"))
    address = panel.edit.form.editors["address"].inputs[0]
    assert isinstance(address, QLineEdit)
    type_into(qtbot, address, right)
    qtbot.mouseClick(panel.edit.save_button, LEFT)
    until(qtbot, lambda: not panel.edit.editor.dirty)
    qtbot.mouseClick(panel.edit.reopen_button, LEFT)
    until(qtbot, lambda: window.controller.state is State.READY)
    until(qtbot, lambda: [one.state for one in panel.live.instruments.model.rows] == ["SIMULATED"] * 3)


def test_a_station_is_closed_and_its_outputs_are_safe(qtbot: QtBot, opened: Opened, station: Path) -> None:
    window = opened()
    panel = panel_of(window)
    box = panel.live.set_box
    box.choose("duffing_bias")
    type_into(qtbot, box.field.edit, "0.05")
    qtbot.keyClick(box.field.edit, Qt.Key.Key_Return)
    until(qtbot, lambda: "set by hand" in window.top_bar.state.whole())
    qtbot.mouseClick(panel.close_button, LEFT)
    until(qtbot, lambda: window.controller.state is State.EMPTY)
    assert panel.empty.isVisible()
    bench = Bench.open(station)
    try:
        assert bench.get("duffing_bias") == pytest.approx(0.0, abs=1e-6)
    finally:
        bench.close()


def test_every_control_has_a_tooltip_and_an_accessible_name(qtbot: QtBot, opened: Opened) -> None:
    panel = panel_of(opened())
    for kind in (QAbstractButton, QComboBox, QLineEdit, QTableView):
        for widget in panel.findChildren(kind):
            if widget.parent() is not None and not widget.objectName().startswith("qt_") and widget.isVisible():
                assert widget.accessibleName(), widget
                assert widget.toolTip() or isinstance(widget, QTableView), widget.accessibleName()
