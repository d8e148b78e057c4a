"""The NCA panel alone, and an automaton made by hand: the heat equation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from gui.desk import Desk
from gui.panels.nca.panel import NcaPanel
from labctl.nca_model import save_model
from twins.nca import NcaModel, Scaling
from twins.nca.by_hand import heat_automaton

WAIT_MS = 60_000
"""Nothing here takes so long; a busy machine may."""
STEPS_PER_FRAME = 4


@pytest.fixture
def panel(qtbot: QtBot, tmp_path: Path) -> Iterator[NcaPanel]:
    """Nothing runs when a test is over."""
    desk = Desk(runs_folder=tmp_path / "runs")
    made = NcaPanel(desk)
    made.resize(1120, 640)
    made.show()
    yield made
    for work in desk.works:
        work.stop()
    qtbot.waitUntil(lambda: all(work.over for work in desk.works), timeout=WAIT_MS)
    live = made.run.holder.live
    made.run.holder.stop()
    if live is not None:
        live.close()
    made.close()
    made.deleteLater()
    desk.deleteLater()


@pytest.fixture
def heat(tmp_path: Path) -> Path:
    """One step of it is one time step of the equation."""
    scaling, apart = Scaling((0.0,), (1.0,)), float(STEPS_PER_FRAME)
    model = NcaModel(heat_automaton(0.33), scaling, STEPS_PER_FRAME, apart, ("u",), ("1",), "1")
    return save_model(model, tmp_path / "heat.json", {"simulated": True}).path
