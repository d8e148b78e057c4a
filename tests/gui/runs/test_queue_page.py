"""The queue in the window: order, holding, pausing, starting again, and the same file from the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from gui.controller import State
from gui.panels.runs.panel import RunsPanel
from gui.work import WorkState
from labctl.calls import BENCH, FOLDER, call
from labctl.cli import main
from labctl.job import Job, load_job, save_job
from labctl.job_queue import editing
from labctl.job_queue.entry import DONE, INTERRUPTED
from labctl.job_queue.queue_file import QueueFile
from labctl.simulation import SimulatedBench, write_demo_station

WAIT_MS = 30_000
Make = Callable[[str], Job]
Click = Callable[..., None]


def shown(panel: RunsPanel) -> list[tuple[str, str]]:
    return [(row.job.title, row.state) for row in panel.queue.model.rows]


def wait_for(qtbot: QtBot, panel: RunsPanel, wanted: list[tuple[str, str]]) -> None:
    def as_wanted() -> None:
        assert shown(panel) == wanted

    qtbot.waitUntil(as_wanted, timeout=WAIT_MS)


def held(panel: RunsPanel, click: Click, *jobs: Job) -> None:
    click(panel.queue.hold_button)
    for job in jobs:
        panel.desk.start(job)


def test_what_waits_is_moved_removed_and_begun_in_the_order_of_the_table(
    qtbot: QtBot, panel: RunsPanel, click: Click, short: Make
) -> None:
    page = panel.queue
    held(panel, click, short("a"), short("b"), short("c"), short("d"))
    wait_for(qtbot, panel, [(name, "waiting") for name in "abcd"])
    click(page.view, 2)
    click(page.up_button)
    qtbot.keyClick(page.view, Qt.Key.Key_Up, Qt.KeyboardModifier.AltModifier)
    wait_for(qtbot, panel, [(name, "waiting") for name in "cabd"])
    assert not page.pause_button.isEnabled()
    assert "does not run" in page.pause_button.toolTip()
    click(page.view, 3)
    qtbot.keyClick(page.view, Qt.Key.Key_Delete)
    click(page.run_button)
    wait_for(qtbot, panel, [(name, "done") for name in "bac"])  # the newest first

    def in_order() -> None:
        times = {one.job.title: one.started_utc for one in QueueFile(panel.desk.runs_folder).read().entries}
        assert sorted(times, key=lambda name: times[name]) == ["c", "a", "b"]
        assert all(times.values())

    qtbot.waitUntil(in_order, timeout=WAIT_MS)


def test_a_failed_job_holds_the_queue_where_that_is_chosen_and_says_so(
    qtbot: QtBot, panel: RunsPanel, click: Click, short: Make, failing: Make
) -> None:
    page = panel.queue
    page.failure.setFocus()
    qtbot.keyClicks(page.failure, "h")
    page.failure.activated.emit(page.failure.currentIndex())
    panel.desk.start(failing("a"))
    panel.desk.start(short("b"))
    wait_for(qtbot, panel, [("b", "waiting"), ("a", "failed")])
    assert "Held: a failed" in page.told.text()
    click(page.view, 1)
    assert "no such file" in page.details.told.text()
    click(page.run_button)
    wait_for(qtbot, panel, [("b", "done"), ("a", "failed")])


def test_a_running_job_rests_goes_on_and_stops_at_a_click(
    qtbot: QtBot, panel: RunsPanel, click: Click, long: Make
) -> None:
    page = panel.queue
    work = panel.desk.start(long("a"), panel="nca")
    qtbot.waitUntil(lambda: bool(page.details.steps.rows), timeout=WAIT_MS)
    click(page.view, 0)
    click(page.pause_button)
    wait_for(qtbot, panel, [("a", "paused")])
    assert page.pause_button.text() == "Go on"
    click(page.pause_button)
    wait_for(qtbot, panel, [("a", "running")])
    with qtbot.waitSignal(panel.desk.panel_asked) as asked:
        cell = page.view.visualRect(page.model.index(0, 1)).center()
        qtbot.mouseDClick(page.view.viewport(), Qt.MouseButton.LeftButton, pos=cell)
    assert asked.args[0] == "nca"
    click(page.stop_button)
    wait_for(qtbot, panel, [("a", "stopped")])
    assert work.state is WorkState.STOPPED
    assert page.details.steps.rows[0].broken_off


def test_what_is_over_starts_again_and_nothing_that_was_written_is_touched(
    qtbot: QtBot, panel: RunsPanel, click: Click, failing: Make
) -> None:
    page = panel.queue
    work = panel.desk.start(failing("a"))
    qtbot.waitUntil(lambda: work.over, timeout=WAIT_MS)
    (work.job.folder / "data.h5").write_bytes(b"measured")
    wait_for(qtbot, panel, [("a", "failed")])
    click(page.view, 0)
    click(page.again_button)
    qtbot.waitUntil(lambda: panel.desk.works[-1] is not work and panel.desk.works[-1].over, timeout=WAIT_MS)
    assert panel.desk.works[-1].job.folder.name == "a-2"
    assert load_job(panel.desk.works[-1].job.folder / "job.json").title == "a"
    wait_for(qtbot, panel, [("a", "failed")])


def test_the_command_line_sees_the_window_s_jobs_and_the_window_runs_those_queued_there(
    qtbot: QtBot, panel: RunsPanel, click: Click, short: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(panel.desk.runs_folder)
    panel.desk.start(short("mine"))
    file = QueueFile(panel.desk.runs_folder)
    qtbot.waitUntil(lambda: [one.state for one in file.read().entries] == [DONE], timeout=WAIT_MS)
    save_job(short("theirs"), tmp_path / "job.json")
    assert main(["queue", "add", folder, str(tmp_path / "job.json")]) == 0
    wait_for(qtbot, panel, [("theirs", "waiting"), ("mine", "done")])
    assert "press Run the queue" in panel.queue.told.text()
    click(panel.queue.run_button)
    wait_for(qtbot, panel, [("theirs", "done"), ("mine", "done")])
    qtbot.waitUntil(lambda: {one.state for one in file.read().entries} == {DONE}, timeout=WAIT_MS)
    assert sorted(one.number for one in file.read().entries) == [1, 2]
    capsys.readouterr()
    assert main(["queue", "list", folder]) == 0
    assert "theirs" in capsys.readouterr().out


def test_the_command_line_stops_a_job_of_the_window(qtbot: QtBot, panel: RunsPanel, long: Make) -> None:
    panel.desk.start(long("a"))
    file = QueueFile(panel.desk.runs_folder)
    qtbot.waitUntil(lambda: [one.state for one in file.read().entries] == ["running"], timeout=WAIT_MS)
    assert main(["queue", "stop", str(panel.desk.runs_folder), "1"]) == 0
    wait_for(qtbot, panel, [("a", "stopped")])


def test_what_an_earlier_start_left_in_the_middle_is_interrupted_and_starts_again(
    qtbot: QtBot, runs: Path, short: Make, request: pytest.FixtureRequest, click: Click
) -> None:
    file = QueueFile(runs)
    file.change(lambda queue: editing.began(editing.add(queue, short("a")), 1, "1-dead"))
    assert file.read().entry(1).state == INTERRUPTED
    panel: RunsPanel = request.getfixturevalue("panel")
    wait_for(qtbot, panel, [("a", "interrupted")])
    click(panel.queue.view, 0)
    click(panel.queue.again_button)
    wait_for(qtbot, panel, [("a", "done")])


def test_a_job_file_is_loaded_and_run(
    qtbot: QtBot, panel: RunsPanel, click: Click, short: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_job(short("a"), tmp_path / "job.json")
    dialog = "gui.panels.runs.queue_page.ask_for_file"
    monkeypatch.setattr(dialog, lambda *given: given[-1](tmp_path / "job.json"))
    click(panel.queue.load_button)
    wait_for(qtbot, panel, [("a", "done")])
    troubles = []
    panel.desk.troubled.connect(troubles.append)
    (tmp_path / "job.json").write_text("{}")
    click(panel.queue.load_button)
    qtbot.waitUntil(lambda: bool(troubles), timeout=WAIT_MS)
    assert "this is no job" in troubles[0].message


@pytest.fixture(scope="module")
def simulation() -> Iterator[SimulatedBench]:
    with SimulatedBench.start() as running:
        yield running


def small(panel: RunsPanel) -> Job:
    design = call(
        "labctl.campaigns.characterise:CharacterisationDesign", n_trials=2, n_samples=60, n_inputs=2, n_repeats=2
    )
    rng = call("numpy.random:default_rng", 1)
    wanted = call(
        "labctl.campaigns.characterise:characterise", BENCH, "leaky", folder=FOLDER, rng=rng, design=design, seed=1
    )
    return Job("record", wanted, panel.desk.runs_folder / "record", seed=1)


def test_no_job_begins_on_a_bench_that_was_left_unsafe_until_it_was_made_safe(
    qtbot: QtBot, runs: Path, request: pytest.FixtureRequest, simulation: SimulatedBench, tmp_path: Path
) -> None:
    QueueFile(runs).change(lambda queue: replace(queue, bench_unsafe={"": "gate: NOT SAFE, 3 V read back"}))
    panel: RunsPanel = request.getfixturevalue("panel")
    qtbot.waitUntil(lambda: bool(panel.desk.queue.bench_unsafe), timeout=WAIT_MS)
    controller = panel.desk.controller
    controller.open_station(write_demo_station(simulation, tmp_path / "station.toml"))
    qtbot.waitUntil(lambda: controller.state is State.READY, timeout=WAIT_MS)
    work = panel.desk.start(small(panel))
    wait_for(qtbot, panel, [("record", "waiting")])
    assert "gate: NOT SAFE" in panel.queue.told.text()
    assert work.job.station == tmp_path / "station.toml"
    controller.make_safe()
    wait_for(qtbot, panel, [("record", "done")])
    assert (work.job.folder / "leaky-training.h5").is_file()


def test_the_loop_starts_at_one_click_and_stops_at_another(
    qtbot: QtBot, panel: RunsPanel, click: Click, simulation: SimulatedBench, tmp_path: Path
) -> None:
    form, controller = panel.queue.loop, panel.desk.controller
    assert "No station is open" in form.controls.start_button.toolTip()
    controller.open_station(write_demo_station(simulation, tmp_path / "station.toml"))
    qtbot.waitUntil(lambda: controller.state is State.READY, timeout=WAIT_MS)
    assert list(form.devices) == ["leaky", "duffing"]
    form.fit_s.edit.setFocus()
    qtbot.keyClicks(form.fit_s.edit, "-3")
    click(form.controls.start_button)
    assert "Train up to" in form.controls.line.text()
    assert not panel.desk.works
    form.fit_s.edit.clear()
    qtbot.mouseClick(form.devices["duffing"], Qt.MouseButton.LeftButton, pos=form.devices["duffing"].rect().center())
    form.devices["duffing"].setChecked(False)
    with qtbot.waitSignal(panel.desk.script_asked) as asked:
        click(form.controls.script_button)
    assert 'loop_settings(bench, devices=("leaky",))' in asked.args[1]
    click(form.controls.start_button)
    qtbot.waitUntil(lambda: bool(panel.queue.details.steps.rows), timeout=WAIT_MS)
    click(form.controls.stop_button)
    wait_for(qtbot, panel, [("Close the loop", "stopped")])
    qtbot.waitUntil(lambda: controller.state is State.READY, timeout=WAIT_MS)


def test_a_loaded_job_that_runs_a_program_waits_for_a_person(qtbot: QtBot, panel: RunsPanel, tmp_path: Path) -> None:
    program = tmp_path / "mine.py"
    program.write_text(f"open({str(tmp_path / 'was-run')!r}, 'w')\n")
    usual = call("labctl.campaigns.usual_network:usual_and_preview", f"{program}:Task", ("leaky",))
    save_job(Job("Theirs", usual, tmp_path / "theirs"), tmp_path / "theirs.json")
    panel.queue.load(tmp_path / "theirs.json")
    qtbot.waitUntil(lambda: bool(panel.desk.works), timeout=WAIT_MS)
    work = panel.desk.works[-1]
    assert work.state is WorkState.HELD
    qtbot.wait(300)  # it would have begun by now
    assert work.state is WorkState.HELD and not (tmp_path / "was-run").exists()
    work.stop()
