"""Several works at the same time, each in a thread of its own."""

import threading

import pytest

from labctl.bench.at_once import AtOnce


def test_works_run_at_the_same_time_and_all_have_ended_afterwards() -> None:
    meeting = threading.Barrier(3, timeout=10.0)  # passes only when all three are there
    done: list[int] = []

    def work(number: int) -> None:
        meeting.wait()
        done.append(number)

    with AtOnce(3) as at_once:
        for _ in range(2):
            at_once.do([lambda number=number: work(number) for number in range(3)])  # type: ignore[misc]
            assert sorted(done) == [0, 1, 2]
            done.clear()


def test_a_failure_is_raised_when_the_others_have_ended_and_tells_of_theirs() -> None:
    done: list[str] = []

    def fail(text: str) -> None:
        raise ValueError(text)

    with AtOnce(3) as at_once:
        with pytest.raises(ValueError, match="first") as caught:
            at_once.do([lambda: fail("first"), lambda: done.append("second"), lambda: fail("third")])
        assert done == ["second"]
        assert caught.value.__notes__ == ["at the same time: third"]
        with pytest.raises(ValueError, match="only"):
            at_once.do([lambda: done.append("first"), lambda: fail("only")])
        at_once.do([lambda: done.append("again")])
    assert done[-1] == "again"


def test_a_single_work_stays_in_the_callers_thread() -> None:
    threads: list[threading.Thread] = []
    with AtOnce(1) as at_once:
        at_once.do([lambda: threads.append(threading.current_thread())])
    assert threads == [threading.current_thread()]
