"""Acquiring and computing side by side: order, ends, errors and stops."""

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from labctl.bench import Bench
from labctl.campaign import Campaign, run
from labctl.campaigns.record import record
from labctl.designs import random_steps
from labctl.errors import Stopped
from labctl.events import Event, Progress, Sampled, Waiting
from labctl.excitation import Excitation
from labctl.interleave import interleave


def counting(key: str, n: int, *, before: Callable[[int], object] = lambda number: None) -> Campaign[str]:
    for number in range(n):
        before(number)
        yield Progress(key, number, n)
    return f"{key} done"


def endless(key: str, closed: list[str]) -> Campaign[None]:
    try:
        while True:
            yield Waiting(key)
    finally:
        closed.append(key)


class BothSeen:
    """Sets `stop` once events of the record and of the fit have come."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self._keys: set[str] = set()

    def __call__(self, event: Event) -> None:
        self._keys.add(event.key)
        if {"record", "fit"} <= self._keys:
            self.stop.set()


def told_by(events: list[Event], key: str) -> list[float]:
    return [event.done for event in events if isinstance(event, Progress) and event.key == key]


def test_both_results_come_back_and_no_event_is_lost() -> None:
    events: list[Event] = []
    both = run(interleave(counting("record", 50), counting("fit", 7)), on_event=events.append)
    assert both == ("record done", "fit done")
    assert told_by(events, "record") == list(range(50))
    assert told_by(events, "fit") == list(range(7))


def test_the_acquisition_does_not_wait_for_the_computation() -> None:
    recorded = threading.Event()

    def acquire() -> Campaign[int]:
        yield from counting("record", 100)
        recorded.set()
        return 100

    def compute() -> Campaign[bool]:
        yield Waiting("fit")
        return recorded.wait(30.0)  # the whole recording happens within one step of the fit

    assert run(interleave(acquire(), compute())) == (100, True)


def test_the_computation_goes_on_while_the_acquisition_waits() -> None:
    fitted = threading.Event()
    slow = counting("record", 2, before=lambda number: fitted.wait(30.0))

    def compute() -> Campaign[str]:
        result = yield from counting("fit", 5)
        fitted.set()
        return result

    assert run(interleave(slow, compute())) == ("record done", "fit done")


def test_the_acquisition_runs_on_one_thread_of_its_own() -> None:
    threads = set()
    run(interleave(counting("record", 3, before=lambda _: threads.add(threading.current_thread())), counting("fit", 1)))
    assert len(threads) == 1
    assert threading.current_thread() not in threads


def test_an_error_of_the_acquisition_closes_the_computation() -> None:
    closed: list[str] = []
    seen = BothSeen()

    def failing() -> Campaign[None]:
        yield Waiting("record")
        seen.stop.wait(30.0)
        raise OSError("cable")

    with pytest.raises(OSError, match="cable"):
        run(interleave(failing(), endless("fit", closed)), on_event=seen)
    assert closed == ["fit"]


def test_an_error_of_the_computation_closes_the_acquisition_with_that_error_on_its_way() -> None:
    contexts: list[BaseException | None] = []
    started = threading.Event()

    def acquire() -> Campaign[None]:
        started.set()
        try:
            while True:
                yield Waiting("record")
        except GeneratorExit as closing:
            contexts.append(closing.__context__)
            raise

    def failing() -> Campaign[None]:
        yield Waiting("fit")
        started.wait(30.0)
        raise ValueError("diverged")

    with pytest.raises(ValueError, match="diverged") as raised:
        run(interleave(acquire(), failing()))
    assert contexts == [raised.value]


def test_stop_acts_at_the_next_event_and_closes_both() -> None:
    closed: list[str] = []
    seen = BothSeen()
    campaign = interleave(endless("record", closed), endless("fit", closed))
    with pytest.raises(Stopped):
        run(campaign, stop=seen.stop, on_event=seen)
    assert sorted(closed) == ["fit", "record"]


def test_what_closing_the_acquisition_raises_is_told_with_the_stop() -> None:
    def acquire() -> Campaign[None]:
        try:
            while True:
                yield Waiting("record")
        finally:
            raise RuntimeError("the relay stuck")

    seen = BothSeen()
    with pytest.raises(Stopped) as raised:
        run(interleave(acquire(), endless("fit", [])), stop=seen.stop, on_event=seen)
    assert any("the relay stuck" in note for note in raised.value.__notes__)


def test_an_acquisition_that_hangs_is_ended_by_making_safe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labctl.interleave.HALT_S", 0.05)
    safe, hangs = threading.Event(), threading.Event()

    def hanging() -> Campaign[None]:
        yield Waiting("record")
        hangs.set()
        safe.wait(30.0)

    def failing() -> Campaign[None]:
        yield Waiting("fit")
        hangs.wait(30.0)
        raise ValueError("diverged")

    with pytest.raises(ValueError, match="diverged"):
        run(interleave(hanging(), failing(), make_safe=safe.set))
    assert safe.is_set()


def a_drive(n_trials: int) -> Excitation:
    return random_steps(
        "leaky_drive",
        low=-1.0,
        high=1.0,
        hold_s=[1e-3],
        duration_s=0.1,
        n_trials=n_trials,
        dt_s=2e-4,
        generator=np.random.default_rng(0),
    )


def test_a_bench_records_meanwhile(demo_station: Path, tmp_path: Path) -> None:
    events: list[Event] = []
    with Bench.open(demo_station) as bench:
        recording = record(bench, a_drive(4), path=tmp_path / "r.h5", key="r", title="R")
        recorded, fitted = run(interleave(recording, counting("fit", 20)), on_event=events.append)
    assert recorded.whole_trials.size == 4
    assert fitted == "fit done"
    assert any(isinstance(event, Sampled) for event in events)


def test_outputs_are_safe_when_the_computation_fails(demo_station: Path, tmp_path: Path) -> None:
    def failing() -> Campaign[None]:
        yield Waiting("fit")
        raise ValueError("diverged")

    with Bench.open(demo_station) as bench:
        recording = record(bench, a_drive(400), path=tmp_path / "r.h5", key="r", title="R")
        with pytest.raises(ValueError, match="diverged"):
            run(interleave(recording, failing(), make_safe=bench.make_safe))
        report = bench.make_safe()
    assert report.ok
