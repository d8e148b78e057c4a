"""What is told of a running job."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from gui.bridge import Bridge, Frame
from gui.work import Work, WorkState
from labctl.calls import call
from labctl.events import Progress
from labctl.job import Job


def test_the_time_left_is_that_of_the_step_under_way(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("gui.work.time.monotonic", lambda: now[0])
    bridge = Bridge()
    work = Work(Job("Both", call("labctl.store:open_recording", Path("a.h5")), Path("x")), bridge)
    work.started()
    assert work.state is WorkState.RUNNING

    def say(key: str, done: float, at_s: float) -> None:
        now[0] = at_s
        work.take(Frame((Progress(key, done, 100.0),), 0))

    say("first", 0.0, 100.0)
    assert work.time_left_s is None, "nothing is known of its pace yet"
    say("first", 50.0, 150.0)
    assert work.time_left_s == pytest.approx(50.0)
    say("second", 1.0, 160.0)
    assert work.time_left_s is None, "the first step's pace says nothing of the second's"
    say("second", 21.0, 161.0)
    assert work.time_left_s == pytest.approx(79.0 / 20.0)
    bridge.deleteLater()
