"""Data measured on simulated devices says so over every panel, also without any bench."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from pytestqt.qtbot import QtBot

from gui.desk import Desk
from gui.main_window import MainWindow
from gui.panels.panel import Panel
from gui.shell.panel_entries import PanelEntry
from gui.widgets.path_choice import PathChoice
from labctl.calls import call
from labctl.job import Job

Show = Callable[..., MainWindow]
WAIT_MS = 60_000


class Chooser(Panel):
    """A panel that shows one file."""

    key, title = "chooser", "Chooser"

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.choice = PathChoice("A file", "a file")
        self.choice.setParent(self)


ENTRIES = [
    PanelEntry("chooser", "Chooser", 1, "", lambda: Chooser),
    PanelEntry("other", "Other", 2, "", lambda: Panel),
]


def simulated(path: Path) -> Path:
    path.write_text(json.dumps({"task": "narma10", "data": [{"simulated": True}]}))
    return path


def test_a_chosen_file_that_is_simulated_says_so_over_every_panel(qtbot: QtBot, show: Show, tmp_path: Path) -> None:
    window = show(panels=ENTRIES)
    assert not window.banner.isVisible()
    panel = window.stack.current
    assert isinstance(panel, Chooser)
    panel.choice.set_path(simulated(tmp_path / "twin.json"))
    qtbot.waitUntil(window.banner.isVisible, timeout=WAIT_MS)
    window.show_panel("other")
    assert window.banner.isVisible()
    assert window.banner.text() == "SIMULATED data"
    assert "Chooser: twin.json" in window.banner.toolTip()


def test_files_handed_over_and_files_of_jobs_are_looked_into(qtbot: QtBot, show: Show, tmp_path: Path) -> None:
    window = show(panels=ENTRIES)
    window.desk.show_panel("other", files=[simulated(tmp_path / "a.json")])
    qtbot.waitUntil(lambda: "other" in window.desk.simulated, timeout=WAIT_MS)
    window.desk.mark_simulated("other", "")
    assert not window.banner.isVisible()
    reading = call("labctl.marked_simulated:marked_simulated", tmp_path / "a.json")
    window.desk.start(Job("read", reading, tmp_path / "read"), panel="chooser")
    qtbot.waitUntil(lambda: "chooser" in window.desk.simulated, timeout=WAIT_MS)


def test_measured_files_say_nothing(qtbot: QtBot, show: Show, tmp_path: Path) -> None:
    window = show(panels=ENTRIES)
    (tmp_path / "real.json").write_text('{"simulated": false}')
    window.desk.show_panel("other", files=[tmp_path / "real.json"])
    qtbot.wait(300)
    assert not window.banner.isVisible()
