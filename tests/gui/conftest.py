"""A simulated bench in a process of its own, shared by the tests of a file, and a window on it, drawn off screen."""

from __future__ import annotations

import contextlib
import gc
import os

os.environ["QT_QPA_PLATFORM"] = "offscreen"

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QSettings
from pytestqt.qtbot import QtBot
from shiboken6 import isValid

from gui.controller import State
from gui.main_window import MainWindow
from labctl.simulation import SimulatedBench, write_demo_station

WAIT_MS = 60_000
"""Nothing here takes so long; a busy machine may."""


@pytest.fixture(autouse=True, scope="session")
def settings_of_nobody(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever a test keeps between starts: never in the settings of the person who runs the tests."""
    folder = str(tmp_path_factory.mktemp("settings"))
    for kind in (QSettings.Format.NativeFormat, QSettings.Format.IniFormat):
        QSettings.setPath(kind, QSettings.Scope.UserScope, folder)
    os.environ["XDG_CONFIG_HOME"] = folder


@pytest.fixture(autouse=True)
def workers_are_there_at_once(warm_workers: None) -> None:
    """Training in the window's tests begins without seconds of loading torch, again and again."""


@pytest.fixture(autouse=True)
def garbage_is_collected_here() -> Iterator[None]:
    """What a test leaves of Qt is collected in this thread, before another test's threads could do so."""
    yield
    gc.collect()
    gc.freeze()  # what is left stays, and is not looked at again after each test: that took a fifth of a second
    gc.enable()


@pytest.fixture(scope="session")
def held() -> Iterator[contextlib.ExitStack]:
    """What is closed when all tests are over."""
    with contextlib.ExitStack() as stack:
        yield stack


@contextlib.contextmanager
def simulated_bench(held: contextlib.ExitStack) -> Iterator[SimulatedBench]:
    """A bench whose serial ports' numbers stay taken when it has ended: a window may have its claim on them still, while a
    bench of a test beside this one would be given the number.
    """
    with SimulatedBench.start() as running:
        ports = [address.removeprefix("ASRL").split("::")[0] for address in running.addresses.values()]
        for port in ports:
            if port.startswith("/dev/pts/"):
                held.callback(os.close, os.open(port, os.O_RDWR | os.O_NOCTTY))
        yield running


@pytest.fixture(scope="module")
def simulation(held: contextlib.ExitStack) -> Iterator[SimulatedBench]:
    """The demo's simulated bench, shared: a test leaves its outputs safe, and does not kill it."""
    with simulated_bench(held) as running:
        yield running


@pytest.fixture
def own_simulation(held: contextlib.ExitStack) -> Iterator[SimulatedBench]:
    """A simulated bench for one test, which may kill it."""
    with simulated_bench(held) as running:
        yield running


@pytest.fixture
def station(simulation: SimulatedBench, tmp_path: Path) -> Path:
    """The station file of the shared bench."""
    return write_demo_station(simulation, tmp_path / "station.toml")


@pytest.fixture
def own_station(own_simulation: SimulatedBench, tmp_path: Path) -> Path:
    """The station file of the bench that may be killed, with an instrument given up soon."""
    path = write_demo_station(own_simulation, tmp_path / "own-station.toml")
    path.write_text(path.read_text().replace("\naddress =", "\ntimeout_s = 0.3\nreconnect_s = 0.2\naddress ="))
    return path


@pytest.fixture
def show(qtbot: QtBot, tmp_path: Path) -> Iterator[Callable[..., MainWindow]]:
    """Shows a window; closed when the test ends. Options are those of `MainWindow`."""
    shown: list[MainWindow] = []

    def window(**options: object) -> MainWindow:
        made = MainWindow(**{"runs_folder": tmp_path / "runs", "farewell_ms": 0, **options})  # type: ignore[arg-type]
        shown.append(made)
        made.show()
        made.activateWindow()  # keys go to the active window
        qtbot.waitUntil(made.isActiveWindow, timeout=WAIT_MS)
        return made

    yield window
    for one in shown:
        close(qtbot, one)


def close(qtbot: QtBot, window: MainWindow) -> None:
    """Close a window as a person does, and wait until nothing is left of it."""
    if not isValid(window):
        return
    window.close()
    qtbot.waitUntil(lambda: window.controller.state is State.PARTED, timeout=WAIT_MS)
    window.leave()
    window.deleteLater()
    qtbot.waitUntil(lambda: not isValid(window), timeout=WAIT_MS)


@pytest.fixture
def opened(qtbot: QtBot, show: Callable[..., MainWindow], station: Path) -> Callable[..., MainWindow]:
    """As `show`, with the shared simulated station opened, or another (`path`)."""

    def window(path: Path | None = None, **options: object) -> MainWindow:
        made = show(**options)
        made.controller.open_station(path or station)
        qtbot.waitUntil(lambda: made.controller.state is State.READY, timeout=WAIT_MS)
        return made

    return window
