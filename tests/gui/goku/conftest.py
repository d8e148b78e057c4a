"""The GOKU panel on a desk of its own; the process that knows the equations is shared, for it takes seconds to start."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractItemView
from pytestqt.qtbot import QtBot

from gui.desk import Desk
from gui.panels.goku.panel import GokuPanel
from gui.theme import LIGHT
from labctl.goku_helper import Helper

WAIT_MS = 60_000
"""Nothing here takes so long; a busy machine may."""


class SharedHelper(Helper):
    """Outlives the panels that ask it."""

    def close(self) -> None:
        """Not yet."""

    def really_close(self) -> None:
        """Now."""
        super().close()


@pytest.fixture(scope="session")
def helper() -> Iterator[SharedHelper]:
    """One for all tests."""
    made = SharedHelper()
    yield made
    made.really_close()


@pytest.fixture
def desk(qtbot: QtBot, tmp_path: Path) -> Desk:
    """With runs in a folder of its own."""
    return Desk(runs_folder=tmp_path / "runs", theme=LIGHT)


@pytest.fixture
def panel(qtbot: QtBot, desk: Desk, helper: SharedHelper, monkeypatch: pytest.MonkeyPatch) -> Iterator[GokuPanel]:
    """Shown as the window shows it, with the equations loaded."""
    monkeypatch.setattr("gui.panels.goku.asking.Helper", lambda: helper)
    made = GokuPanel(desk)
    qtbot.addWidget(made)
    made.resize(1120, 640)
    made.show()
    made.shown()
    qtbot.waitUntil(lambda: made.system.told is not None, timeout=WAIT_MS)
    yield made
    for work in desk.works:
        if not work.over:
            work.stop()
            work.wait(60.0)


@pytest.fixture
def click(qtbot: QtBot) -> Callable[..., None]:
    """A click on a widget, or on a row (by its text) of a list or table."""

    def do(widget: object, row: str = "", column: int = 0, *, twice: bool = False) -> None:
        if not row:
            qtbot.mouseClick(widget, Qt.MouseButton.LeftButton)
            return
        assert isinstance(widget, QAbstractItemView)
        model = widget.model()
        number = next(k for k in range(model.rowCount()) if model.index(k, 0).data() == row)
        index = model.index(number, column)
        widget.scrollTo(index)
        place = widget.visualRect(index).center()
        press = qtbot.mouseDClick if twice else qtbot.mouseClick
        qtbot.mouseClick(widget.viewport(), Qt.MouseButton.LeftButton, pos=place)
        if twice:
            press(widget.viewport(), Qt.MouseButton.LeftButton, pos=place)

    return do
