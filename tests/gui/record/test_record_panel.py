"""The Record panel on simulated instruments, by clicks and keys alone."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import QPointF, Qt
from PySide6.QtWidgets import QLineEdit
from pytestqt.qtbot import QtBot

from gui.controller import State
from gui.main_window import MainWindow
from gui.panels.record.panel import RecordPanel
from gui.work import WorkState
from labctl.campaign import run
from labctl.script import script_of
from labctl.simulation import SimulatedBench, bundled_bench, bundled_station
from labctl.store import open_recording

WAIT_MS = 60_000
LEFT = Qt.MouseButton.LeftButton
MANY = "3000"
"""Trials: the simulated bench plays faster than real time, and a test wants to be in the middle."""
Show = Callable[..., MainWindow]


def panel_of(window: MainWindow) -> RecordPanel:
    window.show_panel("record", [])
    panel = window.stack.panels["record"]
    assert isinstance(panel, RecordPanel)
    return panel


def type_into(qtbot: QtBot, edit: QLineEdit, text: str) -> None:
    edit.setFocus()
    edit.selectAll()
    qtbot.keyClick(edit, Qt.Key.Key_Delete)
    qtbot.keyClicks(edit, text)


def option(panel: RecordPanel, name: str) -> QLineEdit:
    assert panel.choices.options is not None
    widget = panel.choices.options.fields[name].widget
    return widget if isinstance(widget, QLineEdit) else widget.edit  # type: ignore[attr-defined,no-any-return]


def choose(panel: RecordPanel, title: str) -> None:
    panel.choices.design.setCurrentText(title)
    assert panel.choices.design.currentText() == title


def settled(qtbot: QtBot, panel: RecordPanel) -> None:
    qtbot.waitUntil(lambda: not panel._newest.busy, timeout=WAIT_MS)


def start(qtbot: QtBot, panel: RecordPanel) -> None:
    settled(qtbot, panel)
    qtbot.mouseClick(panel.controls.start_button, LEFT)
    qtbot.waitUntil(lambda: panel.desk.bridge.box.samples.total > 0, timeout=WAIT_MS)


def over(qtbot: QtBot, panel: RecordPanel) -> None:
    work = panel.controls.work
    assert work is not None
    qtbot.waitUntil(lambda: work.over and panel.desk.controller.state is State.READY, timeout=WAIT_MS)


def outputs(simulation: SimulatedBench) -> list[str]:
    """Asked over a connection of the test's own, with no code of ours in between."""
    host, port = simulation.addresses["awg"].split("::")[1:3]
    with socket.create_connection((host, int(port)), timeout=10) as line:
        file = line.makefile()
        told = []
        for number in (1, 2):
            line.sendall(f"OUTP{number}?\n".encode())
            told.append(file.readline().strip())
    return told


def test_without_a_station_it_says_what_to_do(qtbot: QtBot, show: Show) -> None:
    panel = panel_of(show())
    assert not panel.controls.start_button.isEnabled()
    assert "Station panel" in panel.controls.start_button.toolTip()
    assert "Station panel" in panel.preview.verdict.text()


def test_a_newcomer_presses_start_and_has_recordings_for_a_twin(
    qtbot: QtBot, opened: Show, simulation: SimulatedBench, tmp_path: Path
) -> None:
    window = opened()
    panel = panel_of(window)
    settled(qtbot, panel)
    assert panel.preview.verdict.text().startswith("✓")
    start(qtbot, panel)
    over(qtbot, panel)
    assert panel.controls.work is not None
    assert panel.controls.work.state is WorkState.DONE
    names = [path.name for path in panel.outcome.files]
    assert names == ["leaky-training.h5", "leaky-heldout.h5"]
    assert all(open_recording(path).complete for path in panel.outcome.files)
    assert "All outputs are safe, read back" in panel.outcome.text.text()
    assert outputs(simulation) == ["0", "0"]
    figures = {key: label.text() for key, label in panel.figures.values.items()}
    assert (figures["trials"], figures["lost"]) == ("400 of 400", "0")
    assert "digitiser" in panel.figures.values["lost"].toolTip()
    asked: list[tuple[str, object]] = []
    window.desk.panel_asked.connect(lambda key, files: asked.append((key, files)))
    qtbot.mouseClick(panel.outcome.fit, LEFT)
    assert asked == [("twins", list(panel.outcome.files))]
    assert "record_designed" in script_of(panel.controls.work.job)


def test_what_would_be_refused_is_told_while_it_is_typed_and_cannot_be_started(qtbot: QtBot, opened: Show) -> None:
    panel = panel_of(opened())
    choose(panel, "Random steps")
    type_into(qtbot, option(panel, "high"), "3")
    settled(qtbot, panel)
    told = panel.preview.verdict.text()
    assert "✗ leaky_drive" in told and "outside -2..2 V" in told and "slew_per_s" in told
    assert not panel.controls.start_button.isEnabled()
    assert "outside" in panel.controls.start_button.toolTip()
    type_into(qtbot, option(panel, "high"), "1,5")
    settled(qtbot, panel)
    assert panel.preview.verdict.text().startswith("✓")
    assert panel.controls.start_button.isEnabled()


BAD_ENTRIES = (
    ("n_trials", "many", "no whole number"),
    ("n_trials", "0", "outside 1"),
    ("n_trials", "", "missing"),
    ("n_trials", "99999999", "the most is"),
    ("holds", "2, x", "whole numbers"),
    ("low", "2", "low < high"),
)


def test_an_entry_that_makes_no_sense_is_told_with_what_is_allowed(qtbot: QtBot, opened: Show) -> None:
    panel = panel_of(opened())
    choose(panel, "Random steps")
    for name, text, word in BAD_ENTRIES:
        before = option(panel, name).text()
        type_into(qtbot, option(panel, name), text)
        settled(qtbot, panel)
        assert word in panel.preview.verdict.text()
        assert not panel.controls.start_button.isEnabled()
        type_into(qtbot, option(panel, name), before)
        settled(qtbot, panel)
        assert panel.controls.start_button.isEnabled()


def test_a_dry_run_asks_the_instruments_and_writes_to_no_output(
    qtbot: QtBot, opened: Show, simulation: SimulatedBench
) -> None:
    window = opened()
    panel = panel_of(window)
    settled(qtbot, panel)
    qtbot.mouseClick(panel.dry_button, LEFT)
    qtbot.waitUntil(lambda: "no output was written to" in panel.preview.verdict.text(), timeout=WAIT_MS)
    bench = window.controller.bench
    assert bench is not None
    assert not bench.safe_states.armed
    assert panel.controls.work is None
    type_into(qtbot, option(panel, "low"), "-9")
    settled(qtbot, panel)
    qtbot.mouseClick(panel.dry_button, LEFT)
    qtbot.waitUntil(panel.dry_button.isEnabled, timeout=WAIT_MS)
    assert "✗ leaky_drive" in panel.preview.verdict.text()


def test_a_pause_rests_between_two_plays_and_the_recording_goes_on(qtbot: QtBot, opened: Show) -> None:
    panel = panel_of(opened())
    choose(panel, "Random steps")
    type_into(qtbot, option(panel, "n_trials"), "300")
    start(qtbot, panel)
    qtbot.mouseClick(panel.controls.pause_button, LEFT)
    qtbot.waitUntil(lambda: "paused before trial" in panel.outcome.text.text(), timeout=WAIT_MS)
    assert "outputs ON" in panel.outcome.text.text()
    assert panel.controls.pause_button.text() == "Go on"
    seen = panel.desk.bridge.box.samples.total
    qtbot.wait(300)
    assert panel.desk.bridge.box.samples.total == seen, "nothing is played meanwhile"
    qtbot.mouseClick(panel.controls.pause_button, LEFT)
    over(qtbot, panel)
    (path,) = panel.outcome.files
    found = open_recording(path)
    assert found.complete
    assert any(note.startswith("paused for") for note in found.notes)


def test_stop_during_a_pause_keeps_what_was_measured_and_leaves_the_outputs_safe(
    qtbot: QtBot, opened: Show, simulation: SimulatedBench
) -> None:
    panel = panel_of(opened())
    choose(panel, "Random steps")
    type_into(qtbot, option(panel, "n_trials"), MANY)
    start(qtbot, panel)
    qtbot.mouseClick(panel.controls.pause_button, LEFT)
    qtbot.waitUntil(lambda: "paused before trial" in panel.outcome.text.text(), timeout=WAIT_MS)
    qtbot.mouseClick(panel.controls.stop_button, LEFT)
    over(qtbot, panel)
    assert panel.outcome.text.text().startswith("■ Stopped")
    assert "samples were measured" in panel.outcome.text.text()
    (path,) = panel.outcome.files
    assert 0 < open_recording(path).whole_trials.size < int(MANY)
    assert outputs(simulation) == ["0", "0"]
    assert not panel.window().error_panel.isVisible(), "stopping is no error"  # type: ignore[attr-defined]


def test_unplugged_in_the_middle_what_was_measured_is_kept_and_the_outputs_are_told(
    qtbot: QtBot, opened: Show, own_station: Path, own_simulation: SimulatedBench
) -> None:
    panel = panel_of(opened(own_station))
    choose(panel, "Random steps")
    type_into(qtbot, option(panel, "n_trials"), MANY)
    start(qtbot, panel)
    os.kill(own_simulation.pid, signal.SIGKILL)
    work = panel.controls.work
    assert work is not None
    qtbot.waitUntil(lambda: work.over, timeout=WAIT_MS)
    assert work.state is WorkState.FAILED
    text = panel.outcome.text.text()
    assert text.startswith("✗")
    assert "samples were measured and are readable in" in text
    assert "NOT" in text, "nobody can know that the outputs are safe"
    (path,) = panel.outcome.files
    assert open_recording(path).valid_samples.sum() > 0


def test_a_drive_from_a_file_is_offered_when_the_file_is_handed_over(
    qtbot: QtBot, opened: Show, tmp_path: Path
) -> None:
    drive = tmp_path / "own.csv"
    drive.write_text("leaky_drive\n" + "\n".join(f"{0.01 * at}" for at in range(100)))
    panel = panel_of(opened())
    panel.take_files([drive])
    start(qtbot, panel)
    over(qtbot, panel)
    (path,) = panel.outcome.files
    assert open_recording(path).scored()[0][0, :, 0] == pytest.approx([0.01 * at for at in range(100)])


def test_the_live_plot_can_be_frozen_and_read_out(qtbot: QtBot, opened: Show) -> None:
    panel = panel_of(opened())
    choose(panel, "Pulse")
    start(qtbot, panel)
    over(qtbot, panel)
    qtbot.mouseClick(panel.live.freeze, LEFT)
    frames = panel.live.frames
    panel.live.refresh()
    assert panel.live.frames == frames, "frozen"
    middle = panel.live._plots[0].sceneBoundingRect().center()
    panel.live.point_at(QPointF(middle))
    assert "leaky_drive" in panel.live.cursor_label.text()
    assert " V" in panel.live.cursor_label.text()


def test_what_the_window_records_a_script_records_too(qtbot: QtBot, opened: Show, tmp_path: Path) -> None:
    """The very call that the window makes, performed outside of it."""
    from labctl.bench import Bench
    from labctl.calls import perform

    window = opened()
    panel = panel_of(window)
    choose(panel, "PRBS")
    type_into(qtbot, option(panel, "n_trials"), "3")
    settled(qtbot, panel)
    job = panel.script_job()
    assert job is not None
    bench = window.controller.bench
    assert isinstance(bench, Bench)
    (path,) = run(perform(job.call, bench=bench, folder=tmp_path))
    assert open_recording(path).n_trials == 3
    bench.make_safe()


def test_when_the_station_is_closed_nothing_can_be_started_any_more(qtbot: QtBot, opened: Show) -> None:
    window = opened()
    panel = panel_of(window)
    settled(qtbot, panel)
    window.controller.close_station()
    qtbot.waitUntil(lambda: window.controller.state is State.EMPTY, timeout=WAIT_MS)
    assert panel.choices.device.count() == 0
    assert not panel.controls.start_button.isEnabled()
    assert not panel.dry_button.isEnabled()
    assert "Station panel" in panel.preview.verdict.text()


def test_a_filmed_device_shows_its_frames(qtbot: QtBot, opened: Show, tmp_path: Path) -> None:
    with SimulatedBench.start(bundled_bench("reaction_cell")) as cell:
        station = cell.write_station(tmp_path / "cell.toml", bundled_station("reaction_cell"))
        window = opened(station)
        panel = panel_of(window)
        settled(qtbot, panel)
        type_into(qtbot, option(panel, "n_trials"), "1")
        type_into(qtbot, option(panel, "n_frames"), "5")
        settled(qtbot, panel)
        assert panel.preview.verdict.text().startswith("✓")
        qtbot.mouseClick(panel.controls.start_button, LEFT)
        over(qtbot, panel)
        assert "frame 5 of 5" in panel.film.line.text()
        assert panel.figures.values["samples"].text() == "5 of 5"
        assert len(panel.outcome.files) == 1
        window.close()
        qtbot.waitUntil(lambda: window.controller.state is State.PARTED, timeout=WAIT_MS)
