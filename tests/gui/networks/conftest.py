"""The Networks panel on a desk of its own, with twins that are cheap to have, and the simulated bench."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QSettings
from pytestqt.qtbot import QtBot
from shiboken6 import isValid

from gui.controller import State
from gui.desk import Desk
from gui.panels.networks.panel import NetworksPanel
from gui.theme import THEMES
from twins import DeviceTwin, DeviceTwinSpec, Traces, fit, save_twin

WAIT_MS = 120_000
DT_S = 2e-4


def _twin(name: str, lag: float) -> DeviceTwin:
    """Of a device that follows its drive with a lag, fitted a little."""
    rng = np.random.default_rng(0)
    drive = np.repeat(rng.uniform(-0.3, 0.3, size=(8, 20, 1)), 3, axis=1)
    response = np.zeros_like(drive)
    for k in range(drive.shape[1] - 1):
        response[:, k + 1] = (
            lag * response[:, k] + (1 - lag) * np.tanh(2 * drive[:, k]) + 0.02 * rng.normal(size=(8, 1))
        )
    traces = Traces(drive, response, DT_S, (f"{name}_drive",), ("V",), (f"{name}_response",), ("V",), n_prepare=6)
    twin = DeviceTwin(DeviceTwinSpec.for_traces([traces], response_delays=0, drive_delays=0, hidden=(8,)))
    for _ in fit(twin, [traces], seed=0, max_epochs=3):
        pass
    return twin


@pytest.fixture(scope="session")
def twins_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twins of the simulated bench's devices; never judged, so that their gates are not passed."""
    folder = tmp_path_factory.mktemp("twins")
    save_twin(_twin("leaky", 0.7), folder / "leaky", provenance={"simulated": True})
    save_twin(_twin("duffing", 0.5), folder / "duffing", provenance={"simulated": True})
    return folder


@pytest.fixture
def panel(qtbot: QtBot, tmp_path: Path) -> Iterator[NetworksPanel]:
    """The panel on an empty desk; its bench, if a test opens one, is parted from in the end."""
    settings = QSettings(str(tmp_path / "gui.ini"), QSettings.Format.IniFormat)
    desk = Desk(runs_folder=tmp_path / "runs", theme=THEMES["light"], settings=settings)
    made = NetworksPanel(desk)
    made.resize(1120, 640)
    made.show()
    yield made
    for work in desk.works:
        work.stop()
    qtbot.waitUntil(lambda: all(work.over for work in desk.works), timeout=WAIT_MS)
    desk.controller.part()
    qtbot.waitUntil(lambda: desk.controller.state is State.PARTED, timeout=WAIT_MS)
    made.close()
    for one in (made, desk):
        one.deleteLater()
        qtbot.waitUntil(lambda one=one: not isValid(one), timeout=WAIT_MS)


@pytest.fixture
def open_bench(qtbot: QtBot, panel: NetworksPanel, station: Path) -> Callable[[], None]:
    """Opens the simulated station in the panel's desk."""

    def opened() -> None:
        panel.desk.controller.open_station(station)
        qtbot.waitUntil(lambda: panel.desk.controller.state is State.READY, timeout=WAIT_MS)

    return opened
