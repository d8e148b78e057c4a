"""The player of the first page: a film opened, scrubbed with keys, played."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from gui.panels.nca.colours import MISSING, Scale, about_zero, picture, table
from gui.panels.nca.panel import DATA, NcaPanel
from labctl.images import write_frames
from twins.nca import Frames

WAIT_MS = 60_000
VALUES = np.random.default_rng(0).random((2, 7, 6, 9, 2)).astype(np.float32)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    [path] = write_frames(tmp_path / "film.npz", Frames(VALUES, 0.5, ("u", "v"), ("mM", "1"), "min", simulated=True))
    return path


def test_a_film_is_opened_scrubbed_and_played(qtbot: QtBot, panel: NcaPanel, film: Path) -> None:
    panel.tabs.setCurrentIndex(DATA)
    panel.take_files([film])
    player = panel.data.player
    qtbot.waitUntil(lambda: "SIMULATED" in player.told.text() and player._picture is not None, timeout=WAIT_MS)
    player.slider.setFocus()
    for _ in range(3):
        qtbot.keyClick(player.slider, Qt.Key.Key_Right)
    qtbot.waitUntil(lambda: player.place.text() == "frame 3 of 0 … 6, time 1.5 min", timeout=WAIT_MS)
    np.testing.assert_array_equal(player._picture, VALUES[0, 3])
    qtbot.keyClick(player.sequence, Qt.Key.Key_Down)
    qtbot.waitUntil(lambda: np.array_equal(player._picture, VALUES[1, 0]), timeout=WAIT_MS)
    shown: set[int] = set()
    player.slider.valueChanged.connect(shown.add)
    player.speed.set_value(30)
    qtbot.mouseClick(player.play, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: {0, 6} <= shown, timeout=WAIT_MS)  # to the end, and begun again
    qtbot.mouseClick(player.play, Qt.MouseButton.LeftButton)
    assert player.play.text() == "Play"


def test_what_is_no_film_is_said(qtbot: QtBot, panel: NcaPanel, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("no film")
    panel.take_files([path])
    qtbot.waitUntil(lambda: "none of the formats" in panel.data.player.told.text(), timeout=WAIT_MS)
    assert not panel.data.player.play.isEnabled()
    assert "no sequence yet" in panel.data.player.play.toolTip()


def test_colours_keep_to_their_scale_and_show_what_is_missing() -> None:
    values = np.array([[0.0, 1.0, 2.0, np.nan]], dtype=np.float32)
    image = picture(values, Scale(0.0, 1.0))
    assert [image.pixelIndex(x, 0) for x in range(4)] == [0, MISSING - 1, MISSING - 1, MISSING]
    middle = picture(np.zeros((1, 1), dtype=np.float32), about_zero(3.0))
    assert middle.pixelIndex(0, 0) == (MISSING - 1) // 2
    assert len(table("signed")) == 256


def test_a_camera_is_asked_for_where_there_is_none(panel: NcaPanel) -> None:
    panel.tabs.setCurrentIndex(DATA)
    panel.data.form.kind.setCurrentIndex(2)
    assert panel.data.controls.start_button.text() == "Film"
    assert not panel.data.controls.start_button.isEnabled()
    assert "station with a camera" in panel.data.controls.start_button.toolTip()
