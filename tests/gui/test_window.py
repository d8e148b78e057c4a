"""The window on a simulated bench, from clicks alone."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import QSettings, Qt
from PySide6.QtGui import QFontDatabase
from PySide6.QtWidgets import QAbstractButton, QComboBox, QLineEdit, QTableView
from pytestqt.qtbot import QtBot

sys.path.insert(0, str(Path(__file__).parent))
import campaigns

from gui.controller import State
from gui.main_window import MainWindow
from labctl.bench import Bench
from labctl.simulation import SimulatedBench

WAIT_MS = 60_000
LEFT = Qt.MouseButton.LeftButton
Show = Callable[..., MainWindow]


def wait_for(qtbot: QtBot, window: MainWindow, state: State) -> None:
    qtbot.waitUntil(lambda: window.controller.state is state, timeout=WAIT_MS)


def start(qtbot: QtBot, window: MainWindow) -> None:
    qtbot.mouseClick(window.run_panel.run, LEFT)
    assert window.controller.state is State.RUNNING


def ask_awg(simulation: SimulatedBench, query: str) -> str:
    """A query over a connection of the test's own, with no code of ours in between."""
    host, port = simulation.addresses["awg"].split("::")[1:3]
    with socket.create_connection((host, int(port)), timeout=10) as line:
        line.sendall(f"{query}\n".encode())
        return line.makefile().readline().strip()


def assert_outputs_off(simulation: SimulatedBench) -> None:
    assert [ask_awg(simulation, f"OUTP{number}?") for number in (1, 2)] == ["0", "0"]
    assert [float(ask_awg(simulation, f"SOUR{number}:VOLT:OFFS?")) for number in (1, 2)] == [0.0, 0.0]


def levels(station: Path) -> dict[str, float]:
    """What another bench, opened after the window let go of the serial port, reads back from every output."""
    bench = Bench.open(station)
    try:
        return {name: bench.get(name) for name, channel in bench.station.channels.items() if channel.is_output}
    finally:
        bench.close()


def test_fonts_are_there(qtbot: QtBot) -> None:
    assert QFontDatabase.families(), "without fonts every glyph is an empty box"


def test_an_opened_station_shows_identities_limits_values_and_that_it_is_simulated(qtbot: QtBot, opened: Show) -> None:
    window = opened(small=campaigns.small)
    assert window.banner.isVisible()
    assert "SIMULATED" in window.banner.text()
    assert "SIMULATED" in window.windowTitle()
    instruments = {row.name: row for row in window.station_panel.instruments.rows}
    assert "SIM-33522B-001" in instruments["awg"].who
    assert instruments["smu"].state == "SIMULATED"
    rows = {row.channel.name: row for row in window.station_panel.channels.rows}
    qtbot.waitUntil(lambda: rows["duffing_bias"].value is not None, timeout=WAIT_MS)
    assert rows["duffing_bias"].value == pytest.approx(0.0, abs=1e-6)
    assert rows["leaky_drive"].limits_text == "-2 … 2 V"
    assert rows["leaky_drive"].safe_text.startswith("0 V")


def test_a_campaign_runs_to_its_end_by_clicks_and_leaves_the_outputs_safe(
    qtbot: QtBot, opened: Show, simulation: SimulatedBench, station: Path, tmp_path: Path
) -> None:
    window = opened(small=campaigns.small)
    with qtbot.waitSignal(window.controller.made_safe, timeout=WAIT_MS) as safe:
        start(qtbot, window)
    wait_for(qtbot, window, State.READY)
    steps = window.outcome.steps.rows
    assert [step.state for step in steps] == ["done", "done"]
    assert window.bridge.box.samples.total > 0
    assert "all safe, read back: leaky_drive 0 V" in window.outputs_label.text()
    assert safe.args[0].ok
    (folder,) = (tmp_path / "runs").iterdir()
    assert (folder / "leaky-training.h5").exists()
    first = json.loads((folder / "journal.jsonl").read_text().splitlines()[0])
    assert first["event"] == "StepStarted"
    assert not window.error_panel.isVisible()
    assert_outputs_off(simulation)


def test_stop_in_the_middle_ends_the_campaign_and_leaves_the_outputs_safe(
    qtbot: QtBot, opened: Show, simulation: SimulatedBench, station: Path
) -> None:
    window = opened(endless=campaigns.endless)
    start(qtbot, window)
    qtbot.waitUntil(lambda: window.bridge.box.samples.total > 0, timeout=WAIT_MS)
    qtbot.mouseClick(window.run_panel.stop, LEFT)
    wait_for(qtbot, window, State.READY)
    assert not window.bridge.running
    assert not window.error_panel.isVisible(), "stopping is no error"
    assert "stopped" in window.outcome.log.text()
    assert_outputs_off(simulation)


def test_a_second_campaign_can_run_after_one_was_stopped(qtbot: QtBot, opened: Show) -> None:
    window = opened(endless=campaigns.endless, small=campaigns.small)
    start(qtbot, window)
    qtbot.waitUntil(lambda: window.bridge.box.samples.total > 0, timeout=WAIT_MS)
    qtbot.mouseClick(window.run_panel.stop, LEFT)
    wait_for(qtbot, window, State.READY)
    window.run_panel.campaign.setCurrentIndex(1)
    start(qtbot, window)
    wait_for(qtbot, window, State.READY)
    assert [step.state for step in window.outcome.steps.rows] == ["done", "done"]


@pytest.mark.parametrize("by_key", [False, True], ids=["button", "Esc"])
def test_all_outputs_safe_works_under_a_saturating_source(
    qtbot: QtBot, opened: Show, simulation: SimulatedBench, station: Path, by_key: bool
) -> None:
    window = opened(saturating=campaigns.saturating)
    start(qtbot, window)
    qtbot.waitUntil(lambda: window.bridge.box.samples.total > 10_000, timeout=WAIT_MS)
    assert ask_awg(simulation, "OUTP1?") == "1"
    with qtbot.waitSignal(window.controller.made_safe, timeout=WAIT_MS) as safe:
        if by_key:
            qtbot.keyClick(window, Qt.Key.Key_Escape)
        else:
            qtbot.mouseClick(window.safe_button, LEFT)
    assert safe.args[0].ok
    wait_for(qtbot, window, State.READY)
    assert not window.bridge.running
    assert len(window.outcome.log.rows) <= 5000
    assert_outputs_off(simulation)


def test_all_outputs_safe_does_not_wait_for_a_campaign_that_does_not_listen(
    qtbot: QtBot, opened: Show, simulation: SimulatedBench, station: Path
) -> None:
    window = opened(deaf=campaigns.deaf)
    start(qtbot, window)
    qtbot.waitUntil(lambda: bool(window.outcome.steps.rows), timeout=WAIT_MS)
    with qtbot.waitSignal(window.controller.made_safe, timeout=WAIT_MS) as safe:
        qtbot.mouseClick(window.safe_button, LEFT)
    assert safe.args[0].ok
    wait_for(qtbot, window, State.READY)
    assert_outputs_off(simulation)


def test_a_run_asked_for_while_values_are_being_read_starts_once(qtbot: QtBot, opened: Show) -> None:
    window = opened(endless=campaigns.endless)
    readings = threading.Event()
    window.controller.bench.get = lambda channel: readings.wait(60)  # type: ignore[method-assign, union-attr]
    qtbot.wait(1500)  # a reading begins within a second, and now lasts
    start(qtbot, window)
    qtbot.mouseClick(window.safe_button, LEFT)
    wait_for(qtbot, window, State.READY)
    start(qtbot, window)
    readings.set()
    qtbot.waitUntil(lambda: window.bridge.box.samples.total > 0, timeout=WAIT_MS)
    qtbot.mouseClick(window.run_panel.stop, LEFT)
    wait_for(qtbot, window, State.READY)
    assert not window.error_panel.isVisible()


def test_stop_before_the_campaign_has_begun_leaves_the_window_ready(qtbot: QtBot, opened: Show) -> None:
    window = opened(endless=campaigns.endless)
    readings = threading.Event()
    window.controller.bench.get = lambda channel: readings.wait(60)  # type: ignore[method-assign, union-attr]
    qtbot.wait(1500)
    start(qtbot, window)
    qtbot.mouseClick(window.run_panel.stop, LEFT)
    readings.set()
    wait_for(qtbot, window, State.READY)
    assert not window.outcome.steps.rows


def test_all_outputs_safe_works_while_nothing_runs(qtbot: QtBot, opened: Show) -> None:
    window = opened(small=campaigns.small)
    with qtbot.waitSignal(window.controller.made_safe, timeout=WAIT_MS) as safe:
        qtbot.mouseClick(window.safe_button, LEFT)
    assert safe.args[0].ok
    wait_for(qtbot, window, State.READY)


def test_closing_during_a_run_leaves_the_outputs_safe_and_says_what_was_read_back(
    qtbot: QtBot, opened: Show, simulation: SimulatedBench, station: Path
) -> None:
    window = opened(saturating=campaigns.saturating, farewell_ms=600_000)
    start(qtbot, window)
    qtbot.waitUntil(lambda: window.bridge.box.samples.total > 0, timeout=WAIT_MS)
    window.close()
    assert window.isVisible(), "it may not close before the outputs are safe"
    wait_for(qtbot, window, State.PARTED)
    assert window.farewell.isVisible()
    assert "duffing_bias: safe, 0 V read back" in window.farewell.message.text()
    assert_outputs_off(simulation)
    assert levels(station) == {"leaky_drive": 0.0, "duffing_drive": 0.0, "duffing_bias": 0.0}
    with qtbot.waitSignal(window.closed, timeout=WAIT_MS):
        qtbot.mouseClick(window.farewell.findChild(QAbstractButton), LEFT)
    assert not window.isVisible()


def test_a_failing_campaign_tells_why_and_leaves_the_outputs_safe(
    qtbot: QtBot, opened: Show, simulation: SimulatedBench, station: Path
) -> None:
    window = opened(failing=campaigns.failing)
    start(qtbot, window)
    wait_for(qtbot, window, State.READY)
    assert window.error_panel.isVisible()
    assert "duffing_bias: 5 V is outside -0.2..0.2 V" in window.error_panel.message.text()
    assert str(station) in window.error_panel.message.text(), "file and line, so that a person can act"
    assert window.outcome.steps.rows[0].state == "broken off at 50 %"
    assert_outputs_off(simulation)


def test_killing_the_simulator_in_the_middle_is_told_and_the_window_lives(
    qtbot: QtBot, opened: Show, simulation: SimulatedBench, station: Path
) -> None:
    station.write_text(station.read_text().replace("\naddress =", "\ntimeout_s = 0.3\nreconnect_s = 0.2\naddress ="))
    window = opened(endless=campaigns.endless, farewell_ms=600_000)
    start(qtbot, window)
    qtbot.waitUntil(lambda: window.bridge.box.samples.total > 0, timeout=WAIT_MS)
    os.kill(simulation.pid, signal.SIGKILL)
    wait_for(qtbot, window, State.READY)
    assert window.error_panel.isVisible()
    assert "NOT ALL KNOWN TO BE SAFE" in window.outputs_label.text()
    assert "ERROR" in window.outcome.log.text()
    qtbot.waitUntil(
        lambda: all(row.state == "unreachable" for row in window.station_panel.instruments.rows), timeout=WAIT_MS
    )
    window.close()
    wait_for(qtbot, window, State.PARTED)
    assert window.isVisible(), "a person has to read that the outputs are not known to be safe"
    assert "NOT ALL OUTPUTS" in window.farewell.headline.text()


def test_a_bad_station_file_is_told_with_its_line(qtbot: QtBot, show: Show, station: Path) -> None:
    station.write_text(station.read_text().replace('unit = "V"', 'unit = "Volt-ish"', 1))
    window = show()
    with qtbot.waitSignal(window.controller.troubled, timeout=WAIT_MS):
        window.controller.open_station(station)
    assert window.error_panel.isVisible()
    assert f"{station.name}:" in window.error_panel.message.text()
    assert "Volt-ish" in window.error_panel.message.text()
    assert window.controller.state is State.EMPTY, "another file can be opened"
    assert window.open_action.isEnabled()


def test_a_station_that_cannot_be_reached_is_told_with_its_address(
    qtbot: QtBot, show: Show, station: Path, simulation: SimulatedBench
) -> None:
    simulation.stop()
    window = show()
    with qtbot.waitSignal(window.controller.troubled, timeout=WAIT_MS):
        window.controller.open_station(station)
    assert simulation.addresses["awg"] in window.error_panel.text()


def test_the_window_starts_a_simulated_bench_itself_and_ends_it_with_itself(qtbot: QtBot, show: Show) -> None:
    window = show(small=campaigns.small)
    window.controller.open_simulated()
    wait_for(qtbot, window, State.READY)
    assert window.banner.isVisible()
    pid = window.controller.simulation_pid
    assert pid is not None
    window.close()
    wait_for(qtbot, window, State.PARTED)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_closing_while_a_station_is_being_opened_parts_from_it_as_well(qtbot: QtBot, show: Show, station: Path) -> None:
    window = show()
    window.controller.open_station(station)
    window.close()
    wait_for(qtbot, window, State.PARTED)
    assert window.controller.bench is None


def test_reported_tasks_stand_in_the_results_promised_beside_measured(qtbot: QtBot, opened: Show) -> None:
    window = opened(reporting=campaigns.reporting)
    start(qtbot, window)
    wait_for(qtbot, window, State.READY)
    model = window.outcome.tasks
    cells = [model.index(0, column).data() for column in range(model.columnCount())]
    assert cells == ["narma10", "nrmse", "0.300 ± 0.010", "0.310 ± 0.020", "0.550", "0.900", "0.600", "0.400"]
    assert window.outcome.currentIndex() == 1, "the results are brought to the front"


def test_every_control_has_a_tooltip_and_an_accessible_name(qtbot: QtBot, opened: Show) -> None:
    window = opened(small=campaigns.small)
    for kind in (QAbstractButton, QComboBox, QLineEdit):
        for widget in window.run_panel.findChildren(kind):
            if widget.objectName() not in ("qt_spinbox_lineedit",):
                assert widget.toolTip(), widget
                assert widget.accessibleName(), widget
    for view in window.findChildren(QTableView):
        assert view.accessibleName(), view
    assert "Esc" in window.safe_button.toolTip()
    rows = window.station_panel.channels
    tip = rows.index(0, 2).data(Qt.ItemDataRole.ToolTipRole)
    assert "limits: -2 … 2 V" in tip


def test_what_cannot_be_done_now_is_said_and_does_nothing(
    qtbot: QtBot, show: Show, opened: Show, station: Path
) -> None:
    empty = show()
    qtbot.mouseClick(empty.safe_button, LEFT)
    assert "no station is open" in empty.error_panel.message.text()
    window = opened(endless=campaigns.endless)
    window.controller.open_station(station)
    assert "another window" in window.error_panel.message.text()
    assert window.controller.state is State.READY


def test_only_geometry_is_kept_between_starts(qtbot: QtBot, simulation: SimulatedBench, tmp_path: Path) -> None:
    settings = QSettings(str(tmp_path / "gui.ini"), QSettings.Format.IniFormat)
    first = MainWindow(settings=settings, farewell_ms=0)
    qtbot.addWidget(first)
    first.resize(790, 700)  # the off-screen screen has 800 x 800
    first.show()
    with qtbot.waitSignal(first.closed, timeout=WAIT_MS):
        first.close()
    assert sorted(settings.allKeys()) == ["geometry", "middle", "right"]
    second = MainWindow(settings=settings, farewell_ms=0)
    qtbot.addWidget(second)
    assert (second.width(), second.height()) == (790, 700)


def test_light_and_dark_can_be_changed_while_it_runs(qtbot: QtBot, opened: Show) -> None:
    window = opened(small=campaigns.small)
    for name in ("dark", "light"):
        window.use_theme(name)
    start(qtbot, window)
    wait_for(qtbot, window, State.READY)
    assert not window.error_panel.isVisible()
