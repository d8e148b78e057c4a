"""The Twins panel by clicks: from recordings to a twin with its predictions, and what is said where something is amiss."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractButton, QComboBox, QLineEdit, QTableView, QTreeView, QWidget
from pytestqt.qtbot import QtBot

from gui.panels.twins.evidence_plots import log_ticks
from gui.panels.twins.panel import TwinsPanel
from gui.panels.twins.recordings_model import DEVICE, JUDGE, LEARN
from gui.theme import DARK
from gui.work import WorkState
from labctl.store import open_recording

WAIT_MS = 60_000
TRAINING, HELDOUT, OTHER = "leaky-training.h5", "leaky-heldout.h5", "duffing-training.h5"


def over(panel_page: object) -> Callable[[], bool]:
    """Whether the page's work has ended."""
    return lambda: panel_page.controls.work is not None and panel_page.controls.work.over  # type: ignore[attr-defined]


def fit_soon(panel: TwinsPanel, type_into: Callable[..., None], *, seconds: str, qtbot: QtBot) -> None:
    """A short plain fit, typed and chosen as a person does."""
    type_into(panel.fit.seconds.edit, seconds)
    panel.fit.choice.setFocus()
    qtbot.keyClicks(panel.fit.choice, "plain")
    assert panel.fit.choice.currentData() == "plain"


def test_the_newest_recording_and_its_counterpart_are_ticked_at_once(panel: TwinsPanel, row) -> None:
    recordings = panel.shelf.recordings
    assert [card.path.name for card in recordings.learned_from] == [TRAINING]
    assert [card.path.name for card in recordings.judged_on] == [HELDOUT]
    assert panel.fit.controls.start_button.isEnabled()
    assert row(TRAINING, DEVICE).data() == "leaky ◌"
    assert "SIMULATED" in row(TRAINING, DEVICE).data(Qt.ItemDataRole.ToolTipRole)
    assert f"Learns from {TRAINING}; is judged on {HELDOUT}" in panel.fit.what.text()
    assert panel.fit.name.placeholderText() == "leaky"


def test_a_fit_by_one_click_ends_with_predictions_beside_what_was_measured(
    qtbot: QtBot, panel: TwinsPanel, click, type_into, runs: Path
) -> None:
    loaded = set(sys.modules)  # by other tests of this process
    fit_soon(panel, type_into, seconds="1.5", qtbot=qtbot)
    click(panel.fit.controls.start_button)
    qtbot.waitUntil(lambda: "held-out score" in panel.fit.plot.best.text(), timeout=WAIT_MS)
    qtbot.waitUntil(lambda: panel.twin.prediction is not None, timeout=WAIT_MS)
    assert panel.pages.currentWidget() is panel.twin
    prediction = panel.twin.prediction
    assert prediction is not None
    measured = open_recording(runs / "characterise" / HELDOUT)
    one = prediction.inputs[2]
    same = measured.response[measured.input_id == 2]
    np.testing.assert_array_equal(one.measured[0], same[0, -len(one.time_s) :])
    assert panel.twin.input.count() == 6
    for number, view in enumerate(
        (panel.twin.predicted, panel.twin.residuals, panel.twin.coverage, panel.twin.spectra)
    ):
        panel.twin.tabs.setCurrentIndex(number)
        assert panel.twin.tabs.currentWidget() is view
        for plot in view.plots:
            assert any(item.getData()[1] is not None for item in plot.plot.listDataItems())
    assert panel.twin.gates.rows
    assert {"✓", "✗", "?"} >= {
        panel.twin.gates.index(number, 0).data()[0] for number in range(len(panel.twin.gates.rows))
    }
    assert "SIMULATED" in panel.twin.title.text()
    assert panel.twin.report.isEnabled()
    assert "labctl.twin_predicting" not in set(sys.modules) - loaded  # computed elsewhere
    assert "torch" not in set(sys.modules) - loaded
    asked: list[object] = []
    panel.desk.panel_asked.connect(lambda key, files: asked.append((key, files)))
    click(panel.twin.use)
    assert panel.shelf.twin is not None
    assert asked == [("networks", [panel.shelf.twin.path])]


def test_stop_in_the_middle_keeps_the_best_twin_which_can_be_judged(
    qtbot: QtBot, panel: TwinsPanel, click, type_into
) -> None:
    fit_soon(panel, type_into, seconds="120", qtbot=qtbot)
    click(panel.fit.controls.start_button)
    qtbot.waitUntil(lambda: "held-out score" in panel.fit.plot.best.text(), timeout=WAIT_MS)
    click(panel.fit.controls.stop_button)
    qtbot.waitUntil(over(panel.fit), timeout=WAIT_MS)
    assert panel.fit.controls.work is not None
    assert panel.fit.controls.work.state is WorkState.STOPPED
    assert "best twin so far was kept" in panel.fit.told.text()
    qtbot.waitUntil(lambda: panel.shelf.twin is not None, timeout=WAIT_MS)
    assert panel.shelf.twin is not None
    assert panel.shelf.twin.verdict == "not judged"
    qtbot.waitUntil(over(panel.twin), timeout=WAIT_MS)  # its predictions, by themselves
    click(panel.twin.judge)
    qtbot.waitUntil(lambda: panel.shelf.twin.verdict in ("passed", "failed"), timeout=WAIT_MS)
    assert panel.twin.gates.rows


def test_recordings_of_two_devices_cannot_go_together(panel: TwinsPanel, click, row) -> None:
    click(panel.shelf.tree, row(OTHER, LEARN))
    controls = panel.fit.controls
    assert not controls.start_button.isEnabled()
    assert "another device" in controls.start_button.toolTip()
    assert OTHER in controls.line.text() or TRAINING in controls.line.text()
    assert not panel.diagnose.controls.start_button.isEnabled()
    click(panel.shelf.tree, row(TRAINING, LEARN))  # untick the first: the other one's counterpart is found
    assert controls.start_button.isEnabled()
    assert [card.path.name for card in panel.shelf.recordings.judged_on] == ["duffing-heldout.h5"]


def test_without_a_held_out_recording_a_part_is_kept_from_the_fit(panel: TwinsPanel, click, row) -> None:
    click(panel.shelf.tree, row(HELDOUT, JUDGE))
    assert panel.shelf.recordings.judged_on == []
    assert "a part of it that is kept from the fit" in panel.fit.what.text()
    assert panel.fit.make().call.arguments[2] is None
    click(panel.shelf.tree, row(TRAINING, LEARN))
    assert not panel.fit.controls.start_button.isEnabled()
    assert "Tick a recording" in panel.fit.controls.start_button.toolTip()


def test_damaged_files_are_shown_and_cannot_be_ticked(qtbot: QtBot, panel: TwinsPanel, runs: Path, row, click) -> None:
    whole = (runs / "characterise" / TRAINING).read_bytes()
    (runs / "cut.h5").write_bytes(whole[:3000])
    (runs / "half.json").write_text('{"format": "labctl.device_twin", "spec": {')
    qtbot.keyClick(panel, Qt.Key.Key_F5)
    qtbot.waitUntil(lambda: len(panel.shelf.recordings.cards) == 5 and bool(panel.shelf.twins.rows), timeout=WAIT_MS)
    click(panel.shelf.tree, row("cut.h5", LEARN))
    assert [card.path.name for card in panel.shelf.recordings.learned_from] == [TRAINING]
    assert "damaged" in row("cut.h5", 0).data(Qt.ItemDataRole.ToolTipRole)
    assert panel.shelf.twins.index(0, 1).data() == "✗ damaged"
    assert not panel.twin.controls.start_button.isEnabled()
    assert "damaged" in panel.twin.title.text()


@pytest.mark.parametrize(
    ("field", "text", "said"),
    [("seconds", "soon", "no number"), ("seconds", "-1", "outside"), ("seed", "1.5", "whole")],
)
def test_what_is_no_number_starts_nothing_and_is_said(panel: TwinsPanel, click, type_into, field, text, said) -> None:
    type_into(getattr(panel.fit, field).edit, text)
    click(panel.fit.controls.start_button)
    assert panel.desk.works == []
    assert said in panel.fit.controls.line.text()


def test_a_name_that_is_no_file_s_is_refused(panel: TwinsPanel, click, type_into) -> None:
    type_into(panel.fit.name, "../up")
    click(panel.fit.controls.start_button)
    assert panel.desk.works == []
    assert "letters, digits" in panel.fit.controls.line.text()


def test_the_script_is_what_the_button_does(panel: TwinsPanel, click, runs: Path) -> None:
    shown: list[str] = []
    panel.desk.script_asked.connect(lambda _title, text: shown.append(text))
    click(panel.fit.controls.script_button)
    assert "fit_twin(" in shown[0]
    assert str(runs / "characterise" / TRAINING) in shown[0]
    assert str(runs / "characterise" / HELDOUT) in shown[0]
    compile(shown[0], "script", "exec")
    job = panel.script_job()
    assert job is not None
    assert job.title == "Fit leaky"


def test_files_from_elsewhere_are_ticked(qtbot: QtBot, panel: TwinsPanel, runs: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere" / "box.h5"
    elsewhere.parent.mkdir()
    shutil.copy(runs / "characterise" / OTHER, elsewhere)
    panel.take_files([elsewhere])
    qtbot.waitUntil(lambda: [one.path for one in panel.shelf.recordings.learned_from] == [elsewhere], timeout=WAIT_MS)
    assert panel.shelf.recordings.judged_on == []  # nothing beside it was recorded for that


def test_without_a_station_recording_says_so(panel: TwinsPanel) -> None:
    panel.pages.setCurrentWidget(panel.stream)
    assert not panel.stream.controls.start_button.isEnabled()
    assert "Station panel" in panel.stream.controls.start_button.toolTip()


def test_everything_has_a_name_and_a_tooltip_and_fits(panel: TwinsPanel) -> None:
    panel.desk.use_theme(DARK)
    for kind in (QAbstractButton, QComboBox, QLineEdit, QTableView, QTreeView):
        for widget in panel.findChildren(kind):
            if widget.objectName().startswith("qt_") or _inner(widget):
                continue
            assert widget.accessibleName(), widget
            assert isinstance(widget, QTableView | QTreeView) or widget.toolTip(), widget.accessibleName()
    assert panel.minimumSizeHint().width() <= 1120
    assert panel.minimumSizeHint().height() <= 640


def _inner(widget: QWidget) -> bool:
    """A part of another widget: the arrows of tabs, the list of a combo box, a header."""
    parent = widget.parentWidget()
    names = {type(one).__name__ for one in (widget, parent) if one is not None}
    return bool(
        names & {"QTabBar", "QHeaderView", "QComboBoxListView", "QComboBoxPrivateContainer", "QTableCornerButton"}
    )


def test_logarithmic_axes_have_numbers_that_people_read() -> None:
    assert [text for _, text in log_ticks(np.array([20.0, 1100.0]), (1, 2, 5))] == [
        "20",
        "50",
        "100",
        "200",
        "500",
        "1000",
    ]
    assert log_ticks(np.array([0.0]), (1,)) == []
