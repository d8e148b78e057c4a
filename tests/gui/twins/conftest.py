"""Recordings of a simulated bench, made once, and the Twins panel on a folder that holds them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QModelIndex, QPoint, Qt
from PySide6.QtWidgets import QAbstractItemView
from pytestqt.qtbot import QtBot

from gui.desk import Desk
from gui.panels.twins.panel import TwinsPanel
from labctl.bench import Bench
from labctl.campaign import run
from labctl.campaigns.characterise import CharacterisationDesign, characterise
from labctl.simulation import SimulatedBench, write_demo_station

WAIT_MS = 60_000
"""Nothing here takes so long; a busy machine may."""
DESIGN = CharacterisationDesign(n_trials=24, n_samples=120, n_inputs=6, n_repeats=8, n_heldout_samples=80)


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with recordings of both devices of the demo's bench; the leaky one's are the newest."""
    folder = tmp_path_factory.mktemp("recorded") / "characterise"
    folder.mkdir()
    with (
        SimulatedBench.start() as simulation,
        Bench.open(write_demo_station(simulation, folder / "station.toml")) as bench,
    ):
        for device in ("duffing", "leaky"):
            run(characterise(bench, device, folder=folder, rng=np.random.default_rng(1), design=DESIGN))
    return folder


@pytest.fixture
def runs(recorded: Path, tmp_path: Path) -> Path:
    """A runs folder of its own for each test."""
    shutil.copytree(recorded, tmp_path / "runs" / recorded.name)
    return tmp_path / "runs"


@pytest.fixture
def panel(qtbot: QtBot, runs: Path) -> Iterator[TwinsPanel]:
    """The panel, when it has read the folder; nothing runs when a test is over."""
    desk = Desk(runs_folder=runs)
    made = TwinsPanel(desk)
    made.resize(1120, 640)
    made.show()
    qtbot.waitUntil(lambda: bool(made.shelf.recordings.cards), timeout=WAIT_MS)
    yield made
    for work in desk.works:
        work.stop()
    qtbot.waitUntil(lambda: all(work.over for work in desk.works), timeout=WAIT_MS)
    made.close()
    made.deleteLater()
    desk.deleteLater()


@pytest.fixture
def click(qtbot: QtBot) -> Callable[..., None]:
    """Click on a button, or on the box of a row."""

    def press(where: object, index: QModelIndex | None = None) -> None:
        if index is None:
            qtbot.mouseClick(where, Qt.MouseButton.LeftButton)  # type: ignore[arg-type]
            return
        assert isinstance(where, QAbstractItemView)
        where.scrollTo(index)
        box = where.visualRect(index)
        qtbot.mouseClick(where.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(box.left() + 10, box.center().y()))

    return press


@pytest.fixture
def row(panel: TwinsPanel) -> Callable[[str, int], QModelIndex]:
    """The cell of a recording by the name of its file."""

    def find(name: str, column: int) -> QModelIndex:
        model = panel.shelf.recordings
        for group in range(model.rowCount()):
            parent = model.index(group, 0)
            for number in range(model.rowCount(parent)):
                card = model.card(model.index(number, 0, parent))
                if card is not None and card.path.name == name:
                    return model.index(number, column, parent)
        raise AssertionError(f"{name} is not in the list")

    return find


@pytest.fixture
def type_into(qtbot: QtBot) -> Callable[..., None]:
    """Replace what stands in a field."""

    def write(field: object, text: str) -> None:
        field.setFocus()  # type: ignore[attr-defined]
        field.selectAll()  # type: ignore[attr-defined]
        qtbot.keyClicks(field, text)  # type: ignore[arg-type]

    return write
