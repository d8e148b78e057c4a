"""Diagnosis, comparison and fitting while recording, by clicks."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from gui.controller import State
from gui.panels.twins.panel import TwinsPanel
from gui.panels.twins.recordings_model import JUDGE
from labctl.campaign import run
from labctl.campaigns.compare_twins import Comparison
from labctl.campaigns.fit_settings import FitSettings
from labctl.campaigns.fit_twin import fit_twin
from labctl.simulation import SimulatedBench, write_demo_station
from labctl.store import open_recording
from labctl.twin_cards import twins_below

WAIT_MS = 60_000


@pytest.fixture(scope="module")
def fitted(recorded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two twins of the leaky device, one of them hardly trained."""
    training, heldout = (open_recording(recorded / f"leaky-{part}.h5") for part in ("training", "heldout"))
    folder = tmp_path_factory.mktemp("fitted") / "twins"
    for name, seconds in (("good", 0.6), ("poor", 0.05)):
        settings = FitSettings(
            choice="plain", response_delays=1, drive_delays=1, max_seconds=seconds, n_calibration_draws=39
        )
        run(fit_twin(name, [training], heldout, seed=1, settings=settings, folder=folder))
    return folder


@pytest.fixture
def two_twins(fitted: Path, runs: Path) -> None:
    """Those twins in the runs folder of this test."""
    shutil.copytree(fitted, runs / fitted.name)


def over(page: object) -> Callable[[], bool]:
    """Whether the page's work has ended."""
    return lambda: page.controls.work is not None and page.controls.work.over  # type: ignore[attr-defined]


def test_a_diagnosis_says_in_words_what_there_is_and_what_it_calls_for(qtbot: QtBot, panel: TwinsPanel, click) -> None:
    panel.pages.setCurrentWidget(panel.diagnose)
    click(panel.diagnose.controls.start_button)
    qtbot.waitUntil(over(panel.diagnose), timeout=WAIT_MS)
    found = panel.diagnose.found.text()
    assert "SIMULATED" in found
    assert "24 trials of 24 inputs" in found
    assert "leaky_response: spread" in found
    assert "likelihood" in panel.diagnose.called_for.text()


def test_twins_are_compared_on_what_none_has_seen(qtbot: QtBot, two_twins: None, panel: TwinsPanel, click, row) -> None:
    qtbot.waitUntil(lambda: len(panel.shelf.twins.rows) == 2, timeout=WAIT_MS)
    panel.pages.setCurrentWidget(panel.compare)
    compare = panel.compare
    assert "two twins or more" in compare.controls.start_button.toolTip()
    for number in range(2):
        click(panel.shelf.twins_view, panel.shelf.twins.index(number, 0))
    assert compare.controls.start_button.isEnabled()
    click(panel.shelf.tree, row("duffing-heldout.h5", JUDGE))
    assert not compare.controls.start_button.isEnabled()
    assert "duffing-heldout.h5" in compare.controls.start_button.toolTip()
    click(panel.shelf.tree, row("duffing-heldout.h5", JUDGE))
    click(compare.controls.start_button)
    qtbot.waitUntil(over(compare), timeout=WAIT_MS)
    work = compare.controls.work
    assert work is not None
    assert work.end is not None
    assert isinstance(work.end.result, Comparison), work.end.error
    assert [compare.model.index(number, 0).data() for number in range(2)] == [one.twin for one in work.end.result.twins]
    assert work.end.result.verdict in compare.verdict.text()
    assert "SIMULATED" in compare.verdict.text()


def test_a_device_is_recorded_and_fitted_at_once_and_the_twin_is_shown(
    qtbot: QtBot, panel: TwinsPanel, click, type_into, simulation: SimulatedBench, tmp_path: Path
) -> None:
    controller = panel.desk.controller
    controller.open_station(write_demo_station(simulation, tmp_path / "station.toml"))
    qtbot.waitUntil(lambda: controller.state is State.READY, timeout=WAIT_MS)
    stream = panel.stream
    panel.pages.setCurrentWidget(stream)
    assert [stream.device.itemText(number) for number in range(stream.device.count())] == ["leaky", "duffing"]
    qtbot.keyClicks(stream.choice, "plain")
    click(stream.more.fold)
    fields = {field.edit.accessibleName(): field.edit for field in stream.more.findChildren(type(stream.budget))}
    for name, text in (("Samples a trial", "100"), ("Held-out inputs", "5"), ("Samples of a held-out input", "60")):
        type_into(fields[name], text)
    type_into(fields["Training a round, at most (s)"], "0.5")
    type_into(stream.budget.edit, "1.2")
    click(stream.controls.start_button)
    qtbot.waitUntil(lambda: bool(stream.rounds.rows), timeout=WAIT_MS)
    qtbot.waitUntil(over(stream), timeout=WAIT_MS)
    assert "s of device time" in stream.told.text()
    assert np.isfinite(stream.rounds.rows[0].coverage_90)
    assert stream.rounds.index(0, 5).data()[0] in "✓✗"
    work = stream.controls.work
    assert work is not None
    [card] = twins_below(work.job.folder)
    qtbot.waitUntil(lambda: panel.shelf.twin is not None and panel.shelf.twin.path == card.path, timeout=WAIT_MS)
    qtbot.waitUntil(lambda: controller.state is State.READY, timeout=WAIT_MS)
    controller.close_station()
    qtbot.waitUntil(lambda: controller.bench is None, timeout=WAIT_MS)


def test_the_boxes_of_the_twins_list_answer_to_the_keyboard(
    qtbot: QtBot, two_twins: list[Path], panel: TwinsPanel
) -> None:
    qtbot.waitUntil(lambda: len(panel.shelf.twins.rows) == 2, timeout=WAIT_MS)
    panel.shelf.twins_view.setFocus()
    qtbot.keyClick(panel.shelf.twins_view, Qt.Key.Key_Space)
    assert [card.path for card in panel.shelf.twins.compared] == [panel.shelf.twins.rows[0].path]


def test_a_table_of_another_program_becomes_a_recording_to_learn_from(
    qtbot: QtBot, panel: TwinsPanel, click, type_into, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    drive = np.repeat(rng.uniform(-1, 1, 240), 5)
    response = np.convolve(drive, 0.2 * 0.8 ** np.arange(30))[: len(drive)] + 0.01 * rng.standard_normal(len(drive))
    path = tmp_path / "lab.csv"
    np.savetxt(path, np.c_[drive, response], delimiter=",", header="V1,V2", comments="")
    panel.take_files([path])
    page = panel.imports
    assert panel.pages.currentWidget() is page
    qtbot.waitUntil(lambda: page.drive.currentText() == "V1", timeout=WAIT_MS)
    assert page.response.currentText() == "V2"
    click(page.controls.start_button)
    assert panel.desk.works == []
    assert "sampling rate" in page.controls.line.text()
    type_into(page.rate.edit, "1000")
    type_into(page.test_from.edit, "1001")
    click(page.controls.start_button)
    qtbot.waitUntil(over(page), timeout=WAIT_MS)
    recordings = panel.shelf.recordings
    qtbot.waitUntil(lambda: [card.path.name for card in recordings.learned_from] == ["lab.h5"], timeout=WAIT_MS)
    assert [card.path.name for card in recordings.judged_on] == ["lab-heldout.h5"]
    assert recordings.learned_from[0].dt_s == 1e-3


def test_a_file_that_cannot_be_read_is_refused_at_the_field(qtbot: QtBot, panel: TwinsPanel, tmp_path: Path) -> None:
    path = tmp_path / "weights.pkl"
    path.write_bytes(b"\x80\x04 no data")
    panel.imports.file.set_path(path)
    qtbot.waitUntil(lambda: panel.imports.told.text().startswith("✗"), timeout=WAIT_MS)
    assert "pickle" in panel.imports.told.text()
    assert not panel.imports.controls.start_button.isEnabled()
