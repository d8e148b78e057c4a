"""Training from the page: one click, and it is shown running; stopped, it keeps the best."""

from __future__ import annotations

import ast

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLineEdit
from pytestqt.qtbot import QtBot

from gui.panels.nca.panel import DATA, RUN, TRAIN, NcaPanel
from gui.work import WorkState

WAIT_MS = 60_000


def write(qtbot: QtBot, edit: QLineEdit, text: str) -> None:
    edit.selectAll()
    qtbot.keyClicks(edit, text)


@pytest.fixture
def small(qtbot: QtBot, panel: NcaPanel) -> NcaPanel:
    """A heat equation of few cells is the source, and the training takes a second."""
    panel.tabs.setCurrentIndex(DATA)
    qtbot.keyClicks(panel.data.form.pde, "Heat")
    for field, text in ((panel.data.form.cells, "8"), (panel.data.form.n_frames, "5"), (panel.data.form.n_trials, "2")):
        write(qtbot, field.edit, text)
    panel.tabs.setCurrentIndex(TRAIN)
    write(qtbot, panel.train.seconds.edit, "1")
    return panel


@pytest.mark.slow
def test_one_click_trains_and_shows_it_running(qtbot: QtBot, small: NcaPanel) -> None:
    train = small.train
    assert "SIMULATED" in train.told.text()
    qtbot.mouseClick(train.controls.start_button, Qt.MouseButton.LeftButton)
    work = train.controls.work
    assert work is not None
    qtbot.waitUntil(lambda: work.over, timeout=WAIT_MS)
    assert work.state is WorkState.DONE, train.controls.line.text()
    assert small.tabs.currentIndex() == RUN
    assert "free-run error" in train.verdict.text()
    qtbot.waitUntil(lambda: small.run._frame is not None and small.run._frame.total_steps > 0, timeout=WAIT_MS)
    assert small.judge.model.path == work.job.folder / "automaton.json"
    curves = train.learning._curves.steps["nca/fit/automaton"]
    assert set(curves) == {"loss in training", "free-run error (sd of the data)"}


def test_stopped_it_keeps_the_best(qtbot: QtBot, small: NcaPanel) -> None:
    write(qtbot, small.train.seconds.edit, "600")
    qtbot.mouseClick(small.train.controls.start_button, Qt.MouseButton.LeftButton)
    work = small.train.controls.work
    assert work is not None
    path = work.job.folder / "automaton.json"
    qtbot.waitUntil(path.exists, timeout=WAIT_MS)
    qtbot.mouseClick(small.train.controls.stop_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: work.over, timeout=WAIT_MS)
    assert work.state is WorkState.STOPPED
    assert path.exists()
    assert small.run.model.path == path
    assert small.tabs.currentIndex() == RUN
    qtbot.waitUntil(lambda: small.run._frame is not None and small.run._frame.total_steps > 0, timeout=WAIT_MS)


def test_bad_entries_are_said_and_nothing_starts(qtbot: QtBot, small: NcaPanel) -> None:
    train = small.train
    write(qtbot, train.seconds.edit, "soon")
    qtbot.mouseClick(train.controls.start_button, Qt.MouseButton.LeftButton)
    assert train.controls.work is None
    assert "Training time: 'soon' is no number" in train.controls.line.text()
    write(qtbot, train.seconds.edit, "1")
    write(qtbot, small.data.form.cells.edit, "2")
    qtbot.mouseClick(train.controls.start_button, Qt.MouseButton.LeftButton)
    assert train.controls.work is None
    assert "Size: 2 cells outside 3" in train.controls.line.text()
    small.data.form.kind.setCurrentIndex(1)
    qtbot.mouseClick(train.controls.start_button, Qt.MouseButton.LeftButton)
    assert "choose a file or folder" in train.controls.line.text()


def test_the_training_is_shown_as_a_script(qtbot: QtBot, small: NcaPanel) -> None:
    scripts: list[str] = []
    small.desk.script_asked.connect(lambda _title, text: scripts.append(text))
    qtbot.mouseClick(small.train.controls.script_button, Qt.MouseButton.LeftButton)
    ast.parse(scripts[0])
    assert "train_nca(" in scripts[0]
    assert "PdeSource(" in scripts[0]
