"""The bridge between campaigns in threads and Qt's event loop."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QObject, Signal
from pytestqt.qtbot import QtBot
from shiboken6 import isValid

from gui.bridge import Bridge, Ended, Frame
from labctl.campaign import Campaign, Journal
from labctl.errors import CampaignError, RecordingError, Stopped
from labctl.events import Event, Progress, Sampled, StepFinished, StepStarted, Warned

WAIT_MS = 60_000


@pytest.fixture
def bridge(qtbot: QtBot) -> Iterator[Bridge]:
    made = Bridge()
    yield made
    made.stop()
    qtbot.waitUntil(lambda: not made.running, timeout=WAIT_MS)
    made.deleteLater()
    qtbot.waitUntil(lambda: not isValid(made), timeout=WAIT_MS)


class Heard:
    """What the bridge emitted."""

    def __init__(self, bridge: Bridge) -> None:
        self.events: list[Event] = []
        self.left_out = 0
        self.threads: set[int] = set()
        bridge.frame.connect(self.take)

    def take(self, frame: Frame) -> None:
        self.events.extend(frame.events)
        self.left_out += frame.left_out
        self.threads.add(threading.get_ident())


def ended_of(qtbot: QtBot, bridge: Bridge, campaign: Campaign[object], journal: Journal | None = None) -> Ended:
    with qtbot.waitSignal(bridge.ended, timeout=WAIT_MS) as signal:
        bridge.start(campaign, journal=journal)
    (ended,) = signal.args
    return ended


def steps() -> Campaign[str]:
    yield StepStarted("a", "A")
    yield Progress("a", 1, 2)
    yield StepFinished("a", "A", 0.1)
    return "result"


def endless() -> Campaign[None]:
    while True:
        yield Progress("a", 1, 2)


def flood() -> Campaign[None]:
    block = Sampled("a", 0, 0, 1e-6, ("d",), ("r",), np.ones((100, 1)), np.ones((100, 1)))
    while True:
        yield block
        yield Warned("a", "again")


def test_events_come_in_order_in_qts_thread_before_the_result(qtbot: QtBot, bridge: Bridge) -> None:
    heard = Heard(bridge)
    ended = ended_of(qtbot, bridge, steps())
    assert ended.result == "result"
    assert ended.error is None
    assert [type(event).__name__ for event in heard.events] == ["StepStarted", "Progress", "StepFinished"]
    assert heard.threads == {threading.get_ident()}
    assert not bridge.running


def test_what_a_campaign_raises_is_handed_over_and_the_next_one_runs(qtbot: QtBot, bridge: Bridge) -> None:
    def failing() -> Campaign[None]:
        yield StepStarted("a", "A")
        raise RecordingError("disk full")

    ended = ended_of(qtbot, bridge, failing())
    assert isinstance(ended.error, RecordingError)
    assert not ended.stopped
    assert ended_of(qtbot, bridge, steps()).result == "result"


def test_even_an_exit_in_a_campaign_does_not_leave_a_dead_thread_unnoticed(qtbot: QtBot, bridge: Bridge) -> None:
    def leaving() -> Campaign[None]:
        yield StepStarted("a", "A")
        raise SystemExit(3)

    assert isinstance(ended_of(qtbot, bridge, leaving()).error, SystemExit)


def test_stop_ends_a_campaign_between_two_events_and_its_finally_clauses_run(qtbot: QtBot, bridge: Bridge) -> None:
    closed = threading.Event()

    def tidy() -> Campaign[None]:
        try:
            yield from endless()
        finally:
            closed.set()

    bridge.start(tidy())
    with qtbot.waitSignal(bridge.ended, timeout=WAIT_MS) as signal:
        bridge.stop()
    assert isinstance(signal.args[0].error, Stopped)
    assert closed.is_set()


def test_a_second_campaign_is_refused_while_one_runs(qtbot: QtBot, bridge: Bridge) -> None:
    bridge.start(endless())
    with pytest.raises(CampaignError, match="stop it first"):
        bridge.start(steps())


def test_a_source_that_never_rests_fills_neither_event_loop_nor_memory(qtbot: QtBot, bridge: Bridge) -> None:
    heard = Heard(bridge)
    largest = 0

    def look(frame: Frame) -> None:
        nonlocal largest
        largest = max(largest, len(frame.events))

    bridge.frame.connect(look)
    bridge.start(flood())
    qtbot.waitUntil(lambda: bridge.box.samples.total > 1_500_000, timeout=WAIT_MS)
    bridge.stop()
    qtbot.waitUntil(lambda: not bridge.running, timeout=WAIT_MS)
    assert largest <= 2000
    assert bridge.box.samples.capacity_bytes <= 8 * 2**20
    assert len(heard.events) + heard.left_out >= 15_000, "what was left out is counted"


def test_no_other_thread_collects_garbage_of_qts(qtbot: QtBot, bridge: Bridge) -> None:
    """Qt objects in reference cycles, destroyed in the campaign's thread, would crash the process."""
    destroyed_in: list[int] = []

    class Cycle(QObject):
        def __init__(self) -> None:
            super().__init__()
            self.myself = self
            weakref.finalize(self, lambda: destroyed_in.append(threading.get_ident()))

    bridge.start(flood())
    for _ in range(200):
        Cycle()
    qtbot.waitUntil(lambda: bridge.box.samples.total > 500_000, timeout=WAIT_MS)
    gc.collect()
    assert set(destroyed_in) == {threading.get_ident()}
    assert not gc.isenabled()


def test_the_journal_is_written_and_closed(qtbot: QtBot, bridge: Bridge, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    ended_of(qtbot, bridge, steps(), journal)
    assert len(journal.path.read_text().splitlines()) == 3
    with pytest.raises(ValueError, match="closed"):
        journal.write(StepStarted("b", "B"))


def test_calls_answer_in_qts_thread_with_a_result_or_an_error(qtbot: QtBot, bridge: Bridge) -> None:
    answers: list[object] = []

    def note(answer: object) -> None:
        answers.append((answer, threading.get_ident()))

    def broken() -> None:
        raise RecordingError("no")

    bridge.call(threading.get_ident, done=note, failed=note)
    bridge.call(broken, done=note, failed=note)
    qtbot.waitUntil(lambda: len(answers) == 2, timeout=WAIT_MS)
    results = [answer for answer, _ in answers]
    (worker,) = [one for one in results if isinstance(one, int)]
    assert worker != threading.get_ident()
    assert any(isinstance(one, RecordingError) for one in results)
    assert {thread for _, thread in answers} == {threading.get_ident()}


def test_emitting_true_loses_no_reference(qtbot: QtBot) -> None:
    """PySide6 6.12 loses one each time; on Python 3.11 the process then aborts after some hundred frames."""

    class Source(QObject):
        told = Signal(object)
        flag = Signal(bool)

    source = Source()
    seen: list[int] = []
    source.told.connect(lambda value: seen.append(1))
    source.flag.connect(lambda value: seen.append(1))
    before = sys.getrefcount(True)
    for _ in range(5000):
        source.told.emit(True)
        source.flag.emit(True)
    assert len(seen) == 10_000
    assert sys.getrefcount(True) > before - 100
