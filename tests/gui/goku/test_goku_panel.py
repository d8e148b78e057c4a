"""From Example to parameters by clicks; Stop in the middle keeps the best; the script does the same."""

from collections.abc import Callable

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from gui.panels.goku.panel import FIT, GokuPanel
from gui.work import Work, WorkState
from labctl.goku_study import GokuStudy

Click = Callable[..., None]
WAIT_MS = 60_000


def example(qtbot: QtBot, panel: GokuPanel, click: Click) -> None:
    """Simulated traces, by the button."""
    click(panel.example_button)
    qtbot.waitUntil(lambda: panel.traces.traces is not None, timeout=WAIT_MS)


def started(qtbot: QtBot, panel: GokuPanel, click: Click, seconds: str) -> Work:
    """The main button, with this training time."""
    panel.steps.setCurrentIndex(FIT)
    panel.form.seconds.edit.selectAll()
    qtbot.keyClicks(panel.form.seconds.edit, seconds)
    click(panel.controls.start_button)
    assert panel.controls.work is not None
    return panel.controls.work


def found(qtbot: QtBot, panel: GokuPanel) -> GokuStudy:
    """What is shown, once all is inferred."""
    qtbot.waitUntil(lambda: panel.study is not None and panel.study.stage == "inferred", timeout=WAIT_MS)
    assert panel.study is not None
    return panel.study


@pytest.mark.slow
def test_from_example_to_parameters_with_the_main_button_alone(qtbot: QtBot, panel: GokuPanel, click: Click) -> None:
    example(qtbot, panel, click)
    assert "SIMULATED" in panel.traces.plot.words.text()
    work = started(qtbot, panel, click, "1")
    found(qtbot, panel)
    qtbot.waitUntil(lambda: work.over, timeout=WAIT_MS)
    assert work.state is WorkState.DONE
    results_are_shown(panel)


def results_are_shown(panel: GokuPanel) -> None:
    """In every tab; and the script has the same calls."""
    assert panel.study is not None and panel.controls.work is not None
    assert panel.study.simulated and "SIMULATED" in panel.parameters.words.text()
    assert panel.parameters.model.rowCount() == 8
    assert all(row[2] is not None for row in panel.parameters.model.rows)
    assert panel.parameters.report_button.isEnabled()
    panel.results.setCurrentWidget(panel.course)
    assert len(panel.course.course.plot.listDataItems()) >= 3
    panel.results.setCurrentWidget(panel.told)
    assert [one.parameter for one in panel.told.standings.rows] == ["length", "damping"]
    assert "known" in panel.told.words.text()


def test_stop_in_the_middle_keeps_a_network_that_can_be_used(qtbot: QtBot, panel: GokuPanel, click: Click) -> None:
    example(qtbot, panel, click)
    work = started(qtbot, panel, click, "600")
    qtbot.waitUntil(lambda: bool(panel.learning._curves.steps), timeout=WAIT_MS)
    click(panel.controls.stop_button)
    qtbot.waitUntil(lambda: work.state is WorkState.STOPPED, timeout=WAIT_MS)
    assert panel.form.model_path is not None and panel.form.model_path.is_file()
    assert "is kept" in panel.warnings.toPlainText()
    click(panel.controls.start_button)
    assert found(qtbot, panel).name == panel.form.model_path.stem
    results_are_shown(panel)
    scripts = [panel.desk.script_of(one.job) for one in panel.desk.works]
    assert "example_into(" in scripts.pop(0)
    for script, function in zip(scripts, ("study_goku(", "study_with_model("), strict=True):
        compile(script, "script.py", "exec")
        assert function in script and "read_measured(" in script


def test_equations_that_cannot_be_compared_are_said(qtbot: QtBot, panel: GokuPanel, click: Click) -> None:
    example(qtbot, panel, click)
    panel.steps.setCurrentIndex(FIT)
    panel.results.setCurrentWidget(panel.compare)
    click(panel.compare.controls.start_button)
    assert "at least two" in panel.compare.controls.line.text()


def test_another_equation_is_compared_on_the_same_channels(qtbot: QtBot, panel: GokuPanel, click: Click) -> None:
    example(qtbot, panel, click)
    panel.steps.setCurrentIndex(FIT)
    panel.results.setCurrentWidget(panel.compare)
    click(panel.compare.list, "duffing")
    qtbot.keyClick(panel.compare.list, Qt.Key.Key_Space)
    chosen = panel.compare.job().call.arguments[0]
    assert chosen["duffing"][1].options["observe"] == {"angle": "position", "rate": "velocity"}
    click(panel.compare.list, "stuart_landau")
    qtbot.keyClick(panel.compare.list, Qt.Key.Key_Space)
    click(panel.compare.controls.start_button)
    assert "stuart_landau has 1 output, and 2 channels are used" in panel.compare.controls.line.text()
    assert [work.job.title for work in panel.desk.works] == ["Simulate an example"]
