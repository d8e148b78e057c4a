"""From an empty window to a network on the simulated bench, from clicks and keys alone; what was done, as scripts."""

from __future__ import annotations

import json
from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractButton, QCheckBox, QComboBox, QLineEdit, QTabWidget, QWidget
from pytestqt.qtbot import QtBot

from gui.controller import State
from gui.main_window import MainWindow
from gui.work import Work, WorkState

WAIT_MS = 120_000
LEFT = Qt.MouseButton.LeftButton
PANELS = ("start", "station", "record", "twins", "networks")


class Person:
    """Clicks and types in a window; sees what is visible, and nothing else."""

    def __init__(self, qtbot: QtBot, window: MainWindow) -> None:
        self.qtbot, self.window = qtbot, window
        self.panel: QWidget = window

    def go(self, key: str) -> None:
        """To a panel, by the keys that its place in the list has."""
        number = [entry.key for entry in self.window.entries].index(key) + 1
        self.qtbot.keyClick(self.window, getattr(Qt.Key, f"Key_{number}"), Qt.KeyboardModifier.ControlModifier)
        self.panel = self.window.stack.currentWidget()
        self.qtbot.waitUntil(self.panel.isVisible, timeout=WAIT_MS)

    def press(self, text: str) -> None:
        """The visible button with this text, once it can be pressed."""

        def ready() -> QAbstractButton | None:
            found = [one for one in self.panel.findChildren(QAbstractButton) if one.text().replace("&", "") == text]
            return next((one for one in found if one.isVisible() and one.isEnabled()), None)

        self.qtbot.waitUntil(lambda: ready() is not None, timeout=WAIT_MS)
        button = ready()
        assert button is not None
        place = button.rect().center()
        if isinstance(button, QCheckBox):
            place.setX(8)
        self.qtbot.mouseClick(button, LEFT, pos=place)

    def type_into(self, name: str, text: str) -> None:
        """Into the visible field of this name."""
        (field,) = (
            one for one in self.panel.findChildren(QLineEdit) if one.isVisible() and one.accessibleName() == name
        )
        self.qtbot.mouseDClick(field, LEFT)
        field.selectAll()
        self.qtbot.keyClicks(field, text)

    def choose(self, name: str, keys: str) -> None:
        """By its first letters, in the visible box of this name."""
        (box,) = (one for one in self.panel.findChildren(QComboBox) if one.isVisible() and one.accessibleName() == name)
        box.setFocus()
        self.qtbot.keyClicks(box, keys)
        assert box.currentText().lower().startswith(keys)

    def answer(self, name: str, text: str) -> None:
        """Type into a field if it is there once what was asked for is."""
        box = next(one for one in self.panel.findChildren(QCheckBox) if one.text().startswith("I have looked"))
        (field,) = (one for one in self.panel.findChildren(QLineEdit) if one.accessibleName() == name)
        self.qtbot.waitUntil(lambda: box.isEnabled() or field.isVisible(), timeout=WAIT_MS)
        if field.isVisible():
            self.qtbot.keyClicks(field, text)

    def turn_to(self, title: str) -> None:
        """The tab with this title."""
        for tabs in self.panel.findChildren(QTabWidget):
            for number in range(tabs.count()):
                if title in tabs.tabText(number).replace("&", ""):
                    self.qtbot.mouseClick(tabs.tabBar(), LEFT, pos=tabs.tabBar().tabRect(number).center())

    def done(self, title: str) -> Work:
        """The work of this title, which must end well, with the bench at rest."""
        self.qtbot.waitUntil(lambda: any(title in one.job.title for one in self.window.desk.works), timeout=WAIT_MS)
        work = next(one for one in reversed(self.window.desk.works) if title in one.job.title)
        self.qtbot.waitUntil(lambda: work.over, timeout=WAIT_MS)
        assert work.state is WorkState.DONE, work.end
        self.qtbot.waitUntil(lambda: self.window.controller.state is State.READY, timeout=WAIT_MS)
        return work


def test_a_newcomer_comes_from_an_empty_window_to_promised_beside_measured(
    qtbot: QtBot, show: Callable[..., MainWindow]
) -> None:
    window = show()
    person = Person(qtbot, window)
    person.go("start")
    person.press("Open it")
    qtbot.waitUntil(lambda: window.controller.state is State.READY, timeout=WAIT_MS)
    assert "SIMULATED" in window.banner.text()

    person.go("record")
    for name, text in (
        ("Trials", "12"),
        ("Samples a trial", "200"),
        ("Held-out inputs", "4"),
        ("Repeats of each", "5"),
    ):
        person.type_into(name, text)
    person.press("Start")
    recorded = person.done("Characterise")
    assert (recorded.job.folder / "leaky-training.h5").is_file()

    person.press("Diagnose / fit a twin")
    person.go("twins")
    person.type_into("Training time", "2")
    person.choose("How it is built", "plain")  # which takes a test least time
    person.press("Fit")
    person.done("Fit")
    person.press("Use in a network")

    person.go("networks")
    person.turn_to("Optimise")
    person.type_into("Time for the optimiser", "2")
    person.press("Optimise")
    optimised = person.done("Optimise")
    assert (optimised.job.folder / "network.json").is_file()
    person.press("Apply to the bench …")
    person.press("Read what would change")
    person.answer("Reason to apply it although gates were not passed", "a twin of two seconds, to try the window")
    person.press("I have looked at this table, and the bench may be driven like that")
    person.press("Apply and measure")
    deployed = person.done("Deploy")
    outcome = json.loads((deployed.job.folder / "deployment.json").read_text())
    assert outcome["optimised"]["measured_mean"] > 0.0
    assert "SIMULATED" in window.banner.text()
    assert "all outputs safe" in window.top_bar.state.whole()
    for work in (recorded, optimised, deployed):
        compile(window.desk.script_of(work.job), work.job.title, "exec")
