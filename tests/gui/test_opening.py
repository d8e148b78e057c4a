"""Pages that files name: opened only where they belong."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices
from pytestqt.qtbot import QtBot

from gui.desk import Desk
from gui.opening import open_folder, open_page


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the desktop was asked to open."""
    found: list[str] = []

    def note(url: QUrl) -> bool:
        found.append(url.toLocalFile())
        return True

    monkeypatch.setattr(QDesktopServices, "openUrl", note)
    return found


def test_only_pages_in_the_folder_of_what_is_shown_are_opened(qtbot: QtBot, tmp_path: Path, opened: list[str]) -> None:
    desk = Desk(runs_folder=tmp_path)
    told: list[str] = []
    desk.troubled.connect(lambda trouble: told.append(str(trouble)))
    run = tmp_path / "run"
    (run / "below").mkdir(parents=True)
    good, outside, program = run / "below" / "report.html", tmp_path / "other.html", run / "report.sh"
    for path in (good, outside, program):
        path.write_text("<p>")
    (run / "link.html").symlink_to(outside)
    assert open_page(desk, good, below=run)
    for path in (outside, program, run / "link.html", run / ".." / "other.html", run / "gone.html", Path("/bin/sh")):
        assert not open_page(desk, path, below=run), path
    assert opened == [str(good)]
    assert len(told) == 6
    assert open_folder(desk, run)
    assert not open_folder(desk, run / "gone")
    assert opened == [str(good), str(run)]
