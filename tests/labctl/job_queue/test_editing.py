"""A queue as data: order, lanes, and what may be done when."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from labctl.calls import FOLDER, call
from labctl.errors import QueueError
from labctl.job import Job
from labctl.job_queue import editing
from labctl.job_queue.choosing import may_start, start_due, why_waiting
from labctl.job_queue.entry import DONE, FAILED, HELD, HOLD, RUNNING, WAITING, Queue, queue_from_json, queue_to_json

ME = "me"
Make = Callable[[str], Job]


def queue_of(*jobs: Job) -> Queue:
    queue = Queue(owners=frozenset({ME}))
    for job in jobs:
        queue = editing.add(queue, job, owner=ME)
    return queue


def names(queue: Queue) -> list[str]:
    return [entry.job.title for entry in queue.entries]


def due(queue: Queue) -> list[int]:
    return [entry.number for entry in may_start(queue, ME)]


def test_jobs_start_in_order_one_of_each_lane(short: Make, on_bench: Make) -> None:
    queue = queue_of(on_bench("a"), on_bench("b"), short("c"), short("d"))
    assert due(queue) == [1, 3]
    assert due(replace(queue, n_compute=2)) == [1, 3, 4]
    assert due(start_due(queue, ME)) == []


def test_the_queue_as_json_is_the_queue(short: Make, on_bench: Make) -> None:
    queue = editing.ended(start_due(queue_of(short("a"), on_bench("b")), ME), 1, FAILED, "broken")
    assert queue_from_json(queue_to_json(queue)) == queue


@pytest.mark.parametrize("wrong", [{}, {"format": "x"}, {"next_number": 1}, {"after_failure": "panic"}, {"jobs": [{}]}])
def test_what_is_no_queue_is_refused(short: Make, wrong: dict[str, object]) -> None:
    good = queue_to_json(queue_of(short("a")))
    with pytest.raises(QueueError):
        queue_from_json({**good, **wrong} if wrong else {})


def test_jobs_change_places_within_the_line(short: Make) -> None:
    queue = queue_of(short("a"), short("b"), short("c"))
    assert names(editing.move(queue, 3, -1)) == ["a", "c", "b"]
    assert names(editing.move(queue, 1, 99)) == ["b", "c", "a"]
    assert names(editing.move_to(queue, 3, 1)) == ["c", "a", "b"]


def test_what_runs_cannot_be_removed_nor_started_again(short: Make, tmp_path: Path) -> None:
    queue = start_due(queue_of(short("a"), short("b")), ME)
    with pytest.raises(QueueError, match="stop it first"):
        editing.remove(queue, [1])
    with pytest.raises(QueueError, match="only what is over"):
        editing.start_again(queue, 1, folder=tmp_path)
    assert names(editing.remove(queue, [2])) == ["a"]
    with pytest.raises(QueueError, match="has no job 7; it has 1, 2"):
        editing.remove(queue, [7])


def test_a_held_queue_starts_nothing_and_says_so(short: Make) -> None:
    queue = editing.hold(queue_of(short("a")), "for tonight")
    assert due(queue) == []
    assert why_waiting(queue, queue.entries[0]) == "the queue is held: for tonight"
    assert due(editing.go_on(queue)) == [1]


def test_a_failure_holds_the_queue_only_where_that_was_chosen(short: Make) -> None:
    queue = start_due(queue_of(short("a"), short("b")), ME)
    assert due(editing.ended(queue, 1, FAILED, "broken")) == [2]
    held = editing.ended(replace(queue, after_failure=HOLD), 1, FAILED, "broken")
    assert due(held) == []
    assert "job 1 (a) failed" in held.held
    assert due(editing.ended(replace(queue, after_failure=HOLD), 1, DONE)) == [2]


def test_no_job_with_a_bench_starts_while_the_bench_is_unsafe(short: Make, on_bench: Make) -> None:
    queue = start_due(queue_of(on_bench("a"), on_bench("b"), short("c")), ME)
    queue = editing.ended(queue, 1, DONE, unsafe="gate: NOT SAFE, 3 V read back")
    assert due(queue) == []
    assert "gate: NOT SAFE" in why_waiting(queue, queue.entry(2))
    assert due(editing.mark_bench(queue, "", "")) == [2]


def test_a_job_waits_for_the_one_whose_files_it_reads(short: Make, on_bench: Make, tmp_path: Path) -> None:
    reads = Job("fit", call("labctl.store:open_recording", tmp_path / "a" / "leaky-training.h5"), tmp_path / "fit")
    queue = queue_of(on_bench("a"), reads, short("other"))
    assert due(queue) == [1, 3]
    assert "job 1 (a)" in why_waiting(queue, queue.entry(2))
    over = editing.ended(start_due(queue, ME), 1, DONE)
    assert due(editing.ended(over, 3, DONE)) == [2]


def test_started_again_elsewhere_the_jobs_behind_it_read_there(tmp_path: Path) -> None:
    first = Job("record", call("labctl.provenance:utc_now"), tmp_path / "a")
    reads = Job("fit", call("labctl.store:open_recording", tmp_path / "a" / "x.h5", folder=FOLDER), tmp_path / "fit")
    queue = editing.ended(start_due(queue_of(first, reads), ME), 1, FAILED)
    queue = editing.start_again(queue, 1, folder=tmp_path / "a-2", owner=ME)
    assert queue.entry(1).state == WAITING
    assert queue.entry(1).job.folder == tmp_path / "a-2"
    assert queue.entry(2).job.call.arguments == (tmp_path / "a-2" / "x.h5",)
    assert queue.entry(2).job.folder == tmp_path / "fit"


def test_only_what_waits_for_nobody_living_is_adopted(short: Make) -> None:
    queue = queue_of(short("a"))
    queue = editing.add(editing.add(queue, short("b")), short("c"), owner="dead")
    assert [entry.owner for entry in editing.adopt(queue, "new").entries] == [ME, "new", "new"]


def test_old_ends_leave_the_queue_when_there_are_too_many(short: Make) -> None:
    queue = Queue(owners=frozenset({ME}))
    for number in range(1, editing.MOST_ENDED + 3):
        queue = editing.ended(start_due(editing.add(queue, short(f"job {number}"), owner=ME), ME), number, DONE)
    assert len(queue.entries) == editing.MOST_ENDED
    assert queue.entries[0].number == 3


def test_only_what_makes_sense_can_be_asked_of_a_job(short: Make) -> None:
    queue = start_due(queue_of(short("a"), short("b")), ME)
    assert editing.ask(queue, 1, "pause").entry(1).asked == "pause"
    with pytest.raises(QueueError, match="is waiting; pause is for a job that is running"):
        editing.ask(queue, 2, "pause")
    with pytest.raises(QueueError, match="resume is for a job that is paused"):
        editing.ask(queue, 1, "resume")
    assert queue.entry(1).state == RUNNING


def test_a_bench_that_is_unsafe_bars_its_own_jobs_only_and_is_freed_by_itself_only(on_bench: Make) -> None:
    one, other = Path("/stations/one.toml"), Path("/stations/other.toml")
    queue = queue_of(replace(on_bench("a"), station=one), replace(on_bench("b"), station=other))
    queue = editing.mark_bench(queue, str(one), "gate: NOT SAFE")
    assert due(queue) == [2]
    assert due(editing.mark_bench(queue, str(other), "")) == [2], "another bench says nothing of this one"
    assert due(editing.mark_bench(queue, str(one), "")) == [1]


def test_a_held_job_does_not_begin_until_somebody_lets_it_go_on(short: Make) -> None:
    queue = queue_of(short("a"))
    entry = replace(queue.entry(1), state=HELD, reason="all outputs were made safe")
    queue = replace(queue, entries=(entry,))
    assert due(queue) == []
    assert "all outputs were made safe" in why_waiting(queue, queue.entry(1))
    assert queue_from_json(queue_to_json(queue)) == queue
    assert due(editing.let_go_on(queue, 1, ME)) == [1]
    with pytest.raises(QueueError, match="not held"):
        editing.let_go_on(editing.let_go_on(queue, 1, ME), 1, ME)


def test_the_owner_of_a_held_job_is_asked_while_it_lives(short: Make) -> None:
    queue = queue_of(short("a"))
    theirs = replace(queue.entry(1), state=HELD, owner="them")
    queue = replace(queue, entries=(theirs,), owners=frozenset({"them"}))
    assert editing.let_go_on(queue, 1, ME).entry(1).asked == "resume"
