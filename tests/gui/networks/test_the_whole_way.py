"""From twins to a network on the simulated bench, by clicks alone."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from gui.controller import State
from gui.panels.networks.panel import NetworksPanel
from gui.work import WorkState
from labctl.campaign import run
from labctl.errors import UsageError
from labctl.measured_below import measured_below
from labctl.network_editing import set_twin, set_value
from labctl.simulation import SimulatedBench
from labctl.unfinished import STATE

WAIT_MS = 120_000
LEFT = Qt.MouseButton.LeftButton
SIZES = {
    "n_steps": 40,
    "n_training_trials": 12,
    "n_heldout_trials": 6,
    "n_reservoir_draws": 20,
    "n_reservoir_trials": 4,
}


def small(panel: NetworksPanel, *, iterations: int = 4, hold: dict[str, float] | None = None) -> None:
    """Make what is drawn quick to optimise and to play."""
    draft = panel.document.draft
    for name, count in SIZES.items():
        draft = set_value(draft, ("sizes", name), count)
    draft = set_value(draft, ("initial", "n_starts"), 2)
    for name, value in (("n_iterations", iterations), ("n_trials", 8), ("n_readout_draws", 2), ("validate_every", 2)):
        draft = set_value(draft, ("optimiser", name), value)
    for layer in draft.layers:
        draft = set_value(draft, ("layers", layer, "nodes"), {"leaky": 1, "duffing": 1})
    for channel, value in (hold or {}).items():
        draft = set_value(draft, ("conditions", channel), value)
    panel.document.show(draft)


def draw_usual(qtbot: QtBot, panel: NetworksPanel, twins: Path) -> None:
    """Hand the panel both twins, and wait for the usual network."""
    panel.take_files([twins / "leaky.json", twins / "duffing.json"])
    qtbot.waitUntil(lambda: not panel.document.empty, timeout=WAIT_MS)


@pytest.fixture(scope="module")
def optimised(tmp_path_factory: pytest.TempPathFactory, twins_folder: Path) -> Path:
    """A small optimised network, once for all tests of this file; its conditions hold the bias at 0.05 V."""
    from labctl.campaigns.optimise_into import optimise_into
    from labctl.network_editing import new_draft, text_of

    nodes = {"leaky": 1, "duffing": 1}
    draft = new_draft("narma10", {"only": nodes})
    for name, count in SIZES.items():
        draft = set_value(draft, ("sizes", name), count)
    draft = set_value(set_value(draft, ("initial", "n_starts"), 2), ("optimiser", "n_iterations"), 2)
    draft = set_value(draft, ("optimiser", "n_readout_draws"), 2)
    folder = tmp_path_factory.mktemp("networks") / "small"
    twins = {name: twins_folder / name for name in nodes}
    run(optimise_into(folder, twins, text=text_of(draft), conditions={"duffing_bias": 0.05}, seed=1))
    return folder


def look(qtbot: QtBot, panel: NetworksPanel, network: Path) -> None:
    """Show what applying this network would change."""
    panel.take_files([network])
    qtbot.mouseClick(panel.apply_page.look, LEFT)
    qtbot.waitUntil(lambda: bool(panel.apply_page.rows.rows), timeout=WAIT_MS)


def ask_awg(simulation: SimulatedBench, query: str) -> str:
    host, port = simulation.addresses["awg"].split("::")[1:3]
    with socket.create_connection((host, int(port)), timeout=10) as line:
        line.sendall(f"{query}\n".encode())
        return line.makefile().readline().strip()


def assert_outputs_off(simulation: SimulatedBench) -> None:
    assert [ask_awg(simulation, f"OUTP{number}?") for number in (1, 2)] == ["0", "0"]


@pytest.mark.slow
def test_a_newcomer_with_two_twins_presses_optimise_at_once(
    qtbot: QtBot, panel: NetworksPanel, twins_folder: Path
) -> None:
    page = panel.optimise_page
    assert not page.controls.start_button.isEnabled()
    assert "no layer yet" in page.controls.start_button.toolTip()
    draw_usual(qtbot, panel, twins_folder)
    assert panel.document.draft.layers == ("first", "second")
    assert panel.network_page.task_box.plot._shown, "an example of the task is drawn"
    small(panel)
    panel.pages.setCurrentWidget(page)
    qtbot.mouseClick(page.controls.start_button, LEFT)
    qtbot.waitUntil(lambda: page.card is not None, timeout=WAIT_MS)
    assert page.controls.work is not None
    assert page.controls.work.state is WorkState.DONE
    assert page.promises.rows[0][0] == "promised"
    assert page.promises.rows[0][1] > 0.0
    assert page.traces.plot._shown[1].name == "promised"
    assert "never judged" in page.told.text()
    qtbot.mouseClick(page.deploy, LEFT)
    assert panel.pages.currentWidget() is panel.apply_page
    assert panel.apply_page.network.path == page.card.folder
    script = panel.desk.script_of(page.controls.work.job)
    assert "optimise_into(" in script
    compile(script, "script", "exec")


@pytest.mark.slow
def test_a_stopped_optimisation_keeps_its_state_and_goes_on(
    qtbot: QtBot, panel: NetworksPanel, twins_folder: Path
) -> None:
    draw_usual(qtbot, panel, twins_folder)
    small(panel, iterations=100_000)
    page = panel.optimise_page
    page.seconds.set_value(None)
    qtbot.mouseClick(page.controls.start_button, LEFT)
    work = page.controls.work
    assert work is not None
    folder = work.job.folder
    files = ("unfinished.json", "unfinished.start*")
    qtbot.waitUntil(lambda: sum(len(list(folder.glob(one))) for one in files) >= 1, timeout=WAIT_MS)
    qtbot.waitUntil(lambda: "loss" in work.progress.note, timeout=WAIT_MS)
    qtbot.mouseClick(page.controls.stop_button, LEFT)
    qtbot.waitUntil(lambda: work.over, timeout=WAIT_MS)
    assert work.state is WorkState.STOPPED
    assert (folder / STATE).is_file()
    assert page.resume.isEnabled()
    qtbot.mouseClick(page.resume, LEFT)
    again = page.controls.work
    assert again is not None
    assert again is not work
    assert again.job.folder == folder
    qtbot.waitUntil(lambda: "loss" in again.progress.note, timeout=WAIT_MS)
    assert not page.resume.isEnabled()
    qtbot.mouseClick(page.controls.stop_button, LEFT)
    qtbot.waitUntil(lambda: again.over, timeout=WAIT_MS)
    panel.document.edit("more nodes", lambda draft: set_value(draft, ("layers", "first", "nodes"), {"leaky": 2}))
    assert not page.resume.isEnabled()
    assert "changed since" in page.resume.toolTip()


def test_nothing_is_applied_before_a_person_has_looked_and_then_measured_stands_beside_promised(
    qtbot: QtBot, panel: NetworksPanel, optimised: Path, open_bench: Callable[[], None], simulation: SimulatedBench
) -> None:
    page = panel.apply_page
    panel.take_files([optimised])
    assert not page.look.isEnabled()
    assert "No station is open" in page.controls.start_button.toolTip()
    open_bench()
    assert "Read what would change first" in page.controls.start_button.toolTip()
    look(qtbot, panel, optimised)
    rows = {row.channel: row for row in page.rows.rows}
    assert rows["duffing_bias"].proposed == (0.05, 0.05)
    assert all(row.ok for row in page.rows.rows)
    start = page.controls.start_button
    assert "never judged" in start.toolTip()
    qtbot.mouseClick(start, LEFT)
    assert page.controls.work is None
    qtbot.keyClicks(page.reason, "trying it out")
    assert "Tick the box" in start.toolTip()
    qtbot.mouseClick(start, LEFT)
    assert page.controls.work is None, "not without the box"
    assert_outputs_off(simulation)
    page.confirm.click()
    qtbot.mouseClick(page.controls.start_button, LEFT)
    qtbot.waitUntil(lambda: bool(page.measured.results.rows), timeout=WAIT_MS)
    work = page.controls.work
    assert work is not None
    assert work.state is WorkState.DONE
    names = [row[0] for row in page.measured.results.rows]
    assert names[:2] == ["promised by the twins", "MEASURED on the device"]
    assert "reservoir, measured" in names
    assert "SIMULATED" in page.measured.outcome_label.text()
    assert "trying it out" in page.measured.outcome_label.text()
    assert [band.name for band in page.measured.traces.plot._shown] == ["target", "promised", "MEASURED"]
    page.measured.traces.rival.setCurrentIndex(1)
    assert [band.name for band in page.measured.traces.plot._shown][-1] == "rival"
    outcome = json.loads((work.job.folder / "deployment.json").read_text())
    assert outcome["optimised"]["measured_mean"] == pytest.approx(page.measured.results.rows[1][1])
    qtbot.waitUntil(lambda: panel.desk.controller.state is State.READY, timeout=WAIT_MS)
    assert not page.controls.start_button.isEnabled(), "another deployment wants another look"
    assert_outputs_off(simulation)
    script = panel.desk.script_of(work.job)
    assert "deploy_network(" in script
    compile(script, "script", "exec")


def test_who_arrives_with_an_open_bench_finds_the_table_read_and_other_work_makes_it_void(
    qtbot: QtBot, panel: NetworksPanel, optimised: Path, open_bench: Callable[[], None]
) -> None:
    open_bench()
    page = panel.apply_page
    panel.take_files([optimised / "network.json"])
    qtbot.waitUntil(lambda: bool(page.rows.rows), timeout=WAIT_MS)
    assert page.look.objectName() == ""
    assert page.controls.start_button.objectName() == "main", "the one blue button is what comes next"
    panel.desk.controller.set_by_hand.emit("duffing_bias 0.1 V")
    assert not page.rows.rows
    assert "used since this was read" in page.controls.start_button.toolTip()
    assert page.look.objectName() == "main"
    with pytest.raises(UsageError, match="used since"):
        page.job()


def test_unplugged_in_the_middle_of_a_deployment_what_was_measured_and_the_outputs_are_told(
    qtbot: QtBot, panel: NetworksPanel, optimised: Path, own_station: Path, own_simulation: SimulatedBench
) -> None:
    panel.desk.controller.open_station(own_station)
    qtbot.waitUntil(lambda: panel.desk.controller.state is State.READY, timeout=WAIT_MS)
    page = panel.apply_page
    page.repeats.setValue(1000)
    look(qtbot, panel, optimised)
    qtbot.keyClicks(page.reason, "to unplug it")
    page.confirm.click()
    qtbot.mouseClick(page.controls.start_button, LEFT)
    work = page.controls.work
    assert work is not None
    qtbot.waitUntil(lambda: panel.desk.bridge.box.samples.total > 0, timeout=WAIT_MS)
    os.kill(own_simulation.pid, signal.SIGKILL)
    qtbot.waitUntil(lambda: work.over, timeout=WAIT_MS)
    assert work.state is WorkState.FAILED
    label = page.measured.outcome_label
    qtbot.waitUntil(lambda: "samples were measured and are readable in" in label.text(), timeout=WAIT_MS)
    assert "No score" in label.text()
    assert measured_below(work.job.folder).n_samples > 0
    qtbot.waitUntil(lambda: "OUTPUTS NOT KNOWN TO BE SAFE" in page.told.text(), timeout=WAIT_MS)
    assert "Broken off" in page.told.text()
    assert page.rows.rows, "what was applied stays to be read"
    assert not page.controls.start_button.isEnabled()


def test_a_row_outside_its_limits_blocks_and_says_so(
    qtbot: QtBot, panel: NetworksPanel, optimised: Path, station: Path, open_bench: Callable[[], None]
) -> None:
    station.write_text(station.read_text().replace("limits = [-0.2, 0.2]", "limits = [-0.02, 0.02]"))
    open_bench()
    page = panel.apply_page
    look(qtbot, panel, optimised)
    (row,) = (row for row in page.rows.rows if row.channel == "duffing_bias")
    assert not row.ok
    assert "0.05 V is proposed; -0.02..0.02 V is allowed" in page.told.text()
    qtbot.keyClicks(page.reason, "all the same")
    assert not page.confirm.isEnabled(), "there is no leave for what is refused"
    QTest.mouseClick(page.confirm, LEFT)
    assert not page.controls.start_button.isEnabled()
    assert "Refused" in page.controls.start_button.toolTip()
    assert any("✗" in page.rows.index(number, 6).data() for number in range(page.rows.rowCount()))


def test_stop_in_the_middle_of_a_deployment_leaves_the_outputs_safe(
    qtbot: QtBot, panel: NetworksPanel, optimised: Path, open_bench: Callable[[], None], simulation: SimulatedBench
) -> None:
    open_bench()
    page = panel.apply_page
    page.repeats.setValue(1000)
    look(qtbot, panel, optimised)
    qtbot.keyClicks(page.reason, "to stop it")
    page.confirm.click()
    qtbot.mouseClick(page.controls.start_button, LEFT)
    work = page.controls.work
    assert work is not None
    qtbot.waitUntil(lambda: panel.desk.bridge.box.samples.total > 0, timeout=WAIT_MS)
    qtbot.mouseClick(page.controls.stop_button, LEFT)
    qtbot.waitUntil(lambda: work.over, timeout=WAIT_MS)
    assert work.state is WorkState.STOPPED
    qtbot.waitUntil(lambda: panel.desk.controller.state is State.READY, timeout=WAIT_MS)
    assert_outputs_off(simulation)
    bench = panel.desk.controller.bench
    assert bench is not None
    assert bench.get("duffing_bias") == pytest.approx(0.0, abs=1e-6)
    assert not (work.job.folder / "deployment.json").exists()


def test_a_task_of_ones_own_is_warned_of_and_run_only_when_that_is_asked(
    qtbot: QtBot, panel: NetworksPanel, tmp_path: Path
) -> None:
    file, trace = tmp_path / "mine.py", tmp_path / "it-was-run"
    file.write_text(f"open({str(trace)!r}, 'w').close()\n\nclass Product:\n    pass\n")
    panel.network_page._looked = True
    box = panel.network_page.task_box
    box.choice.setCurrentIndex(box.choice.count() - 1)
    assert "RUN" in box.warning.text()
    assert box.own.isVisibleTo(box)
    box.file.set_path(file)
    assert box.class_name.currentText() == "Product"
    assert panel.document.draft.task == f"{file}:Product"
    QTest.qWait(300)
    assert not trace.exists(), "naming a file does not run it"
    panel.document.show(set_twin(panel.document.draft, "leaky", tmp_path / "leaky"))
    qtbot.mouseClick(panel.network_page.devices.usual, LEFT)
    assert "needs its file run" in panel.network_page.state.text()
    QTest.qWait(300)
    assert not trace.exists(), "nor does asking for its usual network"
    with qtbot.waitSignal(panel.desk.troubled, timeout=WAIT_MS) as told:
        qtbot.mouseClick(box.run, LEFT)
    assert trace.exists()
    assert "lacks name, metric" in told.args[0].message, "what is wrong with the class is told"
