"""Buttons whose text changes."""

from __future__ import annotations

from pytestqt.qtbot import QtBot

from gui.panels.widgets import button, relabel


def test_a_button_keeps_its_keys_with_another_text(qtbot: QtBot) -> None:
    made = button("Play", "Let it run", keys="Ctrl+Space")
    qtbot.addWidget(made)
    relabel(made, "Pause")
    assert made.text() == "Pause"
    assert made.shortcut().toString() == "Ctrl+Space"
