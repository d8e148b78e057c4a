"""A person's leave to apply a network is for the bench that was looked at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from gui.controller import State
from gui.main_window import MainWindow
from gui.panels.networks.looking import Looked
from gui.panels.networks.panel import NetworksPanel
from labctl.apply_table import ApplyTable

WAIT_MS = 60_000


@pytest.mark.parametrize("how", ["opened anew", "another opened", "closed and opened"])
def test_what_was_looked_at_and_the_tick_are_void_once_the_bench_was_opened_anew(
    qtbot: QtBot, opened: Callable[..., MainWindow], station: Path, tmp_path: Path, how: str
) -> None:
    window = opened()
    panel = window.show_panel("networks")
    assert isinstance(panel, NetworksPanel)
    page = panel.apply_page
    looked: Looked | None = Looked(tmp_path, ApplyTable(()), (), True, "a")
    setattr(page.looking, "looked", looked)  # noqa: B010 - as if read
    page.confirm.setChecked(True)
    other = tmp_path / "other.toml"
    other.write_text(station.read_text())
    controller = window.controller
    if how == "closed and opened":
        controller.close_station()
        qtbot.waitUntil(lambda: controller.state is State.EMPTY, timeout=WAIT_MS)
        controller.open_station(station)
    else:
        controller.reopen(other if how == "another opened" else station)
    qtbot.waitUntil(lambda: controller.state is State.READY, timeout=WAIT_MS)
    assert page.looking.looked is None
    assert not page.confirm.isChecked()
    assert not page.controls.start_button.isEnabled()
