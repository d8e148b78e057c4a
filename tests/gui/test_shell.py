"""The shell around the panels: navigation, what is kept between starts, looks, help, log, panels that fail."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from PySide6.QtCore import QSettings, Qt
from PySide6.QtGui import QGuiApplication, QUndoCommand
from PySide6.QtWidgets import QApplication, QDialog, QLineEdit, QPushButton
from pytestqt.qtbot import QtBot

sys.path.insert(0, str(Path(__file__).parent))
from conftest import close

from gui.main_window import MainWindow
from gui.panels.panel import Panel
from gui.shell.about import About, versions
from gui.shell.help_texts import docs_folder
from gui.shell.log_file import LARGEST_BYTES, LogFile
from gui.shell.panel_entries import PanelEntry, found_panels
from gui.shell.panel_stack import FailedPage
from gui.shell.settings import Kept, open_settings
from gui.widgets.script_window import ScriptWindow
from labctl.calls import call
from labctl.job import Job

Show = Callable[..., MainWindow]
CTRL = Qt.KeyboardModifier.ControlModifier


class Probe(Panel):
    """A panel that writes down what happens to it."""

    key, title, help = "probe", "Probe", "# Probing\n\nThis is **help**."

    def __init__(self, desk: object) -> None:
        super().__init__(desk)  # type: ignore[arg-type]
        self.told: list[object] = []
        self.field = QLineEdit(self)
        self.desk.remember(self.field, "probe/field")

    def shown(self) -> None:
        self.told.append("shown")

    def hidden(self) -> None:
        self.told.append("hidden")

    def take_files(self, files: object) -> None:
        self.told.append(files)

    def use_theme(self, theme: object) -> None:
        self.told.append(theme)

    def script_job(self) -> Job | None:
        return Job("Probe it", call("labctl.loop_files:loop_files", Path("runs")), Path("probe"))


def entry(key: str, kind: type[Panel] | Exception = Probe, order: int = 5) -> PanelEntry:
    def load() -> type[Panel]:
        if isinstance(kind, Exception):
            raise kind
        return kind

    return PanelEntry(key, key.capitalize(), order, f"the panel {key}", load)


def test_every_panel_of_the_entry_points_is_there_in_order_and_none_is_imported_before_it_is_shown() -> None:
    keys = [one.key for one in found_panels()]
    assert keys == ["start", "station", "record", "twins", "networks", "goku", "nca", "runs"]
    code = (
        "import sys; from gui.shell.panel_entries import found_panels; found_panels(); import gui.main_window; "
        "print([name for name in sys.modules if name.startswith('gui.panels.') and name.endswith('.panel')]); "
        "print('torch' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["[]", "False"]


def test_another_package_adds_a_panel_by_an_entry_point_and_takes_none_away() -> None:
    own = [
        EntryPoint("start", "elsewhere:Panel", "labctl.panels"),
        EntryPoint("lock_in", "elsewhere:Panel", "labctl.panels"),
    ]
    entries = found_panels(own)
    assert [(one.key, one.title) for one in entries] == [("start", "Start"), ("lock_in", "Lock in")]
    assert entries[0].load().__name__ == "StartPanel"


def test_panels_are_reached_by_keys_and_told_when_they_are_shown_and_hidden(qtbot: QtBot, show: Show) -> None:
    window = show(panels=[entry("one"), entry("two")])
    one = window.stack.current
    assert isinstance(one, Probe)
    assert one.told[0] == "shown"
    qtbot.keyClick(window.navigation, Qt.Key.Key_2, CTRL)
    two = window.stack.current
    assert isinstance(two, Probe) and two is not one
    assert one.told[-1] == "hidden"
    assert two.told[0] == "shown"
    qtbot.keyClick(window.navigation, Qt.Key.Key_Up)
    assert window.stack.current is one, "arrow keys go through the list"
    qtbot.keyClick(window.navigation, Qt.Key.Key_7, CTRL)
    assert window.stack.current is one, "there is no seventh panel"


def test_a_panel_is_handed_files_by_another(qtbot: QtBot, show: Show) -> None:
    window = show(panels=[entry("one"), entry("two")])
    window.desk.show_panel("two", files=[Path("a.h5")])
    assert window.stack.key == "two"
    assert isinstance(window.stack.current, Probe)
    assert [Path("a.h5")] in window.stack.current.told


@pytest.mark.parametrize("fault", [ImportError("no module named lockin"), ZeroDivisionError("in its __init__")])
def test_a_panel_that_fails_shows_why_in_its_place_and_the_others_work(
    qtbot: QtBot, show: Show, fault: Exception
) -> None:
    kinds: list[type[Panel] | Exception] = [fault, Probe]

    def load() -> type[Panel]:
        kind = kinds.pop(0)
        if isinstance(kind, Exception):
            raise kind
        return kind

    window = show(panels=[entry("one"), PanelEntry("two", "Two", 9, "breaks", load)])
    qtbot.keyClick(window.navigation, Qt.Key.Key_2, CTRL)
    page = window.stack.currentWidget()
    assert isinstance(page, FailedPage)
    assert str(fault) in window.error_panel.message.text()
    assert "Loading the panel Two" in page.headline.text()
    assert window.safe_button.isVisible()
    window.show_panel("one")
    assert isinstance(window.stack.current, Probe)
    window.show_panel("two")
    qtbot.mouseClick(page.findChild(QPushButton), Qt.MouseButton.LeftButton)
    assert isinstance(window.stack.current, Probe), "it can be tried again"


def test_what_a_person_arranged_is_kept_between_starts(qtbot: QtBot, show: Show, tmp_path: Path, station: Path) -> None:
    settings = QSettings(str(tmp_path / "gui.ini"), QSettings.Format.IniFormat)
    first = show(settings=settings, panels=[entry("one"), entry("two")])
    first.resize(790, 700)  # the off-screen screen has 800 x 800
    first.use_theme("dark")
    first.toggle_log()
    first.show_panel("two")
    first.desk.use_runs_folder(tmp_path / "elsewhere")
    assert isinstance(first.stack.current, Probe)
    first.stack.current.field.setText("0.25 V")
    first.stations.open(station)
    qtbot.waitUntil(lambda: first.controller.bench is not None, timeout=60_000)
    close(qtbot, first)
    second = show(settings=settings, panels=[entry("one"), entry("two")], runs_folder=None)
    assert (second.width(), second.height()) == (790, 700)
    assert second.appearance.theme.name == "dark"
    assert second.stack.key == "two"
    assert second.desk.runs_folder == tmp_path / "elsewhere"
    assert second.logbook.dock.isVisible()
    assert isinstance(second.stack.current, Probe)
    assert second.stack.current.field.text() == "0.25 V"
    assert second.stations.recent == [str(station)]
    second.use_theme("light")


def test_a_broken_settings_file_is_put_aside_and_the_window_starts(qtbot: QtBot, show: Show, tmp_path: Path) -> None:
    path = tmp_path / "gui.ini"
    path.write_bytes(b"[window\ngeometry=@ByteArray(\xff\xfe\n\x00\x01 no ini at all\n=\n[[[")
    settings = open_settings(path)
    window = show(settings=settings)
    assert window.isVisible()
    assert path.with_name("gui.ini.broken").exists()


def test_settings_of_the_wrong_kind_are_ignored(qtbot: QtBot, show: Show, tmp_path: Path) -> None:
    settings = QSettings(str(tmp_path / "gui.ini"), QSettings.Format.IniFormat)
    for key, value in {
        "window/geometry": "so large", "window/above": [1, 2], "window/panel": "gone", "theme": "pink", "text_percent": "big",
        "recent_stations": {"a": 1}, "window/log": "maybe", "fields/probe/field": [],
    }.items():  # fmt: skip
        settings.setValue(key, value)
    window = show(settings=settings, panels=[entry("one"), entry("two")])
    assert window.isVisible()
    assert window.stack.key == "one"
    assert window.appearance.percent == 100
    assert Kept(settings).number("text_percent", 100, low=80, high=200) == 100


def test_text_grows_and_shrinks_within_reason(qtbot: QtBot, show: Show) -> None:
    window = show(panels=[entry("one")])
    usual = QApplication.font().pointSizeF()
    width = window.navigation.width()
    for _ in range(30):
        window.menus.actions["larger"].trigger()
    assert QApplication.font().pointSizeF() == pytest.approx(2 * usual, abs=0.1)
    assert window.navigation.width() > width
    window.menus.actions["usual"].trigger()
    assert QApplication.font().pointSizeF() == pytest.approx(usual, abs=0.01)


def test_links_in_the_help_lead_to_the_longer_texts_and_back(qtbot: QtBot, show: Show) -> None:
    window = show()
    window.show_panel("start")
    window.show_help()
    before = window.help_pane.text.toPlainText()
    window.help_pane.text.anchorClicked.emit("closed-loop.md")
    first_line = (docs_folder() / "closed-loop.md").read_text().splitlines()[0].lstrip("# ")
    assert first_line in window.help_pane.text.toPlainText()
    qtbot.keyClick(window.help_pane, Qt.Key.Key_Backspace)
    assert window.help_pane.text.toPlainText() == before


def test_about_names_versions_without_importing_what_it_names(qtbot: QtBot, show: Show) -> None:
    window = show(panels=[entry("one")])
    window.menus.actions["about"].trigger()
    about = window.findChild(About)
    assert about is not None
    assert isinstance(about, QDialog) and not about.isModal()
    text = about.text.text()
    assert all(
        f"{name}: " in text for name in ("labctl", "Python", "Qt", "PySide6-Essentials", "pyqtgraph", "numpy", "torch")
    )
    assert versions()["numpy"] != "not installed"
    about.close()


def test_scripts_are_shown_and_safe_works_from_their_window(qtbot: QtBot, opened: Show) -> None:
    window = opened(panels=[entry("one")])
    window.menus.actions["script"].trigger()
    script = window.findChild(ScriptWindow)
    assert script is not None
    assert "loop_files(" in script.text.toPlainText()
    with qtbot.waitExposed(script):
        script.activateWindow()
    with qtbot.waitSignal(window.controller.made_safe, timeout=60_000):
        qtbot.keyClick(script.text, Qt.Key.Key_Escape)


def test_undo_and_redo_are_in_the_edit_menu(qtbot: QtBot, show: Show) -> None:
    window = show(panels=[entry("one")])
    done = []

    class Edit(QUndoCommand):
        def redo(self) -> None:
            done.append("do")

        def undo(self) -> None:
            done.append("undo")

    window.desk.undo.push(Edit("an edit"))
    qtbot.keyClick(window, Qt.Key.Key_Z, CTRL)
    qtbot.keyClick(window, Qt.Key.Key_Z, CTRL | Qt.KeyboardModifier.ShiftModifier)
    assert done == ["do", "undo", "do"]


def test_the_log_is_filtered_copied_and_kept_in_the_runs_folder(qtbot: QtBot, show: Show, tmp_path: Path) -> None:
    window = show(panels=[entry("one")])
    window.desk.note("hello")
    window.log.warn("careful")
    dock = window.logbook.dock
    assert not dock.isVisible()
    qtbot.keyClick(window, Qt.Key.Key_L, CTRL)
    assert dock.isVisible()
    dock.severity.setCurrentText("warnings and errors")
    assert [line.text for line in dock.shown.lines()] == ["careful"]
    dock.severity.setCurrentText("everything")
    dock.search.setText("HELL")
    assert [line.text for line in dock.shown.lines()] == ["hello"]
    qtbot.waitUntil(lambda: dock.copy_button.height() > 0)
    qtbot.mouseClick(dock.copy_button, Qt.MouseButton.LeftButton)
    assert QGuiApplication.clipboard().text().endswith("note hello")
    file = tmp_path / "runs" / "labctl-gui.log"
    assert not file.exists(), "a folder is not made for notes alone"
    window.desk.trouble(OSError("disk gone"), doing="Measuring")
    qtbot.waitUntil(lambda: file.exists() and "disk gone" in file.read_text(), timeout=60_000)
    assert "hello" in file.read_text()


def test_the_log_file_does_not_grow_for_ever(tmp_path: Path, show: Show) -> None:
    log = LogFile(tmp_path)
    log.path.write_bytes(b"x" * (LARGEST_BYTES + 1))
    window = show(panels=[entry("one")])
    window.log.note("newest")
    log.take(window.log.rows)
    log.write()
    assert log.path.read_text().endswith("newest\n")
    assert log.path.stat().st_size < 1000
    assert log.path.with_suffix(".log.1").stat().st_size > LARGEST_BYTES


def test_an_exception_in_a_panels_slot_is_shown_and_the_window_lives(
    qtbot: QtBot, show: Show, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from gui.app import show_faults

    window = show(panels=[entry("one")])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    show_faults(window)
    sys.excepthook(ValueError, ValueError("a slot broke"), None)
    assert "a slot broke" in window.error_panel.message.text()
    assert window.safe_button.isVisible()
