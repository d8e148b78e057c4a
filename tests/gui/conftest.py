"""A simulated bench in a process of its own, and a window on it, drawn off screen."""

from __future__ import annotations

import gc
import os

os.environ["QT_QPA_PLATFORM"] = "offscreen"

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot
from shiboken6 import isValid

from gui.controller import State
from gui.main_window import MainWindow
from gui.offers import Offer
from labctl.simulation import SimulatedBench, write_demo_station

WAIT_MS = 60_000
"""Nothing here takes so long; a busy machine may."""


@pytest.fixture(autouse=True)
def garbage_is_collected_here() -> Iterator[None]:
    """What a test leaves of Qt is collected in this thread, before another test's threads could do so."""
    yield
    gc.collect()
    gc.enable()


@pytest.fixture
def simulation() -> Iterator[SimulatedBench]:
    """The demo's simulated bench."""
    with SimulatedBench.start() as running:
        yield running


@pytest.fixture
def station(simulation: SimulatedBench, tmp_path: Path) -> Path:
    """The station file of that bench."""
    return write_demo_station(simulation, tmp_path / "station.toml")


@pytest.fixture
def show(qtbot: QtBot, simulation: SimulatedBench, tmp_path: Path) -> Iterator[Callable[..., MainWindow]]:
    """Shows a window that offers the given campaigns (title=function(bench, folder, seed)); closed before the simulation ends."""
    shown: list[MainWindow] = []

    def window(*, farewell_ms: int = 0, **campaigns: Callable[..., object]) -> MainWindow:
        offers = [Offer(title, "for a test", make) for title, make in campaigns.items()]  # type: ignore[arg-type]
        made = MainWindow(campaigns=lambda bench: offers, runs_folder=tmp_path / "runs", farewell_ms=farewell_ms)
        shown.append(made)
        made.show()
        return made

    yield window
    for one in shown:
        one.close()
        qtbot.waitUntil(lambda one=one: one.controller.state is State.PARTED, timeout=WAIT_MS)
        one.leave()
        one.deleteLater()
        qtbot.waitUntil(lambda one=one: not isValid(one), timeout=WAIT_MS)


@pytest.fixture
def opened(qtbot: QtBot, show: Callable[..., MainWindow], station: Path) -> Callable[..., MainWindow]:
    """As `show`, with the simulated station opened."""

    def window(**options: object) -> MainWindow:
        made = show(**options)
        made.controller.open_station(station)
        qtbot.waitUntil(lambda: made.controller.state is State.READY, timeout=WAIT_MS)
        return made

    return window
