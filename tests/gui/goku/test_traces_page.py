"""Step 2: files with their columns, what is wrong with them, gaps."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from gui.panels.goku.panel import TRACES, GokuPanel
from labctl.calls import perform
from labctl.goku_traces import TracesTold, traces_told

Click = Callable[..., None]
WAIT_MS = 60_000


@pytest.fixture
def swings(tmp_path: Path) -> Path:
    """Two trials of a swing, with a gap; the measured column is called otherwise than the equation's output."""
    times = np.concatenate((np.arange(20), np.arange(30, 50))) * 0.1
    rows = [(trial, time, np.cos(2.5 * time) * (1.0 - 0.3 * trial)) for trial in range(2) for time in times]
    path = tmp_path / "swings.csv"
    np.savetxt(path, rows, delimiter=",", header="trial,t [s],volts [rad]", comments="")
    return path


@pytest.fixture
def added(
    qtbot: QtBot, panel: GokuPanel, click: Click, swings: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Path], None]:
    """Adds a file by the button."""

    def add(path: Path) -> None:
        monkeypatch.setattr("gui.panels.goku.traces_page.ask_for_files", lambda *given: given[-1]([path]))
        panel.steps.setCurrentIndex(TRACES)
        click(panel.traces.add_button)

    return add


def have(qtbot: QtBot, panel: GokuPanel) -> TracesTold:
    """The traces, once they are read."""
    qtbot.waitUntil(lambda: panel.traces.traces is not None, timeout=WAIT_MS)
    assert panel.traces.traces is not None
    return panel.traces.traces


def test_columns_are_guessed_and_gaps_are_marked(
    qtbot: QtBot, panel: GokuPanel, added: Callable[[Path], None], swings: Path
) -> None:
    added(swings)
    told = have(qtbot, panel)
    assert len(told.traces) == 2 and told.names == ("volts",)
    assert "2 gaps" in panel.traces.plot.words.text()
    assert len(panel.traces.plot._regions) == 1
    assert panel.controls.start_button.isEnabled()
    wishes = panel.traces.wishes()
    assert wishes is not None and wishes.options["observe"] == {"volts": "angle"}
    assert len(traces_told(perform(panel.traces.measured())).traces) == 2


def test_without_a_measured_column_it_is_said_what_is_missing(
    qtbot: QtBot, panel: GokuPanel, added: Callable[[Path], None], swings: Path, click: Click
) -> None:
    added(swings)
    have(qtbot, panel)
    view = panel.traces.columns.response.view
    click(view, "volts")
    qtbot.keyClick(view, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: panel.traces.traces is None, timeout=WAIT_MS)
    assert "no column was measured" in panel.traces.line.text()
    assert not panel.controls.start_button.isEnabled()
    assert "no column was measured" in panel.controls.start_button.toolTip()
    qtbot.keyClick(view, Qt.Key.Key_Space)
    have(qtbot, panel)


def test_without_time_the_step_is_asked_for(
    qtbot: QtBot, panel: GokuPanel, added: Callable[[Path], None], swings: Path
) -> None:
    added(swings)
    have(qtbot, panel)
    panel.traces.columns.time.setFocus()
    qtbot.keyClick(panel.traces.columns.time, Qt.Key.Key_Home)
    qtbot.waitUntil(lambda: "which column is the time" in panel.traces.line.text(), timeout=WAIT_MS)
    qtbot.keyClicks(panel.traces.columns.dt.edit, "0.1")
    have(qtbot, panel)
    assert panel.traces.reading()["dt"] == 0.1


def test_too_short_a_trace_is_refused(
    qtbot: QtBot, panel: GokuPanel, added: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / "short.csv"
    path.write_text("t,angle\n0,1\n")
    added(path)
    qtbot.waitUntil(lambda: "two samples" in panel.traces.line.text(), timeout=WAIT_MS)
    assert not panel.controls.start_button.isEnabled()


def test_what_is_no_data_is_refused_and_can_be_removed(
    qtbot: QtBot, panel: GokuPanel, added: Callable[[Path], None], tmp_path: Path, click: Click
) -> None:
    path = tmp_path / "no.mat"
    path.write_text("no")
    added(path)
    qtbot.waitUntil(lambda: "no .mat file" in panel.traces.line.text(), timeout=WAIT_MS)
    click(panel.traces.remove_button)
    assert "No traces yet" in panel.traces.line.text()
    assert not panel.traces.remove_button.isEnabled()


def test_without_a_station_nothing_can_be_recorded_and_it_is_said(panel: GokuPanel) -> None:
    assert not panel.traces.bench.controls.start_button.isEnabled()
    assert "No station is open" in panel.traces.bench.controls.start_button.toolTip()


def test_a_gain_of_zero_is_refused(qtbot: QtBot, panel: GokuPanel, added: Callable[[Path], None], swings: Path) -> None:
    added(swings)
    have(qtbot, panel)
    field = panel.traces.wiring.gains["volts"].edit
    field.selectAll()
    qtbot.keyClicks(field, "0")
    panel.controls.start()
    assert "gain of volts" in panel.controls.line.text()
    assert not panel.desk.works
