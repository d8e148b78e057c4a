"""What holds for every panel there is: one window, all panels loaded, the simulated bench open."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

sys.path.insert(0, str(Path(__file__).parent))
from shell_checks import cut_off, each_page, keys_in_use, nameless, outside

from gui.controller import State
from gui.main_window import MainWindow
from gui.shell.panel_stack import FailedPage
from gui.theme import THEMES
from labctl.simulation import SimulatedBench, write_demo_station

WAIT_S = 60.0
SIZE = (1280, 800)
ROOM = (1120, 700)
"""What a panel gets of it at least."""


def wait(until: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S
    while not until():
        assert time.monotonic() < end, "waited in vain"
        QApplication.processEvents()
        time.sleep(0.005)


@pytest.fixture(scope="module")
def window(
    qapp: QApplication, simulation: SimulatedBench, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MainWindow]:
    folder = tmp_path_factory.mktemp("all")
    made = MainWindow(runs_folder=folder / "runs", farewell_ms=0)
    made.resize(*SIZE)
    made.show()
    made.stations.open(write_demo_station(simulation, folder / "station.toml"))
    wait(lambda: made.controller.state is State.READY)
    made.activateWindow()
    wait(made.isActiveWindow)
    for entry in made.entries:
        made.show_panel(entry.key)
        QApplication.processEvents()
        assert made.isActiveWindow(), f"{entry.title} showed a window of its own while it was made"
    yield made
    made.close()
    wait(lambda: made.parting.may_close)
    made.deleteLater()
    QApplication.processEvents()


def test_every_panel_loads(window: MainWindow) -> None:
    for entry in window.entries:
        window.show_panel(entry.key)
        page = window.stack.currentWidget()
        assert not isinstance(page, FailedPage), page.headline.text()
        assert window.stack.current is not None
        assert window.stack.current.key == entry.key
        assert window.stack.current.title


def test_esc_makes_safe_and_ctrl_and_a_number_changes_panels_from_within_every_panel(window: MainWindow) -> None:
    pressed: list[str] = []
    window.menus.actions["safe"].triggered.connect(lambda *_: pressed.append(window.stack.key))
    for number, entry in enumerate(window.entries, start=1):
        QTest.keyClick(window.stack.currentWidget(), Qt.Key(Qt.Key.Key_0 + number), Qt.KeyboardModifier.ControlModifier)
        assert window.stack.key == entry.key
        QTest.keyClick(window.stack.currentWidget(), Qt.Key.Key_Escape)
    assert pressed == [entry.key for entry in window.entries]
    wait(lambda: window.controller.state is State.READY)


def test_every_control_has_a_name_and_a_tooltip(window: MainWindow) -> None:
    lacking = [text for part in (window.top_bar, window.logbook.row, window.logbook.dock) for text in nameless(part)]
    for key, panel in window.stack.panels.items():
        lacking += [f"{key}: {text}" for text in nameless(panel)]
    assert not lacking, "\n".join(lacking)
    assert "Esc" in window.safe_button.toolTip()


def test_every_panel_fits_at_1280_by_800(window: MainWindow) -> None:
    faults = []
    for entry in window.entries:
        window.show_panel(entry.key)
        QApplication.processEvents()
        page = window.stack.currentWidget()
        faults += [f"{entry.title}: {text}" for text in (*cut_off(page), *outside(page))]
        smallest = page.minimumSizeHint()
        if smallest.width() > ROOM[0] or smallest.height() > ROOM[1]:
            faults.append(f"{entry.title}: needs at least {smallest.width()} x {smallest.height()}")
        assert window.stack.width() >= ROOM[0] and window.stack.height() >= ROOM[1]
    assert (window.width(), window.height()) == SIZE, "a panel has made the window larger"
    assert not faults, "\n".join(faults)


def test_every_panel_fits_at_twice_the_scale(tmp_path: Path) -> None:
    """In a process of its own: Qt takes its scale as it starts."""
    environment = {
        **os.environ, "QT_QPA_PLATFORM": "offscreen", "QT_SCALE_FACTOR": "2", "XDG_CONFIG_HOME": str(tmp_path),
        "PYTHONPATH": str(Path(__file__).parent),
    }  # fmt: skip
    command = [sys.executable, str(Path(__file__).parent / "fit_at_scale.py"), str(tmp_path)]
    told = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=200)
    assert told.returncode == 0, told.stderr
    assert told.stdout.splitlines()[0] == "scale 2.0"
    assert not told.stdout.splitlines()[1:], told.stdout


def test_light_and_dark_reach_every_panel(window: MainWindow) -> None:
    window.error_panel.hide()
    for name in ("dark", "light"):
        window.menus.actions[name].trigger()
        for entry in window.entries:
            window.show_panel(entry.key)
        assert window.desk.theme is THEMES[name]
        assert QGuiApplication.palette().window().color().name().upper() == THEMES[name].window
    assert window.error_panel.isHidden(), window.error_panel.text()


def test_every_panel_has_help(window: MainWindow) -> None:
    window.menus.actions["help"].trigger()
    assert window.help_pane.isVisible()
    for entry in window.entries:
        window.show_panel(entry.key)
        assert len(window.help_pane.text.toPlainText()) > 300, f"{entry.title}: hardly any help"
    window.menus.actions["help"].trigger()
    assert not window.help_pane.isVisible()


def test_no_panel_brings_torch_into_the_windows_process(window: MainWindow) -> None:
    code = (
        "import sys; from gui.shell.panel_entries import found_panels; "
        "[entry.load() for entry in found_panels()]; print('torch' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert told.stdout.strip() == "False", told.stderr


def test_no_key_means_two_things_on_any_page_and_ctrl_return_is_the_main_button(window: MainWindow) -> None:
    faults, with_main = set(), set()
    for entry in window.entries:
        window.show_panel(entry.key)
        for page in each_page(window.stack.currentWidget()):
            QApplication.processEvents()
            keys = keys_in_use(window)
            faults |= {f"{entry.title}, {page}: {one} is taken twice" for one in keys if keys.count(one) > 1}
            with_main |= {entry.key} if "Ctrl+Return" in keys else set()
    assert not faults, "\n".join(sorted(faults))
    assert with_main >= {"record", "twins", "networks", "goku", "nca", "runs"}
