"""Esc and the button make all outputs safe whatever has the keys, on simulated instruments asked by the test itself."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, Qt, QTimer
from PySide6.QtGui import QWindow
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QApplication,
    QDialog,
    QLineEdit,
    QMenu,
    QMessageBox,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)
from pytestqt.qtbot import QtBot

from gui.controller import State
from gui.main_window import MainWindow
from gui.panels.station.panel import StationPanel
from gui.widgets.file_dialogs import FileDialog, ask_for_file, ask_where_to_save
from labctl.simulation import SimulatedBench

WAIT_MS = 60_000
Show = Callable[..., MainWindow]


def is_on(simulation: SimulatedBench) -> bool:
    """Asked over a connection of the test's own."""
    host, port = simulation.addresses["awg"].split("::")[1:3]
    with socket.create_connection((host, int(port)), timeout=10) as line:
        line.sendall(b"OUTP1?\n")
        return line.makefile().readline().strip() == "1"


@pytest.fixture
def driven(qtbot: QtBot, opened: Show, simulation: SimulatedBench) -> MainWindow:
    """A window with an output on."""
    window = opened()
    assert window.controller.bench is not None
    window.controller.bench.set("leaky_drive", 1.0)
    assert is_on(simulation)
    return window


def press_esc(window: QWindow | None) -> None:
    """As the window system does: to a window, which hands it on to whatever has the keys."""
    assert window is not None
    QTest.keyClick(window, Qt.Key.Key_Escape)


def assert_made_safe(qtbot: QtBot, window: MainWindow, simulation: SimulatedBench) -> None:
    qtbot.waitUntil(lambda: not is_on(simulation), timeout=WAIT_MS)
    qtbot.waitUntil(lambda: window.controller.state is State.READY, timeout=WAIT_MS)


def dialog_of(qtbot: QtBot, kind: type[QWidget] = FileDialog) -> QWidget:
    def shown() -> list[QWidget]:
        return [one for one in QApplication.topLevelWidgets() if isinstance(one, kind) and one.isVisible()]

    qtbot.waitUntil(lambda: bool(shown()), timeout=WAIT_MS)
    return shown()[0]


@pytest.mark.parametrize("to", ["window", "popup"])
@pytest.mark.parametrize("kind", ["menu", "list of a combo box"])
def test_esc_makes_safe_while_a_popup_has_the_keys(
    qtbot: QtBot, driven: MainWindow, simulation: SimulatedBench, kind: str, to: str
) -> None:
    has_keys: QWidget
    if kind == "menu":
        has_keys = next(one for one in driven.findChildren(QMenu) if one.title() == "&File")
        has_keys.popup(driven.mapToGlobal(QPoint(5, 20)))
    else:
        panel = driven.show_panel("station")
        assert isinstance(panel, StationPanel)
        panel.live.set_box.channel_box.showPopup()
        has_keys = panel.live.set_box.channel_box.view()
    qtbot.waitUntil(lambda: driven.esc_anywhere.popup is not None, timeout=WAIT_MS)
    if to == "window":
        press_esc(driven.windowHandle())
    else:
        QTest.keyClick(has_keys, Qt.Key.Key_Escape)  # windows hand keys on to popups like this
    assert_made_safe(qtbot, driven, simulation)


def test_esc_makes_safe_from_the_editor_of_a_cell(qtbot: QtBot, driven: MainWindow, simulation: SimulatedBench) -> None:
    cells, item = QTableWidget(1, 1, driven), QTableWidgetItem("1")
    cells.setItem(0, 0, item)
    cells.resize(200, 100)
    cells.show()
    cells.setFocus()
    cells.editItem(item)
    qtbot.waitUntil(lambda: bool(cells.findChildren(QLineEdit)), timeout=WAIT_MS)
    press_esc(driven.windowHandle())
    assert_made_safe(qtbot, driven, simulation)


@pytest.mark.parametrize("name", ["about", "script"])
def test_esc_makes_safe_from_another_window_of_the_program(
    qtbot: QtBot, driven: MainWindow, simulation: SimulatedBench, name: str
) -> None:
    driven.show_about() if name == "about" else driven.desk.show_script("print()", title="one")
    other = dialog_of(qtbot, QDialog)
    other.activateWindow()
    qtbot.waitUntil(other.isActiveWindow, timeout=WAIT_MS)
    press_esc(other.windowHandle())
    assert_made_safe(qtbot, driven, simulation)


@pytest.mark.parametrize("by", ["Esc", "button"])
def test_a_file_dialog_shuts_out_neither_esc_nor_the_button(
    qtbot: QtBot, driven: MainWindow, simulation: SimulatedBench, by: str
) -> None:
    driven.menus.actions["open"].trigger()
    dialog = dialog_of(qtbot)
    assert QApplication.activeModalWidget() is None
    if by == "Esc":
        qtbot.waitUntil(dialog.isActiveWindow, timeout=WAIT_MS)
        press_esc(dialog.windowHandle())
    else:
        button = driven.safe_button
        QTest.mouseClick(
            driven.windowHandle(),
            Qt.MouseButton.LeftButton,
            Qt.KeyboardModifier.NoModifier,
            button.mapTo(driven, button.rect().center()),
        )
    assert_made_safe(qtbot, driven, simulation)
    if by == "button":
        dialog.close()  # Esc has closed it


def test_the_question_whether_to_replace_a_file_shuts_out_nothing(
    qtbot: QtBot, driven: MainWindow, simulation: SimulatedBench, tmp_path: Path
) -> None:
    there = tmp_path / "there.toml"
    there.write_text("")
    chosen: list[Path] = []
    ask_where_to_save(driven, "Save", there, "Files (*.toml)", chosen.append)
    dialog = dialog_of(qtbot)
    seen: list[object] = []

    def answer() -> None:
        question = dialog_of(qtbot, QMessageBox)
        seen.append(QApplication.activeModalWidget())
        press_esc(question.windowHandle())

    QTimer.singleShot(200, answer)
    dialog.accept()  # type: ignore[attr-defined]
    assert seen == [None] and chosen == []
    assert_made_safe(qtbot, driven, simulation)
    dialog.close()


def test_a_chosen_file_is_handed_on(qtbot: QtBot, show: Show, tmp_path: Path) -> None:
    (tmp_path / "one.toml").write_text("")
    chosen: list[Path] = []
    ask_for_file(show(), "Open", tmp_path, "Files (*.toml)", chosen.append)
    dialog = dialog_of(qtbot)
    dialog.selectFile("one.toml")  # type: ignore[attr-defined]
    dialog.accept()  # type: ignore[attr-defined]
    assert chosen == [tmp_path / "one.toml"]


def test_outputs_that_are_found_on_are_told_when_a_station_is_opened(
    qtbot: QtBot, opened: Show, simulation: SimulatedBench
) -> None:
    host, port = simulation.addresses["awg"].split("::")[1:3]
    with socket.create_connection((host, int(port)), timeout=10) as line:
        line.sendall(b"OUTP1:LOAD INF\nSOUR1:VOLT:OFFS 0.5\nOUTP1 ON\nOUTP1?\n")
        assert line.makefile().readline().strip() == "1"
    window = opened()
    said = window.top_bar.state.whole()
    assert "FOUND ON: leaky_drive ON at 0.5 V" in said and "duffing_bias" not in said
    assert "Outputs were found on: leaky_drive ON at 0.5 V" in window.log.text()
    assert is_on(simulation), "it is told, not changed"
    window.safe_button.click()
    assert_made_safe(qtbot, window, simulation)
    assert "FOUND ON" not in window.top_bar.state.whole()


def test_an_instrument_that_is_not_there_is_told_when_a_station_is_opened(
    qtbot: QtBot, opened: Show, station: Path, simulation: SimulatedBench
) -> None:
    text = station.read_text()
    station.write_text(text.replace(simulation.addresses["awg"], "TCPIP::127.0.0.1::9::SOCKET"))
    window = opened()
    assert "NOT CONNECTED: awg" in window.top_bar.state.whole()
    assert "Not connected: awg" in window.log.text() and "127.0.0.1" in window.log.text()
