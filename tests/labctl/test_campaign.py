"""The campaign engine: order of events, results, stop, errors, journal."""

import json
import threading
from pathlib import Path

import numpy as np
import pytest

from labctl.campaign import Campaign, Journal, Step, run
from labctl.errors import RecordingError, Stopped
from labctl.events import (
    Event,
    Failed,
    Figures,
    Progress,
    Reported,
    Sampled,
    StepFinished,
    Warned,
    event_from_json,
    event_to_json,
)

FULL = Path("/dev/full")


def counting(n: int, closed: list[str] | None = None) -> Campaign[int]:
    step = Step("count", "Count")
    try:
        yield step.started()
        for done in range(n):
            yield Progress("count", done + 1, n)
        yield step.finished("counted")
        return n
    finally:
        if closed is not None:
            closed.append("closed")


def a_block() -> Sampled:
    return Sampled("k", 0, 0, 1e-3, ("drive",), ("response",), np.ones((3, 1)), np.zeros((3, 1)))


def test_run_returns_what_the_campaign_returns_and_shows_every_event_in_order() -> None:
    seen: list[Event] = []
    assert run(counting(3), on_event=seen.append) == 3
    assert [type(event).__name__ for event in seen] == [
        "StepStarted",
        "Progress",
        "Progress",
        "Progress",
        "StepFinished",
    ]


def test_campaigns_compose_by_yield_from() -> None:
    def both() -> Campaign[int]:
        first = yield from counting(2)
        second = yield from counting(3)
        return first + second

    assert run(both()) == 5


def test_stop_closes_the_campaign_before_its_next_event() -> None:
    stop = threading.Event()
    closed: list[str] = []
    seen: list[Event] = []

    def on_event(event: Event) -> None:
        seen.append(event)
        if len(seen) == 3:
            stop.set()

    with pytest.raises(Stopped):
        run(counting(1000, closed), on_event=on_event, stop=stop)
    assert len(seen) == 3
    assert closed == ["closed"]


def test_an_error_of_the_campaign_comes_through_after_its_clean_up() -> None:
    closed: list[str] = []

    def failing() -> Campaign[None]:
        try:
            yield Warned("fail", "about to")
            raise OSError("unplugged")
        finally:
            closed.append("closed")

    with pytest.raises(OSError, match="unplugged"):
        run(failing())
    assert closed == ["closed"]


def test_an_error_of_the_listener_closes_the_campaign() -> None:
    closed: list[str] = []

    def broken(_: Event) -> None:
        raise RuntimeError("the window is gone")

    with pytest.raises(RuntimeError, match="window"):
        run(counting(5, closed), on_event=broken)
    assert closed == ["closed"]


@pytest.mark.parametrize(
    "event",
    [
        Step("a/b", "A").started(),
        StepFinished("a", "A", 1.5, "note"),
        Progress("a", 1, 2, "half"),
        Figures("a", 3, {"loss": 0.5}),
        Warned("a", "look"),
        Failed("a", "OSError", "unplugged"),
        Reported("a", {"x": [1, 2], "y": "z"}, ("file.h5",)),
    ],
)
def test_every_event_survives_json(event: Event) -> None:
    assert event_from_json(json.loads(json.dumps(event_to_json(event)))) == event


def test_samples_survive_json() -> None:
    back = event_from_json(json.loads(json.dumps(event_to_json(a_block()))))
    assert isinstance(back, Sampled)
    np.testing.assert_array_equal(back.drive, a_block().drive)
    assert back.response_names == ("response",)


def test_an_event_of_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown"):
        event_from_json({"event": "Exploded", "key": "a"})


def test_the_journal_holds_every_event_but_the_samples(tmp_path) -> None:
    def campaign() -> Campaign[None]:
        yield Warned("k", "one")
        yield a_block()
        yield Warned("k", "two")

    path = tmp_path / "runs" / "journal.jsonl"
    with Journal(path) as journal:
        run(campaign(), journal=journal)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["message"] for line in lines] == ["one", "two"]
    assert all(line["utc"].endswith("+00:00") for line in lines)


def test_the_journal_keeps_one_progress_a_second_of_a_step_and_the_last(tmp_path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        run(counting(1000), journal=journal)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    done = [line["done"] for line in lines if line["event"] == "Progress"]
    assert done[0] == 1
    assert done[-1] == 1000
    assert len(done) < 100
    assert lines[-1]["event"] == "StepFinished"


def test_the_journal_ends_with_what_the_campaign_failed_of(tmp_path) -> None:
    def failing() -> Campaign[None]:
        yield Progress("fail", 1, 10)
        yield Progress("fail", 2, 10)
        error = OSError("unplugged")
        error.add_note("all outputs are safe")
        raise error

    path = tmp_path / "journal.jsonl"
    with pytest.raises(OSError, match="unplugged"), Journal(path) as journal:
        run(failing(), journal=journal)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line.get("done") for line in lines] == [1, 2, None]
    last = {name: value for name, value in lines[-1].items() if name != "utc"}
    assert event_from_json(last) == Failed("fail", "OSError", "unplugged\nall outputs are safe")


@pytest.mark.skipif(not FULL.exists(), reason="the device that is always full is Linux's")
def test_a_disk_that_is_full_ends_the_campaign_in_words() -> None:
    closed: list[str] = []
    with pytest.raises(RecordingError, match="journal cannot be written: No space left"), Journal(FULL) as journal:
        run(counting(5, closed), journal=journal)
    assert closed == ["closed"]
