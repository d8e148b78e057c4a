"""The window on a simulated bench: what it shows, and that its outputs are safe however something ends."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QFontDatabase
from PySide6.QtWidgets import QAbstractButton, QApplication, QComboBox
from pytestqt.qtbot import QtBot

sys.path.insert(0, str(Path(__file__).parent))

import labctl.calls
from gui.controller import State
from gui.main_window import MainWindow
from gui.widgets.job_controls import JobControls
from gui.work import Work, WorkState
from labctl.bench import Bench
from labctl.calls import BENCH, FOLDER, call
from labctl.errors import UsageError
from labctl.job import Job
from labctl.job_queue.entry import RUNNING, QueuedJob
from labctl.job_queue.queue_file import QueueFile
from labctl.simulation import SimulatedBench

WAIT_MS = 60_000
LEFT = Qt.MouseButton.LeftButton
Show = Callable[..., MainWindow]


@pytest.fixture(autouse=True)
def campaigns_of_tests_may_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labctl.calls, "ALLOWED", (*labctl.calls.ALLOWED, "campaigns:"))


def wait_for(qtbot: QtBot, window: MainWindow, state: State) -> None:
    qtbot.waitUntil(lambda: window.controller.state is state, timeout=WAIT_MS)


def start(qtbot: QtBot, window: MainWindow, name: str, *, panel: str = "") -> Work:
    """Start a campaign of campaigns.py on the bench, as a panel does, and wait until it runs."""
    job = Job(name, call(f"campaigns:{name}", BENCH, FOLDER, 1), window.desk.new_folder(name), seed=1)
    work = window.desk.start(job, panel=panel)
    qtbot.waitUntil(lambda: work.state is not WorkState.WAITING, timeout=WAIT_MS)
    assert work.state is WorkState.RUNNING
    return work


def wait_for_samples(qtbot: QtBot, work: Work, count: int = 0) -> None:
    qtbot.waitUntil(lambda: work.box.samples.total > count, timeout=WAIT_MS)


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


def test_an_opened_station_says_its_name_and_that_it_is_simulated_over_every_panel(qtbot: QtBot, opened: Show) -> None:
    window = opened()
    assert window.top_bar.station.whole() == "demo bench"
    assert "SIMULATED" in window.windowTitle()
    assert "SIM" in window.log.text()
    for entry in window.entries:
        window.show_panel(entry.key)
        assert window.banner.isVisible()
        assert "SIMULATED" in window.banner.text()
        assert window.safe_button.isVisible()


def test_a_campaign_runs_to_its_end_and_leaves_the_outputs_safe(
    qtbot: QtBot, opened: Show, simulation: SimulatedBench, tmp_path: Path
) -> None:
    window = opened()
    with qtbot.waitSignal(window.controller.made_safe, timeout=WAIT_MS) as safe:
        work = start(qtbot, window, "small", panel="record")
        assert window.navigation.panels.index(2).data() == "Record  ▶", "who runs what is told in the navigation"
    wait_for(qtbot, window, State.READY)
    assert work.state is WorkState.DONE
    assert work.box.samples.total > 0
    assert "all outputs safe, read back: leaky_drive 0 V" in window.top_bar.state.whole()
    assert safe.args[0].ok
    (folder,) = [path for path in (tmp_path / "runs").iterdir() if path.is_dir()]
    assert (folder / "leaky-training.h5").exists()
    first = json.loads((folder / "journal.jsonl").read_text().splitlines()[0])
    assert first["event"] == "StepStarted"
    assert not window.error_panel.isVisible()
    assert_outputs_off(simulation)


def test_stop_in_the_middle_leaves_the_outputs_safe_and_another_campaign_can_run(
    qtbot: QtBot, opened: Show, simulation: SimulatedBench
) -> None:
    window = opened()
    work = start(qtbot, window, "endless")
    wait_for_samples(qtbot, work)
    window.menus.actions["stop"].trigger()
    wait_for(qtbot, window, State.READY)
    assert work.state is WorkState.STOPPED
    assert not window.error_panel.isVisible(), "stopping is no error"
    assert "endless: stopped" in window.log.text()
    assert_outputs_off(simulation)
    again = start(qtbot, window, "small")
    wait_for(qtbot, window, State.READY)
    assert again.state is WorkState.DONE


@pytest.mark.parametrize("by_key", [False, True], ids=["button", "Esc"])
def test_all_outputs_safe_works_from_any_panel_under_a_saturating_source(
    qtbot: QtBot, opened: Show, simulation: SimulatedBench, by_key: bool
) -> None:
    window = opened()
    window.show_panel("runs")
    work = start(qtbot, window, "saturating")
    wait_for_samples(qtbot, work, 10_000)
    assert ask_awg(simulation, "OUTP1?") == "1"
    with qtbot.waitSignal(window.controller.made_safe, timeout=WAIT_MS) as safe:
        if by_key:
            qtbot.keyClick(window.stack.currentWidget(), Qt.Key.Key_Escape)
        else:
            qtbot.mouseClick(window.safe_button, LEFT)
    assert safe.args[0].ok
    wait_for(qtbot, window, State.READY)
    assert work.over
    assert len(window.log.rows) <= 5000
    assert_outputs_off(simulation)


def controls_of(qtbot: QtBot, window: MainWindow, work: Work) -> JobControls:
    """The row that a panel has for its job."""

    def nothing() -> Job:
        raise UsageError("nothing is to be started here")

    controls = JobControls(window.desk, nothing, text="Start", tip="Start it")
    qtbot.addWidget(controls)
    controls.show()
    controls.follow(work)
    return controls


def test_all_outputs_safe_holds_what_waits_for_the_bench_until_a_person_lets_it_go_on(
    qtbot: QtBot, opened: Show, simulation: SimulatedBench
) -> None:
    window = opened()
    start(qtbot, window, "endless")
    waiting = window.desk.start(Job("later", call("campaigns:small", BENCH, FOLDER, 1), window.desk.new_folder("b")))
    assert waiting.state is WorkState.WAITING
    controls = controls_of(qtbot, window, waiting)
    assert "waits for the bench" in controls.line.text()
    qtbot.mouseClick(window.safe_button, LEFT)
    wait_for(qtbot, window, State.READY)
    assert waiting.state is WorkState.HELD
    assert "all outputs were made safe while it waited" in controls.line.text()
    assert not window.desk.busy_works
    assert_outputs_off(simulation)
    assert controls.pause_button.text() == "Go on"
    qtbot.mouseClick(controls.pause_button, LEFT)
    qtbot.waitUntil(lambda: waiting.state is WorkState.DONE, timeout=WAIT_MS)


def test_a_bench_that_a_job_left_in_the_middle_is_told_and_made_safe_at_a_click_then_jobs_go_on(
    qtbot: QtBot, show: Show, station: Path, tmp_path: Path
) -> None:
    cut_off = Job("earlier", call("campaigns:small", BENCH, FOLDER, 1), tmp_path / "runs" / "a", station)
    dead = QueuedJob(1, cut_off, state=RUNNING, owner="1-dead")
    QueueFile(tmp_path / "runs").change(lambda queue: replace(queue, entries=(dead,), next_number=2))
    window = show()
    notice = window.unsafe_notice
    qtbot.waitUntil(notice.isVisible, timeout=WAIT_MS)
    assert "job 1 (earlier) was cut off" in notice.message.text()
    assert not notice.go_on_button.isEnabled()
    assert "Open its station" in notice.go_on_button.toolTip()
    window.controller.open_station(station)
    wait_for(qtbot, window, State.READY)
    work = window.desk.start(Job("next", call("campaigns:small", BENCH, FOLDER, 1), window.desk.new_folder("b")))
    assert work.state is WorkState.WAITING
    assert "was cut off" in controls_of(qtbot, window, work).line.text()
    assert "JOBS WAIT" in window.top_bar.state.whole()
    qtbot.mouseClick(notice.go_on_button, LEFT)
    qtbot.waitUntil(lambda: work.state is WorkState.DONE, timeout=WAIT_MS)
    assert not notice.isVisible()
    assert "JOBS WAIT" not in window.top_bar.state.whole()
    qtbot.waitUntil(lambda: not QueueFile(tmp_path / "runs").read().bench_unsafe, timeout=WAIT_MS)


def test_another_bench_that_was_left_in_the_middle_keeps_no_job_from_this_one(
    qtbot: QtBot, opened: Show, tmp_path: Path
) -> None:
    unsafe = {str(tmp_path / "other.toml"): "gate: NOT SAFE"}
    QueueFile(tmp_path / "runs").change(lambda queue: replace(queue, bench_unsafe=unsafe))
    window = opened()
    qtbot.waitUntil(lambda: bool(window.desk.queue.bench_unsafe), timeout=WAIT_MS)
    assert not window.unsafe_notice.isVisible()
    start(qtbot, window, "small")
    wait_for(qtbot, window, State.READY)
    assert QueueFile(tmp_path / "runs").read().bench_unsafe == unsafe, "it is unsafe still"


def test_all_outputs_safe_does_not_wait_for_a_campaign_that_does_not_listen(
    qtbot: QtBot, opened: Show, simulation: SimulatedBench
) -> None:
    window = opened()
    start(qtbot, window, "deaf")
    qtbot.waitUntil(lambda: "Work without looking up" in window.log.text(), timeout=WAIT_MS)
    with qtbot.waitSignal(window.controller.made_safe, timeout=WAIT_MS) as safe:
        qtbot.mouseClick(window.safe_button, LEFT)
    assert safe.args[0].ok
    wait_for(qtbot, window, State.READY)
    assert_outputs_off(simulation)


def test_a_run_asked_for_while_values_are_being_read_starts_once(qtbot: QtBot, opened: Show) -> None:
    window = opened()
    readings = threading.Event()
    window.controller.bench.get = lambda channel: readings.wait(60)  # type: ignore[method-assign, union-attr]
    qtbot.wait(1500)  # a reading begins within a second, and now lasts
    first = start(qtbot, window, "endless")
    qtbot.mouseClick(window.safe_button, LEFT)
    wait_for(qtbot, window, State.READY)
    readings.set()
    second = start(qtbot, window, "endless")
    wait_for_samples(qtbot, second)
    window.menus.actions["stop"].trigger()
    wait_for(qtbot, window, State.READY)
    assert first.over and second.over
    assert not window.error_panel.isVisible()


def test_closing_during_a_run_leaves_the_outputs_safe_and_says_what_was_read_back(
    qtbot: QtBot, opened: Show, simulation: SimulatedBench, station: Path
) -> None:
    window = opened(farewell_ms=600_000)
    wait_for_samples(qtbot, start(qtbot, window, "saturating"))
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


def test_closing_leaves_what_waits_in_the_queue_for_the_next_start(
    qtbot: QtBot, opened: Show, simulation: SimulatedBench
) -> None:
    window = opened()
    running = start(qtbot, window, "endless")
    waiting = window.desk.start(Job("later", call("campaigns:endless", BENCH, FOLDER, 1), window.desk.new_folder("b")))
    with qtbot.waitSignal(window.closed, timeout=WAIT_MS):
        window.close()
    assert running.state is WorkState.STOPPED
    assert waiting.state is WorkState.WAITING
    assert not waiting.job.folder.exists()
    assert_outputs_off(simulation)


def test_closing_ends_the_worker_processes_too(qtbot: QtBot, show: Show, tmp_path: Path) -> None:
    window = show()
    source = call("labctl.nca_pde:PdeSource", pde="heat", size=(32, 32), n_trials=1, n_frames=10**5)
    job = Job("compute", call("labctl.campaigns.simulate_nca:simulate_images", source), tmp_path / "computed")
    work = window.desk.start(job, panel="nca")
    qtbot.waitUntil(lambda: "Simulate heat" in window.log.text() or work.over, timeout=WAIT_MS)
    assert work.state is WorkState.RUNNING, work.end
    (process,) = [one for one in multiprocessing.active_children() if one.name == "labctl simulate_images"]
    with qtbot.waitSignal(window.closed, timeout=WAIT_MS):
        window.close()
    assert work.state is WorkState.STOPPED
    assert process not in multiprocessing.active_children()


def test_a_failing_campaign_tells_why_and_leaves_the_outputs_safe(
    qtbot: QtBot, opened: Show, simulation: SimulatedBench, station: Path, tmp_path: Path
) -> None:
    window = opened()
    work = start(qtbot, window, "failing")
    wait_for(qtbot, window, State.READY)
    assert work.state is WorkState.FAILED
    assert window.error_panel.isVisible()
    assert "duffing_bias: 5 V is outside -0.2..0.2 V" in window.error_panel.message.text()
    assert str(station) in window.error_panel.message.text(), "file and line, so that a person can act"
    below = window.error_panel.mapTo(window, window.error_panel.rect().topLeft())
    assert below.y() >= window.safe_button.mapTo(window, window.safe_button.rect().bottomLeft()).y()
    assert_outputs_off(simulation)
    log = tmp_path / "runs" / "labctl-gui.log"
    qtbot.waitUntil(lambda: log.exists() and "5 V is outside" in log.read_text(), timeout=WAIT_MS)


def test_killing_the_simulator_in_the_middle_is_told_and_the_window_lives(
    qtbot: QtBot, opened: Show, own_simulation: SimulatedBench, own_station: Path
) -> None:
    window = opened(own_station, farewell_ms=600_000)
    wait_for_samples(qtbot, start(qtbot, window, "endless"))
    os.kill(own_simulation.pid, signal.SIGKILL)
    wait_for(qtbot, window, State.READY)
    assert window.error_panel.isVisible()
    assert "NOT ALL KNOWN TO BE SAFE" in window.top_bar.state.whole()
    assert "ERROR" in window.log.text()
    window.close()
    wait_for(qtbot, window, State.PARTED)
    qtbot.wait(200)
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
    assert window.menus.actions["open"].isEnabled()


def test_the_window_starts_a_simulated_bench_itself_and_ends_it_with_itself(qtbot: QtBot, show: Show) -> None:
    window = show()
    window.menus.actions["simulated oscillator"].trigger()
    wait_for(qtbot, window, State.READY)
    assert window.banner.isVisible()
    assert window.controller.bench is not None
    assert window.controller.simulated_name == "oscillator"
    file, pid = window.controller.bench.station.path, window.controller.simulation_pid
    assert file is not None and file.exists(), "its station file can be looked at"
    assert pid is not None
    window.close()
    wait_for(qtbot, window, State.PARTED)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not file.exists()


def test_another_station_takes_the_place_of_the_one_that_is_open(qtbot: QtBot, opened: Show, station: Path) -> None:
    window = opened()
    window.menus.actions["simulated oscillator"].trigger()
    qtbot.waitUntil(lambda: window.controller.simulated_name == "oscillator", timeout=WAIT_MS)
    wait_for(qtbot, window, State.READY)
    pid = window.controller.simulation_pid
    assert window.controller.bench is not None and pid is not None
    window.stations.open(station)
    qtbot.waitUntil(lambda: window.top_bar.station.whole() == "demo bench", timeout=WAIT_MS)
    wait_for(qtbot, window, State.READY)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    window.menus.actions["close"].trigger()
    wait_for(qtbot, window, State.EMPTY)
    assert not window.banner.isVisible()
    assert not window.error_panel.isVisible()


def test_closing_while_a_station_is_being_opened_parts_from_it_as_well(qtbot: QtBot, show: Show, station: Path) -> None:
    window = show()
    window.controller.open_station(station)
    window.close()
    wait_for(qtbot, window, State.PARTED)
    assert window.controller.bench is None


def test_what_cannot_be_done_now_is_said_and_does_nothing(qtbot: QtBot, opened: Show, station: Path) -> None:
    window = opened()
    window.controller.open_station(station)
    assert "another window" in window.error_panel.message.text()
    assert window.controller.state is State.READY
    window.desk.show_panel("nowhere")
    assert "there is no panel 'nowhere'" in window.error_panel.message.text()


def test_without_a_station_there_is_nothing_to_make_safe_and_that_is_said(qtbot: QtBot, show: Show) -> None:
    window = show()
    qtbot.mouseClick(window.safe_button, LEFT)
    assert "No station is open, so this window drives no output" in window.log.text()
    assert not window.error_panel.isVisible(), "nothing is wrong"


def test_a_campaign_that_overlooks_that_all_was_made_safe_switches_nothing_on_again(
    qtbot: QtBot, opened: Show, simulation: SimulatedBench
) -> None:
    window = opened()
    work = start(qtbot, window, "swallowing")
    qtbot.waitUntil(lambda: ask_awg(simulation, "OUTP1?") == "1", timeout=WAIT_MS)
    with qtbot.waitSignal(window.controller.made_safe, timeout=WAIT_MS):
        qtbot.mouseClick(window.safe_button, LEFT)
    assert not work.over, "it goes on, and does not look"
    told = window.top_bar.state
    assert "has not ended yet" in told.whole() and "all outputs safe, read back" not in told.whole()
    while not work.over:
        assert ask_awg(simulation, "OUTP1?") == "0"
        qtbot.wait(50)
    wait_for(qtbot, window, State.READY)
    assert "all outputs safe, read back: " in told.whole() and "has not ended" not in told.whole()
    start(qtbot, window, "small")  # the next one may use them
    wait_for(qtbot, window, State.READY)


def test_all_outputs_safe_while_a_station_is_being_opened_is_done_once_it_is_open(
    qtbot: QtBot, show: Show, station: Path
) -> None:
    window = show()
    window.controller.open_station(station)
    assert window.controller.state is State.OPENING
    with qtbot.waitSignal(window.controller.made_safe, timeout=WAIT_MS):
        qtbot.mouseClick(window.safe_button, LEFT)
    assert "as soon as the station is open" in window.log.text()
    assert not window.error_panel.isVisible()


def test_esc_makes_safe_with_a_list_open(qtbot: QtBot, opened: Show) -> None:
    window = opened()
    combo = QComboBox(window)
    combo.addItems(["one", "other"])
    combo.show()
    combo.showPopup()
    qtbot.waitUntil(lambda: window.esc_anywhere.popup is not None, timeout=WAIT_MS)
    with qtbot.waitSignal(window.controller.made_safe, timeout=WAIT_MS):
        qtbot.keyClick(QApplication.activePopupWidget(), Qt.Key.Key_Escape)
    assert QApplication.activePopupWidget() is None, "the list closes, as ever"


def test_what_waits_for_a_bench_that_is_closed_is_held_not_lost(qtbot: QtBot, opened: Show, station: Path) -> None:
    window = opened()
    window.desk.queue.hold()
    waiting = window.desk.start(Job("later", call("campaigns:small", BENCH, FOLDER, 1), window.desk.new_folder("b")))
    window.controller.close_station()
    wait_for(qtbot, window, State.EMPTY)
    assert waiting.state is WorkState.HELD
    assert "closed while it waited" in controls_of(qtbot, window, waiting).line.text()
    window.controller.open_station(station)
    wait_for(qtbot, window, State.READY)
    window.desk.queue.go_on()
    waiting.resume()
    qtbot.waitUntil(lambda: waiting.state is WorkState.DONE, timeout=WAIT_MS)
