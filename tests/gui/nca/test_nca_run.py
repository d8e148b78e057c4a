"""A running automaton from the mouse: painted on, damaged, turned; killed and begun anew."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from gui.panels.nca.hidden_strip import own_scale
from gui.panels.nca.panel import RUN, NcaPanel
from labctl.nca_live_frames import LiveFrame

WAIT_MS = 60_000
SIZE = 12


class Hand:
    """What a person does on the page, and what is to be seen there."""

    def __init__(self, qtbot: QtBot, panel: NcaPanel) -> None:
        self.qtbot, self.panel, self.run = qtbot, panel, panel.run

    def click(self, widget: object) -> None:
        assert widget.isEnabled(), widget.toolTip()  # type: ignore[attr-defined]
        self.qtbot.mouseClick(widget, Qt.MouseButton.LeftButton)  # type: ignore[arg-type]

    def write(self, edit: object, text: str) -> None:
        edit.selectAll()  # type: ignore[attr-defined]
        self.qtbot.keyClicks(edit, text)  # type: ignore[arg-type]

    def choose(self, title: str) -> None:
        """An equation, by the first letters of its title."""
        self.panel.tabs.setCurrentIndex(0)
        self.qtbot.keyClicks(self.panel.data.form.pde, title)

    @property
    def seen(self) -> LiveFrame:
        """The newest picture."""
        frame = self.run._frame
        assert frame is not None
        return frame

    def until(self, what: object) -> None:
        self.qtbot.waitUntil(what, timeout=WAIT_MS)  # type: ignore[arg-type]


@pytest.fixture
def hand(qtbot: QtBot, panel: NcaPanel, heat: Path) -> Hand:
    """The automaton is held, and stands still at its first frame."""
    made = Hand(qtbot, panel)
    made.choose("Heat")
    made.write(panel.data.form.cells.edit, str(SIZE))
    panel.take_files([heat])
    assert panel.tabs.currentIndex() == RUN
    made.until(lambda: panel.run._frame is not None)
    made.until(lambda: panel.run.controls.play.text() == "Pause")
    made.click(panel.run.controls.play)
    made.until(lambda: made.seen.doing == "paused")
    made.click(panel.run.controls.reset)
    made.until(lambda: made.seen.frame == 0.0)
    return made


def test_the_whole_way_with_one_automaton(hand: Hand) -> None:
    """One process for all of this: it takes seconds to start."""
    run, field, controls = hand.run, hand.run.field, hand.run.controls
    assert "SIMULATED" in run.told.text()

    # painted with the mouse, drawn through three cells
    hand.write(controls.brush.edit, "0")
    before = hand.seen
    places = [field.point_of(2, x).toPoint() for x in (3, 4, 5)]
    hand.qtbot.mousePress(field, Qt.MouseButton.LeftButton, pos=places[0])
    for place in places[1:]:
        hand.qtbot.mouseMove(field, place)
    hand.qtbot.mouseRelease(field, Qt.MouseButton.LeftButton, pos=places[-1])
    hand.until(lambda: hand.seen.n_actions >= before.n_actions + 3)
    np.testing.assert_array_equal(hand.seen.automaton[2, 3:6, 0], 1.0)
    assert hand.seen.target is not None
    np.testing.assert_array_equal(hand.seen.target[2, 3:6, 0], 1.0)  # the equation has the same done to it

    # erased while it runs
    hand.click(controls.play)
    hand.until(lambda: hand.seen.doing == "playing" and hand.seen.total_steps > before.total_steps)
    hand.qtbot.keyClicks(controls.paint, "erase")
    hand.write(controls.brush.edit, str(2 * SIZE))
    hand.qtbot.mouseClick(field, Qt.MouseButton.LeftButton, pos=field.point_of(5, 5).toPoint())
    hand.until(lambda: hand.seen.automaton.max() < 1e-6)
    hand.click(controls.play)
    hand.until(lambda: hand.seen.doing == "paused")

    # steps, turns, sizes
    steps = hand.seen.total_steps
    hand.click(controls.step)
    hand.until(lambda: hand.seen.total_steps == steps + 1)
    hand.click(controls.one_frame)
    hand.until(lambda: hand.seen.total_steps == steps + 5)
    hand.write(controls.rows.edit, "8")
    hand.write(controls.columns.edit, "10")
    hand.click(controls.resize_button)
    hand.until(lambda: hand.seen.automaton.shape == (8, 10, 1))
    hand.click(controls.turn)
    hand.until(lambda: hand.seen.automaton.shape == (10, 8, 1))
    hand.write(controls.rows.edit, "1")
    hand.click(controls.resize_button)
    hand.qtbot.wait(100)
    assert hand.seen.automaton.shape == (10, 8, 1)  # one row is refused at the field
    assert "Rows: 1 outside 3" in run.told.text()

    # as a script
    scripts: list[str] = []
    hand.panel.desk.script_asked.connect(lambda _title, text: scripts.append(text))
    hand.click(run.script)
    hand.until(lambda: bool(scripts))
    assert "play_nca(" in scripts[0]
    assert '"do": "erase"' in scripts[0].replace("'", '"')

    # its process dies: that is told, and it is begun anew on wish
    live = run.holder.live
    assert live is not None and live.pid is not None
    os.kill(live.pid, signal.SIGKILL)
    hand.until(lambda: "killed" in run.told.text())
    assert not controls.play.isEnabled()
    assert "begin it anew" in controls.play.toolTip()
    hand.click(controls.restart)
    hand.until(lambda: run.holder.live is not None and hand.seen.automaton.shape == (SIZE, SIZE, 1))
    hand.until(controls.play.isEnabled)


def test_without_an_automaton_the_page_says_what_to_do(qtbot: QtBot, panel: NcaPanel) -> None:
    hand = Hand(qtbot, panel)
    panel.tabs.setCurrentIndex(RUN)
    hand.click(panel.run.open)
    assert "train one" in panel.run.told.text()
    assert not panel.run.controls.play.isEnabled()
    assert "train one" in panel.run.controls.play.toolTip()
    panel.run.model.set_path(Path("/nowhere/nothing.json"))
    hand.click(panel.run.open)
    hand.until(lambda: "no automaton of this name" in panel.run.told.text())


def test_a_hidden_channel_is_drawn_from_its_own_lowest_to_its_own_highest_value() -> None:
    values = np.full((20, 20), 5.0, dtype=np.float32)
    values[:, 10:] += 0.25
    values[0, 0] = 1000.0
    scale = own_scale(values)
    assert (scale.low, scale.high) == (5.0, 5.25), "one cell far out does not make all others one colour"
    flat = own_scale(np.full((4, 4), 2.0, dtype=np.float32))
    assert flat.low == 2.0 < flat.high
    assert own_scale(np.full((4, 4), np.nan, dtype=np.float32)).high > 0.0
