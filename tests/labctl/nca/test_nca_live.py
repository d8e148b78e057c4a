"""The process in which an automaton runs."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from labctl.errors import CampaignError
from labctl.nca_live import LiveAutomaton, LiveLost
from labctl.nca_live_frames import LiveFrame, LiveSource
from labctl.nca_model import load_model


@pytest.fixture
def live(heat_source: LiveSource) -> Iterator[LiveAutomaton]:
    with LiveAutomaton(heat_source) as running:
        yield running


def next_picture(live: LiveAutomaton) -> LiveFrame:
    for _ in range(3000):
        if (frame := live.newest()) is not None:
            return frame
        time.sleep(0.01)
    raise AssertionError("no picture came")


def test_the_whole_life_of_a_running_automaton(live: LiveAutomaton, heat_source: LiveSource) -> None:
    """One process for all of this: it takes seconds to start."""
    assert live.facts.beside
    assert live.facts.size == (12, 16)
    plain = load_model(heat_source.model).model.run(heat_source.data.read().frames, 2).values[0]
    live.step(8)
    np.testing.assert_allclose(live.settled().automaton, plain[2], atol=1e-6)

    live.paint(5, 7, radius=1, values=(0.5,))
    painted = live.settled()
    assert painted.automaton[5, 7, 0] == pytest.approx(0.5)
    assert painted.total_steps == 8
    assert len(live.done()) == 1

    live.newest()  # of the beginning
    live.play()
    first = next_picture(live)
    time.sleep(0.3)  # nobody looks meanwhile
    later = next_picture(live)
    assert later.number == first.number + 1  # none waited in line
    assert all(one.frame == int(one.frame) and one.error < 1e-3 for one in later.passed)
    assert later.passed
    live.pause()
    stood = live.settled()
    assert stood.doing == "paused"
    assert stood.total_steps > later.total_steps or later.doing == "paused"

    live.jump(99)
    with pytest.raises(CampaignError, match="frames 0 to 5"):
        live.settled()
    live.reset()
    np.testing.assert_allclose(live.settled().automaton, plain[0], atol=1e-6)

    assert live.pid is not None
    os.kill(live.pid, signal.SIGKILL)
    with pytest.raises(LiveLost, match="killed"):
        live.settled()
    assert "killed" in live.trouble
    with pytest.raises(LiveLost, match="killed"):
        live.play()


def test_what_cannot_be_begun_is_said(heat_source: LiveSource, tmp_path: Path) -> None:
    with pytest.raises(CampaignError, match="no automaton of this name"):
        LiveAutomaton(replace(heat_source, model=tmp_path / "nothing.json"))
